"""What an outcome would be with and without contact, told by plain regressions of rows not asked about."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dagster_project.models.features import Matrix
from dagster_project.models.uplift.trials import Flags, Floats, Trial, deal_folds

FEW_FOLDS, MANY_FOLDS = 2, 5  # from ROWS_FOR_FEW rows on a half teaches a plain regression as much as four fifths
ROWS_FOR_FEW = 20_000
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
    def of(x: Matrix) -> tuple["Design", Floats]:
        """The design that these rows ask for, and the rows by it; wholly unknown columns count as constant."""
        logs = _signed_log(x)
        is_unknown = np.isnan(logs)
        unknowns, is_known = np.asarray(is_unknown.any(axis=0)), ~is_unknown.all(axis=0)
        medians, lowest, highest = (np.zeros(x.shape[1]) for _ in range(3))
        if len(x):
            wanted = unknowns & is_known  # a median costs as much as all the rest, and fills only what is unknown
            medians[wanted] = np.nanmedian(logs[:, wanted], axis=0)
            lowest[is_known] = np.nanmin(logs[:, is_known], axis=0)
            highest[is_known] = np.nanmax(logs[:, is_known], axis=0)
        plain = Design(medians, lowest, highest, unknowns, np.zeros(1), np.ones(1))
        wide = plain._widened(logs, is_unknown)
        spread = wide.std(axis=0)
        design = Design(medians, lowest, highest, unknowns, wide.mean(axis=0), np.where(spread > 0, spread, 1.0))
        return design, np.asarray((wide - design.centre) / design.scale)

    def rows(self, x: Matrix) -> Floats:
        """Rows × (features and flags)."""
        logs = _signed_log(x)
        return np.asarray((self._widened(logs, np.isnan(logs)) - self.centre) / self.scale)

    def _widened(self, logs: Floats, is_unknown: Flags) -> Floats:
        filled = np.where(is_unknown, self.medians, logs) if self.has_unknowns.any() or is_unknown.any() else logs
        return np.column_stack([np.clip(filled, self.lowest, self.highest), is_unknown[:, self.has_unknowns]])


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
    design, rows = Design.of(learn.x)
    wanted = design.rows(asked.x)
    arms = (~learn.is_treated, learn.is_treated)
    alone, contacted = (outcome_regression(rows[arm], learn.outcome[arm])(wanted) for arm in arms)
    return Nuisances(alone, contacted)


def cross_fitted(trial: Trial, rows: Floats, *, seed: int) -> Nuisances:
    """Of every row, by regressions that have not seen the outcome of its person; `rows` as the trial's design has them.

    The design is that of all rows: it knows what they are like, and nothing of their outcomes.
    """
    n_folds = FEW_FOLDS if trial.n >= ROWS_FOR_FEW else MANY_FOLDS
    fold = deal_folds(trial, n_folds=n_folds, seed=seed)
    told = np.empty((2, trial.n))
    for k in range(n_folds):
        is_asked = fold == k
        for arm, is_arm in enumerate((~trial.is_treated, trial.is_treated)):
            learn = is_arm & ~is_asked
            told[arm, is_asked] = outcome_regression(rows[learn], trial.outcome[learn])(rows[is_asked])
    return Nuisances(told[0], told[1])


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
