"""The models that say how likely a user is to be active within the horizon. A new one is a row of CANDIDATES.

Judging them is `evaluation`'s work, correcting and shipping the winner `calibration`'s.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from dagster_project.models.features import Matrix, to_matrix, usable_features

Probabilities = npt.NDArray[np.float64]
Outcomes = npt.NDArray[np.float64]
Predictor = Callable[[npt.NDArray[np.float64]], Probabilities]

BASELINE = "recency"
FEWEST_ROWS_FOR_THREADS = 200_000  # 94,000 rows on two busy cores: 28 s on two threads, 6 s on one
SMALLEST_PROBABILITY = 1e-6  # nobody is certain: keeps logits and log-losses finite


class ActivityModel(Protocol):
    """P(at least one core event in the H days after the row's cutoff), higher = likelier to be active."""

    def fit(self, training: pl.DataFrame) -> Self:
        """Learn from rows of user features with `is_active`, sorted by (cutoff, user_id)."""
        ...

    def predict(self, features: pl.DataFrame) -> Probabilities:
        """One probability strictly between 0 and 1 for each row, in the rows' order."""
        ...


class RecencyModel:
    """Logistic regression on log(1 + silence_days) alone: the baseline that everything else must beat.

    Its square is added if it lowers the Bayesian information criterion and the curve still never
    rises with silence within the days seen in training; a bend upwards in the tail is noise.
    """

    def fit(self, training: pl.DataFrame) -> Self:
        """Fit the straight and the bent curve and keep the one that the rule above allows."""
        silence, outcome = _log_silence(training), outcomes(training)
        self._centre, self._scale = float(silence.mean()), float(silence.std()) or 1.0
        straight, bent = (_fit_logistic(self._powers(silence, k), outcome) for k in (1, 2))
        grid = np.linspace(silence.min(), silence.max(), 200)
        falls = bool(np.all(np.diff(bent(self._powers(grid, 2))) <= 0))
        gain = _deviance(outcome, straight(self._powers(silence, 1))) - _deviance(
            outcome, bent(self._powers(silence, 2))
        )
        self._degree = 2 if falls and gain > np.log(len(outcome)) else 1
        self._predictor = bent if self._degree == 2 else straight
        return self

    def predict(self, features: pl.DataFrame) -> Probabilities:
        """The curve read at each row's silence."""
        return self._predictor(self._powers(_log_silence(features), self._degree))

    def _powers(self, silence: npt.NDArray[np.float64], degree: int) -> npt.NDArray[np.float64]:
        standard = (silence - self._centre) / self._scale
        return np.column_stack([standard**power for power in range(1, degree + 1)])


class LogisticModel:
    """Logistic regression (L2, C = 1) on standardised signed log(1 + |x|) of every usable feature.

    Unknown values take the training median, and a flag where training had unknowns.
    """

    def fit(self, training: pl.DataFrame) -> Self:
        """Fit on the features that vary in these rows."""
        self._columns = usable_features(training)
        logs = _signed_log(to_matrix(training, self._columns))
        self._medians = np.nanmedian(logs, axis=0) if self._columns else np.empty(0)
        self._has_unknowns = np.isnan(logs).any(axis=0)
        design = self._design(logs)
        self._centre, spread = design.mean(axis=0), design.std(axis=0)
        self._scale = np.where(spread > 0, spread, 1.0)
        self._predictor = _fit_logistic((design - self._centre) / self._scale, outcomes(training))
        return self

    def predict(self, features: pl.DataFrame) -> Probabilities:
        """Probabilities by the training rows' scale and medians."""
        design = self._design(_signed_log(to_matrix(features, self._columns)))
        return self._predictor((design - self._centre) / self._scale)

    def _design(self, logs: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        unknown = np.isnan(logs)
        return np.column_stack([np.where(unknown, self._medians, logs), unknown[:, self._has_unknowns]])


class BoostingModel:
    """Histogram gradient boosting on every usable feature, unknown values as they are.

    Settings are those that METHODS found best of eleven methods on point-in-time snapshots.
    No early stopping: it would set aside rows by their order.
    """

    def __init__(self, *, seed: int) -> None:
        self._seed = seed

    def fit(self, training: pl.DataFrame) -> Self:
        """Fit on the features that vary in these rows; one class only gives its smoothed rate."""
        self._columns = usable_features(training)
        outcome = outcomes(training)
        self._rate = smoothed_rate(outcome)
        self._model: Any = None
        if self._columns and _has_both_classes(outcome):
            with _threads_for(training.height):
                self._model = self._booster().fit(to_matrix(training, self._columns), outcome)
        return self

    def predict(self, features: pl.DataFrame) -> Probabilities:
        """The trees' probabilities."""
        if self._model is None or features.is_empty():
            return np.full(features.height, self._rate)
        matrix: Matrix = to_matrix(features, self._columns)
        with _threads_for(features.height):
            return bounded(self._model.predict_proba(matrix)[:, 1])

    def _booster(self) -> Any:
        from sklearn.ensemble import HistGradientBoostingClassifier

        return HistGradientBoostingClassifier(
            learning_rate=0.05,
            max_iter=150,
            max_leaf_nodes=15,
            min_samples_leaf=60,
            l2_regularization=1.0,
            early_stopping=False,
            random_state=self._seed,
        )


@dataclass(frozen=True)
class Candidate:
    """A model that may ship: `build(seed)` gives it unfitted, `wording` names it to a reader."""

    name: str
    wording: str
    build: Callable[[int], ActivityModel]


CANDIDATES: tuple[Candidate, ...] = (
    Candidate(BASELINE, "logistic curve of the days of silence alone", lambda _seed: RecencyModel()),
    Candidate("logistic", "logistic regression on all features", lambda _seed: LogisticModel()),
    Candidate("boosting", "gradient boosting on all features", lambda seed: BoostingModel(seed=seed)),
)


def outcomes(training: pl.DataFrame) -> Outcomes:
    """`is_active` as 1.0 and 0.0."""
    return training["is_active"].cast(pl.Float64).to_numpy()


def bounded(probability: npt.ArrayLike) -> Probabilities:
    """Probabilities kept a millionth away from 0 and 1."""
    return np.clip(np.asarray(probability, dtype=np.float64), SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)


def smoothed_rate(outcome: Outcomes) -> float:
    """Mean outcome under a Beta(1/2, 1/2) prior: inside (0, 1) even when every outcome is the same."""
    return float((outcome.sum() + 0.5) / (len(outcome) + 1))


def _fit_logistic(design: npt.NDArray[np.float64], outcome: Outcomes) -> Predictor:
    from sklearn.linear_model import LogisticRegression

    if not _has_both_classes(outcome) or design.shape[1] == 0:
        rate = smoothed_rate(outcome)
        return lambda rows: np.full(len(rows), rate)
    model = LogisticRegression(C=1.0, max_iter=1000).fit(design, outcome)
    slopes, intercept = np.asarray(model.coef_[0]), float(model.intercept_[0])
    return lambda rows: bounded(1 / (1 + np.exp(-np.clip(rows @ slopes + intercept, -30, 30))))


def _has_both_classes(outcome: Outcomes) -> bool:
    return 0 < float(outcome.sum()) < len(outcome)


def _threads_for(n_rows: int) -> AbstractContextManager[Any]:
    """One thread for few rows: on busy cores, threads spin while they wait. The answer is the same to the bit."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    limited: AbstractContextManager[Any] = threadpool_limits(
        limits=1 if n_rows < FEWEST_ROWS_FOR_THREADS else None, user_api="openmp"
    )
    return limited


def _log_silence(frame: pl.DataFrame) -> npt.NDArray[np.float64]:
    silence: npt.NDArray[np.float64] = frame["silence_days"].cast(pl.Float64).fill_null(0).to_numpy()
    return np.log1p(silence)


def _signed_log(matrix: Matrix) -> npt.NDArray[np.float64]:
    wide = matrix.astype(np.float64)
    return np.sign(wide) * np.log1p(np.abs(wide))


def _deviance(outcome: Outcomes, probability: Probabilities) -> float:
    chosen = np.where(outcome == 1, probability, 1 - probability)
    return float(-2 * np.log(chosen).sum())
