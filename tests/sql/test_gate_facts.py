"""Marts that the gate of contact goes by: who said stop, what was sent of late, who complains."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import polars as pl

Run = Callable[..., pl.DataFrame]
AS_OF = date(2024, 6, 30)


def _at(month: int, day: int, hour: int = 9) -> datetime:
    return datetime(2024, month, day, hour, tzinfo=UTC)


def _message(message_id: str, event: str, at: datetime, **more: Any) -> dict[str, Any]:
    plain = {"user_sk": 1, "channel": "email", "category": "offers", "row_hash": 1}
    return {**plain, "message_id": message_id, "event": event, "occurred_at": at, "dt": at.date(), **more}


def test_a_stop_is_the_first_complaint_from_anywhere_and_the_first_request_to_be_deleted(run: Run) -> None:
    told = [
        {"user_sk": 1, "kind": "complaint", "occurred_at": _at(6, 5), "dt": date(2024, 6, 5)},
        {"user_sk": 2, "kind": "deletion_request", "occurred_at": _at(6, 6), "dt": date(2024, 6, 6)},
        {"user_sk": 2, "kind": "deletion_request", "occurred_at": _at(6, 4), "dt": date(2024, 6, 4)},
        {"user_sk": 3, "kind": "ticket", "occurred_at": _at(6, 4), "dt": date(2024, 6, 4)},
    ]
    events = [_message("m1", "complained", _at(6, 3)), _message("m2", "opened", _at(6, 1), user_sk=3)]

    made = run("marts.user_stops", {"staging.feedback": told, "staging.message_events": events})

    assert [(sk, said and said.day, asked and asked.day) for sk, said, asked in made.rows()] == [
        (1, 3, None),
        (2, None, 4),
    ]


def test_a_stop_holds_for_every_account_of_the_person(run: Run) -> None:
    keys = [{"user_sk": sk, "user_id": f"u{sk}"} for sk in (1, 2, 3, 4, 5)]
    persons = {1: "p", 2: "p", 3: "q", 4: "", 5: None}
    users = [
        {"user_sk": sk, "user_id": f"u{sk}", "person_key": person, "n_active_days": 1} for sk, person in persons.items()
    ]
    told = [
        {"user_sk": 1, "kind": "deletion_request", "occurred_at": _at(6, 6), "dt": date(2024, 6, 6)},
        {"user_sk": 4, "kind": "complaint", "occurred_at": _at(6, 7), "dt": date(2024, 6, 7)},
    ]
    events = [_message("m1", "complained", _at(6, 3), user_sk=2)]
    given = {"ingest.user_keys": keys, "marts.users": users, "staging.feedback": told, "staging.message_events": events}

    made = run("marts.user_stops", given)

    assert [(sk, said and said.day, asked and asked.day) for sk, said, asked in made.rows()] == [
        (1, 3, 6),
        (2, 3, 6),
        (4, 7, None),
    ]


def test_recent_sends_are_dated_by_their_first_sign_and_older_ones_are_left_out(run: Run) -> None:
    events = [
        _message("m1", "delivered", _at(6, 2, 10)),
        _message("m1", "sent", _at(6, 2, 9)),
        _message("m2", "delivered", _at(6, 3)),
        _message("m3", "opened", _at(6, 4)),
        _message("m4", "sent", _at(5, 30)),
        _message("m5", "sent", _at(5, 31)),
        _message("m1", "sent", _at(6, 2, 9), user_sk=2),
    ]

    made = run("marts.recent_sends", {"staging.message_events": events}, as_of=AS_OF)

    assert [(sk, message, at.day, at.hour) for sk, _, message, at, _ in made.rows()] == [
        (1, "m1", 2, 9),
        (1, "m2", 3, 9),
        (1, "m5", 31, 9),
        (2, "m1", 2, 9),
    ]


def test_complaints_are_counted_by_channel_and_day_once_a_message(run: Run) -> None:
    events = [
        _message("m1", "delivered", _at(6, 2)),
        _message("m2", "delivered", _at(6, 2)),
        _message("m1", "complained", _at(6, 2)),
        _message("m1", "complained", _at(6, 2, 12)),
        _message("m3", "complained", _at(6, 3)),
        _message("m4", "delivered", _at(5, 31)),
    ]

    made = run("marts.channel_complaints", {"staging.message_events": events}, as_of=AS_OF)

    assert made.rows() == [("email", date(2024, 6, 2), 2, 1), ("email", date(2024, 6, 3), 0, 1)]


def test_one_campaign_number_at_many_users_is_as_many_messages(run: Run) -> None:
    sent = [_message("campaign 7", "delivered", _at(6, 2), user_sk=sk) for sk in range(1, 1201)]
    angry = [_message("campaign 7", "complained", _at(6, 3), user_sk=sk) for sk in range(1, 7)]

    made = run("marts.channel_complaints", {"staging.message_events": [*sent, *angry]}, as_of=AS_OF)

    assert made.rows() == [("email", date(2024, 6, 2), 1200, 0), ("email", date(2024, 6, 3), 0, 6)]


def test_a_channel_that_reports_no_delivery_counts_what_was_sent_and_did_not_fail(run: Run) -> None:
    events = [
        *(_message("w1", "sent", _at(6, 2), channel="wechat", user_sk=sk) for sk in (1, 2, 3)),
        _message("w1", "failed", _at(6, 3), channel="wechat", user_sk=2),
        _message("w1", "complained", _at(6, 4), channel="wechat", user_sk=3),
        _message("e1", "sent", _at(6, 2)),
        _message("e1", "delivered", _at(6, 3)),
    ]

    made = run("marts.channel_complaints", {"staging.message_events": events}, as_of=AS_OF)

    assert made.rows() == [
        ("email", date(2024, 6, 3), 1, 0),
        ("wechat", date(2024, 6, 2), 2, 0),
        ("wechat", date(2024, 6, 4), 0, 1),
    ]
