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
    rules_by_id,
    rules_that_last,
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
        550 5.7.606 Access denied, banned sending IP [1.2.3.4] | blocked  | permanent
        550 5.7.708 Service unavailable. Access denied, traffic not accepted from this IP | blocked | permanent
        550 5.7.515 Access denied, sending domain does not meet the required level | blocked | permanent
        550 5.7.129                                      | blocked        | permanent
        550 OU-002 (BAY004-MC4F49) Unfortunately, messages from 1.2.3.4 weren't sent | blocked | permanent
        OU-002                                           | blocked        | permanent
        550 Ip frequency limited                         | quota          | transient
        550 Connection frequency limited                 | quota          | transient
        550 Domain frequency limited                     | quota          | transient
        550 Mail content denied                          | blocked        | permanent
        550 RP:TRC                                       | quota          | transient
        550 Suspected bounce attacks                     | blocked        | permanent
        550 Mailbox unavailable or access denied         | quota          | transient
        550 SPF check failed                             | blocked        | permanent
        550 Sender verify failed                         | server_fault   | permanent
        550 relay not permitted                          | blocked        | permanent
        550 Relaying denied                              | blocked        | permanent
        550 Administrative prohibition                   | blocked        | permanent
        550 High probability of UCE                      | blocked        | permanent
        550 mail is refused for content restrictions     | blocked        | permanent
        550 something nobody has listed                  | unknown        | not told
        550 5.0.0 something nobody has listed            | unknown        | not told
        550 5.0.0 Requested action not taken: mailbox unavailable | endpoint_dead | permanent
        553 sorry, that domain is not in my list         | unknown        | not told
        550 [1.2.3.4]                                    | endpoint_dead  | permanent
        550 <a@b.org>                                    | endpoint_dead  | permanent
        554 5.4.14 Hop count exceeded - possible mail loop | server_fault | permanent
        550 Requested action not taken: mailbox unavailable | endpoint_dead | permanent
        450 Requested mail action not taken: mailbox unavailable | user_side | transient
        550 Unrouteable address                          | endpoint_dead  | permanent
        521 host does not accept mail                    | endpoint_dead  | permanent
        521 you are blocked for abuse, write to us       | unknown        | not told
        450 4.1.1 unverified address                     | endpoint_dead  | transient
        550 5.4.1 <a@b.org>: Recipient address rejected: Access denied | endpoint_dead | permanent
        550 5.4.1 no answer from host                    | network        | permanent
        554 5.7.1 <a@b.org>: Recipient address rejected: Access denied | blocked | permanent
        550 5.5.0 Requested action not taken: mailbox unavailable | endpoint_dead | permanent
        554 5.7.9 Message not accepted for policy reasons | blocked       | permanent
        450-4.2.1 The user you are trying to contact is receiving mail at a rate that | quota | transient
        550 5.2.1 The user you are trying to contact is receiving mail at a rate that | quota | transient
        550 5.1.0 <a@b.org> sender rejected              | server_fault   | permanent
        550 5.1.0 Address rejected                       | endpoint_dead  | permanent
        554                                              | blocked        | permanent
        554 Transaction failed                           | blocked        | permanent
        554 delivery error: dd This user doesn't have a yahoo.com account (a@yahoo.com) [0] | endpoint_dead | permanent
        571 Delivery not authorized                      | blocked        | permanent
        NXDOMAIN                                         | endpoint_dead  | permanent
        450 4.4.3 name server said NXDOMAIN              | network        | transient
        MessageTooLarge                                  | blocked        | permanent
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
        INVALID_ARGUMENT: The registration token is not a valid FCM registration token | endpoint_dead | permanent
        PERMISSION_DENIED                                | server_fault       | permanent
        UNAUTHENTICATED                                  | server_fault       | permanent
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
        406                                              | quota              | transient
        InvalidRegistration                              | endpoint_dead      | permanent
        418                                              | unknown            | not told
    """,
    "sms": """
        UNDELIV                                          | unknown            | not told
        stat:UNDELIV err:099                             | unknown            | not told
        stat:UNDELIV err:00A                             | unknown            | not told
        UNDELIV err:001                                  | endpoint_dead      | permanent
        stat:UNDELIV err:008                             | user_side          | transient
        stat:UNDELIV err:010                             | blocked            | permanent
        stat:UNDELIV err:015                             | blocked            | permanent
        stat:UNDELIV err:033                             | user_side          | transient
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
        {"status":400,"code":21610}                      | permission_revoked | permanent
        HTTP 400 error 21610                             | permission_revoked | permanent
        Refused with error 21610.                        | permission_revoked | permanent
        21610.5                                          | unknown            | not told
        {"code":30007,"status":400,"more_info":"https://www.twilio.com/docs/errors/30007"} | blocked | permanent
        21612                                            | server_fault       | permanent
        30023                                            | quota              | transient
        30036                                            | server_fault       | transient
        ESME_RINVMSGLEN                                  | blocked            | permanent
        ESME_RBINDFAIL                                   | server_fault       | transient
        0x0000000B                                       | endpoint_dead      | permanent
        command_status=0x58                              | quota              | transient
        0x00000045                                       | server_fault       | transient
        0x00000001                                       | blocked            | permanent
        0x00000400                                       | unknown            | not told
        isv.MONTH_LIMIT_CONTROL                          | quota              | transient
        isv.CUSTOMER_REFUSED                             | permission_revoked | permanent
        LimitExceeded.PhoneNumberDailyLimit              | quota              | transient
        FailedOperation.PhoneNumberInBlacklist           | permission_revoked | permanent
        InvalidParameterValue.IncorrectPhoneNumber       | endpoint_dead      | permanent
        FailedOperation.ContainSensitiveWord             | blocked            | permanent
        FailedOperation.InsufficientBalanceInSmsPackage  | server_fault       | transient
        MK:0001                                          | endpoint_dead      | permanent
        MK:0005                                          | blocked            | permanent
        MK:0024                                          | user_side          | transient
        ID:0143                                          | quota              | transient
        MX:0012                                          | permission_revoked | permanent
        MN:0001                                          | unknown            | not told
        MK:0000                                          | unknown            | not told
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
        45015                                            | window             | transient
        45047                                            | window             | transient
        41028                                            | window             | transient
        41029                                            | window             | transient
        45009                                            | quota              | transient
        {"status":200,"errcode":43101}                   | permission_revoked | permanent
        40164                                            | server_fault       | permanent
        44004                                            | blocked            | permanent
        40007                                            | server_fault       | permanent
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


def test_a_stop_and_a_limit_of_the_month_are_told_by_their_rules() -> None:
    assert rules_that_last("grant") == {"twilio.opted_out", "aliyun.opted_out", "tencent.opted_out"}
    assert rules_that_last("month") == {"aliyun.month", "cmpp.month"}
    assert {rules_by_id()[rule_id].failure_class for rule_id in rules_that_last("grant")} == {"permission_revoked"}


def test_every_rule_has_a_source_and_every_code_of_a_file_stands_once() -> None:
    for rules in set(rules_by_channel().values()):
        codes = [(rule.by, code) for rule in rules for code in rule.codes if not rule.text]
        assert len(codes) == len(set(codes))
        assert all(len(rule.source) > 10 for rule in rules)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('class = "quota"', 'class = "tired"', "class 'tired'"),
        ('source = "s"', "", "has the keys"),
        ('by = "word"', 'by = "guess"', "by 'guess'"),
        ("# end", 'lasts = "long"', "lasts 'long'"),
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
