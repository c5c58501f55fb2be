"""Contacts taken back from lists that are out, and messages that left after the deadline of a stop."""

from datetime import date, datetime
from typing import Any

import polars as pl

from dagster_project.compliance.packs import LawBook, load_packs
from dagster_project.reach.recalls import (
    LATE,
    RECALLED,
    WORDS,
    Calendar,
    late_messages,
    recalled_contacts,
    stop_words,
    with_deadlines,
)

CALENDAR = Calendar(timezone="Europe/Berlin", ready_at=datetime(2026, 6, 2, 1))  # noqa: DTZ001
BOOK = LawBook(load_packs(), chosen="us")
USERS = pl.DataFrame({"user_sk": [1, 2, 3], "user_id": ["a", "b", "c"], "country": ["US", "DE", None]})
GRANT, UNCLEAR, WITHDRAWAL = 0, 1, 2


def _at(day: int, hour: int = 12, month: int = 5) -> datetime:
    return datetime(2026, month, day, hour)  # noqa: DTZ001


def _spoken(*rows: tuple[int, str, int, datetime]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=["user_sk", "channel", "severity", "consented_at"], orient="row")


def _stops(*rows: tuple[int, datetime | None, datetime | None]) -> pl.DataFrame:
    kinds = {"user_sk": pl.Int64, "complained_at": pl.Datetime("us"), "deletion_requested_at": pl.Datetime("us")}
    return pl.DataFrame(rows, schema=kinds, orient="row")


def _words(*rows: tuple[int, str, str, datetime]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=WORDS, orient="row")


def test_a_withdrawal_stands_from_its_first_word_since_the_last_yes() -> None:
    spoken = _spoken(
        (1, "email", WITHDRAWAL, _at(1)),
        (1, "email", GRANT, _at(2)),
        (1, "email", WITHDRAWAL, _at(4)),
        (1, "email", WITHDRAWAL, _at(6)),
        (2, "email", WITHDRAWAL, _at(1)),
        (2, "email", GRANT, _at(2)),
    )
    events = pl.DataFrame(
        [(2, "push", "unsubscribed", _at(3)), (2, "push", "opened", _at(9))],
        schema=["user_sk", "channel", "event", "occurred_at"],
        orient="row",
    )
    found = stop_words(spoken, events, _stops((3, None, _at(5))), channels=["email", "sms"])
    assert found.rows() == [
        (1, "email", "withdrawal", _at(4)),
        (2, "push", "withdrawal", _at(3)),
        (3, "email", "deletion", _at(5)),
        (3, "sms", "deletion", _at(5)),
    ]


def test_without_tables_nobody_said_stop() -> None:
    assert stop_words(None, None, _stops(), channels=["email"]).rows() == []


def test_the_deadline_is_that_of_the_strictest_law_in_days_or_business_days() -> None:
    words = _words(
        (1, "email", "withdrawal", _at(1)),  # a Friday
        (1, "push", "withdrawal", _at(1)),
        (1, "email", "deletion", _at(1)),
        (2, "email", "withdrawal", _at(1, 23)),  # already the second of May in Berlin, a Saturday
        (3, "sms", "withdrawal", _at(2)),
    )
    found = with_deadlines(words, USERS, book=BOOK, calendar=CALENDAR)
    assert found.select("user_id", "channel", "stop", "said_on", "honour_by", "deadline").rows() == [
        ("a", "email", "deletion", date(2026, 5, 1), date(2026, 6, 15), _DELETION),
        ("a", "email", "withdrawal", date(2026, 5, 1), date(2026, 5, 15), "CAN-SPAM Act, 15 U.S.C. 7704(a)(4)"),
        ("a", "push", "withdrawal", date(2026, 5, 1), date(2026, 5, 1), "House rule"),
        ("b", "email", "withdrawal", date(2026, 5, 2), date(2026, 5, 2), "GDPR Art. 7(3) and 21(2)-(3)"),
        ("c", "sms", "withdrawal", date(2026, 5, 2), date(2026, 5, 15), "47 CFR 64.1200(a)(10)"),
    ]


_DELETION = "California Civil Code 1798.105 and 1798.130(a)(2)"


def _listed(*rows: tuple[int, str | None, datetime]) -> pl.DataFrame:
    names = {1: "a", 2: "b", 3: "c"}
    filled = [(sk, names[sk], "email", "hello", at.date(), at, send_at) for sk, send_at, at in rows]
    kinds = {
        "user_sk": pl.Int64,
        "user_id": pl.String,
        "channel": pl.String,
        "strategy_id": pl.String,
        "as_of": pl.Date,
        "assigned_at": pl.Datetime("us"),
        "send_at": pl.String,
    }
    return pl.DataFrame(filled, schema=kinds, orient="row")


def _points(*rows: tuple[int, str | None, date | None]) -> pl.DataFrame:
    filled = [(sk, "email", rule, None if rule is None else "Art. 1", until) for sk, rule, until in rows]
    kinds: dict[str, Any] = {
        "user_sk": pl.Int64,
        "channel": pl.String,
        "rule_id": pl.String,
        "citation": pl.String,
        "until": pl.Date,
    }
    return pl.DataFrame(filled, schema=kinds, orient="row")


NO_SENDS = pl.DataFrame(
    schema={
        "user_sk": pl.Int64,
        "channel": pl.String,
        "message_id": pl.String,
        "sent_at": pl.Datetime("us"),
        "category": pl.String,
    }
)
TOMORROW, PAST = "2026-06-03T09:00:00+02:00", "2026-06-02T02:59:00+02:00"


def _recalled(listed: pl.DataFrame, points: pl.DataFrame, sends: pl.DataFrame = NO_SENDS) -> list[tuple[Any, ...]]:
    said = with_deadlines(_words((1, "email", "withdrawal", _at(29))), USERS, book=BOOK, calendar=CALENDAR)
    found = recalled_contacts(listed, points, said, sends, calendar=CALENDAR)
    assert found.schema == RECALLED
    return found.rows()


def test_a_contact_that_is_not_due_is_taken_back_when_its_channel_is_closed() -> None:
    listed = _listed((1, TOMORROW, _at(31)), (2, TOMORROW, _at(31)), (3, TOMORROW, _at(31)))
    points = _points((1, "consent.withdrawn", None), (2, "reach.dead", None), (3, None, None))
    assert _recalled(listed, points) == [
        ("a", "email", "hello", date(2026, 5, 31), TOMORROW, "consent.withdrawn", "Art. 1", date(2026, 5, 29), _TENTH),
        ("b", "email", "hello", date(2026, 5, 31), TOMORROW, "reach.dead", "Art. 1", None, None),
    ]


_TENTH = date(2026, 6, 12)  # ten business days after Friday 29 May


def test_what_is_sent_or_was_due_before_is_not_taken_back() -> None:
    closed = _points((1, "consent.withdrawn", None))
    assert _recalled(_listed((1, PAST, _at(31))), closed) == []
    sent = pl.DataFrame([(1, "email", "m", _at(31, 13), None)], schema=NO_SENDS.schema, orient="row")
    assert _recalled(_listed((1, TOMORROW, _at(31))), closed, sent) == []


def test_a_cap_takes_nothing_back_nor_does_a_pause_that_ends_before() -> None:
    listed = _listed((1, TOMORROW, _at(31)))
    assert _recalled(listed, _points((1, "cap.week", date(2026, 6, 9)))) == []
    assert _recalled(listed, _points((1, "user.weekly_maximum", date(2026, 6, 9)))) == []
    assert _recalled(listed, _points((1, "user.paused", date(2026, 6, 3)))) == []
    assert len(_recalled(listed, _points((1, "user.paused", date(2026, 6, 4))))) == 1


def test_a_contact_whose_moment_is_no_longer_known_counts_as_pending_while_a_list_lasts() -> None:
    closed = _points((1, "complaint.stop", None))
    assert len(_recalled(_listed((1, None, _at(31, 0))), closed)) == 1
    assert _recalled(_listed((1, None, _at(29, 0))), closed) == []


def test_a_message_after_the_deadline_is_late_and_told_once() -> None:
    words = with_deadlines(
        _words(
            (1, "email", "withdrawal", _at(1)),
            (2, "email", "withdrawal", _at(1)),
            (2, "email", "complaint", _at(1)),
            (3, "push", "withdrawal", _at(1)),
        ),
        USERS,
        book=BOOK,
        calendar=CALENDAR,
    )
    sends = pl.DataFrame(
        [
            (1, "email", "in_time", _at(15), "offers"),
            (1, "email", "late", _at(16), "offers"),
            (1, "email", "receipt", _at(20), "Transactional"),
            (1, "sms", "elsewhere", _at(20), None),
            (2, "email", "before", _at(1, 11), None),
            (2, "email", "same_day", _at(1, 13), None),
            (2, "email", "next_day", _at(2), None),
            (3, "push", "next_day", _at(2), None),
        ],
        schema=NO_SENDS.schema,
        orient="row",
    )
    found = late_messages(sends, words, exempt=frozenset({"transactional"}), calendar=CALENDAR)
    assert found.schema == LATE
    assert found.select("user_id", "message_id", "sent_on", "stop", "honour_by").rows() == [
        ("a", "late", date(2026, 5, 16), "withdrawal", date(2026, 5, 15)),
        ("b", "next_day", date(2026, 5, 2), "complaint", date(2026, 5, 1)),
        ("c", "next_day", date(2026, 5, 2), "withdrawal", date(2026, 5, 1)),
    ]
