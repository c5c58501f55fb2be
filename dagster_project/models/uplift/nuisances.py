"""What an outcome would be with and without contact, told by plain regressions of rows not asked about."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dagster_project.models.features import Matrix
from dagster_project.models.uplift.trials import Flags, Floats, Trial, deal_folds

N_NUISANCE_FOLDS = 3
RIDGE = 1.0
Predict = Callable[[Floats], Floats]


@dataclass(frozen=True)
class Design:
    """Standardised signed log(1 + |x|), the training median and a flag for what is unknown, clipped to what was seen.

    Effects bend like logarithms in counts, days and money; a straight line must not be carried to where nobody was.
    """

    medians: Floats
    lowest: Floats
    highest: Floats
    has_unknowns: Flags
    centre: Floats
    scale: Floats

    @staticmethod
    def of(x: Matrix) -> "Design":
        """The design that these rows ask for; wholly unknown columns count as constant."""
        logs = _signed_log(x)
        is_known = ~np.isnan(logs).all(axis=0)
        medians, lowest, highest = (np.zeros(x.shape[1]) for _ in range(3))
        if len(x):
            medians[is_known] = np.nanmedian(logs[:, is_known], axis=0)
            lowest[is_known] = np.nanmin(logs[:, is_known], axis=0)
            highest[is_known] = np.nanmax(logs[:, is_known], axis=0)
        unknowns = np.asarray(np.isnan(logs).any(axis=0))
        plain = Design(medians, lowest, highest, unknowns, np.zeros(1), np.ones(1))
        rows = plain.rows(x)
        spread = rows.std(axis=0)
        return Design(medians, lowest, highest, unknowns, rows.mean(axis=0), np.where(spread > 0, spread, 1.0))

    def rows(self, x: Matrix) -> Floats:
        """Rows × (features and flags)."""
        logs = _signed_log(x)
        is_unknown = np.isnan(logs)
        known = np.clip(np.where(is_unknown, self.medians, logs), self.lowest, self.highest)
        wide = np.column_stack([known, is_unknown[:, self.has_unknowns]])
        return np.asarray((wide - self.centre) / self.scale)


@dataclass(frozen=True)
class Nuisances:
    """Expected outcome of each row left alone, and contacted."""

    alone: Floats
    contacted: Floats

    def mean(self, propensity: Floats) -> Floats:
        """Expected outcome before the draw."""
        return np.asarray(propensity * self.contacted + (1 - propensity) * self.alone)


def outcome_regression(design: Floats, outcome: Floats) -> Predict:
    """E(outcome | row): logistic where the outcome happens or does not, else linear; both with an L2 penalty."""
    if len(outcome) == 0 or np.ptp(outcome) == 0:
        constant = float(outcome[0]) if len(outcome) else 0.0
        return lambda rows: np.full(len(rows), constant)
    if np.isin(outcome, (0.0, 1.0)).all():
        from sklearn.linear_model import LogisticRegression

        logistic = LogisticRegression(C=1.0, max_iter=1000).fit(design, outcome)
        return lambda rows: np.asarray(logistic.predict_proba(rows)[:, 1])
    from sklearn.linear_model import Ridge

    linear = Ridge(alpha=RIDGE).fit(design, outcome)
    return lambda rows: np.asarray(linear.predict(rows))


def fitted_nuisances(learn: Trial, asked: Trial) -> Nuisances:
    """Of the asked rows, by regressions per arm of the others."""
    design = Design.of(learn.x)
    rows, wanted = design.rows(learn.x), design.rows(asked.x)
    arms = (~learn.is_treated, learn.is_treated)
    alone, contacted = (outcome_regression(rows[arm], learn.outcome[arm])(wanted) for arm in arms)
    return Nuisances(alone, contacted)


def cross_fitted(trial: Trial, *, seed: int, n_folds: int = N_NUISANCE_FOLDS) -> Nuisances:
    """Of every row, by regressions that have not seen its person."""
    fold = deal_folds(trial, n_folds=n_folds, seed=seed)
    alone, contacted = np.empty(trial.n), np.empty(trial.n)
    for k in range(n_folds):
        found = fitted_nuisances(trial.take(fold != k), trial.take(fold == k))
        alone[fold == k], contacted[fold == k] = found.alone, found.contacted
    return Nuisances(alone, contacted)


def pseudo_effects(trial: Trial, nuisances: Nuisances) -> Floats:
    """One doubly robust estimate of the effect per row: unbiased on any set of rows, however good the regressions.

    The regressions must not have seen the row. Source: Robins, Rotnitzky, Zhao 1994; Kennedy 2023.
    """
    error = trial.outcome - np.where(trial.is_treated, nuisances.contacted, nuisances.alone)
    weight = np.where(trial.is_treated, 1 / trial.propensity, -1 / (1 - trial.propensity))
    return np.asarray(nuisances.contacted - nuisances.alone + weight * error)


def _signed_log(x: Matrix) -> Floats:
    wide = x.astype(np.float64)
    return np.asarray(np.sign(wide) * np.log1p(np.abs(wide)))
