from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_project.errors import WinbackError
from dagster_project.strategy.lift import FLOOR, LiftBelief, Part, declared, lift_quantiles, log_odds, uplift

WEIGHTS = (0.6, 0.3, 0.1)


def _belief(size: float = 0.25, sd: float = 0.25) -> LiftBelief:
    return declared([Part("strategy", size, sd, WEIGHTS, "s"), Part("content", 0.5, 0.15, WEIGHTS, "s")])


def _plain(tau: float) -> LiftBelief:
    """As sure of tau as can be, but for the two tenths that the floor leaves to nothing and worse."""
    return declared([Part("strategy", tau, 1e-6, (0.8, 0.1, 0.1), "s")])


def _sigma(x: float) -> float:
    return float(1 / (1 + np.exp(-x)))


def test_a_declared_belief_holds_every_combination_of_better_nothing_and_worse() -> None:
    belief = _belief()
    assert belief.weights.sum() == pytest.approx(1)
    assert len(belief.weights) == 9
    assert belief.part_weights("content") == pytest.approx({"better": 0.6, "nothing": 0.3, "worse": 0.1})
    assert sorted({float(mean) for mean in belief.means[:, 1]}) == [-0.5, 0.0, 0.5]


def test_an_expert_may_not_leave_less_than_the_floor_for_being_wrong() -> None:
    with pytest.raises(WinbackError, match=r"0\.7, 0\.25, 0\.05"):
        Part("content", 0.5, 0.15, (0.7, 0.25, 0.05), "s")
    with pytest.raises(WinbackError, match=f"at least {FLOOR:g} each and 1 in all"):
        Part("content", 0.5, 0.15, (0.6, 0.3, 0.3), "s")
    with pytest.raises(WinbackError, match="sd above zero"):
        Part("content", 0.5, 0.0, WEIGHTS, "s")


def test_the_expected_uplift_weighs_the_three_components() -> None:
    found = uplift(np.array([0.2]), np.array([[1.0]]), belief=_plain(0.5), caution=0.5)
    better, worse = _sigma(log(0.25) + 0.5) - 0.2, _sigma(log(0.25) - 0.5) - 0.2
    # Sixteen equally likely values: tenths are only met within one of them.
    assert found.mean[0] == pytest.approx(0.8 * better + 0.1 * worse, abs=(better - worse) / 16)
    assert found.high[0] == pytest.approx(better, rel=1e-4)
    assert found.cautious[0] == pytest.approx(better, rel=1e-4)


def test_the_expectation_is_that_of_many_draws() -> None:
    belief = _belief()
    rng = np.random.default_rng(5)
    place = rng.choice(len(belief.weights), 200_000, p=belief.weights)
    taus = belief.means[place] @ [1, -1] + rng.normal(size=len(place)) * np.hypot(0.25, 0.15)
    rise = 1 / (1 + np.exp(-(log(0.1 / 0.9) + taus))) - 0.1
    found = uplift(np.array([0.1]), np.array([[1.0, -1.0]]), belief=belief, caution=0.4)
    assert found.mean[0] == pytest.approx(rise.mean(), abs=0.0015)
    assert found.low[0] == pytest.approx(np.quantile(rise, 0.1), abs=0.001)
    assert found.high[0] == pytest.approx(np.quantile(rise, 0.9), abs=0.001)
    assert found.cautious[0] == pytest.approx(np.quantile(rise, 0.4), abs=0.001)


def test_content_that_fits_is_worth_more_than_content_that_does_not() -> None:
    fits = np.array([[1.0, 1.0], [1.0, 0.0], [1.0, -1.0]])
    found = uplift(np.full(3, 0.2), fits, belief=_belief(), caution=0.4)
    assert found.mean[0] > found.mean[1] > 0 > found.mean[2]
    assert found.cautious[0] > found.cautious[1] > found.cautious[2]


def test_what_is_believed_to_do_nothing_is_expected_to_do_next_to_nothing() -> None:
    found = uplift(np.array([0.3]), np.array([[0.0]]), belief=_plain(0.5), caution=0.4)
    assert found.mean[0] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("p", [0.0, 1e-12, 0.5, 1 - 1e-12, 1.0])
def test_a_chance_of_nought_or_one_leaves_no_room_for_uplift(p: float) -> None:
    found = uplift(np.array([p]), np.array([[1.0, 1.0]]), belief=_belief(), caution=0.4)
    for bound in (found.mean, found.low, found.high, found.cautious):
        assert np.isfinite(bound[0])
        assert -1e-6 <= p + bound[0] <= 1 + 1e-6
    if p != 0.5:
        assert abs(found.mean[0]) < 1e-5


@given(
    p=st.floats(0, 1),
    content=st.floats(-1, 1),
    size=st.floats(-2, 2),
    sd=st.floats(0.01, 1),
    caution=st.floats(0.1, 0.5),
)
def test_the_bounds_hold_the_mean_and_the_order(
    p: float, content: float, size: float, sd: float, caution: float
) -> None:
    found = uplift(np.array([p]), np.array([[1.0, content]]), belief=_belief(size, sd), caution=caution)
    assert found.low[0] <= found.mean[0] <= found.high[0]
    assert found.low[0] - 1e-6 <= found.cautious[0] <= found.high[0] + 1e-6


def test_a_quantile_is_where_so_much_of_the_belief_lies_below() -> None:
    belief = declared([Part("strategy", 1.0, 0.01, WEIGHTS, "s")])
    found = lift_quantiles(belief, np.array([[1.0]]), shares=np.array([0.05, 0.25, 0.7]))[0]
    assert found == pytest.approx([-1.0, 0.0, 1.0], abs=2e-3)


def test_users_share_a_profile_without_touching_each_other() -> None:
    rng = np.random.default_rng(1)
    p, fits = rng.random(50), np.column_stack([np.ones(50), rng.uniform(-1, 1, 50)])
    together = uplift(p, fits, belief=_belief(), caution=0.4).mean
    alone = [uplift(p[i : i + 1], fits[i : i + 1], belief=_belief(), caution=0.4).mean[0] for i in range(50)]
    assert together.tolist() == alone


def test_log_odds_are_kept_finite() -> None:
    assert log_odds(np.array([0.5]))[0] == 0
    assert np.isfinite(log_odds(np.array([0.0, 1.0]))).all()
