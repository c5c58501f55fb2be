"""Each user's usual gap between active days, shrunk to the population's by how little we know of the user.

What a silence longer than that gap *means* is decided in `definitions` and `stages`, not here.
"""

import math
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
import polars as pl

Floats = npt.NDArray[np.float64]

# Of a population without a single gap we know nothing; a month is the commonest billing and buying rhythm.
DEFAULT_USUAL_GAP_DAYS = 30.0
# One pseudo-observation of this spread keeps the within-user variance above zero when all gaps are equal,
# and stands alone when nobody has two gaps. Its weight vanishes beside a hundred real gaps.
PRIOR_LOG_GAP_SD = 1.0
NEXT_GAP_QUANTILE = 0.95
NORMAL_Z = NormalDist().inv_cdf(NEXT_GAP_QUANTILE)
# With fewer residuals fewer than five lie beyond their 95 % quantile; the normal law is the better guess.
MIN_USERS_TO_CALIBRATE = 100
Z_BOUNDS = (1.0, 3.0)
# Ten years: beyond that a threshold is the exponential of noise, and dates would run out of range.
MAX_THRESHOLD_DAYS = 3650.0
HORIZON_BOUNDS_DAYS = (14, 90)
MILLI = 1000.0


@dataclass(frozen=True)
class Cadence:
    """What the population's gaps say: each user's log-gaps are normal around a mean of the user's own.

    Those means are normal around `log_gap_mean`. `threshold_z` times the predictive standard deviation is how
    far a next gap may lie above a user's mean; 1.645 where the population is too small to calibrate it.
    """

    n_users_with_gaps: int
    log_gap_mean: float
    log_gap_sd_within: float
    log_gap_sd_between: float
    threshold_z: float = NORMAL_Z

    @property
    def usual_gap_days(self) -> float:
        """The population's median usual gap."""
        return math.exp(self.log_gap_mean)


def estimate_cadence(users: pl.DataFrame) -> Cadence:
    """Population mean and spread of log-gaps, by the method of moments on each user's exact integer sums.

    Estimand: the distribution over *users* of the mean log-gap (not over gaps, where the busiest would rule).
    `users` needs n_gaps, gap_log_milli_sum, gap_log_milli_sq_sum, last_gap_days, all as of one day; row order
    does not matter. Only completed gaps count, so a short history makes gaps look shorter than they are:
    do not read the spread as that of all future gaps.

    Users with one gap inform the mean and the spread between users, users with two the spread within.
    No gaps at all: 30 days, spread 1.0 within, 0 between. One user: spread between is 0.
    Source: one-way random-effects moments, precision-weighted mean (DerSimonian and Laird 1986).
    """
    known = users.filter(pl.col("n_gaps") > 0)
    if known.is_empty():
        return Cadence(0, math.log(DEFAULT_USUAL_GAP_DAYS), PRIOR_LOG_GAP_SD, 0.0)
    n_gaps = known["n_gaps"].to_numpy().astype(np.float64)
    means = known["gap_log_milli_sum"].to_numpy() / n_gaps / MILLI
    within = _within_variance(known)
    between = max(0.0, _variance(means) - within * _total(1 / n_gaps) / known.height)
    weights = 1 / (between + within / n_gaps)
    mean = _total(weights * means) / _total(weights)
    uncalibrated = Cadence(known.height, mean, math.sqrt(within), math.sqrt(between))
    return replace(uncalibrated, threshold_z=_calibrated_z(known, cadence=uncalibrated))


def usual_gaps(users: pl.DataFrame, *, cadence: Cadence) -> pl.DataFrame:
    """Per user, in the order given: user_sk, user_id, usual_gap_days, cadence_threshold_days.

    `usual_gap_days` is the posterior median gap: the user's own mean log-gap, shrunk to the population's by
    the number of gaps seen. `cadence_threshold_days` is the silence that 95 % of the user's next gaps stay
    under, given that there is a next gap; from 1 day to ten years. Users without gaps get the population's.
    """
    mean, variance = _posterior(pl.col("n_gaps"), pl.col("gap_log_milli_sum") / MILLI, cadence=cadence)
    predictive_sd = (variance + cadence.log_gap_sd_within**2).sqrt()
    threshold = (mean + cadence.threshold_z * predictive_sd).exp().clip(1.0, MAX_THRESHOLD_DAYS)
    return users.select(
        "user_sk",
        "user_id",
        mean.exp().alias("usual_gap_days"),
        threshold.alias("cadence_threshold_days"),
    )


def horizon_days(cadence: Cadence, *, configured: int | None) -> int:
    """Days over which a return is awaited: as configured, else twice the usual gap, within 14 to 90."""
    if configured is not None:
        return configured
    shortest, longest = HORIZON_BOUNDS_DAYS
    return min(max(math.floor(2 * cadence.usual_gap_days + 0.5), shortest), longest)


def _posterior(n_gaps: pl.Expr, log_sum: pl.Expr, *, cadence: Cadence) -> tuple[pl.Expr, pl.Expr]:
    """Mean and variance of what we believe of a user's mean log-gap, having seen `n_gaps` gaps."""
    within, between = cadence.log_gap_sd_within**2, cadence.log_gap_sd_between**2
    spread = n_gaps * between + within
    mean = (log_sum * between + cadence.log_gap_mean * within) / spread
    return mean, between * within / spread


def _calibrated_z(known: pl.DataFrame, *, cadence: Cadence) -> float:
    """The z with which 95 % of users' last gaps fall under the threshold drawn from their other gaps.

    Real gaps have heavier tails than the log-normal on some logs and lighter ones on others (a weekly
    shopper's gaps cannot be shorter than the shop's opening days); the realised share is what is promised.
    """
    if known.height < MIN_USERS_TO_CALIBRATE:
        return NORMAL_Z
    last = (pl.col("last_gap_days").log() * MILLI).round() / MILLI
    others_sum = pl.col("gap_log_milli_sum") / MILLI - last
    mean, variance = _posterior(pl.col("n_gaps") - 1, others_sum, cadence=cadence)
    residual = (last - mean) / (variance + cadence.log_gap_sd_within**2).sqrt()
    residuals = known.select(residual.alias("residual"))["residual"].drop_nulls().to_numpy()
    # "higher": the share under the threshold must reach the promised one, ties included.
    z = float(np.quantile(residuals, NEXT_GAP_QUANTILE, method="higher"))
    return min(max(z, Z_BOUNDS[0]), Z_BOUNDS[1])


def _within_variance(known: pl.DataFrame) -> float:
    n_gaps, total, squares = (
        known[column].to_numpy().astype(np.int64) for column in ("n_gaps", "gap_log_milli_sum", "gap_log_milli_sq_sum")
    )
    # In integers up to the division: equal gaps give exactly nothing, not a rounding error.
    deviations = (n_gaps * squares - total * total) / (n_gaps * MILLI**2)
    return (_total(deviations) + PRIOR_LOG_GAP_SD**2) / (float((n_gaps - 1).sum()) + 1)


def _variance(values: Floats) -> float:
    if values.size < 2:
        return 0.0
    centre = _total(values) / values.size
    return _total((values - centre) ** 2) / (values.size - 1)


def _total(values: Floats) -> float:
    """The sum in ascending order: float addition is not associative, and row order must not matter."""
    return float(np.sort(values).sum())
