"""Gradient boosting on point-in-time snapshots, and the booster that the hazard shares with it."""

from contextlib import AbstractContextManager
from typing import Any, Self

import numpy as np
import polars as pl

from dagster_project.models.activity import Probabilities, bounded, has_both_classes, outcomes, smoothed_rate
from dagster_project.models.features import to_matrix, usable_features

FEWEST_ROWS_FOR_THREADS = 200_000  # 94,000 rows on two busy cores: 28 s on two threads, 6 s on one


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
        with threads_for(features.height):
            return bounded(self._model.predict_proba(to_matrix(features, self._columns))[:, 1])


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


def threads_for(n_rows: int) -> AbstractContextManager[Any]:
    """One thread for few rows: on busy cores, threads spin while they wait. The answer is the same to the bit."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    limited: AbstractContextManager[Any] = threadpool_limits(
        limits=1 if n_rows < FEWEST_ROWS_FOR_THREADS else None, user_api="openmp"
    )
    return limited
