"""The winner made ready to ship: refitted on everything, corrected on the newest window, given intervals."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from dagster_project.intervals import wilson_interval
from dagster_project.models.activity import ActivityModel, Probabilities, bounded, outcomes, smoothed_rate
from dagster_project.models.cutoffs import newest_cutoff
from dagster_project.models.features import sample_rows, stable_hash

N_FOLDS = 3
RECALIBRATION_STRENGTH = 0.5  # METHODS: half of the newest window's shift forecasts better than all or none
LARGEST_SHIFT = 2.0  # log-odds; more than this in one window is a fault in the data, not a drift
NEIGHBOURS = 200  # a Wilson interval of about ±.04 at a return rate of a tenth
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
    """(low, high) per probability: Wilson's 95 % interval of the return rate of the users scored nearest to it.

    Nearest: the 200 known outcomes around its place in the order of scores, all of them where there are fewer.
    Widened where needed to hold the probability itself. It says how sure the rate of *such users* is, never
    whether this user returns. Without known outcomes it is 0 to 1.
    """
    order = np.argsort(seen.probability, kind="stable")
    n_known = len(order)
    n_near = min(NEIGHBOURS, n_known)
    returned_so_far = np.concatenate([[0.0], np.cumsum(seen.outcome[order])])
    known = seen.probability[order]
    place = (np.searchsorted(known, probability, "left") + np.searchsorted(known, probability, "right")) // 2
    first = np.clip(place - n_near // 2, 0, n_known - n_near)
    n_returned = returned_so_far[first + n_near] - returned_so_far[first]
    low, high = wilson_interval(n_returned, np.full(len(probability), float(n_near)))
    return np.minimum(low, probability), np.maximum(high, probability)


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
