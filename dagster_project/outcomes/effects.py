"""Differences between arms with their errors, from sums alone."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dagster_project.outcomes.moments import BASE, OUTCOME

Floats = npt.NDArray[np.float64]

FEWEST_TO_ADJUST = 30  # users of each arm, from which on a slope costs less than it saves
FEWEST_EVENTS = 5  # of an outcome that is yes or no, below which its variance is guessed from above


@dataclass(frozen=True)
class ArmMeans:
    """Of every slice, metric and horizon (any shape): users, raw mean, mean and slope after adjustment, variance."""

    n: Floats
    mean: Floats
    adjusted: Floats
    slope: Floats
    variance: Floats


@dataclass(frozen=True)
class Effects:
    """Treated less control. `difference` is adjusted; `treated` and `control` are the arms' plain means.

    Null numbers are NaN: an arm with fewer than two users tells nothing.
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
    fewest_events: int = 0,
) -> Effects:
    """The average effect of assignment on all who entered (intention to treat), and its standard error.

    Bases end in an axis BASE, outcomes in an axis OUTCOME, as `moments` makes them. With a covariate known before
    entry: a regression of its own in each arm, both read at the common mean of the covariate (Lin 2013), which is
    never worse in large samples than the plain difference and needs no model to be right. With inverse propensities
    as weights, the same fitted by weighted least squares, which is augmented inverse propensity weighting with a
    linear outcome model (Robins, Rotnitzky & Zhao 1994). The variance is the robust one (Huber, White), with the
    common mean's own. Unknown (NaN) where fewer than `fewest_events` of both arms have an outcome: a handful of bills
    tells no variance. Not for effects on those who were reached: nothing here conditions on what came after.
    """
    base_t, base_c = _named(treated_base, BASE), _named(control_base, BASE)
    with np.errstate(divide="ignore", invalid="ignore"):
        enough = is_adjusted & (base_t["n"] >= FEWEST_TO_ADJUST) & (base_c["n"] >= FEWEST_TO_ADJUST)
        centre, spread = _common(base_t, base_c)
        one = _arm(base_t, _named(treated, OUTCOME), centre, enough, is_binary=is_binary)
        two = _arm(base_c, _named(control, OUTCOME), centre, enough, is_binary=is_binary)
        n = one.n + two.n
        slopes = (one.slope - two.slope) ** 2 * spread / np.maximum(n, 1)
        error = np.sqrt(one.variance + two.variance + slopes)
    n_events = _named(treated, OUTCOME)["n"] + _named(control, OUTCOME)["n"]
    known = (one.n >= 2) & (two.n >= 2) & np.isfinite(error) & (n_events >= fewest_events)
    return Effects(
        n_treated=one.n,
        n_control=two.n,
        treated=np.where(known, one.mean, np.nan),
        control=np.where(known, two.mean, np.nan),
        difference=np.where(known, one.adjusted - two.adjusted, np.nan),
        error=np.where(known, error, np.nan),
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
    return ArmMeans(n, y_mean, y_mean + slope * np.where(varies, moved, 0), slope, variance)


def _least_variance(n: Floats, n_events: Floats) -> Floats:
    """Of a share that is next to none or all: that of one event and one non-event more (Agresti & Caffo 2000)."""
    share = (n_events + 1) / (n + 2)
    rare = np.minimum(n_events, n - n_events) < FEWEST_EVENTS
    return np.where(rare, share * (1 - share) / (n + 2), 0.0)
