"""How many users an experiment needs: figures known from elsewhere, and one tool the inverse of the other."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_project.errors import WinbackError
from dagster_project.outcomes.power import days_needed, detectable_effect, sample_size, strategy_power


@pytest.mark.parametrize(
    ("base", "effect", "control_share", "n"),
    [(0.05, 0.01, 0.5, 16_310), (0.05, 0.01, 0.1, 42_201), (0.02, 0.005, 0.5, 27_613), (0.02, 0.005, 0.1, 70_039)],
)
def test_sizes_are_the_known_ones(base: float, effect: float, control_share: float, n: int) -> None:
    assert sample_size(base, effect=effect, control_share=control_share) == n


@given(base=st.floats(0.01, 0.6), control_share=st.floats(0.05, 0.9), n_users=st.integers(500, 1_000_000))
def test_the_smallest_effect_that_shows_needs_just_those_users(base: float, control_share: float, n_users: int) -> None:
    effect = detectable_effect(base, n_users=n_users, control_share=control_share)

    assert effect is None or sample_size(base, effect=effect, control_share=control_share) <= n_users
    assert effect is None or sample_size(base, effect=effect * 0.98, control_share=control_share) > n_users * 0.99


def test_too_few_users_show_no_gain_at_all() -> None:
    assert detectable_effect(0.5, n_users=4, control_share=0.5) is None


def test_days_are_those_of_entering_and_the_horizon() -> None:
    assert days_needed(1_000, n_per_night=30, horizon_days=28) == 34 + 28
    assert days_needed(1_000, n_per_night=0, horizon_days=28) is None


@pytest.mark.parametrize("wrong", [{"effect": 0.0}, {"effect": 0.6}, {"effect": 0.01, "control_share": 0.0}])
def test_what_cannot_be_planned_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(WinbackError):
        sample_size(0.5, **{"control_share": 0.1, **wrong})


def test_a_strategy_is_told_how_long_its_expected_gain_takes_to_show() -> None:
    entries = pl.DataFrame(
        {"strategy_id": ["b"] * 28 + ["a"] * 56, "p_return": [0.05] * 84, "uplift": [0.01] * 28 + [None] * 56}
    )

    told = strategy_power(entries, n_nights=28, control_share=0.1, horizon_days=30, fallback_share=0.05)

    assert told.select("strategy_id", "n_per_night", "n_needed", "days_needed").rows() == [
        ("a", 2.0, None, None),
        ("b", 1.0, 42_201, 42_231),
    ]


def test_without_a_night_or_a_control_nothing_is_told() -> None:
    entries = pl.DataFrame({"strategy_id": ["a"], "p_return": [0.1], "uplift": [0.1]})

    for n_nights, control_share in ((0, 0.1), (28, 0.0)):
        told = strategy_power(
            entries, n_nights=n_nights, control_share=control_share, horizon_days=30, fallback_share=0.05
        )
        assert told.is_empty()
