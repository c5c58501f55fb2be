"""The winner made ready to ship: refitted on everything, corrected on the newest window, given intervals."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from dagster_project.intervals import wilson_interval
from dagster_project.models import metrics
from dagster_project.models.activity import ActivityModel, Probabilities, bounded, outcomes, smoothed_rate
from dagster_project.models.cutoffs import newest_cutoff, split_out_of_time
from dagster_project.models.features import sample_rows, stable_hash

N_FOLDS = 2
MAX_FOLD_ROWS = 10_000  # a mean shift needs no more, and the folds are fitted twice over
RECALIBRATION_STRENGTH = 0.5  # METHODS: half of the newest window's shift forecasts better than all or none
LEAST_GAIN = 0.0005  # of log-loss, before a shift is believed to help
LARGEST_SHIFT = 2.0  # log-odds; more than this in one window is a fault in the data, not a drift
NEIGHBOURS = 200  # a Wilson interval of about ±.04 at a return rate of a tenth
FEWEST_LAPSED_ROWS = 200

Builder = Callable[[], ActivityModel]
Recalibration = Literal["none", "all", "by_lapse"]


@dataclass(frozen=True)
class ScoredOutcomes:
    """Probabilities given to rows whose outcome is known, by a model that had not seen these users."""

    probability: Probabilities
    outcome: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Shifts:
    """Log-odds to add: to rows that are not lapsed, and to the lapsed."""

    others: float = 0.0
    lapsed: float = 0.0

    def apply(self, probability: Probabilities, rows: pl.DataFrame) -> Probabilities:
        """The probabilities of `rows`, shifted by their lapse."""
        by = np.where(rows["is_lapsed"].fill_null(False).to_numpy(), self.lapsed, self.others)
        return shift_log_odds(probability, by=by)


@dataclass(frozen=True)
class Rehearsal:
    """What recalibration would have done at the newest cutoff, had it been the night.

    `probability`: of the judged rows, after the way that was chosen. `was_possible`: there was an older closed
    window of another cutoff to shift by; without one the way is "none".
    """

    way: Recalibration
    probability: Probabilities
    was_possible: bool


@dataclass(frozen=True)
class ShippedModel:
    """A fitted model, the log-odds added to all it says, and the rows that its intervals rest on."""

    model: ActivityModel
    shift: Shifts
    calibration: ScoredOutcomes

    def predict(self, features: pl.DataFrame) -> Probabilities:
        """P(active in the next H days) per row, recalibrated."""
        return self.shift.apply(self.model.predict(features), features)


def rehearse(
    training: pl.DataFrame,
    test: pl.DataFrame,
    probability: Probabilities,
    *,
    build: Builder,
    horizon_days: int,
    seed: int,
) -> Rehearsal:
    """Choose the way to recalibrate by what it would have done at the newest cutoff.

    `probability`: what the model of `build`, fitted on the rows that `split_out_of_time` leaves to learn from,
    says of `test`. Its shift on the newest of those windows, one for all or one for the lapsed and one for the rest,
    is applied to `test`; a way is chosen when it saves .0005 of log-loss there. On four real logs no way of
    shifting a model that had learned the newest window saved more than that, and one lost .012: a summer's
    shift says nothing of Christmas.
    """
    learn, _ = split_out_of_time(training, horizon_days=horizon_days)
    if learn["cutoff"].n_unique() < 2:
        return Rehearsal("none", probability, was_possible=False)
    newest, unseen = out_of_fold(learn, build=build, seed=seed)
    outcome = outcomes(test)
    tried: dict[Recalibration, Probabilities] = {
        way: measured_shifts(newest, unseen, way=way).apply(probability, test) for way in ("all", "by_lapse")
    }
    loss = {way: float(metrics.log_losses(outcome, shifted).mean()) for way, shifted in tried.items()}
    best = min(tried, key=lambda way: (loss[way], way))
    if loss[best] > float(metrics.log_losses(outcome, probability).mean()) - LEAST_GAIN:
        return Rehearsal("none", probability, was_possible=True)
    return Rehearsal(best, tried[best], was_possible=True)


def fit_shipped(
    training: pl.DataFrame, *, build: Builder, max_rows: int, seed: int, way: Recalibration = "all"
) -> ShippedModel:
    """Refit on all cutoffs; correct by half the log-odds shift seen on the newest closed window.

    The shift is measured out of fold: users are split in two by a hash, and each half's newest rows are
    scored by a model that saw none of these users at any cutoff. So no row corrects a model that has
    learned it. `way`: one shift for all, one for the lapsed and one for the rest, or none. The interval
    rows are the lapsed among the newest when there are 200, else all.
    """
    newest, unseen = out_of_fold(training, build=build, seed=seed)
    shift = measured_shifts(newest, unseen, way=way)
    lapsed = newest["is_lapsed"].fill_null(False).to_numpy()
    kept = lapsed if lapsed.sum() >= FEWEST_LAPSED_ROWS else np.ones(newest.height, dtype=np.bool_)
    return ShippedModel(
        model=build().fit(sample_rows(training, max_rows=max_rows, seed=seed)),
        shift=shift,
        calibration=ScoredOutcomes(shift.apply(unseen, newest)[kept], outcomes(newest)[kept]),
    )


def measured_shifts(newest: pl.DataFrame, unseen: Probabilities, *, way: Recalibration) -> Shifts:
    """Half the shift that brings `unseen` to the outcomes of `newest`; a group under 200 rows takes that of all."""
    if way == "none":
        return Shifts()
    outcome, lapsed = outcomes(newest), newest["is_lapsed"].fill_null(False).to_numpy()
    of_all = RECALIBRATION_STRENGTH * intercept_shift(outcome, unseen)

    def of_group(group: npt.NDArray[np.bool_]) -> float:
        if way == "all" or group.sum() < FEWEST_LAPSED_ROWS:
            return of_all
        return RECALIBRATION_STRENGTH * intercept_shift(outcome[group], unseen[group])

    return Shifts(others=of_group(~lapsed), lapsed=of_group(lapsed))


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


def shift_log_odds(probability: Probabilities, *, by: float | npt.NDArray[np.float64]) -> Probabilities:
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


def out_of_fold(training: pl.DataFrame, *, build: Builder, seed: int) -> tuple[pl.DataFrame, Probabilities]:
    """(rows of the newest cutoff, sorted by user_id; what models that saw none of their users say of them)."""
    newest = training.filter(pl.col("cutoff") == newest_cutoff(training)).sort("user_id")
    fold_of_training = stable_hash(training["user_id"], seed=seed) % N_FOLDS
    fold_of_newest = stable_hash(newest["user_id"], seed=seed) % N_FOLDS
    probability = np.zeros(newest.height)
    for fold in range(N_FOLDS):
        judged = fold_of_newest == fold
        others = training.filter(fold_of_training != fold)
        if judged.any():
            model = build().fit(sample_rows(others, max_rows=MAX_FOLD_ROWS, seed=seed))
            probability[judged] = model.predict(newest.filter(judged))
    return newest, probability
