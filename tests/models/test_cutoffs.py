from datetime import date, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_project.errors import WinbackError
from dagster_project.models.cutoffs import (
    honest_cutoffs,
    require_closed_windows,
    split_out_of_time,
    training_cutoffs,
)

AS_OF = date(2024, 6, 1)


def test_the_newest_cutoff_is_one_horizon_back_and_the_others_half_a_horizon_apart() -> None:
    assert training_cutoffs(as_of=AS_OF, first_on=date(2023, 1, 1), horizon_days=28, max_cutoffs=4) == [
        date(2024, 5, 4),
        date(2024, 4, 20),
        date(2024, 4, 6),
        date(2024, 3, 23),
    ]


def test_two_steps_of_an_odd_horizon_are_a_whole_horizon() -> None:
    cutoffs = training_cutoffs(as_of=AS_OF, first_on=date(2023, 1, 1), horizon_days=15, max_cutoffs=3)
    assert cutoffs == [date(2024, 5, 17), date(2024, 5, 9), date(2024, 5, 1)]
    assert honest_cutoffs(cutoffs, at=cutoffs[0], horizon_days=15) == [date(2024, 5, 1)]


def test_a_log_of_two_horizons_and_a_half_still_gives_an_honest_pair() -> None:
    first_on = AS_OF - timedelta(days=70)
    assert training_cutoffs(as_of=AS_OF, first_on=first_on, horizon_days=28, max_cutoffs=6) == [
        date(2024, 5, 4),
        date(2024, 4, 20),
        date(2024, 4, 6),
    ]


def test_a_log_shorter_than_a_horizon_and_a_half_gives_none() -> None:
    first_on = AS_OF - timedelta(days=40)
    assert training_cutoffs(as_of=AS_OF, first_on=first_on, horizon_days=28, max_cutoffs=6) == []


@given(
    log_days=st.integers(0, 900),
    horizon_days=st.integers(1, 90),
    max_cutoffs=st.integers(0, 12),
)
def test_every_cutoff_has_a_closed_window_and_some_history(log_days: int, horizon_days: int, max_cutoffs: int) -> None:
    first_on = AS_OF - timedelta(days=log_days)
    cutoffs = training_cutoffs(as_of=AS_OF, first_on=first_on, horizon_days=horizon_days, max_cutoffs=max_cutoffs)
    assert len(cutoffs) <= max_cutoffs
    assert cutoffs == sorted(set(cutoffs), reverse=True)
    assert all(c + timedelta(days=horizon_days) <= AS_OF and (c - first_on).days >= 7 for c in cutoffs)


def test_rows_whose_window_was_open_at_the_test_cutoff_are_on_neither_side() -> None:
    training = pl.DataFrame({"cutoff": [date(2024, 5, 4), date(2024, 4, 20), date(2024, 4, 6)]})
    learn, test = split_out_of_time(training, horizon_days=28)
    assert learn["cutoff"].to_list() == [date(2024, 4, 6)]
    assert test["cutoff"].to_list() == [date(2024, 5, 4)]


def test_an_open_window_is_refused_with_the_last_day_that_would_do() -> None:
    training = pl.DataFrame({"cutoff": [date(2024, 5, 5)]})
    with pytest.raises(WinbackError, match="train on cutoffs up to 2024-05-04"):
        require_closed_windows(training, as_of=AS_OF, horizon_days=28)
