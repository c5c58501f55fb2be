"""A breach that is planted is found: one row for each rule."""

from dataclasses import replace
from datetime import date, datetime
from typing import Any

import pytest

from dagster_project.compliance.packs import shipped_law_book
from dagster_project.compliance.proof import ProofFacts, ProofRules, breaches, says_stop
from dagster_project.reach.failures import rules_by_channel, rules_by_id, rules_that_last

GOOD = {
    "opt_out": "{unsubscribe_link}",
    "why_sent": "Because.",
    "alternative": "{plain_link}",
    "subject": "{ad_label}Hello",
    "body": "Hello.",
}
RULES = ProofRules(
    book=shipped_law_book(),
    business_zone="UTC",
    send_on=date(2026, 6, 2),
    industry="commerce",
    categories=frozenset({"winback"}),
    channel_hours={"email": (9 * 60, 20 * 60)},
    caps=((1, 24), (2, 168)),
    wordings={("hello", "email"): [("en", GOOD), ("zh", GOOD)]},
)
ROW = {"user_id": "a", "channel": "email", "strategy_id": "hello", "send_at": "2026-06-02T12:00:00+02:00"}
USER = {"user_id": "a", "country": "DE", "timezone": "Europe/Berlin", "birth_on": date(1980, 1, 1)}
CONSENT = {
    "channel": "email",
    "status": "granted",
    "changed_at": datetime(2026, 1, 1),  # noqa: DTZ001
    "basis": "consent",
}


def _broken(
    row: dict[str, Any] | None = None,
    user: dict[str, Any] | None = None,
    consent: dict[str, Any] | None = None,
    rules: ProofRules = RULES,
    **facts: Any,
) -> list[str]:
    known = ProofFacts(**{"users": {"a": USER | (user or {})}, "consents": {"a": [CONSENT | (consent or {})]}} | facts)
    return [breach.rule_id for breach in breaches([ROW | (row or {})], known, rules=rules)]


def _sends(*times: datetime) -> dict[str, list[dict[str, Any]]]:
    return {"a": [{"channel": "email", "sent_at": at} for at in times]}


def test_a_lawful_row_breaks_nothing() -> None:
    assert _broken() == []


@pytest.mark.parametrize(
    ("consent", "rule_id"),
    [
        ({"status": "withdrawn"}, "consent.withdrawn"),
        ({"status": "odd"}, "consent.withdrawn"),
        ({"status": None}, "consent.withdrawn"),
        ({"basis": "legitimate_interest"}, "consent.any"),
        ({"categories": "news"}, "user.topics"),
        ({"max_per_week": 0}, "user.weekly_maximum"),
        ({"quiet_start": "11:00", "quiet_end": "13:00"}, "user.hours"),
        ({"quiet_start": "11:00"}, "user.hours"),
        ({"quiet_start": "noon", "quiet_end": "13:00"}, "user.hours"),
    ],
)
def test_each_word_of_the_user_is_held(consent: dict[str, Any], rule_id: str) -> None:
    assert rule_id in _broken(consent=consent)


def test_a_pause_of_later_date_than_the_consent_is_held_until_its_end() -> None:
    pause = {"channel": "all", "status": "paused", "changed_at": datetime(2026, 2, 1)}  # noqa: DTZ001
    assert _broken(consents={"a": [CONSENT, pause]}) == ["user.paused"]
    assert _broken(consents={"a": [CONSENT, pause | {"paused_until": date(2026, 6, 3)}]}) == ["user.paused"]
    assert _broken(consents={"a": [CONSENT, pause | {"paused_until": date(2026, 6, 2)}]}) == []


def test_no_consent_is_a_breach_only_where_consents_are_kept_and_the_law_asks() -> None:
    assert _broken(consents={}) == ["consent.missing", "consent.missing"]
    assert _broken(consents=None) == []
    addressed = {("hello", "email"): [("en", GOOD | {"postal_address": "1 Example Street"})]}
    us = replace(RULES, book=shipped_law_book("us"), wordings=addressed)
    assert (
        _broken(
            user={"country": "US", "timezone": "America/Chicago"},
            row={"send_at": "2026-06-02T12:00:00-05:00"},
            consents={},
            rules=us,
        )
        == []
    )


def test_complaint_deletion_and_unsubscribing_end_contact() -> None:
    assert _broken(stops=frozenset({"a"})) == ["stop"]
    left = {"a": [{"channel": "email", "occurred_at": datetime(2026, 1, 1)}]}  # noqa: DTZ001
    assert _broken(unsubscribed=left) == ["consent.withdrawn"]
    before = {"a": [{"channel": "email", "occurred_at": datetime(2025, 12, 31)}]}  # noqa: DTZ001
    assert _broken(unsubscribed=before) == []


def test_two_accounts_of_one_person_on_one_list_are_a_breach() -> None:
    def twice(*persons: str | None) -> list[tuple[str, str]]:
        users = {name: USER | {"user_id": name, "person_key": one} for name, one in zip("ab", persons, strict=True)}
        known = ProofFacts(users=users, consents={name: [CONSENT] for name in "ab"})
        found = breaches([ROW, ROW | {"user_id": "b"}], known, rules=RULES)
        return [(breach.user_id, breach.rule_id) for breach in found]

    assert twice("p", "p") == [("a", "person.once"), ("b", "person.once")]
    assert twice("p", "q") == twice(None, None) == twice("", "") == []


def test_a_stop_told_to_the_provider_stands_until_a_later_grant() -> None:
    texts = replace(RULES, channel_hours={"sms": (0, 1440)}, wordings={("hello", "sms"): [("en", GOOD), ("zh", GOOD)]})

    def broken(code: str, day: int, *, refused: str = "sms", **consent: Any) -> list[str]:
        refusal = {"channel": refused, "code": code, "occurred_at": datetime(2026, 1, day)}  # noqa: DTZ001
        return _broken({"channel": "sms"}, consent={"channel": "sms"} | consent, rules=texts, refusals={"a": [refusal]})

    assert broken("21610", 1) == ["consent.revoked_at_provider"]
    assert broken('{"status":400,"code":21610}', 2) == ["consent.revoked_at_provider"]
    assert broken("error 21610.", 2) == ["consent.revoked_at_provider"]
    assert broken("isv.CUSTOMER_REFUSED", 2) == ["consent.revoked_at_provider"]
    assert broken("21610", 2, channel="all", changed_at=datetime(2026, 1, 3)) == []  # noqa: DTZ001
    assert broken("21610", 2, refused="mms") == []
    assert broken("30003", 2) == []
    assert broken("m-21610", 2) == []


def test_the_proof_knows_every_stop_that_the_rules_know() -> None:
    stops = [rules_by_id()[rule_id] for rule_id in rules_that_last("grant")]
    assert all(says_stop("sms", code) for rule in stops for code in rule.codes)
    assert {channel for channel, rules in rules_by_channel().items() if {*stops} & {*rules}} == {
        channel for channel in rules_by_channel() if says_stop(channel, "21610")
    }


@pytest.mark.parametrize(
    ("send_at", "rule_ids"),
    [
        ("2026-06-02T08:59:00+02:00", ["hours.channel"]),
        ("2026-06-02T20:00:00+02:00", ["hours.channel"]),
        ("2026-06-02T21:00:00+02:00", ["hours.channel", "hours.night"]),
        ("2026-06-02T19:30:00+00:00", ["hours.channel", "hours.night"]),
        ("2026-06-02T19:59:00+02:00", []),
    ],
)
def test_the_hour_is_judged_on_the_users_own_clock(send_at: str, rule_ids: list[str]) -> None:
    assert _broken({"send_at": send_at}) == rule_ids


def test_without_a_zone_every_clock_of_the_country_counts_and_without_a_country_two_hours_of_caution() -> None:
    in_new_york = {"send_at": "2026-06-02T10:00:00-04:00"}
    assert "hours.night" in _broken(in_new_york, {"country": "US", "timezone": "No/Where"})
    everywhere = replace(RULES, channel_hours={"email": (0, 1440)})
    unknown = {"country": None, "timezone": None}
    assert _broken({"send_at": "2026-06-02T09:45:00+00:00"}, unknown, rules=everywhere) == ["hours.night"]
    assert _broken({"send_at": "2026-06-02T10:00:00+00:00"}, unknown, rules=everywhere) == []


def test_minors_are_not_written_to_before_their_birthday() -> None:
    assert _broken(user={"birth_on": date(2010, 6, 3)}) == ["minors.any"]
    assert _broken(user={"birth_on": date(2010, 6, 2)}) == []
    assert _broken(user={"birth_on": date(2012, 6, 2)}, consent={"basis": "parental_consent"}) == []


def test_caps_count_what_lies_in_the_hours_before_the_message() -> None:
    assert _broken(sends=_sends(datetime(2026, 6, 1, 10, 1))) == ["cap"]  # noqa: DTZ001
    assert _broken(sends=_sends(datetime(2026, 6, 1, 10))) == []  # noqa: DTZ001
    week = [datetime(2026, 5, 27), datetime(2026, 5, 28)]  # noqa: DTZ001
    assert _broken(sends=_sends(*week)) == ["cap"]


def test_too_many_complaints_close_the_channel() -> None:
    assert _broken(complaint_counts={("email", 30): (1000, 3)}) == ["complaints.email"]
    assert _broken(complaint_counts={("email", 30): (999, 3)}) == []


def test_words_and_offers_are_judged_by_the_law_of_the_reader() -> None:
    def worded(**parts: str | None) -> ProofRules:
        return replace(RULES, wordings={("hello", "email"): [("zh", GOOD | parts)]})

    china = {"country": "CN", "timezone": "Asia/Shanghai"}
    noon = {"send_at": "2026-06-02T12:00:00+08:00"}
    assert _broken(rules=worded(opt_out="")) == ["text.opt_out"]
    us = {"country": "US", "timezone": "Europe/Berlin"}
    assert _broken(user=us, rules=worded()) == ["text.postal_address"]
    assert _broken(user=us, rules=worded(postal_address="1 Example Street")) == []
    assert _broken(rules=worded(body="全网最低")) == ["sensitive.commerce.zh"]
    in_us = replace(worded(body="全网最低", postal_address="1 Example Street"), book=shipped_law_book("us"))
    assert _broken(user=us, rules=in_us) == ["sensitive.commerce.zh"]
    assert _broken(noon, china, rules=worded(body="最佳选择")) == ["claims.zh"]
    assert _broken(noon, china, rules=worded(alternative=None)) == ["text.alternative"]
    assert _broken(noon, china, rules=worded(subject="Hello")) == ["text.label"]
    unequal = replace(RULES, unequal=frozenset({"hello"}))
    assert _broken(noon, china, rules=unequal) == ["offers.equal"]
    assert _broken(rules=unequal) == []


def test_two_depths_of_offer_in_one_stage_are_a_breach_where_law_asks_for_equal_offers() -> None:
    offers = replace(RULES, offers={"deep": ("discount", 20.0), "flat": ("discount", 5.0)})
    wordings = {(name, "email"): [("zh", GOOD)] for name in ("hello", "deep", "flat")}
    rules = replace(offers, wordings=wordings)

    def unlike(country: str, zone: str, *rows: tuple[str, str, str]) -> list[tuple[str, str]]:
        where = {"country": country, "timezone": zone}
        users = {name: USER | where | {"user_id": name, "stage": stage} for name, _, stage in rows}
        known = ProofFacts(users=users, consents={name: [CONSENT] for name in users})
        contacts = [
            ROW | {"user_id": name, "strategy_id": strategy, "send_at": f"2026-06-02T12:00:00{offset[country]}"}
            for name, strategy, _ in rows
        ]
        return [(one.user_id, one.rule_id) for one in breaches(contacts, known, rules=rules)]

    offset = {"CN": "+08:00", "DE": "+02:00"}
    mixed = (("a", "flat", "lost"), ("b", "flat", "lost"), ("c", "deep", "lost"), ("d", "deep", "relapsed"))
    assert unlike("CN", "Asia/Shanghai", *mixed) == [("c", "offers.equal")]
    assert unlike("DE", "Europe/Berlin", *mixed) == []
    assert unlike("CN", "Asia/Shanghai", ("a", "hello", "lost"), ("b", "flat", "lost")) == []
