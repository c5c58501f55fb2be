import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagster_project.errors import WinbackError
from dagster_project.strategy.dual_prices import NOBODY, Allocation, Resource, allocate

Market = tuple[np.ndarray, list[Resource]]


def market(n_users: int, n_options: int, *, seed: int, tightness: float = 0.2) -> Market:
    """Options with money costs and one of three channels each; a fifth of them not allowed."""
    rng = np.random.default_rng(seed)
    channel = np.arange(n_options) % 3
    cost = rng.uniform(0, 2, (n_users, n_options))
    profit = rng.lognormal(1, 1, (n_users, n_options)) - cost
    profit[rng.random(profit.shape) < 0.2] = -np.inf
    resources = [Resource("budget", cost, tightness * n_users)]
    resources += [
        Resource(f"channel {c}", (channel == c).astype(float), round(tightness * n_users / (c + 1))) for c in range(3)
    ]
    return profit, resources


def best_by_linear_programme(profit: np.ndarray, resources: list[Resource]) -> float:
    from scipy.optimize import linprog

    users, options = np.nonzero(profit > 0)
    rows = [(users == user).astype(float) for user in range(len(profit))]
    limits = [1.0] * len(profit)
    for one in resources:
        rows.append(np.broadcast_to(np.atleast_2d(one.use), profit.shape)[users, options])
        limits.append(one.limit)
    found = linprog(-profit[users, options], A_ub=np.asarray(rows), b_ub=limits, bounds=(0, 1), method="highs")
    return float(-found.fun)


def assert_feasible(found: Allocation, profit: np.ndarray, resources: list[Resource]) -> None:
    users = np.flatnonzero(found.choice != NOBODY)
    taken = profit[users, found.choice[users]]
    assert (taken > 0).all()
    np.testing.assert_allclose(taken.sum(), found.total)
    for one, used in zip(resources, found.used, strict=True):
        spent = np.broadcast_to(np.atleast_2d(one.use), profit.shape)[users, found.choice[users]].sum()
        np.testing.assert_allclose(spent, used)
        assert spent <= one.limit + 1e-9, one.name


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 7), st.integers(0, 10_000), st.sampled_from([0.0, 0.02, 0.2, 0.7, 5.0]))
def test_no_limit_is_ever_broken_and_no_total_is_above_the_bound(n: int, m: int, seed: int, tightness: float) -> None:
    profit, resources = market(n, m, seed=seed, tightness=tightness)

    found = allocate(profit, resources)

    assert_feasible(found, profit, resources)
    assert found.total <= found.bound * (1 + 1e-9)
    assert (found.prices >= 0).all()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_total_is_near_the_linear_programme_and_the_bound_is_not_below_it(seed: int) -> None:
    profit, resources = market(800, 8, seed=seed)
    best = best_by_linear_programme(profit, resources)

    found = allocate(profit, resources)

    assert found.total >= 0.999 * best
    assert best * (1 - 1e-9) <= found.bound <= best * (1 + 1e-4)


def test_without_limits_everybody_gets_the_best_that_earns() -> None:
    profit = np.array([[1.0, 2.0], [-1.0, -2.0], [3.0, -np.inf], [0.0, 0.0]])

    found = allocate(profit)

    assert found.choice.tolist() == [1, NOBODY, 0, NOBODY]
    assert (found.total, found.gap) == (5.0, 0.0)


def test_the_price_of_a_channel_is_what_one_more_message_would_earn() -> None:
    profit = np.array([[5.0], [4.0], [3.0], [2.0]])

    found = allocate(profit, [Resource("sms", np.ones(1), 2)])

    assert found.choice.tolist() == [0, 0, NOBODY, NOBODY]
    assert 3.0 - 1e-9 <= found.prices[0] <= 4.0 + 1e-9
    assert found.total == 9.0


def test_a_user_moves_to_a_second_best_when_that_frees_a_scarce_channel() -> None:
    profit = np.array([[10.0, 9.0], [10.0, 1.0]])
    sms, email = np.array([1.0, 0.0]), np.array([0.0, 1.0])

    found = allocate(profit, [Resource("sms", sms, 1), Resource("email", email, 2)])

    assert found.choice.tolist() == [1, 0]
    assert found.total == 19.0


def test_a_limit_of_zero_closes_its_channel_and_nothing_else() -> None:
    profit = np.array([[10.0, 4.0], [8.0, -1.0]])

    found = allocate(profit, [Resource("sms", np.array([1.0, 0.0]), 0)])

    assert found.choice.tolist() == [1, NOBODY]
    assert found.total == 4.0


def test_what_is_left_over_is_used() -> None:
    profit, cost = np.array([[10.0], [6.0], [1.0]]), np.array([[3.0], [3.0], [1.0]])

    found = allocate(profit, [Resource("budget", cost, 4.0)])

    assert found.choice.tolist() == [0, NOBODY, 0]
    assert found.used.tolist() == [4.0]


def test_nobody_and_nothing_are_allocated_nothing() -> None:
    assert allocate(np.empty((0, 3))).choice.tolist() == []
    assert allocate(np.empty((2, 0))).choice.tolist() == [NOBODY, NOBODY]


def test_the_same_market_gives_the_same_choices() -> None:
    profit, resources = market(300, 6, seed=4)

    first, second = allocate(profit, resources), allocate(profit.copy(), resources)

    assert first.choice.tolist() == second.choice.tolist()
    assert first.prices.tolist() == second.prices.tolist()


@pytest.mark.parametrize(
    ("profit", "resource", "said"),
    [
        ([[np.nan]], None, "a profit is NaN or infinite"),
        ([[np.inf]], None, "a profit is NaN or infinite"),
        ([[1.0]], Resource("budget", np.ones(1), -1.0), "budget is limited to -1.0"),
        ([[1.0]], Resource("budget", np.ones(1), np.nan), "budget is limited to nan"),
        ([[1.0]], Resource("budget", -np.ones(1), 1.0), "a use of budget is negative or not finite"),
    ],
)
def test_impossible_numbers_are_refused(profit: list[list[float]], resource: Resource | None, said: str) -> None:
    with pytest.raises(WinbackError, match=said):
        allocate(np.array(profit), [resource] if resource else [])
