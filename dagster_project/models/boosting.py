"""Gradient boosting on point-in-time snapshots, and the booster that the hazard shares with it."""

from collections.abc import Callable
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from dagster_project.models.activity import Probabilities, bounded, has_both_classes, outcomes, smoothed_rate
from dagster_project.models.features import Matrix, to_matrix, usable_features
from dagster_project.models.threads import threads_for

ROWS_PER_PASS = 4_000  # of 50 features fit a core's cache: 150 trees on ten million rows take 49 CPU s, at once 118


class BoostingModel:
    """Histogram gradient boosting on every usable feature, unknown values as they are."""

    def __init__(self, *, seed: int) -> None:
        self._seed = seed

    def fit(self, training: pl.DataFrame) -> Self:
        """Fit on the features that vary in these rows; one class only gives its smoothed rate."""
        self._columns = usable_features(training)
        outcome = outcomes(training)
        self._rate = smoothed_rate(outcome)
        self._model: Any = None
        if self._columns and has_both_classes(outcome):
            with threads_for(training.height):
                self._model = booster(seed=self._seed).fit(to_matrix(training, self._columns), outcome)
        return self

    def predict(self, features: pl.DataFrame) -> Probabilities:
        """The trees' probabilities."""
        if self._model is None or features.is_empty():
            return np.full(features.height, self._rate)
        return bounded(in_passes(self._model.predict_proba, to_matrix(features, self._columns))[:, 1])


def booster(*, seed: int) -> Any:
    """The unfitted trees, with the settings that METHODS found best on snapshots.

    No early stopping: it would set aside rows by their order.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(
        learning_rate=0.05,
        max_iter=150,
        max_leaf_nodes=15,
        min_samples_leaf=60,
        l2_regularization=1.0,
        early_stopping=False,
        random_state=seed,
    )


def in_passes(predict: Callable[[Matrix], npt.NDArray[np.float64]], rows: Matrix) -> npt.NDArray[np.float64]:
    """What trees say of each row, asked for a few thousand rows at a time on one thread. The answer is the same.

    Every tree walks over all rows that it is given before the next one does: few rows stay in the cache meanwhile.
    """
    with threads_for(0):
        return np.concatenate([predict(rows[i : i + ROWS_PER_PASS]) for i in range(0, len(rows), ROWS_PER_PASS)])
