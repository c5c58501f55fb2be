import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_project.models.spend import fit_spend


def spenders(n: int, *, p: float, q: float, scale: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(own mean, days, true mean per day) of users whose spend is Gamma(p, ν), ν Gamma(q, scale)."""
    rng = np.random.default_rng(seed)
    rate, days = rng.gamma(q, 1 / scale, n), rng.integers(1, 12, n)
    own = rng.gamma(p * days, 1 / rate) / days
    return own, days.astype(float), p / rate


def test_known_parameters_come_back() -> None:
    own, days, _ = spenders(8000, p=6.0, q=4.0, scale=15.0, seed=1)
    found = fit_spend(own, days)
    assert found.p == pytest.approx(6.0, rel=0.15)
    assert found.q == pytest.approx(4.0, rel=0.15)
    assert found.scale == pytest.approx(15.0, rel=0.25)
    assert found.mean == pytest.approx(6 * 15 / 3, rel=0.05)


def test_the_posterior_mean_beats_own_mean_and_population_mean() -> None:
    own, days, truth = spenders(4000, p=2.0, q=4.0, scale=15.0, seed=2)
    found = fit_spend(own, days)
    drawn = found.per_active_day(own, days)

    def error(guess: np.ndarray | float) -> float:
        return float(((guess - truth) ** 2).mean())

    assert error(drawn) < min(error(own), error(own.mean()))
    assert drawn.mean() == pytest.approx(truth.mean(), rel=0.05)


def test_more_days_of_the_same_spend_are_believed_more() -> None:
    own, days, _ = spenders(500, p=2.0, q=4.0, scale=15.0, seed=3)
    found = fit_spend(own, days)
    few, many = found.per_active_day(np.array([50.0, 50.0]), np.array([1.0, 30.0]))
    assert found.mean < few < many < 50


def test_a_giant_order_is_not_believed() -> None:
    own, days = np.array([20.0] * 60 + [30.0] * 60 + [1e9]), np.ones(121)
    found = fit_spend(own, days)
    assert found.largest == 30.0
    assert found.per_active_day(own, days).max() <= 30.0


def test_equal_spends_give_that_spend() -> None:
    found = fit_spend(np.full(50, 20.0), np.ones(50))
    np.testing.assert_allclose(found.per_active_day(np.full(3, 20.0), np.array([1.0, 5.0, 0.0])), 20.0)


def test_only_refunds_are_worth_nothing() -> None:
    own = np.array([-5.0, 0.0, np.nan])
    assert fit_spend(own, np.ones(3)).per_active_day(own, np.ones(3)).tolist() == [0.0, 0.0, 0.0]


def test_an_unknown_user_gets_the_mean_and_of_two_the_larger_is_not_believed() -> None:
    few = fit_spend(np.array([10.0, 20.0]), np.ones(2))
    assert few.per_active_day(np.array([np.nan]), np.ones(1)).tolist() == [10.0]


def test_who_was_refunded_all_is_worth_less_than_the_mean_and_more_than_nothing() -> None:
    own, days, _ = spenders(200, p=2.0, q=4.0, scale=15.0, seed=5)
    found = fit_spend(np.append(own, -40.0), np.append(days, 3.0))
    assert 0 < found.per_active_day(np.array([-40.0]), np.array([3.0]))[0] < found.mean


@given(st.lists(st.floats(-1e9, 1e9) | st.just(float("nan")), min_size=1, max_size=40))
def test_every_answer_is_finite_and_not_negative(own: list[float]) -> None:
    values, days = np.array(own), np.arange(1.0, len(own) + 1)
    drawn = fit_spend(values, days).per_active_day(values, days)
    assert np.isfinite(drawn).all()
    assert (drawn >= 0).all()
