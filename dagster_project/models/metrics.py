"""Figures that say how good probabilities are, with bootstrap intervals. Row order never settles a tie."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

N_BINS = 10
TOP_SHARE = 0.1


@dataclass(frozen=True)
class Interval:
    """Percentile bootstrap interval, 95 %; both ends null where no resample could be measured."""

    low: float | None
    high: float | None


def auc(outcome: Floats, probability: Floats) -> float | None:
    """P(a random active row scores above a random inactive one), ties half; null if one class is missing."""
    _, group = np.unique(probability, return_inverse=True)
    return _auc_of_groups(outcome, group, np.ones(len(outcome)))


def log_losses(outcome: Floats, probability: Floats) -> Floats:
    """Log-loss of each row; probabilities must lie strictly inside (0, 1)."""
    return -np.log(np.where(outcome == 1, probability, 1 - probability))


def average_precision(outcome: Floats, probability: Floats) -> float | None:
    """Mean precision over the active rows in order of score; null without an active row."""
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(outcome, probability)) if outcome.sum() else None


def equal_count_bins(probability: Floats, *, n_bins: int = N_BINS) -> npt.NDArray[np.int64]:
    """Bin number from 0 for each row, by its rank; equal probabilities share a bin (bins may be empty)."""
    share_below = (_mid_ranks(probability) - 0.5) / max(1, len(probability))
    return np.minimum((share_below * n_bins).astype(np.int64), n_bins - 1)


def calibration_error(outcome: Floats, probability: Floats) -> float | None:
    """Expected calibration error: mean |observed - predicted| over ten equal-count bins, by their size."""
    if not len(outcome):
        return None
    excess = np.bincount(equal_count_bins(probability), outcome - probability, minlength=N_BINS)
    return float(np.abs(excess).sum() / len(outcome))


def top_decile_lift(outcome: Floats, probability: Floats) -> float | None:
    """Activity rate of the highest-scored tenth ÷ that of all; null if nobody was active.

    Rows tied at the tenth's edge count in part, so the figure is an expectation over tie-breaks.
    """
    if not outcome.sum():
        return None
    wanted = max(1.0, TOP_SHARE * len(outcome))
    _, group, size = np.unique(-probability, return_inverse=True, return_counts=True)
    taken = np.clip(wanted - (np.cumsum(size) - size), 0, size)
    active = np.bincount(group, outcome)
    return float((active / size * taken).sum() / wanted / outcome.mean())


def normalised_gini(actual: Floats, predicted: Floats) -> float | None:
    """How well `predicted` orders `actual` amounts: 1 as well as can be, 0 not at all, below 0 backwards."""
    best = float(np.cov(actual, _mid_ranks(actual))[0, 1]) if len(actual) > 1 else 0.0
    if best <= 0:
        return None
    return float(np.cov(actual, _mid_ranks(predicted))[0, 1]) / best


def resample_weights(n_rows: int, *, n_resamples: int, seed: int) -> npt.NDArray[np.uint16]:
    """How often each row is drawn in each of `n_resamples` bootstrap samples; one row per resample."""
    rng = np.random.default_rng(seed)
    weights = np.zeros((n_resamples, n_rows), dtype=np.uint16)
    for i in range(n_resamples if n_rows else 0):
        weights[i] = np.bincount(rng.integers(0, n_rows, n_rows), minlength=n_rows)
    return weights


def auc_interval(outcome: Floats, probability: Floats, *, weights: npt.NDArray[np.uint16]) -> Interval:
    """Bootstrap interval of `auc`; resamples without both classes are left out."""
    _, group = np.unique(probability, return_inverse=True)
    values = (_auc_of_groups(outcome, group, drawn.astype(np.float64)) for drawn in weights)
    return _percentiles([value for value in values if value is not None])


def mean_interval(values: Floats, *, weights: npt.NDArray[np.uint16]) -> Interval:
    """Bootstrap interval of a mean, such as the log-loss."""
    return _percentiles(resampled_means(values, weights=weights).tolist())


def resampled_means(values: Floats, *, weights: npt.NDArray[np.uint16]) -> Floats:
    """The mean of `values` in each resample; empty without rows."""
    if not len(values):
        return np.empty(0)
    return np.array([drawn @ values for drawn in weights], dtype=np.float64) / len(values)


def _auc_of_groups(outcome: Floats, group: npt.NDArray[np.intp], weight: Floats) -> float | None:
    active = np.bincount(group, weight * outcome)
    inactive = np.bincount(group, weight * (1 - outcome))
    n_pairs = active.sum() * inactive.sum()
    if n_pairs == 0:
        return None
    return float((active * (np.cumsum(inactive) - inactive / 2)).sum() / n_pairs)


def _mid_ranks(values: Floats) -> Floats:
    _, group, size = np.unique(values, return_inverse=True, return_counts=True)
    mid = np.cumsum(size) - (size - 1) / 2
    return np.asarray(mid[group], dtype=np.float64)


def _percentiles(values: list[float]) -> Interval:
    if not values:
        return Interval(None, None)
    low, high = np.percentile(values, [2.5, 97.5])
    return Interval(float(low), float(high))
