"""Event outages: places and days where users went on and the record of them did not.

What providers do to messages is in `deliveries`; whom an outage silenced, in `silence`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from dagster_project.outages.flows import PLACE, Flags, Floats, Grid, Ints
from dagster_project.outages.scan import MIN_EXPECTED, Fall, deepest_fall
from dagster_project.outages.standstill import standstills

FALSE_ALARMS_PER_YEAR = 0.1
"""Chance that a year of nights has any false alarm, if windows were independent: one would stay on every later list.

They overlap, so it is far less: with ten times this, 3 of 240 drawn quiet years had one, with three times none.
"""

# Windows that overlap tell nearly the same; those of doubled length each count as a test of their own.
LENGTHS = 8
MAX_OUTAGES = 20
# A few records from before midnight or of late deliveries do not prove that other versions went on.
MIN_STILL_RECORDED = 5.0


@dataclass(frozen=True)
class Outage:
    """Days [start, end) of a grid on which a place was not recorded; all None: everywhere. `daily` for pictures."""

    platform: str | None
    app_version: str | None
    country: str | None
    fall: Fall
    daily: tuple[Floats, Floats]


@dataclass(frozen=True)
class _Stratum:
    platform: str | None
    app_version: str | None
    country: str | None
    cells: Flags


def find_recorder_outages(grid: Grid) -> list[Outage]:
    """Every outage of the grid's days, the most evident first; nothing later than the grid's last day is used.

    First days on which nearly nothing came at all; then, again and again, the place and window with the largest
    likelihood ratio, its cells being left out of what follows, so that one fault is told once and at the place that
    it fits best. The family-wise error over a year, all places and all windows is at most FALSE_ALARMS_PER_YEAR
    (Bonferroni), and as windows overlap, far less.
    """
    weekdays = np.asarray([grid.day(d).weekday() for d in range(grid.n_days)], dtype=np.int64)
    mask = np.zeros(grid.returns.shape, dtype=np.bool_)
    found = []
    everywhere = grid.active.sum(axis=1)
    for fall, usual in standstills(everywhere, first_on=grid.first_on, weekdays=weekdays):
        mask[fall.start : fall.end] = True
        found.append(Outage(None, None, None, fall, (everywhere, usual)))
    strata = list(_strata(grid))
    alpha = FALSE_ALARMS_PER_YEAR / (365 * LENGTHS * max(len(strata), 1))
    while len(found) < MAX_OUTAGES and (worst := _worst(grid, strata, mask, weekdays=weekdays, alpha=alpha)):
        stratum, fall, daily = worst
        mask[fall.start : fall.end, stratum.cells] = True
        version = stratum.app_version or _only_silent_version(grid, stratum, fall)
        _join(found, Outage(stratum.platform, version, stratum.country, fall, daily))
    return found


def _only_silent_version(grid: Grid, stratum: _Stratum, fall: Fall) -> str | None:
    """The version whose records ended in a fall of a whole platform, if others of the platform went on.

    Users last seen on an older version have the broken one when they come next, so the older seem to fall as well.
    Which was broken shows in what is still recorded.
    """
    if stratum.platform is None:
        return None
    versions = grid.cells.select("app_version").to_series().to_numpy()
    before, during = slice(max(fall.start - 7, 0), fall.start), slice(fall.start, fall.end)
    recorded = {
        str(name): [float(grid.active[days][:, stratum.cells & (versions == name)].sum()) for days in (before, during)]
        for name in sorted({name for name in versions[stratum.cells] if name is not None})
    }
    if len(recorded) < 2:
        return None
    main = max(recorded, key=lambda name: recorded[name][0])
    others = sum(during for name, (_, during) in recorded.items() if name != main)
    is_silent = recorded[main][0] >= 2 * MIN_EXPECTED and recorded[main][1] <= 0.05 * recorded[main][0]
    return main if is_silent and others >= MIN_STILL_RECORDED else None


def _join(found: list[Outage], new: Outage) -> None:
    """Add the outage, or lengthen the one of the same place that it touches."""
    for position, old in enumerate(found):
        same = all(getattr(old, name) == getattr(new, name) for name in PLACE)
        if same and (new.fall.start == old.fall.end or new.fall.end == old.fall.start):
            found[position] = replace(old, fall=_joined(old.fall, new.fall))
            return
    found.append(new)


def _joined(one: Fall, other: Fall) -> Fall:
    return Fall(
        start=min(one.start, other.start),
        end=max(one.end, other.end),
        observed=one.observed + other.observed,
        expected=one.expected + other.expected,
        sd=float(np.hypot(one.sd, other.sd)),
        p_value=min(one.p_value, other.p_value),
        log_ratio=one.log_ratio + other.log_ratio,
    )


def _strata(grid: Grid) -> Iterator[_Stratum]:
    """Each platform, each version of each platform, each country, if there is anything beside it."""
    cells = grid.cells
    for key in (("platform",), ("platform", "app_version"), ("country",)):
        for row in cells.select(key).unique().drop_nulls(key[-1]).sort(key, nulls_last=True).iter_rows(named=True):
            held = pl.all_horizontal(pl.col(name).eq_missing(pl.lit(row[name], dtype=pl.String)) for name in key)
            inside = cells.select(held.alias("inside"))["inside"].to_numpy()
            enough = grid.due[:, inside].sum() >= 2 * MIN_EXPECTED
            if enough and not inside.all():
                yield _Stratum(row.get("platform"), row.get("app_version"), row.get("country"), inside)


def _worst(
    grid: Grid, strata: list[_Stratum], mask: Flags, *, weekdays: Ints, alpha: float
) -> tuple[_Stratum, Fall, tuple[Floats, Floats]] | None:
    returns, due = np.where(mask, 0.0, grid.returns), np.where(mask, 0.0, grid.due)
    all_returns, all_due = returns.sum(axis=1), due.sum(axis=1)
    best: tuple[_Stratum, Fall, tuple[Floats, Floats]] | None = None
    for stratum in strata:
        own, own_due = returns[:, stratum.cells].sum(axis=1), due[:, stratum.cells].sum(axis=1)
        others = (all_returns - own, all_due - own_due)
        fall = deepest_fall(own, own_due, others, weekdays=weekdays, alpha=alpha)
        if fall is not None and (best is None or fall.log_ratio > best[1].log_ratio):
            best = (stratum, fall, (own, _usual(own, own_due, others, fall)))
    return best


def _usual(own: Floats, due: Floats, others: tuple[Floats, Floats], fall: Fall) -> Floats:
    """Daily expected returns for a picture: the stratum's share before the fall times the rest's days."""
    awaited = due * others[0] / np.maximum(others[1], 1e-9)
    before = slice(max(fall.start - 56, 0), fall.start)
    usual: Floats = awaited * (own[before].sum() + 1) / (awaited[before].sum() + 1)
    return usual
