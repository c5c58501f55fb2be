"""One arm of an experiment beside its baseline: where both stand in the moments, and how far intervals must reach."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dagster_project.outcomes.effects import Effects, compare_arms
from dagster_project.outcomes.looks import looked_at
from dagster_project.outcomes.moments import OUTCOME, Moments
from dagster_project.outcomes.vocabulary import Metric

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Compared:
    """One arm against the baseline. `bound`, `method`, `fraction` (of the planned users) are per horizon.

    `treated` and `control` are the places of both arms in the moments.
    """

    arm: str
    baseline: str
    treated: int
    control: int
    bound: Floats
    method: npt.NDArray[np.str_]
    fraction: Floats

    def effects(self, moments: Moments, metric: Metric, *, amounts: Metric | None = None) -> Effects:
        """Of every slice and horizon. `amounts`: the metric whose outcomes are those of a derived one."""
        base = moments.own_base.get(metric.name, moments.base)
        of, counted = moments.of[metric.name], moments.of[(amounts or metric).name][..., OUTCOME.index("n")]
        return compare_arms(
            base[self.treated],
            of[self.treated],
            base[self.control],
            of[self.control],
            is_binary=metric.kind == "after",
            is_adjusted=moments.is_adjusted,
            n_amounts=(counted[self.treated], counted[self.control]) if metric.kind in ("sum", "mean") else None,
        )


def compared_arms(moments: Moments, *, arm: str, baseline: str, n_planned: int | None) -> Compared:
    """The two arms, and how many standard errors an interval reaches at each horizon, by the users who entered.

    Without a plan yet nothing may be concluded: the bound is that of a look before the first.
    """
    treated, control = moments.arms.index(arm), moments.arms.index(baseline)
    entered = moments.base[treated, 0, :, 0] + moments.base[control, 0, :, 0]
    fraction = entered / n_planned if n_planned else np.zeros_like(entered)
    bound, method = looked_at(fraction)
    return Compared(arm, baseline, treated, control, bound, method, fraction)
