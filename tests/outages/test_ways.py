"""By which ways a user can be reached: endpoints that died, channels that were shut, messages that got through."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import duckdb
import polars as pl

from dagster_project.outages.ways import ARRIVALS_QUERY, channel_ways

STATES = {
    "user_sk": pl.Int64,
    "channel": pl.String,
    "endpoint": pl.String,
    **{
        f"{name}_at": pl.Datetime
        for name in (
            "first_seen", "last_seen", "last_sent", "last_delivered", "last_alive", "last_unsubscribed",
            "last_complained", "first_sent_since_alive",
        )
    },
    "n_sent": pl.Int64,
    "n_sent_since_alive": pl.Int64,
}  # fmt: skip
FAILURES = {
    "user_sk": pl.Int64,
    "channel": pl.String,
    "endpoint": pl.String,
    "event": pl.String,
    "code": pl.String,
    "first_failed_at": pl.Datetime,
    "last_failed_at": pl.Datetime,
    "n_failed": pl.Int64,
    "n_since_alive": pl.Int64,
    "first_since_alive_at": pl.Datetime,
}
STEPS = (
    "sent_at", "delivered_at", "opened_at", "machine_opened_at", "clicked_at", "converted_at", "failed_at",
    "bounced_at",
)  # fmt: skip


FIRST = datetime.fromisoformat("2024-03-01 00:00")


def at(day: int, hour: int = 12) -> datetime:
    return FIRST + timedelta(days=day - 1, hours=hour)


def states(*rows: dict[str, Any]) -> pl.DataFrame:
    plain = {"user_sk": 1, "channel": "push", "endpoint": "t1", "first_seen_at": at(1), "last_seen_at": at(9)}
    return pl.DataFrame([{**plain, "n_sent": 3, "n_sent_since_alive": 0, **row} for row in rows], schema=STATES)


def deaths(*rows: dict[str, Any]) -> pl.DataFrame:
    plain = {"user_sk": 1, "channel": "push", "endpoint": "t1", "event": "failed", "code": "BadDeviceToken"}
    counts = {"n_failed": 1, "n_since_alive": 1, "first_since_alive_at": at(9), "last_failed_at": at(9)}
    return pl.DataFrame([{**plain, **counts, **row} for row in rows], schema=FAILURES)


def days_of(made: pl.DataFrame) -> Sequence[tuple[Any, ...]]:
    return [
        tuple(value.day if hasattr(value, "day") else value for value in row)
        for row in made.select("channel", "known_on", "died_on", "shut_on").iter_rows()
    ]


def test_a_channel_has_died_when_its_last_endpoint_has() -> None:
    one = states({}), deaths({})
    two = states({}, {"endpoint": "t2"}), deaths({})

    assert days_of(channel_ways(*one, consents=None, timezone="UTC")) == [("push", 1, 9, None)]
    assert days_of(channel_ways(*two, consents=None, timezone="UTC")) == [("push", 1, None, None)]


def test_a_transient_failure_kills_nothing() -> None:
    made = channel_ways(states({}), deaths({"code": "ServiceUnavailable"}), consents=None, timezone="UTC")

    assert days_of(made) == [("push", 1, None, None)]


def test_an_opt_out_shuts_a_channel_and_a_consent_alone_makes_one_known() -> None:
    consents = pl.DataFrame({"user_sk": [1], "channel": ["sms"], "status": ["granted"], "changed_at": [at(2)]})
    known = states({"last_unsubscribed_at": at(4, 23)})

    made = channel_ways(known, deaths().clear(), consents=consents, timezone="Asia/Shanghai")

    assert days_of(made) == [("push", 1, None, 5), ("sms", None, None, None)]


def test_a_consent_for_all_shuts_what_is_written_to_and_makes_no_channel_known() -> None:
    def said(status: str) -> Sequence[tuple[Any, ...]]:
        consents = pl.DataFrame({"user_sk": [1], "channel": ["all"], "status": [status], "changed_at": [at(2)]})
        known = states({}, {"user_sk": 2, "channel": "sms", "endpoint": "s"})
        made = channel_ways(known, deaths().clear(), consents=consents, timezone="UTC")
        return days_of(made.filter(pl.col("user_sk") == 1))

    assert said("granted") == [("push", 1, None, None)]
    assert said("withdrawn") == [("push", 1, None, 2)]


def arrivals(*steps: dict[str, Any]) -> list[int]:
    plain = dict.fromkeys(STEPS)
    rows = [{"user_sk": 1, "channel": "push", "message_id": "m", **plain, **step} for step in steps]
    schema = {"user_sk": pl.Int64, "channel": pl.String, "message_id": pl.String, "dt": pl.Date}
    frame = pl.DataFrame(rows, schema={**schema, **dict.fromkeys(STEPS, pl.Datetime)})
    hit = pl.DataFrame({"user_sk": [1], "failed_on": [at(5).date()]})
    with duckdb.connect() as con:
        con.execute("create schema intermediate")
        con.register("steps", frame)
        con.execute("create table intermediate.message_steps as from steps")
        con.register("hit", hit)
        return sorted(day.day for _, day in con.execute(ARRIVALS_QUERY).fetchall())


def test_what_is_sent_and_not_known_to_have_failed_has_got_through() -> None:
    assert arrivals({"dt": at(6).date(), "sent_at": at(6)}) == [6]
    assert arrivals({"dt": at(6).date(), "sent_at": at(6), "failed_at": at(6, 13)}) == []
    later = {"dt": at(7).date(), "bounced_at": at(7)}
    assert arrivals({"dt": at(6).date(), "sent_at": at(6)}, later) == []


def test_what_was_delivered_in_the_end_has_got_through_and_what_came_before_the_failure_does_not_count() -> None:
    retried = {"dt": at(6).date(), "sent_at": at(6), "failed_at": at(6), "delivered_at": at(6, 13)}

    assert arrivals(retried) == [6]
    assert arrivals({"dt": at(5).date(), "sent_at": at(5)}) == []
    assert arrivals({"dt": at(8).date(), "failed_at": at(8)}) == []
