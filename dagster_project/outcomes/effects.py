"""Differences between arms with their errors, from sums alone."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dagster_project.outcomes.moments import BASE, OUTCOME

Floats = npt.NDArray[np.float64]

FEWEST_TO_ADJUST = 30  # users of each arm, from which on a slope costs less than it saves
FEWEST_EVENTS = 5  # of an arm: below it a share's variance is guessed from above, and an amount's is unknown
# Few bills hide how large bills may be, and worst where the mean is low too. At 90/10 and no effect, plain 95 %
# intervals of spend held the truth in .88 to .92 of runs; with so much lent by the larger arm in .96 or more.
LENT_AT = 100  # users with an amount, at whom half of the larger arm's variance is still lent


@dataclass(frozen=True)
class ArmMeans:
    """Of every slice, metric and horizon (any shape): users, raw mean, mean and slope after adjustment, variance.

    `n_telling`: as many users of one weight as tell as much (Kish 1965).
    """

    n: Floats
    n_telling: Floats
    mean: Floats
    adjusted: Floats
    slope: Floats
    variance: Floats


@dataclass(frozen=True)
class Effects:
    """Treated less control. `difference` is adjusted; `treated` and `control` are the arms' plain means.

    Null numbers are NaN: an arm with fewer than two users tells nothing. `error` alone is NaN where too few of an arm
    have an amount.
    """

    n_treated: Floats
    n_control: Floats
    treated: Floats
    control: Floats
    difference: Floats
    error: Floats


def compare_arms(
    treated_base: Floats,
    treated: Floats,
    control_base: Floats,
    control: Floats,
    *,
    is_binary: bool,
    is_adjusted: bool,
    n_amounts: tuple[Floats, Floats] | None = None,
) -> Effects:
    """The average effect of assignment on all who entered (intention to treat), and its standard error.

    Bases end in an axis BASE, outcomes in an axis OUTCOME, as `moments` makes them. With a covariate known before
    entry: a regression of its own in each arm, both read at the common mean of the covariate (Lin 2013), which is
    never worse in large samples than the plain difference and needs no model to be right. With inverse propensities
    as weights, the same fitted by weighted least squares, which is augmented inverse propensity weighting with a
    linear outcome model (Robins, Rotnitzky & Zhao 1994). The variance is the robust one (Huber, White), with the
    common mean's own. `n_amounts`: users of treated and control with an amount, for means of money: the error is
    unknown where either has fewer than FEWEST_EVENTS, since a handful of bills tells no variance, and the smaller arm
    is lent some of the larger one's. Not for effects on those who were reached: nothing here conditions on what came
    after.
    """
    base_t, base_c = _named(treated_base, BASE), _named(control_base, BASE)
    with np.errstate(divide="ignore", invalid="ignore"):
        enough = is_adjusted & (base_t["n"] >= FEWEST_TO_ADJUST) & (base_c["n"] >= FEWEST_TO_ADJUST)
        centre, spread = _common(base_t, base_c)
        one = _arm(base_t, _named(treated, OUTCOME), centre, enough, is_binary=is_binary)
        two = _arm(base_c, _named(control, OUTCOME), centre, enough, is_binary=is_binary)
        n = one.n + two.n
        lent = 0.0 if n_amounts is None else _lent(one, two, n_amounts[0]) + _lent(two, one, n_amounts[1])
        slopes = (one.slope - two.slope) ** 2 * spread / np.maximum(n, 1)
        error = np.sqrt(one.variance + two.variance + lent + slopes)
    known = (one.n >= 2) & (two.n >= 2) & np.isfinite(error)
    sure = known if n_amounts is None else known & (np.minimum(*n_amounts) >= FEWEST_EVENTS)
    return Effects(
        n_treated=one.n,
        n_control=two.n,
        treated=np.where(known, one.mean, np.nan),
        control=np.where(known, two.mean, np.nan),
        difference=np.where(known, one.adjusted - two.adjusted, np.nan),
        error=np.where(sure, error, np.nan),
    )


def _named(sums: Floats, names: tuple[str, ...]) -> dict[str, Floats]:
    return {name: sums[..., place] for place, name in enumerate(names)}


def _common(a: dict[str, Floats], b: dict[str, Floats]) -> tuple[Floats, Floats]:
    """Mean and variance of the covariate over both arms, each arm weighted to the population, by its size."""
    n = a["n"] + b["n"]
    mean = (a["n"] * a["wx"] / a["w"] + b["n"] * b["wx"] / b["w"]) / n
    square = (a["n"] * a["wxx"] / a["w"] + b["n"] * b["wxx"] / b["w"]) / n
    return mean, np.maximum(square - mean**2, 0)


def _arm(
    base: dict[str, Floats], y: dict[str, Floats], centre: Floats, adjusts: npt.NDArray[np.bool_], *, is_binary: bool
) -> ArmMeans:
    n, w = base["n"], base["w"]
    x_mean, y_mean = base["wx"] / w, y["wy"] / w
    sxx = np.maximum(base["wxx"] / w - x_mean**2, 0)
    sxy = y["wxy"] / w - x_mean * y_mean
    # A spread of rounding errors is no spread.
    varies = adjusts & (sxx > 1e-12 * np.maximum(base["wxx"] / w, 1e-300))
    slope = np.where(varies, sxy / np.where(varies, sxx, 1), 0.0)
    # Σ w² (y − a − b x)² with a = ȳ − b x̄
    a = y_mean - slope * x_mean
    residual = (
        y["wwyy"]
        + slope**2 * base["wwxx"]
        + a**2 * base["ww"]
        - 2 * slope * y["wwxy"]
        - 2 * a * y["wwy"]
        + 2 * a * slope * base["wwx"]
    )
    n_free = np.where(varies, n - 2, n - 1)
    of_mean = np.maximum(residual, 0) / w**2 * n / np.maximum(n_free, 1)
    moved = centre - x_mean
    variance = of_mean * (1 + np.where(varies, moved**2 / np.where(varies, sxx, 1), 0))
    if is_binary:
        variance = np.maximum(variance, _least_variance(n, y["n"]))
    return ArmMeans(n, w**2 / base["ww"], y_mean, y_mean + slope * np.where(varies, moved, 0), slope, variance)


def _lent(arm: ArmMeans, other: ArmMeans, n_amounts: Floats) -> Floats:
    """What the smaller arm's variance lacks of that of both arms together, in part; none for the larger arm.

    The more so the more uneven the arms (in even ones what is missed cancels) and the fewer of it have an amount.
    """
    own, others = arm.variance * arm.n_telling, other.variance * other.n_telling
    pooled = (own * arm.n_telling + others * other.n_telling) / (arm.n_telling + other.n_telling)
    uneven = np.maximum(1 - arm.n_telling / other.n_telling, 0)
    return uneven * LENT_AT / (LENT_AT + n_amounts) * np.maximum(pooled - own, 0) / arm.n_telling


def _least_variance(n: Floats, n_events: Floats) -> Floats:
    """Of a share that is next to none or all: that of one event and one non-event more (Agresti & Caffo 2000)."""
    share = (n_events + 1) / (n + 2)
    rare = np.minimum(n_events, n - n_events) < FEWEST_EVENTS
    return np.where(rare, share * (1 - share) / (n + 2), 0.0)
