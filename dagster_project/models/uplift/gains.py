"""What contacting by a ranking causes beyond contacting anybody, with bootstrap errors of persons.

Effects here are doubly robust estimates per row (`nuisances.pseudo_effects`): every figure is an honest policy value
by scores and regressions that have not seen the outcome of the row.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dagster_project.models.uplift.figures import Figure, quantile_of_normal
from dagster_project.models.uplift.metrics import BUDGETS, N_RESAMPLES, PER, places
from dagster_project.models.uplift.trials import Floats, Ints, Trial, resampled_rows


@dataclass(frozen=True)
class Gains:
    """The policy value of each ranking (see `ranked_value`), and the same in every bootstrap sample of persons."""

    values: Mapping[str, float]
    samples: Mapping[str, Floats]

    def of(self, name: str, *, confidence: float) -> Figure:
        """The value of one ranking."""
        return self._figure(self.values[name], self.samples[name], confidence)

    def beyond(self, name: str, other: str, *, confidence: float) -> Figure:
        """How much more one ranking causes than another, on the same users."""
        return self._figure(
            self.values[name] - self.values[other], np.asarray(self.samples[name] - self.samples[other]), confidence
        )

    @staticmethod
    def _figure(value: float, samples: Floats, confidence: float) -> Figure:
        """Normal, by the bootstrap's standard error: levels far out have too few samples for percentiles."""
        half = quantile_of_normal(confidence) * float(np.std(samples, ddof=1))
        return Figure(value, value - half, value + half)


@dataclass(frozen=True)
class Repeat:
    """One deal of the rows into folds: effects per row, and the out-of-fold score per row of each ranking."""

    effects: Floats
    scores: Mapping[str, Floats]


def measured_gains(trial: Trial, repeats: list[Repeat], *, seed: int, n_resamples: int = N_RESAMPLES) -> Gains:
    """Of every ranking the mean over repeats, rows as they fade; all are resampled together, so that differences are
    paired."""
    names = sorted(repeats[0].scores)
    groups = [{name: places(repeat.scores[name]) for name in names} for repeat in repeats]

    def values(weights: Floats) -> dict[str, float]:
        return {
            name: float(
                np.mean([_value(one.effects, group[name], weights) for one, group in zip(repeats, groups, strict=True)])
            )
            for name in names
        }

    drawn = [values(rows * trial.fade) for rows in resampled_rows(trial, n_resamples=n_resamples, seed=seed)]
    samples = {name: np.array([one[name] for one in drawn]) for name in names}
    return Gains(values(trial.fade), samples)


def ranked_value(effects: Floats, score: Floats) -> float:
    """Mean over budgets of 5, 10, … 100 % of what contacting the best-scored so many causes, per 1,000 eligible.

    Equal scores share a place. A constant score is contacting anybody at the same budgets: doing the same for everyone.
    """
    return _value(effects, places(score), np.ones(len(effects)))


def _value(effects: Floats, group: Ints, weights: Floats) -> float:
    size = np.bincount(group, weights)
    mean = np.divide(np.bincount(group, weights * effects), size, out=np.zeros_like(size), where=size > 0)
    share = np.cumsum(size) / size.sum()
    return float(PER * mean @ np.diff(_budgeted(share), prepend=0.0))


def _budgeted(share: Floats) -> Floats:
    """Mean over budgets of how much of the first so many users is contacted."""
    sums = np.concatenate([[0.0], np.cumsum(BUDGETS)])
    n_below = np.searchsorted(BUDGETS, share, side="right")
    return np.asarray((sums[n_below] + (len(BUDGETS) - n_below) * share) / len(BUDGETS))
