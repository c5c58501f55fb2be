"""How many silent days it takes until few come back by themselves, read off the population's own silences."""

from datetime import date

import numpy as np
import numpy.typing as npt
import polars as pl

Integers = npt.NDArray[np.int64]

# marts.users keeps gaps of 7 days and more, so no shorter silence can be judged; a year bounds the search.
GRID_DAYS = (7, 365)
# Below this the share of returns is mostly chance: at 30 silences its standard error at 10 % is 5 points.
MIN_SILENCES = 30


def return_shares(users: pl.DataFrame, *, as_of: date, horizon_days: int) -> pl.DataFrame:
    """One row per number of silent days N from 7 to 365: silence_days, n_silences, n_returned, return_share.

    Estimand: P(a core event within days (N, N + H] of the silence | silent through day N), over silences,
    not users: one user may give several. Only silences whose N + H days had passed by `as_of` count, whether
    they ended or not; counting the early returners of a follow-up still open would flatter the share.
    `return_share` is null where no silence qualifies. Returns after contact count as returns.

    `users` needs last_on and long_gaps as of `as_of`.
    """
    gaps, ages = _completed_silences(users, as_of=as_of)
    current = _current_silences(users, as_of=as_of)
    last_day = np.minimum(gaps - 1, ages - horizon_days)
    first_returning_day = np.maximum(gaps - horizon_days, GRID_DAYS[0])
    is_returning = first_returning_day <= last_day
    n_silences = _count_at_least(last_day) + _count_at_least(current - horizon_days)
    n_returned = _count_at_least(last_day[is_returning]) - _count_at_least(first_returning_day[is_returning] - 1)
    counts = pl.DataFrame(
        {
            "silence_days": np.arange(GRID_DAYS[0], GRID_DAYS[1] + 1),
            "n_silences": n_silences,
            "n_returned": n_returned,
        }
    )
    share = pl.when(pl.col("n_silences") > 0).then(pl.col("n_returned") / pl.col("n_silences"))
    return counts.with_columns(share.alias("return_share"))


def data_driven_days(shares: pl.DataFrame, *, max_return_share: float, min_silences: int = MIN_SILENCES) -> int | None:
    """The fewest silent days after which at most `max_return_share` come back within the horizon.

    `shares` as from `return_shares`. None when no N with at least `min_silences` silences gets there:
    the history is too short or too loyal, and another definition must serve.
    """
    qualifies = (pl.col("return_share") <= max_return_share) & (pl.col("n_silences") >= min_silences)
    reached = shares.filter(qualifies)["silence_days"]
    return None if reached.is_empty() else int(reached.to_numpy().min())


def _completed_silences(users: pl.DataFrame, *, as_of: date) -> tuple[Integers, Integers]:
    """Length of each long gap, and days from its first day to `as_of`."""
    gaps = users.select(pl.col("long_gaps").explode(keep_nulls=False, empty_as_null=False)).unnest("long_gaps")
    since_return = (pl.lit(as_of) - pl.col("ended_on")).dt.total_days()
    ages = gaps.select((since_return + pl.col("gap_days")).alias("age_days"))["age_days"]
    return gaps["gap_days"].to_numpy().astype(np.int64), ages.to_numpy().astype(np.int64)


def _current_silences(users: pl.DataFrame, *, as_of: date) -> Integers:
    silences = users.select((pl.lit(as_of) - pl.col("last_on")).dt.total_days().alias("days"))["days"]
    return silences.drop_nulls().to_numpy().astype(np.int64)


def _count_at_least(values: Integers) -> Integers:
    """For each N of the grid, how many values are N or more."""
    histogram = np.bincount(np.clip(values, 0, GRID_DAYS[1]), minlength=GRID_DAYS[1] + 1)
    at_least: Integers = histogram[::-1].cumsum()[::-1].astype(np.int64)
    return at_least[GRID_DAYS[0] :]
