"""When a message goes out: the user's likeliest hour, or the strategy's, among those that every rule leaves open."""

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dagster_project.compliance.hours import Hours, has_open_hour, minutes_open, open_hours, send_moment
from dagster_project.compliance.zones import Place, place, zone
from dagster_project.strategy.catalogue import Catalogue
from dagster_project.strategy.holdout import hash_draws
from dagster_project.strategy.hourly import within_hourly_limits
from dagster_project.strategy.rules import DecisionRules

_WHERE = ["timezone", "country", "channel", "quiet_start", "quiet_end"]


def send_times(contacts: pl.DataFrame, *, catalogue: Catalogue, rules: DecisionRules, as_of: date) -> pl.Series:
    """`send_at` per row: local time of the user with its offset, ISO 8601; null where no moment is allowed.

    The wanted hour is, of those that are open at all, the likeliest by `hour_shares` (24 chances, told on the clock
    of `hours_timezone`); where that is null or missing, the strategy's. `send_at` is the full hour nearest to it on
    the day after `as_of` that lies inside the channel's hours and outside the quiet hours of the user's law and of
    the user; a day later where it has passed when the lists are out. A user whose zone is not known or does not exist
    may live in any zone of the country, and all must agree; without a country the business's zone counts, and quiet
    hours are two hours longer at both ends.

    `contacts` have `timezone`, `country`, `strategy_id`, `channel`, `quiet_start`, `quiet_end` (minutes, or null). If
    they have `user_id`, each user gets a minute of that hour by hash, as far as the rules leave it open: a list that
    goes out at once is a burst to the provider. Where a channel has an `hourly_capacity`, those for whom an hour has no
    room left go to the nearest allowed hour that has; of those who want the same, the first in the order of
    `expected_profit` (if there), then of rows, stay. Whom `is_held_out` (if there) names takes no room.

    Raises:
        SettingsError: the business time zone does not exist.
    """
    ready_at = rules.ready_at(as_of)
    places = contacts.select(_WHERE).unique().sort(_WHERE, nulls_last=True).with_row_index("place")
    settled = list(_settled(places, rules))
    placed = contacts.join(places, on=_WHERE, how="left", nulls_equal=True, maintain_order="left")
    placed = placed.with_columns(_wanted_hours(placed, settled, catalogue, ready_at))
    key = ["place", "wanted_hour"]
    distinct = placed.select(key).unique().sort(key)
    moments = [_moment(settled[at], hour, ready_at) for at, hour in distinct.iter_rows()]
    timed = distinct.with_columns(
        pl.Series("send_at", [at for at, _ in moments], dtype=pl.String),
        pl.Series("minutes", [minutes for _, minutes in moments], dtype=pl.Int64),
    )
    dated = placed.join(timed, on=key, how="left", maintain_order="left")
    limits = {name: one.hourly_capacity for name, one in rules.channels.items() if one.hourly_capacity is not None}
    return _spread(within_hourly_limits(dated, limits=limits, settled=settled, ready_at=ready_at), rules)


def without_hours(points: pl.DataFrame, *, rules: DecisionRules, as_of: date) -> pl.DataFrame:
    """The rows for which no moment of the next days is allowed, with `citation` of the hours that leave none.

    `points` have `timezone`, `country`, `channel`, `quiet_start`, `quiet_end` (minutes, or null).
    """
    ready_at = rules.ready_at(as_of)
    distinct = points.select(_WHERE).unique().sort(_WHERE, nulls_last=True)
    is_shut = [not has_open_hour(where, hours, ready_at=ready_at) for where, hours in _settled(distinct, rules)]
    shut = distinct.filter(pl.Series(is_shut, dtype=pl.Boolean))
    cited = [
        rules.book.law(country).hours_citation(channel)
        for country, channel in shut.select("country", "channel").iter_rows()
    ]
    return points.join(
        shut.with_columns(pl.Series("citation", cited, dtype=pl.String)), on=_WHERE, how="inner", nulls_equal=True
    )


def _settled(distinct: pl.DataFrame, rules: DecisionRules) -> Iterator[tuple[Place, Hours]]:
    """Where each row's user may be, and the hours that bind there."""
    for timezone, country, channel, start, end in distinct.select(_WHERE).iter_rows():
        own = None if start is None or end is None else (start, end)
        where = place(timezone, country, business_zone=rules.business_timezone)
        yield where, rules.hours(channel, law=rules.book.law(country), own=own)


def _wanted_hours(
    placed: pl.DataFrame, settled: Sequence[tuple[Place, Hours]], catalogue: Catalogue, ready_at: datetime
) -> pl.Series:
    """The hour of the day to aim at, on the clock of each row's place."""
    hours = {one.id: one.timing.send_hour for one in catalogue.sending}
    wanted = placed["strategy_id"].replace_strict(hours, return_dtype=pl.Int64).alias("wanted_hour")
    if "hour_shares" not in placed.columns:
        return wanted
    known = placed.with_row_index("row").filter(pl.col("hour_shares").is_not_null())
    if known.is_empty():
        return wanted
    likeliest = _likeliest_hours(known, settled, ready_at)
    return wanted.scatter(known["row"], likeliest)


def _likeliest_hours(
    known: pl.DataFrame, settled: Sequence[tuple[Place, Hours]], ready_at: datetime
) -> NDArray[np.int64]:
    """Of the hours that are open where the user is, the one of the largest share; the earliest of equals."""
    shares = known["hour_shares"].list.to_array(24).to_numpy()
    at = known["place"].to_numpy()
    clocks = {name: _offset_hours(name, ready_at) for name in known["hours_timezone"].unique()}
    here = np.asarray([_offset_hours(place.zones[0], ready_at) for place, _ in settled])
    ahead = here[at] - known["hours_timezone"].replace_strict(clocks, return_dtype=pl.Int64).to_numpy()
    local = np.take_along_axis(shares, (np.arange(24) - ahead[:, None]) % 24, axis=1)
    is_open = np.asarray([open_hours(place, hours, ready_at=ready_at) for place, hours in settled])
    return np.asarray(np.where(is_open[at], local, -1).argmax(axis=1), dtype=np.int64)


def _offset_hours(name: str, at: datetime) -> int:
    offset = at.astimezone(zone(name)).utcoffset() or timedelta()
    return round(offset / timedelta(hours=1))


def _moment(settled: tuple[Place, Hours], hour: int, ready_at: datetime) -> tuple[str | None, int]:
    """The moment for one wanted hour, and how many minutes after it a message may still go."""
    place, hours = settled
    moment = send_moment(place, hours, wanted_minute=hour * 60, ready_at=ready_at)
    return (None, 0) if moment is None else (moment.isoformat(), minutes_open(place, hours, at=moment))


def _spread(timed: pl.DataFrame, rules: DecisionRules) -> pl.Series:
    if "user_id" not in timed.columns:
        return timed["send_at"]
    draws = hash_draws(timed["user_id"], salt=f"{rules.salt}/minute")
    at = pl.col("send_at")
    minute = at.str.slice(14, 2).cast(pl.Int64) + (draws * (pl.col("minutes") + 1)).floor().cast(pl.Int64)
    moved = at.str.head(14) + minute.cast(pl.String).str.zfill(2) + at.str.slice(16)
    return timed.select(moved.alias("send_at"))["send_at"]
