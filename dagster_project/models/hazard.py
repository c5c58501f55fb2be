"""A discrete-time hazard: the chance of the first core event in each of a few widening steps after a cutoff.

It gives P(active within any t), so one model serves the score at H and the shape of each user's return curve.
"""

from itertools import pairwise
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from dagster_project.models.activity import FitSetup, Probabilities, bounded, has_both_classes, outcomes, smoothed_rate
from dagster_project.models.boosting import booster, in_passes
from dagster_project.models.features import Matrix, sample_rows, to_matrix, usable_features
from dagster_project.models.threads import threads_for

Floats = npt.NDArray[np.float64]

STEP_ENDS_DAYS = (14, 28, 56, 91, 182)  # the horizon is always one; steps below a tenth of it are merged into it
MAX_PERIODS = 150_000  # person-period rows: 400,000 moved no log-loss by .0005 and took three times as long
FEWEST_PERIODS = 500  # of a step beyond the horizon, before it is believed
NEVER = 2**30


class HazardModel:
    """Gradient boosting on person-period rows: one per snapshot and step that it entered without a core event.

    A row holds the features of the cutoff, with silence and tenure as they are when the step begins, the days since
    the cutoff and the log of the step's width. Only steps that were watched to their end are rows.
    Method: Singer & Willett 1993, the logit link replaced by trees.
    """

    def __init__(self, setup: FitSetup) -> None:
        self._setup = setup

    def fit(self, training: pl.DataFrame) -> Self:
        """Needs `next_active_in_days` and `follow_up_days` (null = just the horizon) beside `is_active`."""
        followed = with_follow_up(training, horizon_days=self._setup.horizon_days)
        self.ends_days = step_ends(followed, horizon_days=self._setup.horizon_days)
        self._columns = usable_features(training)
        outcome = outcomes(training)
        self._rate = smoothed_rate(outcome)
        self._model: Any = None
        if has_both_classes(outcome):
            n_periods = sum(_in_step(followed, *step).height for step in self._steps())
            share = min(1.0, MAX_PERIODS / max(1, n_periods))
            self._fit_periods(sample_rows(followed, max_rows=int(followed.height * share), seed=self._setup.seed))
        return self

    def predict(self, features: pl.DataFrame) -> Probabilities:
        """P(a core event within the horizon): 1 - Π (1 - h) over its steps."""
        return bounded(-np.expm1(-self.cumulative_hazard(features, until_days=self._setup.horizon_days)[:, -1]))

    def cumulative_hazard(self, features: pl.DataFrame, *, until_days: int | None = None) -> Floats:
        """Rows × (1 + steps): the cumulative hazard at day 0 (nil) and at each of `ends_days`, never falling."""
        steps = [step for step in self._steps() if until_days is None or step[1] <= until_days]
        if self._model is None or features.is_empty():
            pace = -np.log1p(-self._rate) / self._setup.horizon_days
            ends = np.array([0, *(end for _, end in steps)])
            return np.tile(pace * ends, (features.height, 1)).astype(np.float64)
        matrix = to_matrix(features, self._columns)
        chances = [in_passes(self._model.predict_proba, self._period_matrix(matrix, step))[:, 1] for step in steps]
        hazards = -np.log1p(-bounded(np.column_stack(chances)))
        return np.column_stack([np.zeros(features.height), np.cumsum(hazards, axis=1)])

    def _steps(self) -> list[tuple[int, int]]:
        return list(pairwise((0, *self.ends_days)))

    def _fit_periods(self, followed: pl.DataFrame) -> None:
        matrices, events = [], []
        for step in self._steps():
            rows = _in_step(followed, *step)
            matrices.append(self._period_matrix(to_matrix(rows, self._columns), step))
            events.append((rows["next_active_in_days"] <= step[1]).to_numpy())
        with threads_for(sum(len(rows) for rows in events)):
            self._model = booster(seed=self._setup.seed).fit(np.vstack(matrices), np.concatenate(events))

    def _period_matrix(self, matrix: Matrix, step: tuple[int, int]) -> Matrix:
        start, end = step
        place = {name: i for i, name in enumerate(self._columns)}
        rolled = matrix.copy()
        for name in ("silence_days", "tenure_days"):
            if name in place:
                rolled[:, place[name]] += start
        if {"silence_days", "tenure_days", "recency_share"} <= place.keys():
            tenure = np.maximum(rolled[:, place["tenure_days"]], 1)
            rolled[:, place["recency_share"]] = rolled[:, place["silence_days"]] / tenure
        clock = np.tile(np.array([start, np.log(end - start)], dtype=np.float32), (len(matrix), 1))
        return np.column_stack([rolled, clock])


def with_follow_up(training: pl.DataFrame, *, horizon_days: int) -> pl.DataFrame:
    """`training` with whole follow-ups: unknown ones last a horizon, and no event seen becomes a day out of reach."""
    return training.with_columns(
        pl.col("follow_up_days").fill_null(horizon_days).cast(pl.Int64),
        pl.col("next_active_in_days").fill_null(NEVER).cast(pl.Int64),
    )


def step_ends(followed: pl.DataFrame, *, horizon_days: int) -> tuple[int, ...]:
    """The ends of the steps, in days: up to the horizon, and beyond it as far as enough rows were watched."""
    before = [end for end in STEP_ENDS_DAYS if end < 0.9 * horizon_days]
    after = [
        end
        for end in STEP_ENDS_DAYS
        if end > 1.1 * horizon_days and _in_step(followed, horizon_days, end).height >= FEWEST_PERIODS
    ]
    return (*before, horizon_days, *after)


def _in_step(followed: pl.DataFrame, start: int, end: int) -> pl.DataFrame:
    return followed.filter((pl.col("follow_up_days") >= end) & (pl.col("next_active_in_days") > start))
