"""From a score to an effect in probability: the best straight line through honest effects, and who is harmed.

Source: the best linear predictor of Chernozhukov, Demirer, Duflo, Fernández-Val 2018; its slope tests heterogeneity.
"""

from dataclasses import dataclass

import numpy as np

from dagster_project.models.uplift.figures import Figure, quantile_of_normal
from dagster_project.models.uplift.trials import Floats, Ints, Trial

LEAST_ASLEEP = 200  # rows: of fewer, an effect of ten points is no more than noise


@dataclass(frozen=True)
class Line:
    """effect = level + slope × (score − centre), with the covariance of level and slope."""

    centre: float
    level: float
    slope: float
    covariance: Floats

    def effect(self, score: Floats) -> Floats:
        """The calibrated effect. A slope below zero counts as none: the score then knows nothing."""
        return np.asarray(self.level + max(self.slope, 0.0) * (score - self.centre))

    def sd(self, score: Floats, *, score_sd: Floats) -> Floats:
        """Its standard error, that of the score itself included."""
        away = score - self.centre
        line = self.covariance[0, 0] + 2 * away * self.covariance[0, 1] + away**2 * self.covariance[1, 1]
        return np.asarray(np.sqrt(np.maximum(line, 0.0) + (self.slope * score_sd) ** 2))

    def slope_figure(self, *, confidence: float) -> Figure:
        """The slope: above zero, the score tells effects apart; 1, it needs no shrinking."""
        half = quantile_of_normal(confidence) * float(np.sqrt(self.covariance[1, 1]))
        return Figure(self.slope, self.slope - half, self.slope + half)


@dataclass(frozen=True)
class SleepingDogs:
    """Users whom contact is predicted to keep away: their share, and the effect that was measured among them."""

    share: float
    effect: Figure | None

    @property
    def is_established(self) -> bool:
        """Whether the measured effect lies below zero with its whole interval."""
        return self.effect is not None and self.effect.is_negative


def best_line(score: Floats, effects: Floats, *, person: Ints, fade: Floats | None = None) -> Line:
    """Least squares of effects on out-of-fold scores, rows as they fade; errors robust, by persons.

    A constant score gives the mean.
    """
    weight = np.ones(len(score)) if fade is None else fade
    weight = weight / weight.sum()
    centre = float(weight @ score)
    spread = float(weight @ (score - centre) ** 2)
    slope = float((weight * (score - centre)) @ effects / spread) if spread > 0 else 0.0
    level = float(weight @ effects)
    error = weight * (effects - level - slope * (score - centre))
    pulls = np.column_stack([error, error * (score - centre) / spread if spread > 0 else 0 * error])
    _, place = np.unique(person, return_inverse=True)
    by_person = np.column_stack([np.bincount(place, one) for one in pulls.T])
    return Line(centre, level, slope, np.asarray(by_person.T @ by_person, dtype=np.float64))


def out_of_fold_effects(score: Floats, effects: Floats, *, fold: Ints, person: Ints, fade: Floats) -> Floats:
    """The calibrated effect of each row, by the line of the other folds."""
    found = np.empty(len(score))
    for k in np.unique(fold):
        others = fold != k
        line = best_line(score[others], effects[others], person=person[others], fade=fade[others])
        found[fold == k] = line.effect(score[fold == k])
    return found


def sleeping_dogs(predicted: Floats, effects: Floats, trial: Trial, *, confidence: float) -> SleepingDogs:
    """Who is predicted an effect below zero, and what was measured of them. `predicted` must be out of fold.

    Of fewer than LEAST_ASLEEP rows nothing is measured.
    """
    asleep = predicted < 0
    if asleep.sum() < LEAST_ASLEEP:
        return SleepingDogs(float(asleep.mean()), None)
    measured = mean_effect(effects[asleep], trial.person[asleep], confidence=confidence, fade=trial.fade[asleep])
    return SleepingDogs(float(asleep.mean()), measured)


def mean_effect(effects: Floats, person: Ints, *, confidence: float, fade: Floats | None = None) -> Figure:
    """The mean of honest effects, rows as they fade, with its interval; rows of one person are counted together."""
    weight = np.ones(len(effects)) if fade is None else fade
    weight = weight / weight.sum()
    mean = float(weight @ effects)
    _, place = np.unique(person, return_inverse=True)
    pulled = np.bincount(place, weight * (effects - mean))
    half = quantile_of_normal(confidence) * float(np.sqrt((pulled**2).sum()))
    return Figure(mean, mean - half, mean + half)
