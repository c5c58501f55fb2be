"""Active hours on literal rows: an hour counts once, on the user's clock, and what we prompted is kept apart."""

from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import duckdb
import polars as pl
import pytest

from dagster_project.compliance.zones import zone_names

Run = Callable[..., pl.DataFrame]
Row = dict[str, Any]
AS_OF = date(2024, 6, 30)
USERS = [{"user_sk": 1, "user_id": "a"}]
WEDNESDAY = 2 * 24


def event(at: str, *, user: int = 1, kind: str = "buy", dt: date | None = None) -> Row:
    moment = datetime.fromisoformat(at)
    return {"user_sk": user, "dt": dt or moment.date(), "occurred_at": moment, "event_type": kind, "row_hash": 1}


def hour(at: str, *, user: int = 1) -> Row:
    moment = datetime.fromisoformat(at)
    return {"user_sk": user, "dt": moment.date(), "first_at": moment}


def step(at: str, *, user: int = 1, message: str = "m") -> Row:
    moment = datetime.fromisoformat(at)
    return {"user_sk": user, "channel": "push", "message_id": message, "dt": moment.date(), "sent_at": moment}


def user_hours(run: Run, hours: list[Row], *, users: list[Row] = USERS, steps: list[Row] | None = None) -> pl.DataFrame:
    inputs = {"intermediate.active_hours": hours, "marts.users": users}
    if steps:
        inputs["intermediate.message_steps"] = steps
    return run("marts.user_hours", inputs, as_of=AS_OF)


def test_an_hour_counts_once_and_only_core_events_count(run: Run) -> None:
    events = [
        event("2024-06-05T18:50:00"),
        event("2024-06-05T18:10:00"),
        event("2024-06-05T19:00:00"),
        event("2024-06-05T20:00:00", kind="removed"),
    ]

    made = run("intermediate.active_hours", {"staging.events": events})

    assert made.rows() == [
        (1, date(2024, 6, 5), datetime.fromisoformat("2024-06-05T18:10:00")),
        (1, date(2024, 6, 5), datetime.fromisoformat("2024-06-05T19:00:00")),
    ]


def test_an_hour_cut_by_the_business_midnight_stands_on_both_days(run: Run) -> None:
    early, late = date(2024, 6, 5), date(2024, 6, 6)
    events = [event("2024-06-05T18:10:00", dt=early), event("2024-06-05T18:40:00", dt=late)]

    assert run("intermediate.active_hours", {"staging.events": events})["dt"].to_list() == [early, late]


@pytest.mark.parametrize(
    ("zone", "clock", "hour_of_week"),
    [
        ("America/New_York", "America/New_York", 24 + 19),
        ("Asia/Kolkata", "Asia/Kolkata", WEDNESDAY + 5),
        (None, "Europe/Berlin", WEDNESDAY + 1),
        ("Mars/Olympus", "Europe/Berlin", WEDNESDAY + 1),
    ],
)
def test_hours_are_told_on_the_users_clock_or_the_businesss(
    run: Run, zone: str | None, clock: str, hour_of_week: int
) -> None:
    made = user_hours(run, [hour("2024-06-04T23:40:00")], users=[{**USERS[0], "timezone": zone}])

    assert made.select("timezone", "hour_of_week").rows() == [(clock, hour_of_week)]


def test_summer_and_winter_give_the_same_hour_of_the_same_clock(run: Run) -> None:
    made = user_hours(run, [hour("2024-01-10T17:00:00"), hour("2024-06-05T16:00:00")])

    assert made.select("hour_of_week", "n_hours").rows() == [(WEDNESDAY + 18, 2)]


def test_the_week_begins_on_monday_at_midnight_and_ends_with_sunday(run: Run) -> None:
    made = user_hours(run, [hour("2024-06-02T22:00:00"), hour("2024-06-09T21:59:59")])

    assert made["hour_of_week"].to_list() == [0, 167]


def test_hours_soon_after_a_message_are_kept_apart_by_the_hour_of_the_message(run: Run) -> None:
    sent = [step("2024-06-05T10:30:00"), step("2024-06-05T08:00:00", message="n"), step("2024-06-12T10:00:00")]
    hours = [hour("2024-06-05T10:59:00"), hour("2024-06-12T13:00:00"), hour("2024-06-19T10:10:00")]

    made = user_hours(run, hours, steps=sent)

    assert made.select("hour_of_week", "sent_hour", "n_hours").rows() == [
        (WEDNESDAY + 12, 12, 1),
        (WEDNESDAY + 12, None, 1),
        (WEDNESDAY + 15, None, 1),
    ]


def test_another_users_message_prompts_nobody(run: Run) -> None:
    made = user_hours(run, [hour("2024-06-05T10:59:00")], steps=[step("2024-06-05T10:30:00", user=2)])

    assert made["sent_hour"].to_list() == [None]


def test_late_hours_are_those_of_the_last_three_tenths_of_the_days_seen(run: Run) -> None:
    first, last_early, first_late = "2024-05-21T10:00:00", "2024-06-17T10:00:00", "2024-06-18T10:00:00"

    made = user_hours(run, [hour(first), hour(last_early), hour(first_late)])

    assert dict(made.select("hour_of_week", "n_late_hours").rows()) == {24 + 12: 1, 12: 0}


def test_a_year_is_read_and_no_more(run: Run) -> None:
    made = user_hours(run, [hour("2023-07-01T10:00:00"), hour("2023-07-02T10:00:00")])

    assert made["n_hours"].to_list() == [1]


def test_sent_hours_are_counted_on_the_users_clock(run: Run) -> None:
    users = [{**USERS[0], "timezone": "America/New_York"}, {"user_sk": 2, "user_id": "b"}]
    steps = [step("2024-06-05T13:00:00"), step("2024-06-06T13:30:00", message="n"), step("2024-06-05T13:00:00", user=2)]

    made = run("marts.sent_hours", {"intermediate.message_steps": steps, "marts.users": users}, as_of=AS_OF)

    assert made.rows() == [(9, 2), (15, 1)]


def test_the_engine_knows_every_zone_that_we_call_known(con: duckdb.DuckDBPyConnection) -> None:
    known = {name for (name,) in con.sql("select name from pg_timezone_names()").fetchall()}

    assert len(zone_names()) > 400
    assert set(zone_names()) <= known
