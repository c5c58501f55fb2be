from datetime import date, datetime

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from dagster_project.simulate.clock import BusyClock, dates, local_times, utc_from_local

at = datetime.fromisoformat

CLOCK = BusyClock(first_on=date(2024, 1, 1), n_days=540, amplitude=0.2)


def utc(*local: datetime) -> list[datetime]:
    frame = pl.DataFrame({"at": local})
    return frame.select(utc_from_local(pl.col("at"), timezone="Europe/Berlin"))["at"].to_list()


def test_wall_clock_time_becomes_utc_in_winter_and_in_summer() -> None:
    assert utc(at("2024-01-01 12:00"), at("2024-07-01 12:00")) == [
        at("2024-01-01 11:00"),
        at("2024-07-01 10:00"),
    ]


def test_hours_that_a_clock_change_skips_or_doubles_are_moved_one_on() -> None:
    assert utc(at("2024-03-31 02:30"), at("2024-10-27 02:30")) == [
        at("2024-03-31 01:30"),
        at("2024-10-27 02:30"),
    ]


def test_days_and_seconds_become_local_times() -> None:
    times = local_times(np.asarray([0, 1]), second=np.asarray([3661, 90_000]), first_on=date(2024, 1, 1))
    assert times.to_list() == [at("2024-01-01 01:01:01"), at("2024-01-02 23:59:59")]


def test_days_before_the_first_and_from_the_bound_on_are_null() -> None:
    on = dates(np.asarray([-1, 0, 31, 32]), first_on=date(2024, 1, 1), until_day=32)
    assert on.to_list() == [None, date(2024, 1, 1), date(2024, 2, 1), None]


@given(st.integers(0, 539), st.floats(0.001, 5_000))
def test_the_next_active_day_is_always_a_later_one(day: int, gap: float) -> None:
    assert CLOCK.later(np.asarray([day]), busy_gap=np.asarray([gap]))[0] > day


def test_the_same_gap_is_shorter_in_the_busy_season() -> None:
    start = np.asarray([330, 160])
    winter, summer = CLOCK.later(start, busy_gap=np.asarray([35.0, 35.0])) - start
    assert winter < 35 < summer
