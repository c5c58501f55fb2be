"""Waits from return curves: who comes anyway is left alone for now, who drifts away is written to at once."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_project.strategy.catalogue import Catalogue
from dagster_project.strategy.rules import DecisionRules
from dagster_project.strategy.waiting import DAYS, ReturnCurves, best_waits, waits

H = 28
CURVE_DAYS = (7, 14, 28, 56)


def curve(user: int, *hazards: float) -> pl.DataFrame:
    """A user's curve from the hazard per day before each day of the curve."""
    widths = np.diff([0, *CURVE_DAYS])
    returned = 1 - np.exp(-np.cumsum(np.array(hazards) * widths))
    return pl.DataFrame({"user_sk": [user] * 4, "day": CURVE_DAYS, "p_returned": returned})


def contact(
    user: int, p: float, uplift: float, window: int = 60, *, value: float = 10, cost: float = 0, offer: float = 0
) -> pl.DataFrame:
    row = {"user_sk": user, "p_return": p, "uplift": uplift, "window_days": window}
    return pl.DataFrame(row | {"value": float(value), "contact_cost": float(cost), "return_cost": float(offer)})


def p_of(made: pl.DataFrame) -> float:
    return float(made.filter(pl.col("day") == H)["p_returned"].item())


SOON = curve(1, 0.5, 0.02, 0.01, 0.01)


def test_a_steady_small_chance_is_written_to_at_once() -> None:
    steady = curve(1, 0.005, 0.005, 0.005, 0.005)

    made = best_waits(contact(1, p_of(steady), 0.03, cost=0.1), steady, horizon_days=H).row(0, named=True)

    assert made["wait_days"] == 0
    assert made["profit"] == pytest.approx(0.03 * 10 - 0.1)


@pytest.mark.parametrize(("cost", "offer"), [(0.1, 0.0), (0.0, 0.2)])
def test_who_will_most_likely_be_back_within_days_is_not_paid_for_now(cost: float, offer: float) -> None:
    people = contact(1, p_of(SOON), 0.01, cost=cost, offer=offer)

    made = best_waits(people, SOON, horizon_days=H).row(0, named=True)

    assert made["wait_days"] == 3
    assert made["profit"] > made["profit_now"] == pytest.approx(0.1 - cost - offer * (p_of(SOON) + 0.01))


def test_a_contact_that_costs_nothing_loses_by_waiting() -> None:
    assert best_waits(contact(1, p_of(SOON), 0.01), SOON, horizon_days=H)["wait_days"].to_list() == [0]


def test_no_wait_is_longer_than_the_strategys_window() -> None:
    later = curve(1, 0.2, 0.2, 0.01, 0.01)
    people = [contact(1, p_of(later), 0.01, window, cost=0.1) for window in (2, 3, 6, 60)]

    assert [best_waits(one, later, horizon_days=H)["wait_days"].item() for one in people] == [0, 3, 3, 7]


def test_what_a_wait_earns_is_reckoned_by_hand() -> None:
    curves = pl.DataFrame({"user_sk": [1, 1, 1], "day": [7, 28, 35], "p_returned": [0.6, 0.8, 0.81]})

    made = best_waits(contact(1, 0.8, 0.1, 7, cost=0.9, offer=0.5), curves, horizon_days=H).row(0, named=True)

    # A week from now .4 are still away; of them 1 - .19/.4 return; the log-odds move by ln 9 - ln 4.
    odds = (1 - 0.19 / 0.4) / (0.19 / 0.4) * 9 / 4
    aided = odds / (1 + odds)
    assert made["profit_now"] == pytest.approx(10 * 0.1 - 0.9 - 0.5 * 0.9)
    assert (made["wait_days"], made["profit"]) == (
        7,
        pytest.approx(0.4 * (10 * (aided - (1 - 0.19 / 0.4)) - 0.9 - 0.5 * aided)),
    )


def test_users_without_a_curve_are_not_told_to_wait() -> None:
    assert best_waits(contact(1, 0.5, 0.1), curve(2, 0.1, 0.1, 0.1, 0.1), horizon_days=H).is_empty()


@given(
    st.lists(st.tuples(*[st.floats(0, 0.6)] * 4), min_size=1, max_size=6),
    st.floats(-0.1, 0.3),
    st.integers(0, 40),
)
def test_waits_are_days_of_the_list_within_the_window_and_gain_what_they_must(
    hazards: list[tuple[float, ...]], uplift: float, window: int
) -> None:
    curves = [curve(user, *rates) for user, rates in enumerate(hazards)]
    people = pl.concat(
        [contact(user, p_of(one), uplift, window, cost=0.1, offer=0.1) for user, one in enumerate(curves)]
    )

    made = best_waits(people, pl.concat(curves).sample(fraction=1, shuffle=True, seed=1), horizon_days=H)

    assert made["user_sk"].to_list() == list(range(len(hazards)))
    assert set(made["wait_days"]) <= {day for day in DAYS if day <= window}
    waiting = made.filter(pl.col("wait_days") > 0)
    assert (waiting["profit"] > waiting["profit_now"]).all()


def test_a_user_who_is_coming_anyway_waits_and_is_told_until_when(catalogue: Catalogue, rules: DecisionRules) -> None:
    as_of = date(2026, 6, 1)
    usual = {
        "p_return": p_of(SOON),
        "uplift": 0.01,
        "uplift_cautious": 0.01,
        "value_if_returned": 2.0,
        "strategy_id": "guided_restart",
        "days_silent": 31,
        "expected_cost": 0.009,
        "expected_harm": 0.0,
        "expected_profit": 0.001,
    }
    cases = pl.DataFrame(
        [
            {"user_sk": 1, "churned_on": as_of, **usual},
            {"user_sk": 2, "churned_on": as_of - timedelta(days=40), **usual},
            {"user_sk": 3, "churned_on": as_of, **usual, "strategy_id": None, "expected_profit": None},
        ]
    )
    curves = pl.concat([SOON.with_columns(user_sk=pl.lit(sk, dtype=pl.Int64)) for sk in (1, 2, 3)])

    made = waits(cases, ReturnCurves(curves, horizon_days=H), catalogue=catalogue, rules=rules, as_of=as_of)

    # The second has waited long enough, and the third has nothing to wait for.
    assert made["user_sk"].to_list() == [1]
    assert made["wait_until"].item() > as_of + timedelta(days=1)
    assert waits(cases, None, catalogue=catalogue, rules=rules, as_of=as_of).is_empty()
