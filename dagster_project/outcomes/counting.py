"""Outcomes per entry, counted from the facts of the night: what happened from the day of entry on.

Entries and facts are both sorted by user and day, so each outcome is a search in a sorted list, not a join.
"""

from collections.abc import Mapping
from datetime import date

import numpy as np
import numpy.typing as npt
import polars as pl

from dagster_project.outcomes.facts import MONEY_PARTS, SCORE_PARTS, Facts, Ints, day_keys, key_at
from dagster_project.outcomes.vocabulary import AFTER, DAYS_BEFORE, HORIZONS, LONGEST

Floats = npt.NDArray[np.float64]

OUTCOMES = pl.Schema(
    {
        "user_sk": pl.Int64(),
        "assigned_on": pl.Date(),
        "n_days_seen": pl.Int64(),
        "n_active_days_before": pl.Int64(),
        **{metric.column(0): pl.Int64() for metric in AFTER},
        **{f"spend_{days}": pl.Float64() for days in HORIZONS},
        **{f"satisfaction_{days}": pl.Float64() for days in HORIZONS},
        "is_known": pl.Boolean(),
    }
)
NEVER = -1


def count_outcomes(starts: pl.DataFrame, facts: Facts, *, as_of: date) -> pl.DataFrame:
    """One row per row of `starts`, in its order, as OUTCOMES.

    `starts`: user_sk, assigned_on, churn_threshold_days, by which a user who came back has left again (null: not
    known), and is_known: whether anything but the assignment is seen of the user.
    `<metric>_after` is in days from the day of entry (0: on that day), null if not within 180 days or not by `as_of`;
    `n_days_seen` says how many of the days are over. `relapsed` happens on the first day of a silence beyond the
    threshold after a return. Spend is money of core events less refunds; null where no event has an amount.
    `satisfaction` is the mean score from 0 to 1 (nps ÷ 10, csat ÷ the highest seen); null of those who told nothing.
    """
    keys = day_keys(starts["user_sk"].to_numpy(), starts["assigned_on"].to_physical().to_numpy().astype(np.int64))
    order = np.argsort(keys, kind="stable")
    thresholds = starts["churn_threshold_days"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    counted = _counted(keys[order], thresholds[order], facts)
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    made = pl.DataFrame(counted)[place].with_columns(
        *(pl.when(pl.col(name) > NEVER).then(name).alias(name) for name in counted if name.endswith("_after")),
        *(pl.col(name).fill_nan(None) for name, values in counted.items() if values.dtype.kind == "f"),
        starts["user_sk"],
        starts["assigned_on"],
        starts["is_known"],
        (pl.lit(as_of) - starts["assigned_on"]).dt.total_days().alias("n_days_seen") + 1,
    )
    return made.select(list(OUTCOMES)).cast(OUTCOMES)


def _counted(start: Ints, threshold: Floats, facts: Facts) -> Mapping[str, npt.NDArray[np.generic]]:
    """The outcomes of entries by ascending key; NEVER and NaN stand for null."""
    first = np.searchsorted(facts.active, start)
    made: dict[str, npt.NDArray[np.generic]] = {
        "n_active_days_before": first - np.searchsorted(facts.active, start - DAYS_BEFORE),
        "returned_after": _since(facts.active, first, start),
        **{f"{name}_after": _since(keys, np.searchsorted(keys, start), start) for name, keys in facts.said.items()},
        "relapsed_after": _relapses(first, start, threshold, facts),
    }
    return {**made, **_spend(start, facts), **_satisfaction(start, facts)}


def _spend(start: Ints, facts: Facts) -> dict[str, npt.NDArray[np.generic]]:
    if facts.money is None:
        return {f"spend_{days}": np.full(len(start), np.nan) for days in HORIZONS}
    made = {days: np.zeros(len(start)) for days in HORIZONS}
    rows, sums = facts.money.within(start, HORIZONS)
    for days, parts in zip(HORIZONS, sums, strict=True):
        made[days][rows] = parts["amount"] / MONEY_PARTS
    return {f"spend_{days}": spent for days, spent in made.items()}


def _satisfaction(start: Ints, facts: Facts) -> dict[str, npt.NDArray[np.generic]]:
    made = {days: np.full(len(start), np.nan) for days in HORIZONS}
    rows, sums = facts.scores.within(start, HORIZONS)
    for days, parts in zip(HORIZONS, sums, strict=True):
        told, n = parts["score"] / SCORE_PARTS, parts["n"]
        made[days][rows] = np.divide(told, n, out=np.full(len(told), np.nan), where=n > 0)
    return {f"satisfaction_{days}": mean for days, mean in made.items()}


def _since(keys: Ints, place: Ints, start: Ints) -> Ints:
    """Days from the start to the key at the place, where that is the same user's and within the longest horizon."""
    found = key_at(keys, place) - start
    return np.where(found < LONGEST, found, NEVER)


def _relapses(first: Ints, start: Ints, threshold: Floats, facts: Facts) -> Ints:
    """Days from the start to the first day of a silence beyond the threshold that follows an active day.

    From one active day to the next, of those who have not left by then: few are left after a few.
    """
    relapsed = np.full(len(start), NEVER, dtype=np.int64)
    rows = np.flatnonzero(~np.isnan(threshold))
    place = first[rows]
    while rows.size:
        inside = place < len(facts.active)
        rows, place = rows[inside], place[inside]
        since = facts.active[place] - start[rows]
        near = since < LONGEST
        rows, place, since = rows[near], place[near], since[near]
        has_left = facts.silent_days[place] > threshold[rows]
        left_after = since[has_left] + np.floor(threshold[rows[has_left]]).astype(np.int64) + 1
        relapsed[rows[has_left]] = np.where(left_after < LONGEST, left_after, NEVER)
        rows, place = rows[~has_left], place[~has_left] + 1
    return relapsed
