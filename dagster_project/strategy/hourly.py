"""No clock hour gets more messages than a channel can carry: who does not fit moves to the nearest hour that does."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import polars as pl

from dagster_project.compliance.hours import Hours, minutes_open, open_moments
from dagster_project.compliance.zones import Place


def within_hourly_limits(
    dated: pl.DataFrame,
    *,
    limits: Mapping[str, int],
    settled: Sequence[tuple[Place, Hours]],
    ready_at: datetime,
) -> pl.DataFrame:
    """`dated` with `send_at` and `minutes` moved where an hour of the channel is full; order of rows kept.

    `dated` has `channel`, `place` (the index into `settled` of where the user may be and of the hours that bind
    there), `send_at` (ISO 8601 with offset) and `minutes` (after it, within the hour, at which a message may still
    arrive). Hours are those of the clock in UTC. `send_at` becomes null where no allowed hour of the days ahead has
    room. The first by falling `expected_profit` (where that is a column), then by row, choose first. Whom
    `is_held_out` (where that is a column) names uses up nothing, and finds an hour by the same rule as everybody:
    otherwise the control group would hold users for whom the treated group had no room.
    """
    if not limits or dated.is_empty():
        return dated
    worth = "expected_profit" if "expected_profit" in dated.columns else None
    held_out = pl.col("is_held_out") if "is_held_out" in dated.columns else pl.lit(value=False).alias("is_held_out")
    rows = dated.with_row_index("row").filter(pl.col("channel").is_in(sorted(limits)) & pl.col("send_at").is_not_null())
    ranked = rows.sort([*([worth] if worth else []), "row"], descending=[*([True] if worth else []), False])
    taken: Counter[tuple[str, datetime]] = Counter()
    open_at: dict[int, list[datetime]] = {}
    moved: list[tuple[int, str | None, int]] = []
    for row, channel, at, wanted_at, minutes, is_held_out in ranked.select(
        "row", "channel", "place", "send_at", "minutes", held_out
    ).iter_rows():
        wanted, (where, hours) = datetime.fromisoformat(wanted_at), settled[at]
        moment: datetime | None = wanted
        if taken[channel, _hour(wanted)] >= limits[channel]:
            moments = open_at.setdefault(at, open_moments(where, hours, ready_at=ready_at))
            moment = _nearest(wanted, [one for one in moments if taken[channel, _hour(one)] < limits[channel]])
            minutes = 0 if moment is None else minutes_open(where, hours, at=moment)
        if moment is not None:
            taken[channel, _hour(moment)] += not is_held_out
            minutes = min(minutes, 59 - moment.astimezone(UTC).minute)  # spread no further than the hour counted
        moved.append((row, None if moment is None else moment.isoformat(), minutes))
    return _moved(dated, moved)


def _nearest(wanted: datetime, moments: list[datetime]) -> datetime | None:
    return min(moments, key=lambda one: (abs(one - wanted), one), default=None)


def _hour(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _moved(dated: pl.DataFrame, moved: list[tuple[int, str | None, int]]) -> pl.DataFrame:
    if not moved:
        return dated
    send_at, minutes = dated["send_at"].to_list(), dated["minutes"].to_list()
    for row, at, left in moved:
        send_at[row], minutes[row] = at, left
    return dated.with_columns(
        pl.Series("send_at", send_at, dtype=pl.String), pl.Series("minutes", minutes, dtype=pl.Int64)
    )
