"""Share against number of messages: logistic curves per stage, drawn towards the one of all stages. Numbers only."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

N_STEPS = 25
LARGEST_STEP = 2.0  # log-odds; a longer step of Newton's method overshoots where shares are near 0 or 1
INTERCEPT_PRECISION = 0.05  # a stratum without any row stays near the overall share instead of at infinity
SLOPE_SD = 0.5  # how far a stage's slopes stray from the common ones, in log-odds; an opinion
COMMON_PRECISION = 0.1  # of the common slopes around 0: next to nothing
PINNED = 1e9
N_TERMS = 3


@dataclass(frozen=True)
class Curves:
    """Logistic curves: `intercepts` (batch, stage, stratum), `slopes` (batch, stage, term) on the terms of `design`.

    The batch is the bootstrap; 0 is the data as they are.
    """

    intercepts: Floats
    slopes: Floats

    def shares(self, doses: Floats, *, weights: Floats) -> Floats:
        """(batch, stage, dose): shares of a stage whose strata have `weights` (stage, stratum), whatever the dose."""
        line = np.einsum("bsp,dp->bsd", self.slopes, design(doses))
        by_stratum = logistic(self.intercepts[..., None] + line[:, :, None, :])
        return np.asarray(np.einsum("bsad,sa->bsd", by_stratum, weights), dtype=np.float64)


def fit_curves(trials: Floats, successes: Floats, *, doses: Floats, is_straight: bool = False) -> Curves:
    """Curves of the share `successes` ÷ `trials`, both (batch, stage, stratum, dose).

    Each stratum has its own height; a stage has its own slopes, drawn to those common to all stages by SLOPE_SD,
    so that a thin stage follows the others. The square's slope is never positive: the tail may flatten or fall,
    not take off. `is_straight` leaves only the logarithm. Estimand: the share among rows alike in stage and
    stratum, by dose. Not an effect: rows differ in more than their strata. Successes may be fractions of one.
    """
    n_batch, n_stages, n_strata, n_doses = trials.shape
    everything = (n_batch, n_stages * n_strata, n_doses)
    _, common = _constrained(
        trials.reshape(everything),
        successes.reshape(everything),
        doses=doses,
        centre=np.zeros((n_batch, N_TERMS)),
        precision=COMMON_PRECISION,
        is_straight=is_straight,
    )
    each = (n_batch * n_stages, n_strata, n_doses)
    intercepts, slopes = _constrained(
        trials.reshape(each),
        successes.reshape(each),
        doses=doses,
        centre=np.repeat(common, n_stages, axis=0),
        precision=SLOPE_SD**-2,
        is_straight=is_straight,
    )
    return Curves(intercepts.reshape(n_batch, n_stages, n_strata), slopes.reshape(n_batch, n_stages, N_TERMS))


def resampled(by_group: Floats, *, n_resamples: int, seed: int) -> Floats:
    """Sums over the first axis (groups of users): first of all groups, then of each bootstrap sample of groups.

    Groups of users, not rows, are drawn: rows of one user go together.
    """
    n_groups = by_group.shape[0]
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=n_resamples).astype(np.float64)
    weights = np.vstack([np.ones(n_groups), drawn])
    return np.asarray(np.tensordot(weights, by_group, axes=1), dtype=np.float64)


def design(doses: Floats) -> Floats:
    """(dose, term): log(1 + m), m and its square, m as a share of half the largest.

    The logarithm alone saturates but never falls; the parabola alone cannot flatten out.
    """
    scaled = doses / max(float(doses[-1]) / 2, 1.0)
    return np.stack([np.log1p(doses), scaled, scaled**2], axis=1)


def logistic(log_odds: Floats) -> Floats:
    """Probabilities of log-odds."""
    return np.asarray(1 / (1 + np.exp(-np.clip(log_odds, -30, 30))), dtype=np.float64)


def _constrained(
    trials: Floats, successes: Floats, *, doses: Floats, centre: Floats, precision: float, is_straight: bool
) -> tuple[Floats, Floats]:
    """The fit, and once more with the square pinned to 0 wherever its slope came out positive."""
    free = np.full(centre.shape, precision)
    pinned_centre, pinned = centre.copy(), free.copy()
    first_pinned = 1 if is_straight else N_TERMS - 1
    pinned_centre[:, first_pinned:], pinned[:, first_pinned:] = 0.0, PINNED
    if is_straight:
        return _newton(trials, successes, doses=doses, centre=pinned_centre, precision=pinned)
    intercepts, slopes = _newton(trials, successes, doses=doses, centre=centre, precision=free)
    convex = slopes[:, -1] > 0
    if convex.any():
        intercepts[convex], slopes[convex] = _newton(
            trials[convex], successes[convex], doses=doses, centre=pinned_centre[convex], precision=pinned[convex]
        )
    return intercepts, slopes


def _newton(
    trials: Floats, successes: Floats, *, doses: Floats, centre: Floats, precision: Floats
) -> tuple[Floats, Floats]:
    """Posterior modes by Newton's method, all fits at once; intercepts are eliminated (their block is diagonal)."""
    x = design(doses)
    overall = (successes.sum(axis=(1, 2)) + 0.5) / (trials.sum(axis=(1, 2)) + 1.0)
    level = np.log(overall / (1 - overall))[:, None]
    intercepts, slopes = np.repeat(level, trials.shape[1], axis=1), centre.copy()
    for _ in range(N_STEPS):
        shares = logistic(intercepts[..., None] + np.einsum("lp,dp->ld", slopes, x)[:, None, :])
        left = successes - trials * shares
        weight = trials * shares * (1 - shares)
        g_slopes = np.einsum("lad,dp->lp", left, x) - precision * (slopes - centre)
        g_intercepts = left.sum(axis=2) - INTERCEPT_PRECISION * (intercepts - level)
        h_intercepts = weight.sum(axis=2) + INTERCEPT_PRECISION
        h_cross = np.einsum("lad,dp->lap", weight, x)
        h_slopes = np.einsum("lad,dp,dq->lpq", weight, x, x) + precision[..., None] * np.eye(N_TERMS)
        schur = h_slopes - np.einsum("lap,laq,la->lpq", h_cross, h_cross, 1 / h_intercepts)
        right = g_slopes - np.einsum("lap,la->lp", h_cross, g_intercepts / h_intercepts)
        d_slopes = np.linalg.solve(schur, right[..., None])[..., 0]
        d_intercepts = (g_intercepts - np.einsum("lap,lp->la", h_cross, d_slopes)) / h_intercepts
        slopes = slopes + np.clip(d_slopes, -LARGEST_STEP, LARGEST_STEP)
        intercepts = intercepts + np.clip(d_intercepts, -LARGEST_STEP, LARGEST_STEP)
    return intercepts, slopes
