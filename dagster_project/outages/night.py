"""What one night knows of outages: the list of them, their daily counts, and whom each has silenced."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
import polars as pl

from dagster_project.outages.deliveries import DeliveryOutage, find_delivery_outages
from dagster_project.outages.flows import Floats, count_flows
from dagster_project.outages.recorders import Outage, find_recorder_outages
from dagster_project.outages.scan import Fall
from dagster_project.outages.silence import SILENCED, silenced_by_events, silenced_by_messages
from dagster_project.outages.ways import Ways

OUTAGES = pl.Schema(
    {
        "outage_id": pl.String(),
        "kind": pl.String(),
        "platform": pl.String(),
        "app_version": pl.String(),
        "country": pl.String(),
        "channel": pl.String(),
        "start_on": pl.Date(),
        "end_on": pl.Date(),
        "start_at": pl.Datetime("us"),
        "end_at": pl.Datetime("us"),
        "n_users": pl.Int64(),
        "expected": pl.Float64(),
        "observed": pl.Float64(),
        "z": pl.Float64(),
        "explanation": pl.String(),
    }
)
DAILY = pl.Schema({"outage_id": pl.String(), "dt": pl.Date(), "observed": pl.Float64(), "expected": pl.Float64()})
WaysOf = Callable[[pl.DataFrame], Ways]
SEND_DAYS = 365
DAYS_AROUND = 28


@dataclass(frozen=True)
class Sent:
    """Messages of a night: marts.send_outcomes and marts.hourly_sends."""

    outcomes: pl.DataFrame
    hourly: pl.DataFrame


@dataclass(frozen=True)
class OutageNight:
    """The three tables of a night."""

    outages: pl.DataFrame
    daily: pl.DataFrame
    silenced: pl.DataFrame


def find_outages(
    flows: pl.DataFrame,
    last_seen: pl.DataFrame,
    sent: Sent,
    thresholds: pl.DataFrame,
    *,
    as_of: date,
    ways_of: WaysOf = lambda _: Ways(),
) -> OutageNight:
    """All outages as of `as_of`, oldest first, and the users whom they silenced, by user_id.

    `flows` and `last_seen` are marts.return_flows and marts.last_platforms of the night; `thresholds` has user_sk and
    churn_threshold_days. `ways_of` tells the ways to the users it is given (user_sk, failed_on: the first failure); it
    is asked only where an outage of messages was found. Nothing dated after `as_of` may be in any of them.
    """
    rows, dailies = [], []
    grid = count_flows(flows, as_of=as_of)
    if grid is not None:
        for found in find_recorder_outages(grid):
            rows.append(_event_row(found, first_on=grid.first_on, n_days=grid.n_days))
            dailies.append(_daily(rows[-1], found.daily, found.fall, first_on=grid.first_on))
    first_on = as_of - timedelta(days=SEND_DAYS - 1)
    for refused in find_delivery_outages(sent.outcomes, sent.hourly, first_on=first_on, as_of=as_of):
        rows.append(_message_row(refused, first_on=first_on))
        dailies.append(_daily(rows[-1], refused.daily, refused.fall, first_on=first_on))
    outages = pl.DataFrame(rows, schema=OUTAGES, orient="row").sort("start_on", "outage_id")
    silenced = pl.concat(
        [
            SILENCED.to_frame(),
            silenced_by_events(outages, last_seen, thresholds, as_of=as_of),
            silenced_messages(outages, last_seen, sent.outcomes, thresholds, as_of=as_of, ways_of=ways_of),
        ]
    ).sort("user_id", "outage_id")
    counts = silenced.group_by("outage_id").agg(pl.len().cast(pl.Int64).alias("counted"))
    counted = outages.join(counts, on="outage_id", how="left", maintain_order="left").with_columns(
        pl.col("counted").fill_null(0).alias("n_users")
    )
    daily = pl.concat([DAILY.to_frame(), *dailies]).sort("outage_id", "dt")
    return OutageNight(counted.select(OUTAGES.names()), daily, silenced)


def silenced_messages(
    outages: pl.DataFrame,
    last_seen: pl.DataFrame,
    sends: pl.DataFrame,
    thresholds: pl.DataFrame,
    *,
    as_of: date,
    ways_of: WaysOf,
) -> pl.DataFrame:
    """Whom the outages of messages had silenced by a day, as SILENCED; asks for no ways where there was none."""
    if outages.filter(pl.col("kind") != "events").is_empty():
        return SILENCED.to_frame()
    by_then = sends.filter(pl.col("dt") <= as_of)
    failed = by_then.filter("is_failed", pl.col("user_sk").is_not_null())
    ways = ways_of(failed.group_by("user_sk").agg(pl.col("dt").min().alias("failed_on")).sort("user_sk"))
    return silenced_by_messages(outages, last_seen, by_then, thresholds, ways=ways, as_of=as_of)


def _event_row(found: Outage, *, first_on: date, n_days: int) -> dict[str, object]:
    fall = found.fall
    names = [name for name in (found.platform, found.app_version, found.country) if name]
    where = f"users last seen on {' '.join(names)}" if names else "all users"
    others = " while the rest went on as usual" if names else ""
    return _row(
        "events",
        fall,
        {"platform": found.platform, "app_version": found.app_version, "country": found.country},
        said=f"{fall.observed:.0f} of about {fall.expected:.0f} expected active days of {where} were recorded{others}",
        first_on=first_on,
        is_running=fall.end == n_days,
    )


def _message_row(found: DeliveryOutage, *, first_on: date) -> dict[str, object]:
    fall, stratum = found.fall, found.stratum
    where = " ".join(name for name in (stratum.platform, stratum.app_version) if name)
    where = f"{stratum.channel} on {where}" if where else stratum.channel
    if found.kind == "messages":
        said = f"{fall.observed:.0f} messages by {where} were refused, where {fall.expected:.0f} are usual"
    else:
        said = (
            f"{fall.observed:.0f} addresses of {where} died between two messages that lie around this day, where "
            f"{fall.expected:.0f} are usual"
        )
    place = {"platform": stratum.platform, "app_version": stratum.app_version, "channel": stratum.channel}
    row = _row(found.kind, fall, place, said=said, first_on=first_on, is_running=found.is_running)
    if found.start_at is None:
        return row
    return {
        **row,
        "outage_id": f"{row['outage_id']}T{found.start_at:%H}",
        "start_at": found.start_at,
        "end_at": found.end_at,
        "explanation": f"{said} {_hours(found.start_at, found.end_at)}.",
    }


def _hours(start_at: datetime, end_at: datetime | None) -> str:
    """The hours in words, as far as they are over."""
    if end_at is None:
        return f"from {start_at:%Y-%m-%d %H:%M} UTC on"
    same_day = (end_at - timedelta(hours=1)).date() == start_at.date()
    end = "24:00" if same_day and end_at.date() > start_at.date() else f"{end_at:%H:%M}"
    return f"from {start_at:%Y-%m-%d %H:%M} to {end if same_day else f'{end_at:%Y-%m-%d %H:%M}'} UTC"


def _row(
    kind: str, fall: Fall, place: dict[str, str | None], *, said: str, first_on: date, is_running: bool
) -> dict[str, object]:
    start_on, last_on = first_on + timedelta(days=fall.start), first_on + timedelta(days=fall.end - 1)
    named = [place.get(name) or "*" for name in ("platform", "app_version", "country", "channel")]
    when = f"from {start_on} on" if is_running else f"on {start_on}"
    if not is_running and last_on > start_on:
        when = f"from {start_on} to {last_on}"
    return {
        **dict.fromkeys(OUTAGES.names()),
        **place,
        "outage_id": ":".join([kind, *named, str(start_on)]),
        "kind": kind,
        "start_on": start_on,
        "end_on": None if is_running else last_on + timedelta(days=1),
        "n_users": 0,
        "expected": fall.expected,
        "observed": fall.observed,
        "z": fall.z,
        "explanation": f"{said} {when}.",
    }


def _daily(row: dict[str, object], daily: tuple[Floats, Floats], fall: Fall, *, first_on: date) -> pl.DataFrame:
    days = np.arange(max(fall.start - DAYS_AROUND, 0), min(fall.end + DAYS_AROUND, daily[0].size))
    return pl.DataFrame(
        {
            "outage_id": [row["outage_id"]] * days.size,
            "dt": [first_on + timedelta(days=int(day)) for day in days],
            "observed": daily[0][days],
            "expected": daily[1][days],
        },
        schema=DAILY,
    )
