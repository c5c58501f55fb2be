"""When a message goes out: the user's local hour, inside the channel's hours, safe across clock changes."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import polars as pl

from dagster_project.errors import SettingsError
from dagster_project.strategy.catalogue import Catalogue
from dagster_project.strategy.rules import ChannelRules, DecisionRules


def send_times(contacts: pl.DataFrame, *, catalogue: Catalogue, rules: DecisionRules, as_of: date) -> pl.Series:
    """`send_at` per row: local time of the user with its offset, ISO 8601.

    It is the strategy's hour on the day after `as_of`, moved to the nearest hour inside the channel's, and a
    day later where that has already passed when the lists are out. `contacts` have `timezone` (null or
    unknown: the business's), `strategy_id`, `channel`.

    Raises:
        SettingsError: the business time zone does not exist.
    """
    business = _zone(rules.business_timezone)
    if business is None:
        raise SettingsError(f"timezone '{rules.business_timezone}' does not exist", fix="an IANA name: Europe/London")
    ready_at = datetime.combine(as_of + timedelta(days=1), time(rules.ready_hour), tzinfo=business)
    key = ["timezone", "strategy_id", "channel"]
    distinct = contacts.select(key).unique().sort(key)
    times = [
        _send_at(
            _hour_inside(catalogue.by_id[strategy_id].timing.send_hour, rules.channels[channel]),
            _zone(zone) or business,
            ready_at,
        )
        for zone, strategy_id, channel in distinct.iter_rows()
    ]
    timed = distinct.with_columns(pl.Series("send_at", times, dtype=pl.String))
    return contacts.join(timed, on=key, how="left", nulls_equal=True, maintain_order="left")["send_at"]


def _send_at(hour: int, zone: ZoneInfo, ready_at: datetime) -> str:
    day = ready_at.date()
    moment = _local(day, hour, zone)
    if moment < ready_at:
        moment = _local(day + timedelta(days=1), hour, zone)
    return moment.isoformat()


def _local(day: date, hour: int, zone: ZoneInfo) -> datetime:
    # By way of UTC: an hour that the clocks skip becomes the one after it, and gets the right offset.
    return datetime.combine(day, time(hour), tzinfo=zone).astimezone(UTC).astimezone(zone)


def _hour_inside(hour: int, channel: ChannelRules) -> int:
    return min(max(hour, channel.open_hour), channel.close_hour - 1)


def _zone(name: str | None) -> ZoneInfo | None:
    if not name:
        return None
    try:
        return ZoneInfo(name)
    except (
        KeyError,
        ValueError,
        OSError,
    ):  # unknown name, malformed path, a folder of zones such as "America"
        return None
