"""When a message goes out: the strategy's hour, moved inside the channel's, the law's and the user's own hours."""

from collections.abc import Iterator
from datetime import date, datetime

import polars as pl

from dagster_project.compliance.hours import Hours, has_open_hour, send_moment
from dagster_project.compliance.zones import Place, place
from dagster_project.strategy.catalogue import Catalogue
from dagster_project.strategy.rules import DecisionRules

_WHERE = ["timezone", "country", "channel", "quiet_start", "quiet_end"]


def send_times(contacts: pl.DataFrame, *, catalogue: Catalogue, rules: DecisionRules, as_of: date) -> pl.Series:
    """`send_at` per row: local time of the user with its offset, ISO 8601; null where no moment is allowed.

    It is the full hour nearest to the strategy's on the day after `as_of` that lies inside the channel's hours and
    outside the quiet hours of the user's law and of the user; a day later where it has passed when the lists are
    out. A user whose zone is not known or does not exist may live in any zone of the country, and all must agree;
    without a country the business's zone counts, and quiet hours are two hours longer at both ends.

    `contacts` have `timezone`, `country`, `strategy_id`, `channel`, `quiet_start`, `quiet_end` (minutes, or null).

    Raises:
        SettingsError: the business time zone does not exist.
    """
    ready_at = rules.ready_at(as_of)
    key = [*_WHERE, "strategy_id"]
    distinct = contacts.select(key).unique().sort(key, nulls_last=True)
    times = [
        _sent(where, hours, catalogue.by_id[strategy_id].timing.send_hour, ready_at)
        for (where, hours), strategy_id in zip(_settled(distinct, rules), distinct["strategy_id"], strict=True)
    ]
    timed = distinct.with_columns(pl.Series("send_at", times, dtype=pl.String))
    return contacts.join(timed, on=key, how="left", nulls_equal=True, maintain_order="left")["send_at"]


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


def _sent(where: Place, hours: Hours, send_hour: int, ready_at: datetime) -> str | None:
    moment = send_moment(where, hours, wanted_minute=send_hour * 60, ready_at=ready_at)
    return None if moment is None else moment.isoformat()
