"""When the lapsed come back, if they do: curves and dates from a clock of all of them, or from each one's own hazard.

How many come back is `p_return`'s matter; here it is spread over the days. On every curve
P(back by day t) = 1 - (1 - p_return) ** (hazard(t) / hazard(H)): it meets p_return at H, never falls, never passes 1.
"""

from typing import Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from dagster_project.models.hazard import HazardModel
from dagster_project.models.survival import ReturnClock

Floats = npt.NDArray[np.float64]
Days = npt.NDArray[np.int64]


class Timing(Protocol):
    """Cumulative hazards as shares of that at the horizon, for users in a fixed order."""

    @property
    def last_day(self) -> int:
        """Up to which the shares are known; at least the horizon."""
        ...

    def share(self, day: int) -> Floats:
        """hazard(day) / hazard(H): one number per user, or one for all."""
        ...

    def first_day(self, share: Floats) -> Days:
        """The first whole day, 1 to H, on which each user's share reaches the one given."""
        ...


class SharedTiming:
    """One clock for everybody: that of a Cox model or of Kaplan-Meier."""

    def __init__(self, clock: ReturnClock, *, horizon_days: int) -> None:
        self._horizon_days = horizon_days
        self._share: Floats = clock.cumulative_hazard / clock.cumulative_hazard[horizon_days]

    @property
    def last_day(self) -> int:
        """The end of the clock."""
        return len(self._share) - 1

    def share(self, day: int) -> Floats:
        """The clock at that day."""
        return self._share[day : day + 1]

    def first_day(self, share: Floats) -> Days:
        """By looking the share up in the clock."""
        reached = np.searchsorted(self._share[1 : self._horizon_days + 1], share - 1e-12, side="left") + 1
        return np.minimum(reached, self._horizon_days).astype(np.int64)


class OwnTiming:
    """Each user's own hazard, steady within each step of the model."""

    def __init__(self, model: HazardModel, users: pl.DataFrame, *, horizon_days: int) -> None:
        self._days = np.array([0, *model.ends_days], dtype=np.float64)
        hazard = model.cumulative_hazard(users)
        at_horizon = int(np.searchsorted(self._days, horizon_days))
        self._horizon_days = horizon_days
        self._shares: Floats = hazard / hazard[:, at_horizon : at_horizon + 1]
        self._n_before = at_horizon

    @property
    def last_day(self) -> int:
        """The end of the last step."""
        return int(self._days[-1])

    def share(self, day: int) -> Floats:
        """Between the ends of the step that holds the day."""
        step = min(int(np.searchsorted(self._days, day, side="left")), len(self._days) - 1)
        if step == 0:
            return np.zeros(len(self._shares))
        start, end = self._days[step - 1], self._days[step]
        within = (day - start) / (end - start)
        return np.asarray(self._shares[:, step - 1] * (1 - within) + self._shares[:, step] * within)

    def first_day(self, share: Floats) -> Days:
        """By solving the step in which the share is reached."""
        reached = (self._shares[:, : self._n_before + 1] < share[:, None] - 1e-12).sum(axis=1)
        step = np.clip(reached, 1, self._n_before)
        users = np.arange(len(self._shares))
        low, high = self._shares[users, step - 1], self._shares[users, step]
        within = np.clip((share - low) / np.maximum(high - low, 1e-300), 0, 1)
        day = self._days[step - 1] + within * (self._days[step] - self._days[step - 1])
        days: Days = np.clip(np.ceil(day - 1e-9), 1, self._horizon_days).astype(np.int64)
        return days


def return_curves(timing: Timing, candidates: pl.DataFrame, *, days: tuple[int, ...]) -> pl.DataFrame:
    """P(returned by day) per row of `candidates` (user_sk, user_id, p_return) × day, sorted by user_id, day.

    `candidates` must stand in the timing's order of users. Days that the timing does not reach are left out.
    """
    users = candidates.select("user_sk", "user_id")
    stays = 1 - candidates["p_return"].to_numpy()
    curves = [users.with_columns(day=pl.lit(0, dtype=pl.Int64), p_returned=pl.lit(0.0)).clear()]
    for day in sorted(day for day in days if day <= timing.last_day):
        returned = 1 - stays ** timing.share(day)
        curves.append(
            users.with_columns(day=pl.lit(day, dtype=pl.Int64), p_returned=pl.Series(returned, dtype=pl.Float64))
        )
    return pl.concat(curves).sort("user_id", "day")


def return_days(timing: Timing, p_return: Floats, *, part: float) -> Days:
    """First whole day, 1 to H, by which `part` of `p_return` is reached on each user's curve."""
    with np.errstate(divide="ignore", invalid="ignore"):
        wanted = np.log1p(-part * p_return) / np.log1p(-p_return)
    return timing.first_day(np.where(np.isfinite(wanted), wanted, part))  # p_return 0: the limit of the ratio
