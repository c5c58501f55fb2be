"""When in the week each user is active: own hours shrunk to everybody's, smoothed round the clock.

It forecasts activity. Nothing here shows that a message at that hour causes a return: a default, to be tested.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
import polars as pl
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

DAY_HOURS, WEEK_HOURS = 24, 168
BANDWIDTHS_HOURS = (0.0, 0.75, 1.5, 2.5, 4.0)
POOLED_SHARES = (0.0, 0.5, 0.8, 1.0)
STRENGTHS_HOURS = tuple(float(2**power) for power in range(13))
MAX_WEIGHT = 5.0  # an hour at which we hardly ever wrote must not be decided by the few who answered there
MIN_LATE_HOURS = 200  # fewer do not tell one smoothing from another
MAX_FITTED_USERS = 20_000
CHUNK_USERS = 50_000


@dataclass(frozen=True)
class Smoothing:
    """How far one active hour reaches, and how many of everybody's hours each user is lent.

    `bandwidth_hours` is the standard deviation of the kernel round the clock, `pooled_share` the part of an hour that
    counts for every day of the week, `strength_hours` the weight of the population (the sum of the Dirichlet's
    parameters). The defaults serve where the data cannot choose: on two logs of orders the marginal likelihood
    put the strength at 31 and 32.
    """

    bandwidth_hours: float = 1.5
    pooled_share: float = 0.8
    strength_hours: float = 32.0


@dataclass(frozen=True)
class WeekCounts:
    """Active hours of many users, sparse: `weight[i]` of them by user `row[i]` in hour of the week `cell[i]`."""

    n_users: int
    row: Ints
    cell: Ints
    weight: Floats

    def dense(self) -> Floats:
        """Users × hours of the week."""
        flat = np.bincount(self.row * WEEK_HOURS + self.cell, self.weight, minlength=self.n_users * WEEK_HOURS)
        return np.asarray(flat.reshape(self.n_users, WEEK_HOURS), dtype=np.float64)


@dataclass(frozen=True)
class HourModel:
    """`population`: chance of each hour of the week for somebody of whom nothing is known; `is_fitted`: by data."""

    population: Floats
    smoothing: Smoothing = Smoothing()
    is_fitted: bool = False

    @cached_property
    def kernel(self) -> Floats:
        """Where an active hour counts: hours of the week × hours of the week, each row of sum 1."""
        return week_kernel(self.population, self.smoothing)

    def probabilities(self, counts: Floats) -> Floats:
        """P(hour of the week | active), users × 168, from each user's own hours (users × 168).

        The mean of a Dirichlet-multinomial whose data are the smoothed hours: no hours give the population's.
        """
        strength = self.smoothing.strength_hours
        total = counts.sum(axis=1, keepdims=True)
        return np.asarray((counts @ self.kernel + strength * self.population) / (total + strength))


def sending_weights(sent_hours: pl.DataFrame) -> Floats:
    """Weight of an hour of activity by the hour (0 to 23) of the message before it: inverse propensity, capped.

    Estimand: the hours at which users would answer, had we written evenly round the clock. Ours at 9 alone, a
    thousand answers at 9 say what one in 24 would. `sent_hours` has `sent_hour`, `n_sent`; empty: all weights are 1.
    """
    n_sent = np.bincount(sent_hours["sent_hour"], sent_hours["n_sent"], minlength=DAY_HOURS)
    propensity = (n_sent + 1) / (n_sent.sum() + DAY_HOURS)
    return np.asarray(np.minimum(1 / (DAY_HOURS * propensity), MAX_WEIGHT), dtype=np.float64)


def weighted_hours(hours: pl.DataFrame, sent_hours: pl.DataFrame) -> pl.DataFrame:
    """`hours` (user_id, hour_of_week, sent_hour, n_hours, n_late_hours) as user_id, hour_of_week, early, late, both.

    The three are weighted numbers of active hours. Sorted by user and hour: sums of floats hang on their order.
    """
    weights = pl.Series(sending_weights(sent_hours))
    weight = pl.lit(weights).gather(pl.col("sent_hour").fill_null(0)).cast(pl.Float64)
    return (
        hours.with_columns(weight=pl.when(pl.col("sent_hour").is_null()).then(1.0).otherwise(weight))
        .sort("user_id", "hour_of_week", "sent_hour")
        .select(
            "user_id",
            "hour_of_week",
            early=(pl.col("n_hours") - pl.col("n_late_hours")) * pl.col("weight"),
            late=pl.col("n_late_hours") * pl.col("weight"),
            both=pl.col("n_hours") * pl.col("weight"),
        )
    )


def fit_hours(hours: pl.DataFrame, sent_hours: pl.DataFrame) -> HourModel:
    """The population's hours, and the smoothing that best foretells users' late hours from their early ones.

    `hours` and `sent_hours` as for `weighted_hours`. Late hours of at most 20,000 users are scored by log-likelihood
    under every smoothing of the grid; users without early hours count too, for they are what the population must
    serve.
    """
    total, early, late = _summed(hours, sent_hours)
    if late.sum() < MIN_LATE_HOURS or early.sum() < MIN_LATE_HOURS:
        return HourModel(shrunken_hours(total))
    sample = weighted_hours(_sampled(hours), sent_hours)
    smoothing = best_smoothing(
        week_counts(sample, "early"), week_counts(sample, "late"), population=shrunken_hours(early)
    )
    return HourModel(shrunken_hours(total), smoothing, is_fitted=True)


def best_smoothing(early: WeekCounts, late: WeekCounts, *, population: Floats) -> Smoothing:
    """The smoothing of the grid under which the late hours are likeliest, given the same users' early ones.

    Of equals the one that is tried first: the narrowest, then the least pooled, then the weakest.
    """
    known = early.dense()
    total = known.sum(axis=1)[late.row]
    prior = population[late.cell]
    found: list[tuple[float, Smoothing]] = []
    for bandwidth, pooled in product(BANDWIDTHS_HOURS, POOLED_SHARES):
        own = (known @ week_kernel(population, Smoothing(bandwidth, pooled)))[late.row, late.cell]
        for strength in STRENGTHS_HOURS:
            chance = (own + strength * prior) / (total + strength)
            found.append((float(late.weight @ np.log(chance)), Smoothing(bandwidth, pooled, strength)))
    return max(found, key=lambda scored: scored[0])[1]


def week_counts(weighted: pl.DataFrame, column: str) -> WeekCounts:
    """The hours of one column, users in the order of their ids; every user of `weighted` has a row."""
    row = weighted["user_id"].rank("dense").to_numpy().astype(np.int64) - 1
    weight = weighted[column].to_numpy()
    some = weight > 0
    n_users = int(row.max(initial=-1)) + 1
    return WeekCounts(n_users, row[some], weighted["hour_of_week"].to_numpy()[some], weight[some])


def shrunken_hours(counts: Floats) -> Floats:
    """Everybody's hours of the week as chances: each cell lent one hour of what its day and its hour alone foretell."""
    by_day = counts.reshape(7, DAY_HOURS)
    total = counts.sum()
    day = (by_day.sum(axis=1) + 1) / (total + 7)
    hour = (by_day.sum(axis=0) + 1) / (total + DAY_HOURS)
    return np.asarray((counts + WEEK_HOURS * np.outer(day, hour).ravel()) / (total + WEEK_HOURS))


def week_kernel(population: Floats, smoothing: Smoothing) -> Floats:
    """What of an hour of the week counts for which, 168 × 168; rows sum to 1.

    One part spreads to the hours before and after on the circle of the week, so Sunday 23h reaches Monday 0h. The
    pooled part spreads on the circle of the day and over the days as the population's are spread at that hour.
    """
    near = _circle(WEEK_HOURS, smoothing.bandwidth_hours)
    days = population.reshape(7, DAY_HOURS)
    pooled = np.tile(_circle(DAY_HOURS, smoothing.bandwidth_hours), (7, 7)) * (days / days.sum(axis=0)).ravel()
    return np.asarray((1 - smoothing.pooled_share) * near + smoothing.pooled_share * pooled)


def _circle(n_hours: int, bandwidth_hours: float) -> Floats:
    """A normal kernel round a circle of hours; the identity without bandwidth."""
    if bandwidth_hours == 0:
        return np.eye(n_hours)
    apart = np.abs(np.subtract.outer(np.arange(n_hours), np.arange(n_hours)))
    nearest = np.minimum(apart, n_hours - apart)
    kernel = np.exp(-0.5 * (nearest / bandwidth_hours) ** 2)
    return np.asarray(kernel / kernel.sum(axis=1, keepdims=True))


def _summed(hours: pl.DataFrame, sent_hours: pl.DataFrame) -> tuple[Floats, Floats, Floats]:
    """Everybody's hours of the week: all, early, late. Whole numbers are summed first: those know no order."""
    everybody = hours.group_by("hour_of_week", "sent_hour").agg(pl.col("n_hours", "n_late_hours").sum())
    weighted = weighted_hours(everybody.with_columns(user_id=pl.lit("everybody")), sent_hours)
    cells = weighted["hour_of_week"].to_numpy()
    total, early, late = (
        np.bincount(cells, weighted[name].to_numpy(), minlength=WEEK_HOURS).astype(np.float64)
        for name in ("both", "early", "late")
    )
    return total, early, late


def _sampled(hours: pl.DataFrame) -> pl.DataFrame:
    """The hours of at most MAX_FITTED_USERS with a late hour, evenly taken from the order of their ids."""
    users = hours.filter(pl.col("n_late_hours") > 0).select("user_id").unique().sort("user_id")
    step = max(1, -(-users.height // MAX_FITTED_USERS))
    return hours.join(users.gather_every(step), on="user_id", how="semi")


def day_hours(hours: pl.DataFrame, sent_hours: pl.DataFrame, *, model: HourModel, weekday: int) -> pl.DataFrame:
    """One row per user of `hours`: best hour of the week with its chance, and how a `weekday` (Monday 0) is spread.

    `hours` as in `marts.user_hours`. `hour_shares` are 24 chances of sum 1. Sorted by user_id.
    """
    firsts = hours.group_by("user_id").agg(
        pl.col("user_sk").first(), pl.col("timezone").first(), n_hours=pl.col("n_hours").sum().cast(pl.Int64)
    )
    users = firsts.sort("user_id")
    counts = week_counts(weighted_hours(hours, sent_hours), "both")
    parts = [_chosen(part, model=model, weekday=weekday) for part in _chunks(counts)]
    return pl.concat([users, pl.concat([_NOBODY, *parts])], how="horizontal").select(
        "user_sk", "user_id", "timezone", "n_hours", *_NOBODY.columns
    )


_NOBODY = pl.DataFrame(
    schema={
        "best_hour_of_week": pl.Int64,
        "best_hour_probability": pl.Float64,
        "hour_shares": pl.List(pl.Float32),
    }
)


def _chunks(counts: WeekCounts) -> Iterator[WeekCounts]:
    """The same users in groups that fit into memory when dense; rows stand in their order."""
    for start in range(0, counts.n_users, CHUNK_USERS):
        end = min(start + CHUNK_USERS, counts.n_users)
        part = slice(*np.searchsorted(counts.row, (start, end)))
        yield WeekCounts(end - start, counts.row[part] - start, counts.cell[part], counts.weight[part])


def _chosen(counts: WeekCounts, *, model: HourModel, weekday: int) -> pl.DataFrame:
    week = model.probabilities(counts.dense())
    day = week[:, weekday * DAY_HOURS : (weekday + 1) * DAY_HOURS]
    shares = (day / day.sum(axis=1, keepdims=True)).astype(np.float32)
    return pl.DataFrame(
        {
            "best_hour_of_week": week.argmax(axis=1),
            "best_hour_probability": week.max(axis=1),
            "hour_shares": pl.Series(shares, dtype=pl.Array(pl.Float32, DAY_HOURS)).cast(pl.List(pl.Float32)),
        },
        schema=_NOBODY.schema,
    )
