"""Figures of a ranking by effect, from arms alone: no model takes part in them. Row order never settles a tie."""

from dataclasses import dataclass

import numpy as np

from dagster_project.models.uplift.trials import Floats, Trial

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
    perfect = _curve(trial, np.where(trial.is_treated, trial.outcome, -trial.outcome)).area
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


def _curve(trial: Trial, score: Floats) -> _Curve:
    _, group = np.unique(-score, return_inverse=True)
    treated = trial.weights * trial.is_treated
    control = trial.weights * ~trial.is_treated
    sums = (np.ones(trial.n), treated, treated * trial.outcome, control, control * trial.outcome)
    return _Curve(*(np.concatenate([[0.0], np.cumsum(np.bincount(group, one))]) for one in sums))


def _ratio(above: Floats, below: Floats) -> Floats:
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)
