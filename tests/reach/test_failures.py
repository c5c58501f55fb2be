"""What the providers' codes mean, case by case, and what is left unknown."""

from datetime import datetime
from pathlib import Path
from typing import get_args

import polars as pl
import pytest

from dagster_project.errors import FailureRulesError
from dagster_project.reach.failures import (
    FOLDER,
    FailureClass,
    failure_codes,
    load_rules,
    rules_by_channel,
    verdict_of,
    with_failures,
    without_names,
)

CASES = {
    "email": """
        5.1.1                                            | endpoint_dead  | permanent
        550 5.1.1 User unknown                           | endpoint_dead  | permanent
        smtp; 550 5.1.1 <a@b.org>: Recipient rejected    | endpoint_dead  | permanent
        550-5.1.1 The email account that you tried to reach does not exist | endpoint_dead | permanent
        4.1.1                                            | endpoint_dead  | transient
        5.1.2                                            | endpoint_dead  | permanent
        5.1.3                                            | endpoint_dead  | permanent
        5.1.10                                           | endpoint_dead  | permanent
        5.1.6                                            | endpoint_moved | permanent
        5.7.17                                           | endpoint_moved | permanent
        551 User not local; please try <x@y.org>         | endpoint_moved | permanent
        5.1.8                                            | server_fault   | permanent
        550 5.2.1 mailbox disabled                       | endpoint_dead  | permanent
        4.2.1                                            | user_side      | transient
        4.2.2                                            | user_side      | transient
        552 5.2.2 Mailbox full                           | user_side      | transient
        552                                              | user_side      | transient
        452-4.2.2 The recipient's inbox is out of storage space | user_side | transient
        5.2.3                                            | blocked        | permanent
        5.3.4                                            | blocked        | permanent
        4.3.2                                            | server_fault   | transient
        4.4.1                                            | network        | transient
        4.4.2                                            | network        | transient
        5.4.4                                            | network        | permanent
        4.4.7                                            | network        | transient
        4.4.5                                            | server_fault   | transient
        5.5.1                                            | server_fault   | permanent
        5.6.1                                            | blocked        | permanent
        5.7.1                                            | blocked        | permanent
        554 5.7.1 Service unavailable; Client host blocked using Spamhaus | blocked | permanent
        550 5.7.26 Unauthenticated email is not accepted | blocked        | permanent
        5.7.8                                            | server_fault   | permanent
        4.7.28                                           | quota          | transient
        421 4.7.0 Try again later                        | blocked        | transient
        421                                              | server_fault   | transient
        smtp;421                                         | server_fault   | transient
        450                                              | user_side      | transient
        451 Greylisted, please try again later           | server_fault   | transient
        550                                              | endpoint_dead  | permanent
        smtp;550                                         | endpoint_dead  | permanent
        550 message refused as spam                      | blocked        | permanent
        553                                              | endpoint_dead  | permanent
        556                                              | endpoint_dead  | permanent
        535 authentication failed                        | server_fault   | permanent
        421 connection timed out                         | network        | transient
        NoEmail                                          | endpoint_dead  | permanent
        hard_bounce                                      | endpoint_dead  | permanent
        Soft-Bounce                                      | server_fault   | transient
        ContentRejected                                  | blocked        | not told
        554                                              | unknown        | not told
        250 ok                                           | unknown        | not told
        from 5.9.120.44                                  | unknown        | not told
        oops                                             | unknown        | not told
    """,
    "push": """
        UNREGISTERED                                     | endpoint_dead      | permanent
        Unregistered                                     | endpoint_dead      | permanent
        NotRegistered                                    | endpoint_dead      | permanent
        not registered                                   | endpoint_dead      | permanent
        messaging/registration-token-not-registered      | endpoint_dead      | permanent
        {"error":{"code":404,"details":[{"errorCode":"UNREGISTERED"}]}} | endpoint_dead | permanent
        {"reason":"BadDeviceToken"}                      | endpoint_dead      | permanent
        ExpiredToken                                     | endpoint_dead      | permanent
        InvalidRegistration                              | endpoint_dead      | permanent
        410                                              | endpoint_dead      | permanent
        canonical_registration_token                     | endpoint_moved     | permanent
        notifications_disabled                           | permission_revoked | permanent
        QUOTA_EXCEEDED                                   | quota              | transient
        TooManyRequests                                  | quota              | transient
        messaging/device-message-rate-exceeded           | quota              | transient
        429                                              | quota              | transient
        SENDER_ID_MISMATCH                               | server_fault       | permanent
        THIRD_PARTY_AUTH_ERROR                           | server_fault       | permanent
        ExpiredProviderToken                             | server_fault       | permanent
        DeviceTokenNotForTopic                           | server_fault       | permanent
        INVALID_ARGUMENT                                 | server_fault       | permanent
        PayloadTooLarge                                  | blocked            | permanent
        MessageTooBig                                    | blocked            | permanent
        UNAVAILABLE                                      | server_fault       | transient
        INTERNAL                                         | server_fault       | transient
        ServiceUnavailable                               | server_fault       | transient
        Shutdown                                         | server_fault       | transient
        503                                              | server_fault       | transient
        TooManyProviderTokenUpdates                      | server_fault       | transient
        IdleTimeout                                      | network            | transient
        404                                              | unknown            | not told
        UNSPECIFIED_ERROR                                | unknown            | not told
    """,
    "web_push": """
        404                                              | endpoint_dead      | permanent
        410 Gone                                         | endpoint_dead      | permanent
        413                                              | blocked            | permanent
        429                                              | quota              | transient
        403                                              | server_fault       | permanent
        502                                              | server_fault       | transient
        NotAllowedError                                  | permission_revoked | permanent
        418                                              | unknown            | not told
    """,
    "sms": """
        UNDELIV                                          | endpoint_dead      | permanent
        id:7 sub:001 stat:UNDELIV err:001 text:Hi        | endpoint_dead      | permanent
        stat:UNDELIV err:027                             | user_side          | transient
        stat:UNDELIV err:013                             | blocked            | permanent
        stat:UNDELIV err:034                             | server_fault       | transient
        EXPIRED                                          | user_side          | transient
        REJECTD                                          | blocked            | permanent
        DELETED                                          | server_fault       | transient
        30003                                            | user_side          | transient
        30005                                            | endpoint_dead      | permanent
        30006                                            | endpoint_dead      | permanent
        ErrorCode: 30007                                 | blocked            | permanent
        21610                                            | permission_revoked | permanent
        30001                                            | quota              | transient
        30410                                            | network            | transient
        21408                                            | server_fault       | permanent
        ESME_RTHROTTLED                                  | quota              | transient
        isv.MOBILE_NUMBER_ILLEGAL                        | endpoint_dead      | permanent
        isv.BUSINESS_LIMIT_CONTROL                       | quota              | transient
        30008                                            | unknown            | not told
        stat:UNKNOWN text:this offer has expired         | unknown            | not told
    """,
    "wechat": """
        43004                                            | permission_revoked | permanent
        43101                                            | permission_revoked | permanent
        {"errcode":43101,"errmsg":"user refuse to accept the msg"} | permission_revoked | permanent
        errcode=-1                                       | server_fault       | transient
        -1                                               | server_fault       | transient
        40003                                            | endpoint_dead      | permanent
        45015                                            | quota              | transient
        45047                                            | quota              | transient
        48004                                            | blocked            | permanent
        50002                                            | unknown            | permanent
        43003                                            | server_fault       | permanent
        40001                                            | server_fault       | permanent
        99999                                            | unknown            | not told
    """,
}
LINES = [
    (channel, *(part.strip() for part in line.rsplit("|", 2)))
    for channel, text in CASES.items()
    for line in text.strip().splitlines()
]
PERMANENT = {"permanent": True, "transient": False, "not told": None}


@pytest.mark.parametrize(("channel", "code", "failure_class", "permanent"), LINES)
def test_a_code_means(channel: str, code: str, failure_class: str, permanent: str) -> None:
    found = verdict_of(channel, code)

    assert (found.failure_class, found.is_permanent) == (failure_class, PERMANENT[permanent])


def test_every_class_is_met_by_a_case() -> None:
    assert {line[2] for line in LINES} == set(get_args(FailureClass))


@pytest.mark.parametrize(("channel", "code"), [("email", None), ("email", " "), ("pigeon", "5.1.1"), ("push", "5.1.1")])
def test_what_no_rule_knows_is_unknown_and_never_guessed(channel: str, code: str | None) -> None:
    assert verdict_of(channel, code).rule_id is None


def test_only_failures_are_judged_and_rows_keep_their_order() -> None:
    events = pl.DataFrame(
        {
            "channel": ["email", "email", "sms", "email"],
            "event": ["bounced", "opened", "failed", "bounced"],
            "code": ["5.1.1", "5.1.1", None, "4.4.2"],
            "n": [1, 2, 3, 4],
        }
    )

    assert with_failures(events).select("n", "failure_class", "is_permanent", "rule_id").rows() == [
        (1, "endpoint_dead", True, "smtp.enhanced.address_bad"),
        (2, None, None, None),
        (3, "unknown", None, None),
        (4, "network", False, "smtp.enhanced.network"),
    ]


def test_a_listed_code_shows_no_address_and_no_long_id() -> None:
    codes = pl.DataFrame({"code": ["550  <bob@x.org> rejected 6512ab34-77 by mx5", "550-5.1.1", " 43101 ", None]})

    assert codes.select(without_names(pl.col("code"))).to_series().to_list() == [
        "550 … rejected … by mx5",
        "550-5.1.1",
        "43101",
        None,
    ]


def test_codes_are_counted_by_what_they_say() -> None:
    def failed(user: int, channel: str, code: str, n: int) -> dict[str, object]:
        at = datetime.fromisoformat("2026-03-01T10:00")
        return {
            "user_sk": user,
            "channel": channel,
            "event": "failed",
            "code": code,
            "n_failed": n,
            "last_failed_at": at,
        }

    states = [failed(1, "email", "oops a@b.org", 2), failed(2, "email", "oops c@d.org", 3), failed(1, "sms", "", 1)]

    made = failure_codes(pl.DataFrame(states))

    assert made.select("channel", "code", "failure_class", "n_messages", "n_users").rows() == [
        ("email", "oops …", "unknown", 5, 2),
        ("sms", "", "unknown", 1, 1),
    ]


def test_every_rule_has_a_source_and_every_code_of_a_file_stands_once() -> None:
    for rules in set(rules_by_channel().values()):
        codes = [(rule.by, code) for rule in rules for code in rule.codes]
        assert len(codes) == len(set(codes))
        assert all(len(rule.source) > 10 for rule in rules)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('class = "quota"', 'class = "tired"', "class 'tired'"),
        ('source = "s"', "", "has the keys"),
        ('by = "word"', 'by = "guess"', "by 'guess'"),
        (
            "# end",
            '[[rules]]\nid = "a"\nby = "word"\ncodes = ["y"]\nclass = "quota"\npermanent = true\nsource = "s"',
            "two",
        ),
    ],
)
def test_a_rule_that_says_too_little_is_refused(tmp_path: Path, old: str, new: str, problem: str) -> None:
    good = 'channels = ["c"]\n[[rules]]\nid = "a"\nby = "word"\ncodes = ["x"]\nclass = "quota"\npermanent = true\n'
    text = f'{good}source = "s"\n# end\n'
    (tmp_path / "c.toml").write_text(text.replace(old, new))

    with pytest.raises(FailureRulesError) as caught:
        load_rules(tmp_path)

    assert problem in caught.value.problem


def test_the_shipped_files_name_their_channels_once() -> None:
    files = [line for file in FOLDER.glob("*.toml") for line in file.read_text().splitlines() if "channels = " in line]

    assert len(files) == 5
    assert len(rules_by_channel()) == sum(line.count('"') // 2 for line in files)
