"""Staging: each thing once, however often it was delivered."""

from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import polars as pl

Run = Callable[..., pl.DataFrame]


def at(day: int, hour: int = 0) -> datetime:
    return datetime.fromisoformat(f"2024-01-{day:02}T{hour:02}:00")


def row(user_sk: int, day: int, row_hash: int, *, delivery: int = 1, hour: int = 0, **more: Any) -> dict[str, Any]:
    dated = {"occurred_at": at(day, hour), "dt": date(2024, 1, day)}
    return {"user_sk": user_sk, "row_hash": row_hash, "delivery": delivery, **dated, **more}


def test_events_equal_in_every_column_are_one_event(run: Run) -> None:
    arrived = [row(1, 1, 10), row(1, 1, 10, delivery=2), row(1, 1, 11), row(2, 1, 10), row(1, 2, 10)]

    made = run("staging.events", {"ingest.events": arrived})

    assert sorted(made.select("user_sk", "dt", "row_hash").rows()) == [
        (1, date(2024, 1, 1), 10),
        (1, date(2024, 1, 1), 11),
        (1, date(2024, 1, 2), 10),
        (2, date(2024, 1, 1), 10),
    ]


def test_of_an_event_id_the_earliest_row_of_the_earliest_day_stands(run: Run) -> None:
    arrived = [
        row(1, 2, 10, hour=9, event_id="k"),
        row(1, 2, 11, hour=8, event_id="k", delivery=2),
        row(1, 3, 12, event_id="k"),
        row(1, 3, 13, event_id="other"),
        row(1, 3, 14, event_id=None),
    ]
    repeats = [{"event_id": "k", "dt": date(2024, 1, 3)}]

    made = run("staging.events", {"ingest.events": arrived, "ingest.repeated_events": repeats})

    assert sorted(made["row_hash"].to_list()) == [11, 13, 14]


def test_a_profile_is_that_of_the_newest_delivery(run: Run) -> None:
    arrived = [
        {"user_sk": 1, "country": "AT", "row_hash": 1, "delivery": 1},
        {"user_sk": 1, "country": "CH", "row_hash": 9, "delivery": 3},
        {"user_sk": 1, "country": "DE", "row_hash": 3, "delivery": 3},
        {"user_sk": 2, "country": None, "row_hash": 4, "delivery": 2},
    ]

    assert run("staging.users", {"ingest.users": arrived}).select("user_sk", "country").rows() == [(1, "DE"), (2, None)]


def test_a_profile_keeps_one_row_per_day_of_signing_up(run: Run) -> None:
    arrived = [
        {"user_sk": 1, "country": "AT", "row_hash": 1, "delivery": 1, "dt": date(2024, 1, 1)},
        {"user_sk": 1, "country": "CH", "row_hash": 2, "delivery": 2, "dt": date(2024, 9, 1)},
    ]

    made = run("staging.users", {"ingest.users": arrived}).sort("dt")

    assert made.select("dt", "country").rows() == [(date(2024, 1, 1), "AT"), (date(2024, 9, 1), "CH")]


def test_a_subscription_learns_its_end_from_a_later_delivery(run: Run) -> None:
    start = {"user_sk": 1, "started_at": at(1), "plan": "basic"}
    arrived = [
        {**start, "ended_at": None, "row_hash": 1, "delivery": 1},
        {**start, "ended_at": at(9), "row_hash": 2, "delivery": 2},
        {**start, "plan": "gold", "ended_at": None, "row_hash": 3, "delivery": 1},
    ]

    made = run("staging.subscriptions", {"ingest.subscriptions": arrived})

    assert sorted(made.select("plan", "ended_at").rows()) == [("basic", at(9)), ("gold", None)]


def test_words_of_channels_and_kinds_are_small(run: Run) -> None:
    message = [row(1, 1, 1, message_id="m", channel="Email", event="SENT"), row(1, 1, 1, message_id="m", delivery=2)]
    consent = [{"user_sk": 1, "channel": "SMS", "status": "Granted", "changed_at": at(1), "row_hash": 1, "delivery": 1}]

    sent = run("staging.message_events", {"ingest.message_events": message})
    granted = run("staging.consents", {"ingest.consents": [*consent, {**consent[0], "delivery": 2}]})
    told = run(
        "staging.feedback", {"ingest.feedback": [row(1, 1, 1, kind="NPS"), row(1, 1, 1, kind="NPS", delivery=2)]}
    )

    assert sent.select("channel", "event").rows() == [("email", "sent")]
    assert granted.select("channel", "status").rows() == [("sms", "granted")]
    assert told["kind"].to_list() == ["nps"]


def test_every_change_of_a_consent_is_kept(run: Run) -> None:
    change = {"user_sk": 1, "channel": "email", "delivery": 1}
    arrived = [
        {**change, "status": "granted", "changed_at": at(1), "row_hash": 1},
        {**change, "status": "withdrawn", "changed_at": at(2), "row_hash": 2},
        {**change, "status": "granted", "changed_at": at(2), "row_hash": 3},
    ]

    assert run("staging.consents", {"ingest.consents": arrived}).height == 3


def test_of_a_link_the_earliest_beginning_stands_and_of_an_arm_the_first_draw(run: Run) -> None:
    link = {"user_sk": 1, "other_user_id": "b", "kind": "friend", "delivery": 1}
    links = [
        {**link, "since": None, "row_hash": 1},
        {**link, "since": at(5), "row_hash": 2},
        {**link, "since": at(3), "row_hash": 3},
    ]
    drawn = {"user_sk": 1, "experiment_id": "e", "delivery": 1}
    assignments = [
        {**drawn, "arm": "treat", "assigned_at": at(5), "row_hash": 1, "channel": "Email"},
        {**drawn, "arm": "control", "assigned_at": at(3), "row_hash": 2},
        {**drawn, "arm": "treat", "assigned_at": at(7), "row_hash": 3},
    ]

    assert run("staging.links", {"ingest.links": links})["since"].to_list() == [at(3)]
    staged = run("staging.assignments", {"ingest.assignments": assignments})
    assert staged.select("arm", "assigned_at", "channel").rows() == [
        ("control", at(3), None),
        ("treat", at(5), "email"),
    ]
