"""Figures of a ranking by effect, from arms alone: no model takes part in them. Row order never settles a tie."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dagster_project.models.uplift.figures import Figure, quantile_of_normal
from dagster_project.models.uplift.trials import Floats, Ints, Trial, resampled_rows

N_RESAMPLES = 200
FIGURES = ("qini", "auuc", "uplift_at_10", "uplift_at_20", "uplift_at_30")
SHARES = np.array([0.1, 0.2, 0.3])
BUDGETS = np.arange(5, 101, 5) / 100  # shares of the users that may be contacted
PER = 1000


@dataclass(frozen=True)
class _Curve:
    """Sums over the best-scored rows, at each distinct score and before the first: rows, and per arm rows, outcomes."""

    n: Floats
    treated: Floats
    y_treated: Floats
    control: Floats
    y_control: Floats

    def at(self, n: Floats) -> "_Curve":
        """The same after any number of rows; within a tie the mean over all orders."""
        sums = (self.treated, self.y_treated, self.control, self.y_control)
        return _Curve(n, *(np.interp(n, self.n, one) for one in sums))

    @property
    def effect(self) -> Floats:
        """Difference of the arms' means among the rows so far; 0 while an arm has none."""
        return _ratio(self.y_treated, self.treated) - _ratio(self.y_control, self.control)

    @property
    def area(self) -> float:
        """Under the Qini curve, less that of a straight line to its end."""
        gained = self.y_treated - self.y_control * _ratio(self.treated, self.control)
        return float(np.trapezoid(gained, self.n) - gained[-1] * self.n[-1] / 2)


def qini(trial: Trial, score: Floats) -> float | None:
    """Area between Qini curve and diagonal, over that of the perfect ranking; null where no outcome differs.

    1 is perfect, 0 any order, below 0 backwards. Of equal propensities and outcomes 0 and 1 it is scikit-uplift's
    `qini_auc_score` (negative effects included). Other rows are weighed by inverse propensity.
    """
    perfect = _curve(trial, _perfect(trial)).area
    return _curve(trial, score).area / perfect if perfect else None


def auuc(trial: Trial, score: Floats) -> float:
    """Mean over budgets of 5, 10, … 100 % of the incremental outcomes per 1,000 eligible."""
    return float(np.mean(incremental(trial, score, shares=BUDGETS)))


def incremental(trial: Trial, score: Floats, *, shares: Floats) -> Floats:
    """Incremental outcomes per 1,000 eligible if that share of them, best first, is contacted; one per share."""
    n = np.round(trial.n * shares)
    return np.asarray(PER * _curve(trial, score).at(n).effect * n / trial.n)


def uplift_at(trial: Trial, score: Floats, *, share: float) -> float:
    """Mean effect among the best-scored share of the users."""
    return float(_curve(trial, score).at(np.array([round(trial.n * share)])).effect[0])


def bootstrapped_figures(
    trial: Trial, scores: Sequence[Floats], *, confidence: float, seed: int, n_resamples: int = N_RESAMPLES
) -> list[dict[str, Figure]]:
    """Per score its qini (nought where no outcome differs), auuc and uplift_at_10, 20 and 30 with normal intervals by
    the bootstrap's standard error; persons are drawn, the same ones for every score."""
    groups = [places(score) for score in (_perfect(trial), *scores)]

    def figures(drawn: Floats) -> list[Floats]:
        perfect, *curves = (_grouped_curve(trial, group, drawn) for group in groups)
        return [_figures(curve, perfect) for curve in curves]

    found = figures(np.ones(trial.n))
    samples = np.array([figures(rows) for rows in resampled_rows(trial, n_resamples=n_resamples, seed=seed)])
    half = quantile_of_normal(confidence) * samples.std(axis=0, ddof=1)
    return [
        {name: Figure(*map(float, (v, v - h, v + h))) for name, v, h in zip(FIGURES, values, halves, strict=True)}
        for values, halves in zip(found, half, strict=True)
    ]


def _figures(curve: _Curve, perfect: _Curve) -> Floats:
    n = curve.n[-1]
    gained = float(np.mean(PER * curve.at(n * BUDGETS).effect * BUDGETS))
    return np.array([curve.area / perfect.area if perfect.area else 0.0, gained, *curve.at(n * SHARES).effect])


def _perfect(trial: Trial) -> Floats:
    return np.where(trial.is_treated, trial.outcome, -trial.outcome)


def _curve(trial: Trial, score: Floats) -> _Curve:
    return _grouped_curve(trial, places(score), np.ones(trial.n))


def places(score: Floats) -> Ints:
    """The place of each row by its score, the highest 0; equal scores share one."""
    return np.asarray(np.unique(-score, return_inverse=True)[1], dtype=np.int64)


def _grouped_curve(trial: Trial, group: Ints, drawn: Floats) -> _Curve:
    """`drawn`: how often each row counts."""
    treated = drawn * trial.weights * trial.is_treated
    control = drawn * trial.weights * ~trial.is_treated
    sums = (drawn, treated, treated * trial.outcome, control, control * trial.outcome)
    return _Curve(*(np.concatenate([[0.0], np.cumsum(np.bincount(group, one))]) for one in sums))


def _ratio(above: Floats, below: Floats) -> Floats:
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)
