"""Days and seconds of a simulated world: the busy season, the week, and the way from wall clock to UTC."""

from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dagster_project.simulate.spec import NEVER_DAY

SECONDS_PER_DAY = 86_400
EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
# Monday to Sunday; the mean is 1, so that gaps keep their length over a week.
WEEKDAY_FACTORS = (0.94, 0.92, 0.95, 0.98, 1.03, 1.12, 1.06)


class BusyClock:
    """Calendar days stretched by how busy they are.

    A gap drawn in busy days and mapped back is short in a busy season and long in a quiet one: the
    time-rescaling of a point process, exact for any intensity.
    """

    def __init__(self, *, first_on: date, n_days: int, amplitude: float) -> None:
        # Twice the world's length, so that a return just past the last day still has a date.
        days = np.arange(2 * n_days + 400)
        year_day = days + first_on.timetuple().tm_yday
        season = 1 + amplitude * np.cos(2 * np.pi * (year_day - 345) / 365.25)
        week = np.asarray(WEEKDAY_FACTORS)[(days + first_on.weekday()) % 7]
        self._days = np.append(days, days[-1] + 1).astype(np.float64)
        self._busy = np.concatenate([[0.0], np.cumsum(season * week)])

    def busy_at(self, day: NDArray[np.float64] | NDArray[np.int64]) -> NDArray[np.float64]:
        """Return busy days elapsed since the first day."""
        busy: NDArray[np.float64] = np.interp(day, self._days, self._busy)
        return busy

    def later(self, day: NDArray[np.int64], *, busy_gap: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the calendar day that lies `busy_gap` busy days after `day`: at least the next day."""
        target = self.busy_at(day) + busy_gap
        reached = np.interp(target, self._busy, self._days, right=NEVER_DAY).astype(np.int64)
        return np.maximum(reached, day + 1)


def utc_from_local(local: pl.Expr, *, timezone: str) -> pl.Expr:
    """Return naive UTC from naive wall-clock time.

    A wall-clock time that a clock change makes impossible or double is moved one hour on, so that a file
    of naive local times can be read back in one way only.
    """

    def convert(expression: pl.Expr) -> pl.Expr:
        return expression.dt.replace_time_zone(timezone, ambiguous="null", non_existent="null")

    moved = pl.coalesce(convert(local), convert(local + pl.duration(hours=1)))
    return moved.dt.convert_time_zone("UTC").dt.replace_time_zone(None)


def local_times(day: NDArray[np.int64], *, second: NDArray[np.int64], first_on: date) -> pl.Series:
    """Return naive wall-clock timestamps (microseconds) of seconds on days counted from `first_on`."""
    start = first_on.toordinal() - EPOCH_ORDINAL
    within = np.clip(second, 0, SECONDS_PER_DAY - 1)
    micros = ((day + start) * SECONDS_PER_DAY + within) * 1_000_000
    return pl.Series("at", micros, dtype=pl.Int64).cast(pl.Datetime("us"))


def dates(day: NDArray[np.int64], *, first_on: date, until_day: int = NEVER_DAY) -> pl.Series:
    """Return dates of day counts; null where the day is negative or not before `until_day`."""
    start = first_on.toordinal() - EPOCH_ORDINAL
    known = (day >= 0) & (day < until_day)
    numbers = pl.Series("on", np.where(known, day + start, 0), dtype=pl.Int32).cast(pl.Date)
    return pl.select(pl.when(pl.lit(pl.Series(known))).then(pl.lit(numbers)).alias("on")).to_series()
