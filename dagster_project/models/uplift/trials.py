"""A randomised comparison of one treatment with being left alone, and how its rows are dealt into folds."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dagster_project.models.features import Matrix

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Trial:
    """Rows of one treatment and its control.

    `x` (rows × features) holds what was known before the draw, unknown values NaN. `propensity` is the chance of the
    treatment among the two, strictly between 0 and 1. Rows of one `person` always stay together. `fade` (0 to 1): how
    much of a row is still believed; whoever judges counts a row by it, whoever learns an order takes all alike.
    """

    x: Matrix
    is_treated: Flags
    outcome: Floats
    propensity: Floats
    person: Ints
    fade: Floats

    def take(self, rows: Flags | Ints) -> "Trial":
        """Some of the rows, in the order given."""
        return Trial(
            x=self.x[rows],
            is_treated=self.is_treated[rows],
            outcome=self.outcome[rows],
            propensity=self.propensity[rows],
            person=self.person[rows],
            fade=self.fade[rows],
        )

    @property
    def n(self) -> int:
        """How many rows there are."""
        return len(self.outcome)

    @property
    def is_binary(self) -> bool:
        """Whether the outcome is one that happens or does not."""
        return bool(np.isin(self.outcome, (0.0, 1.0)).all())

    @property
    def weights(self) -> Floats:
        """Inverse propensities, scaled so that a constant propensity weighs every row 1."""
        chance = np.where(self.is_treated, self.propensity, 1 - self.propensity)
        mean = self.propensity.mean()
        return np.asarray(np.where(self.is_treated, mean, 1 - mean) / chance)


def trial_of_people(
    x: Matrix, is_treated: npt.ArrayLike, outcome: npt.ArrayLike, propensity: npt.ArrayLike | float
) -> Trial:
    """A trial in which every row is another person. `propensity` may be one number for all."""
    treated = np.asarray(is_treated, dtype=bool)
    chance = np.broadcast_to(np.asarray(propensity, dtype=np.float64), treated.shape)
    everyone = np.arange(len(treated))
    return Trial(x, treated, np.asarray(outcome, dtype=np.float64), chance, everyone, np.ones(len(treated)))


def deal_folds(trial: Trial, *, n_folds: int, seed: int) -> Ints:
    """The fold of each row, 0 to n_folds − 1: persons stay whole, arms and outcomes are spread evenly."""
    people, first, place = np.unique(trial.person, return_index=True, return_inverse=True)
    kind = 2 * trial.is_treated[first] + (trial.outcome[first] > 0)
    order = np.lexsort((np.random.default_rng(seed).random(len(people)), kind))
    fold = np.empty(len(people), dtype=np.int64)
    fold[order] = np.arange(len(people)) % n_folds
    return np.asarray(fold[place])


def resampled_rows(trial: Trial, *, n_resamples: int, seed: int) -> Iterator[Floats]:
    """How often each row is drawn in one bootstrap sample of persons after another."""
    people, place = np.unique(trial.person, return_inverse=True)
    rng = np.random.default_rng(seed)
    for _ in range(n_resamples):
        drawn = np.bincount(rng.integers(0, len(people), len(people)), minlength=len(people))
        yield drawn[place].astype(np.float64)
