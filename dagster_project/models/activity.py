"""What a model of next-window activity is, and the two plain ones: recency alone, and logistic regression.

`candidates` lists all of them. Judging them is `evaluation`'s work, correcting and shipping the winner `calibration`'s.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from dagster_project.errors import WinbackError
from dagster_project.models.features import Matrix, to_matrix, usable_features

Probabilities = npt.NDArray[np.float64]
Outcomes = npt.NDArray[np.float64]
Predictor = Callable[[npt.NDArray[np.float64]], Probabilities]

BASELINE = "recency"  # the candidate that every other must beat
SMALLEST_PROBABILITY = 1e-6  # nobody is certain: keeps logits and log-losses finite


class CandidateError(WinbackError):
    """A candidate cannot be fitted to these rows. The others can: it is named and left out, the night goes on."""


@dataclass(frozen=True)
class FitSetup:
    """What a candidate is told before it sees a row."""

    seed: int
    horizon_days: int


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

    Unknown values take the training median, and a flag where training had unknowns. Values beyond
    those seen in training count as the nearest seen: a tenure that only grows must not carry a straight
    line to where nobody has been.
    """

    def fit(self, training: pl.DataFrame) -> Self:
        """Fit on the features that vary in these rows."""
        self._columns = usable_features(training)
        logs = _signed_log(to_matrix(training, self._columns))
        self._medians, self._lowest, self._highest = (of(logs, axis=0) for of in (np.nanmedian, np.nanmin, np.nanmax))
        self._has_unknowns = np.isnan(logs).any(axis=0)
        design = self._design(logs)
        self._centre, spread = design.mean(axis=0), design.std(axis=0)
        self._scale = np.where(spread > 0, spread, 1.0)
        self._predictor = _fit_logistic((design - self._centre) / self._scale, outcomes(training))
        return self

    def predict(self, features: pl.DataFrame) -> Probabilities:
        """Probabilities by the training rows' scale and medians."""
        logs = _signed_log(to_matrix(features, self._columns))
        design = self._design(np.clip(logs, self._lowest, self._highest))
        return self._predictor((design - self._centre) / self._scale)

    def _design(self, logs: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        unknown = np.isnan(logs)
        return np.column_stack([np.where(unknown, self._medians, logs), unknown[:, self._has_unknowns]])


def outcomes(training: pl.DataFrame) -> Outcomes:
    """`is_active` as 1.0 and 0.0."""
    return training["is_active"].cast(pl.Float64).to_numpy()


def bounded(probability: npt.ArrayLike) -> Probabilities:
    """Probabilities kept a millionth away from 0 and 1."""
    return np.clip(np.asarray(probability, dtype=np.float64), SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)


def smoothed_rate(outcome: Outcomes) -> float:
    """Mean outcome under a Beta(1/2, 1/2) prior: inside (0, 1) even when every outcome is the same."""
    return float((outcome.sum() + 0.5) / (len(outcome) + 1))


def log_odds(probability: Probabilities) -> npt.NDArray[np.float64]:
    """ln(p / (1 - p))."""
    return np.log(probability) - np.log1p(-probability)


@dataclass(frozen=True)
class _LogisticCurve:
    """A fitted logistic regression; a class, not a closure, so that a kept model can be stored."""

    slopes: npt.NDArray[np.float64]
    intercept: float

    def __call__(self, rows: npt.NDArray[np.float64]) -> Probabilities:
        return bounded(1 / (1 + np.exp(-np.clip(rows @ self.slopes + self.intercept, -30, 30))))


def _fit_logistic(design: npt.NDArray[np.float64], outcome: Outcomes) -> Predictor:
    from sklearn.linear_model import LogisticRegression

    if not has_both_classes(outcome) or design.shape[1] == 0:
        rate = smoothed_rate(outcome)
        return _LogisticCurve(np.zeros(design.shape[1]), float(np.log(rate / (1 - rate))))
    model = LogisticRegression(C=1.0, max_iter=1000).fit(design, outcome)
    return _LogisticCurve(np.asarray(model.coef_[0]), float(model.intercept_[0]))


def has_both_classes(outcome: Outcomes) -> bool:
    """Whether some were active and some were not."""
    return 0 < float(outcome.sum()) < len(outcome)


def _log_silence(frame: pl.DataFrame) -> npt.NDArray[np.float64]:
    silence: npt.NDArray[np.float64] = frame["silence_days"].cast(pl.Float64).fill_null(0).to_numpy()
    return np.log1p(silence)


def _signed_log(matrix: Matrix) -> npt.NDArray[np.float64]:
    wide = matrix.astype(np.float64)
    return np.sign(wide) * np.log1p(np.abs(wide))


def _deviance(outcome: Outcomes, probability: Probabilities) -> float:
    chosen = np.where(outcome == 1, probability, 1 - probability)
    return float(-2 * np.log(chosen).sum())
