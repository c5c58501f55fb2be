"""The winner made ready to ship: refitted on everything, corrected on the newest window, given intervals."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from dagster_project.models.activity import ActivityModel, Probabilities, bounded, outcomes, smoothed_rate
from dagster_project.models.cutoffs import newest_cutoff
from dagster_project.models.features import sample_rows, stable_hash
from dagster_project.models.metrics import wilson_interval

N_FOLDS = 3
RECALIBRATION_STRENGTH = 0.5  # METHODS: half of the newest window's shift forecasts better than all or none
LARGEST_SHIFT = 2.0  # log-odds; more than this in one window is a fault in the data, not a drift
ROWS_PER_SCORE_BIN = 100
MOST_SCORE_BINS = 20
FEWEST_LAPSED_ROWS = 200

Builder = Callable[[], ActivityModel]


@dataclass(frozen=True)
class ScoredOutcomes:
    """Probabilities given to rows whose outcome is known, by a model that had not seen these users."""

    probability: Probabilities
    outcome: npt.NDArray[np.float64]


@dataclass(frozen=True)
class ShippedModel:
    """A fitted model, the log-odds added to all it says, and the rows that its intervals rest on."""

    model: ActivityModel
    shift: float
    calibration: ScoredOutcomes

    def predict(self, features: pl.DataFrame) -> Probabilities:
        """P(active in the next H days) per row, recalibrated."""
        return shift_log_odds(self.model.predict(features), by=self.shift)


def fit_shipped(training: pl.DataFrame, *, build: Builder, max_rows: int, seed: int) -> ShippedModel:
    """Refit on all cutoffs; correct by half the log-odds shift seen on the newest closed window.

    The shift is measured out of fold: users are split in three by a hash, and each third's newest
    rows are scored by a model that saw none of these users at any cutoff. So no row corrects a model
    that has learned it. The interval rows are the lapsed among them when there are 200, else all.
    """
    newest = training.filter(pl.col("cutoff") == newest_cutoff(training)).sort("user_id")
    unseen = _out_of_fold(training, newest, build=build, max_rows=max_rows, seed=seed)
    shift = RECALIBRATION_STRENGTH * intercept_shift(outcomes(newest), unseen)
    lapsed = newest["is_lapsed"].fill_null(False).to_numpy()
    kept = lapsed if lapsed.sum() >= FEWEST_LAPSED_ROWS else np.ones(newest.height, dtype=np.bool_)
    return ShippedModel(
        model=build().fit(sample_rows(training, max_rows=max_rows, seed=seed)),
        shift=shift,
        calibration=ScoredOutcomes(shift_log_odds(unseen, by=shift)[kept], outcomes(newest)[kept]),
    )


def intercept_shift(outcome: npt.NDArray[np.float64], probability: Probabilities) -> float:
    """The log-odds which, added to every probability, make their mean the observed rate; within ±2."""
    observed = smoothed_rate(outcome)
    low, high = -LARGEST_SHIFT, LARGEST_SHIFT
    for _ in range(40):  # halving 4 log-odds 40 times leaves 4e-12
        middle = (low + high) / 2
        if shift_log_odds(probability, by=middle).mean() < observed:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def shift_log_odds(probability: Probabilities, *, by: float) -> Probabilities:
    """The probabilities with `by` added to their log-odds; order is kept."""
    odds = probability / (1 - probability) * np.exp(by)
    return bounded(odds / (1 + odds))


def return_intervals(probability: Probabilities, *, seen: ScoredOutcomes) -> tuple[Probabilities, Probabilities]:
    """(low, high) per probability: Wilson's 95 % interval of the return rate seen at similar scores.

    Similar: the same of at most 20 bins holding about 100 known outcomes each. Widened where needed
    to hold the probability itself. It says how sure the rate of *such users* is, never whether this
    user returns. Without known outcomes it is 0 to 1.
    """
    n_bins = max(1, min(MOST_SCORE_BINS, len(seen.outcome) // ROWS_PER_SCORE_BIN))
    edges = _inner_edges(seen.probability, n_bins=n_bins)
    known_bin = np.searchsorted(edges, seen.probability, side="right")
    n_trials = np.bincount(known_bin, minlength=n_bins).astype(np.float64)
    n_returned = np.bincount(known_bin, seen.outcome, minlength=n_bins).astype(np.float64)
    low, high = wilson_interval(n_returned, n_trials)
    own_bin = np.searchsorted(edges, probability, side="right")
    return np.minimum(low[own_bin], probability), np.maximum(high[own_bin], probability)


def _out_of_fold(
    training: pl.DataFrame, newest: pl.DataFrame, *, build: Builder, max_rows: int, seed: int
) -> Probabilities:
    fold_of_training = stable_hash(training["user_id"], seed=seed) % N_FOLDS
    fold_of_newest = stable_hash(newest["user_id"], seed=seed) % N_FOLDS
    probability = np.zeros(newest.height)
    for fold in range(N_FOLDS):
        judged = fold_of_newest == fold
        others = training.filter(fold_of_training != fold)
        if judged.any():
            model = build().fit(sample_rows(others, max_rows=max_rows, seed=seed))
            probability[judged] = model.predict(newest.filter(judged))
    return probability


def _inner_edges(probability: Probabilities, *, n_bins: int) -> npt.NDArray[np.float64]:
    if n_bins == 1:
        return np.empty(0)
    return np.quantile(probability, np.linspace(0, 1, n_bins + 1)[1:-1])
