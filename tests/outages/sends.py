"""Literal sends, as marts.send_outcomes and marts.hourly_sends have them."""

from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from typing import Any

import polars as pl

FIRST = date(2024, 1, 1)
N_DAYS = 120
OUTCOMES = {
    "dt": pl.Date,
    "channel": pl.String,
    "platform": pl.String,
    "app_version": pl.String,
    "code": pl.String,
    "is_failed": pl.Boolean,
    "alive_on": pl.Date,
    "user_sk": pl.Int64,
    "hour_at": pl.Datetime("us"),
    "next_seen_on": pl.Date,
    "n_messages": pl.Int64,
}
HOURLY = {
    "hour_at": pl.Datetime("us"),
    "channel": pl.String,
    "platform": pl.String,
    "app_version": pl.String,
    "n_messages": pl.Int64,
}
Rows = list[dict[str, Any]]


def on(day: int) -> date:
    return FIRST + timedelta(days=day)


def at(day: int, hour: int) -> datetime:
    return datetime.combine(on(day), time(hour))


def sent(
    day: int, n: int, *, channel: str = "push", platform: str = "ios", version: str | None = None, after: int = 7
) -> Rows:
    """`n` messages that got through, `after` days after the one before."""
    where = {"channel": channel, "platform": platform, "app_version": version}
    alive_on = on(day - after) if day >= after else None
    return [{"dt": on(day), "alive_on": alive_on, "is_failed": False, "n_messages": n, **where}]


def failed(day: int, n: int, code: str, *, hour: int = 12, seen_again: int | None = None, **more: Any) -> Rows:
    """Messages of `n` users that failed, who were active again `seen_again` days later."""
    plain = {**sent(day, 1, **more)[0], "is_failed": True, "code": code, "hour_at": at(day, hour)}
    seen = None if seen_again is None else on(day + seen_again)
    return [{**plain, "user_sk": 1000 * day + 100 * hour + i, "next_seen_on": seen} for i in range(n)]


def outcomes(rows: Iterable[dict[str, Any]]) -> pl.DataFrame:
    nothing = dict.fromkeys(OUTCOMES)
    return pl.DataFrame([{**nothing, **row} for row in rows], schema=OUTCOMES)


def at_noon(sends: pl.DataFrame) -> pl.DataFrame:
    """The sends as a log without a clock has them: all at one hour."""
    noon = pl.col("dt").cast(pl.Datetime("us")) + pl.duration(hours=12)
    return (
        sends.group_by(noon.alias("hour_at"), "channel", "platform", "app_version")
        .agg(pl.col("n_messages").sum())
        .select(list(HOURLY))
    )


def by_hour(hours: Iterable[int], n: int, **where: Any) -> pl.DataFrame:
    """`n` messages in each of these hours of every day."""
    place = {"channel": "push", "platform": "ios", "app_version": None, **where}
    rows = [{"hour_at": at(day, hour), "n_messages": n, **place} for day in range(N_DAYS) for hour in hours]
    return pl.DataFrame(rows, schema=HOURLY)
