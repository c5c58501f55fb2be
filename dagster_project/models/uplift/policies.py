"""Several treatments at once: which is whose, and what such a choice is worth beside the best treatment for all."""

from dataclasses import dataclass

import numpy as np

from dagster_project.models.features import Matrix
from dagster_project.models.uplift.calibration import mean_effect
from dagster_project.models.uplift.figures import Figure
from dagster_project.models.uplift.learners import DR, Learner
from dagster_project.models.uplift.nuisances import Design, outcome_regression
from dagster_project.models.uplift.trials import Floats, Ints, Trial, deal_folds, trial_of_people

CONTROL = 0
N_FOLDS = 5


@dataclass(frozen=True)
class ArmedTrial:
    """Rows of one experiment with several treatments. `arm` 0 is the control.

    `propensities` (rows × arms): the chance of each arm, above zero and 1 in all; arms may differ. `costs`: of one
    contact by each arm, in units of the outcome, nought for the control.
    """

    x: Matrix
    arm: Ints
    outcome: Floats
    propensities: Floats
    costs: Floats

    def take(self, rows: Ints) -> "ArmedTrial":
        """Some of the rows."""
        return ArmedTrial(self.x[rows], self.arm[rows], self.outcome[rows], self.propensities[rows], self.costs)

    def against_control(self, arm: int) -> Trial:
        """The rows of one treatment and of the control."""
        mine = np.flatnonzero((self.arm == arm) | (self.arm == CONTROL))
        both = self.propensities[mine, arm] + self.propensities[mine, CONTROL]
        chance = self.propensities[mine, arm] / both
        return trial_of_people(self.x[mine], self.arm[mine] == arm, self.outcome[mine], chance)


@dataclass(frozen=True)
class PolicyValue:
    """Incremental outcomes less costs per row: of the choice, of each treatment for all, and the best of these."""

    chosen: Figure
    fixed: tuple[Figure, ...]
    best_fixed: int
    beyond_best: Figure


def one_against_control(trial: ArmedTrial, *, seed: int, learner: Learner = DR, n_folds: int = N_FOLDS) -> Floats:
    """Out-of-fold scores of every row for every treatment (rows × arms, 0 for the control), each less its cost."""
    fold = _folds(trial, n_folds=n_folds, seed=seed)
    scores = np.zeros((len(trial.arm), len(trial.costs)))
    for k in range(n_folds):
        learn, mine = trial.take(np.flatnonzero(fold != k)), fold == k
        for arm in range(1, len(trial.costs)):
            model = learner.fit(learn.against_control(arm), seed)
            scores[mine, arm] = model(trial.x[mine]) - trial.costs[arm]
    return scores


def arm_outcomes(trial: ArmedTrial, *, seed: int, n_folds: int = N_FOLDS) -> Floats:
    """One doubly robust estimate of the outcome under each arm, per row (rows × arms), by regressions that have not
    seen it, less the arm's cost.
    """
    fold = _folds(trial, n_folds=n_folds, seed=seed)
    found = np.empty((len(trial.arm), len(trial.costs)))
    for k in range(n_folds):
        learn, mine = fold != k, fold == k
        design, rows = Design.of(trial.x[learn])
        asked = design.rows(trial.x[mine])
        for arm in range(len(trial.costs)):
            of_arm = trial.arm[learn] == arm
            expected = outcome_regression(rows[of_arm], trial.outcome[learn][of_arm])(asked)
            got = (trial.arm[mine] == arm) / trial.propensities[mine, arm]
            found[mine, arm] = expected + got * (trial.outcome[mine] - expected) - trial.costs[arm]
    return found


def policy_value(outcomes: Floats, choice: Ints, *, confidence: float) -> PolicyValue:
    """What a choice of arm per row is worth beyond leaving all alone; `outcomes` by `arm_outcomes`.

    `beyond_best` compares with the treatment that looks best for all on the same rows: with arms alike the comparison
    is strict.
    """
    person = np.arange(len(choice))
    gained = outcomes - outcomes[:, [CONTROL]]
    mine = gained[person, choice]
    fixed = tuple(mean_effect(column, person, confidence=confidence) for column in gained.T)
    best = int(np.argmax([figure.value for figure in fixed]))
    beyond = mean_effect(mine - gained[:, best], person, confidence=confidence)
    return PolicyValue(mean_effect(mine, person, confidence=confidence), fixed, best, beyond)


def _folds(trial: ArmedTrial, *, n_folds: int, seed: int) -> Ints:
    treated = trial.arm != CONTROL
    return deal_folds(trial_of_people(trial.x, treated, trial.outcome, 0.5), n_folds=n_folds, seed=seed)
