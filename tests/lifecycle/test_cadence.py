import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagster_project.lifecycle.cadence import (
    NORMAL_Z,
    Cadence,
    estimate_cadence,
    horizon_days,
    usual_gaps,
)

from .builders import users_active_on, users_with_gaps

gap_lists = st.lists(st.lists(st.integers(1, 400), max_size=8), min_size=1, max_size=30)


def cadence_of(usual_gap_days: float, *, within: float = 0.5, between: float = 0.5) -> Cadence:
    return Cadence(10, math.log(usual_gap_days), within, between)


def simulated_gaps(*, n_users: int, mean: float, within: float, between: float) -> list[list[int]]:
    rng = np.random.default_rng(7)
    centres = rng.normal(mean, between, n_users)
    sizes = rng.integers(1, 12, n_users)
    return [
        [max(1, round(gap)) for gap in np.exp(rng.normal(centre, within, size))]
        for centre, size in zip(centres, sizes, strict=True)
    ]


def test_nobody_with_a_gap_gives_a_month_and_a_wide_spread():
    cadence = estimate_cadence(users_active_on({"a": [0], "b": []}, until=9))

    assert cadence.usual_gap_days == pytest.approx(30)
    assert (cadence.n_users_with_gaps, cadence.log_gap_sd_within, cadence.log_gap_sd_between) == (0, 1.0, 0.0)


def test_one_user_gives_the_population_mean_and_no_spread_between():
    cadence = estimate_cadence(users_with_gaps([[10, 10, 10]]))

    assert cadence.usual_gap_days == pytest.approx(10, rel=1e-3)
    assert cadence.log_gap_sd_between == 0
    # No deviation, two degrees of freedom, one pseudo-observation of spread 1.
    assert cadence.log_gap_sd_within == pytest.approx(math.sqrt(1 / 3))


def test_equal_gaps_everywhere_give_that_gap_and_no_spread_between():
    users = users_with_gaps([[7] * 20] * 50)
    cadence = estimate_cadence(users)

    assert cadence.log_gap_sd_between == 0
    assert cadence.log_gap_sd_within == pytest.approx(math.sqrt(1 / (50 * 19 + 1)))
    assert usual_gaps(users, cadence=cadence)["usual_gap_days"].to_list() == pytest.approx([7] * 50, rel=1e-3)


def test_simulated_log_normal_gaps_give_back_what_they_were_drawn_with():
    gaps = simulated_gaps(n_users=4000, mean=math.log(40), within=0.6, between=0.4)
    cadence = estimate_cadence(users_with_gaps(gaps))

    assert cadence.log_gap_mean == pytest.approx(math.log(40), abs=0.03)
    assert cadence.log_gap_sd_within == pytest.approx(0.6, abs=0.02)
    assert cadence.log_gap_sd_between == pytest.approx(0.4, abs=0.03)
    assert cadence.threshold_z == pytest.approx(NORMAL_Z, abs=0.1)


def test_heavy_tails_raise_the_threshold_until_it_holds_what_it_promises():
    rng = np.random.default_rng(3)
    gaps = [[30, 30, round(30 * math.exp(min(5.0, max(-3.0, 0.3 * step))))] for step in rng.standard_t(2, size=2000)]
    cadence = estimate_cadence(users_with_gaps(gaps))
    before_last = users_with_gaps([gap[:-1] for gap in gaps])
    threshold = usual_gaps(before_last, cadence=cadence)["cadence_threshold_days"]

    under = np.mean([gap[-1] for gap in gaps] <= threshold.to_numpy() * 1.001)
    assert under == pytest.approx(0.95, abs=0.005)


@given(gap_lists)
def test_the_usual_gap_lies_between_the_users_own_and_the_populations(gaps):
    users = users_with_gaps(gaps)
    cadence = estimate_cadence(users)
    usual = usual_gaps(users, cadence=cadence)["usual_gap_days"].log().to_list()
    sums = users.select("n_gaps", "gap_log_milli_sum").iter_rows()

    for (n_gaps, log_sum), log_usual in zip(sums, usual, strict=True):
        own = log_sum / n_gaps / 1000 if n_gaps else cadence.log_gap_mean
        low, high = sorted((own, cadence.log_gap_mean))
        assert low - 1e-9 <= log_usual <= high + 1e-9


@given(gap_lists)
def test_a_threshold_is_never_under_the_usual_gap_and_always_finite(gaps):
    users = users_with_gaps(gaps)
    frame = usual_gaps(users, cadence=estimate_cadence(users))

    assert frame["cadence_threshold_days"].is_finite().all()
    assert (frame["cadence_threshold_days"] >= frame["usual_gap_days"] - 1e-9).all()
    assert (frame["usual_gap_days"] >= 1).all()


def test_more_gaps_of_a_kind_pull_the_user_further_from_the_population():
    users = users_with_gaps([[5], [5] * 4, [5] * 40])
    usual = usual_gaps(users, cadence=cadence_of(30))["usual_gap_days"].to_list()

    assert usual[0] > usual[1] > usual[2] > 5
    assert usual[2] == pytest.approx(5, rel=0.06)


def test_posterior_and_threshold_of_one_gap_by_hand():
    # Equal spreads: one gap weighs as much as the population, so the log-mean is half way: sqrt(10 * 40).
    users = users_with_gaps([[10]])
    row = usual_gaps(users, cadence=cadence_of(40)).row(0, named=True)

    assert row["usual_gap_days"] == pytest.approx(20, rel=1e-3)
    predictive_sd = math.sqrt(0.25 + 0.125)
    assert row["cadence_threshold_days"] == pytest.approx(20 * math.exp(NORMAL_Z * predictive_sd), rel=1e-3)


@settings(max_examples=30)
@given(gap_lists, st.integers(2, 20))
def test_longer_gaps_in_proportion_scale_the_usual_gap_and_leave_the_spread(gaps, factor):
    cadence = estimate_cadence(users_with_gaps(gaps))
    scaled = estimate_cadence(users_with_gaps([[gap * factor for gap in user] for user in gaps]))

    if cadence.n_users_with_gaps:
        assert scaled.log_gap_mean - cadence.log_gap_mean == pytest.approx(math.log(factor), abs=0.003)
        assert scaled.log_gap_sd_within == pytest.approx(cadence.log_gap_sd_within, abs=0.003)


@given(gap_lists, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_move_a_bit_of_the_estimate(gaps, random):
    users = users_with_gaps(gaps)
    order = list(range(users.height))
    random.shuffle(order)

    assert estimate_cadence(users[order]) == estimate_cadence(users)


@pytest.mark.parametrize(
    ("usual_gap_days", "configured", "expected"),
    [(3.0, None, 14), (20.24, None, 40), (20.25, None, 41), (400.0, None, 90), (400.0, 7, 7)],
)
def test_the_horizon_is_twice_the_usual_gap_within_bounds_unless_configured(usual_gap_days, configured, expected):
    assert horizon_days(cadence_of(usual_gap_days + 1e-9), configured=configured) == expected


def test_rows_come_back_in_the_order_given():
    users = users_with_gaps([[5], [50]]).sort("user_id", descending=True)

    frame = usual_gaps(users, cadence=cadence_of(30))
    assert frame["user_id"].to_list() == ["u000001", "u000000"]
    assert frame.schema["usual_gap_days"] == pl.Float64
