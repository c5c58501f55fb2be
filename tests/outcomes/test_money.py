"""What experiments earned: figures that can be checked by hand, and ratios that are unknown where they must be."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from dagster_project.outcomes.faults import FAULTS
from dagster_project.outcomes.readout import ReadoutRules, read_experiments
from dagster_project.outcomes.vocabulary import CROSS, HORIZONS
from outcomes.builders import entries


def money_of(n_back: tuple[int, int], *, bill: float = 20.0, cost: float | None = 1.0, **columns: Any) -> pl.DataFrame:
    """1,000 treated and 1,000 held out, of whom so many come back and spend the bill; half of it is margin."""
    back = np.concatenate([np.arange(1_000) < n for n in n_back])
    frame = entries(
        2_000,
        arm=["treat"] * 1_000 + ["control"] * 1_000,
        returned_after=[3 if b else None for b in back],
        **{
            "propensity": 0.5,
            **{f"spend_{days}": np.where(back & (days > 3), bill, 0.0) for days in HORIZONS},
            **{f"cost_{days}": [cost] * 1_000 + [0.0] * 1_000 for days in HORIZONS},
            **columns,
        },
    )
    rules = ReadoutRules(decision_days=28, margin_share=0.5)
    return read_experiments(frame, FAULTS.to_frame(), rules=rules).money


def overall(money: pl.DataFrame, days: int = 28) -> dict[str, Any]:
    return money.filter((pl.col("dimension") == "all") & (pl.col("horizon_days") == days)).row(0, named=True)


def test_returns_profit_and_ratios_are_those_of_the_difference() -> None:
    row = overall(money_of((300, 200)))

    assert (row["win_back_share"], row["control_return_share"]) == (0.3, 0.2)
    assert row["incremental_returns"] == pytest.approx(100)
    assert row["incremental_profit"] == pytest.approx(100 * 10 - 1_000)
    assert row["cost"] == pytest.approx(1_000)
    assert row["cost_per_return"] == pytest.approx(10)
    assert row["cost_per_return_low"] < 10 < row["cost_per_return_high"]
    assert row["return_on_spend"] == pytest.approx(1.0)
    assert row["control_cost"] == pytest.approx(0, abs=1e-9)
    assert row["basis"] == "spend"


def test_before_anybody_came_back_nothing_was_earned_and_how_surely_is_not_known() -> None:
    row = overall(money_of((300, 200)), days=1)

    assert row["incremental_returns"] == 0
    assert row["incremental_profit"] == pytest.approx(-1_000)
    assert row["incremental_profit_low"] is None


def test_the_cost_of_a_return_is_unknown_where_returns_may_not_have_risen() -> None:
    row = overall(money_of((205, 200)))

    assert row["incremental_returns_low"] < 0 < row["incremental_returns"]
    assert (row["cost_per_return"], row["cost_per_return_low"], row["cost_per_return_high"]) == (None, None, None)


def test_without_any_cost_there_is_no_return_on_spend() -> None:
    row = overall(money_of((300, 200), cost=0.0))

    assert row["return_on_spend"] is None
    assert row["incremental_profit"] == pytest.approx(1_000)
    assert row["control_cost"] == pytest.approx(1_000)  # what holding out gave up


def test_where_no_spending_is_known_a_return_counts_as_it_was_thought_to_be_worth() -> None:
    nothing = {f"spend_{days}": None for days in HORIZONS}

    row = overall(money_of((300, 200), **nothing, value_if_returned=30.0))

    assert row["basis"] == "worth of a return"
    assert row["incremental_profit"] == pytest.approx(100 * 15 - 1_000)


@pytest.mark.parametrize(
    ("bill", "cost", "basis"),
    [(20.0, None, "cost unknown"), (None, 1.0, "value unknown"), (None, None, "value and cost unknown")],
)
def test_where_money_is_unknown_the_returns_are_told_and_what_is_missing(
    bill: float | None, cost: float | None, basis: str
) -> None:
    nothing = {} if bill else {f"spend_{days}": None for days in HORIZONS}

    money = money_of((300, 200), cost=cost, strategy_id="a", **nothing)

    row = overall(money)
    assert row["basis"] == basis
    assert (row["win_back_share"], row["control_return_share"]) == (0.3, 0.2)
    assert row["incremental_returns"] == pytest.approx(100)
    assert row["incremental_returns_low"] < 100 < row["incremental_returns_high"]
    assert [row[name] for name in ("incremental_profit", "return_on_spend", "control_cost")] == [None] * 3
    assert (row["cost"], row["cost_per_return"]) == ((None, None) if cost is None else pytest.approx((1_000, 10)))
    assert money.filter((pl.col("dimension") == "strategy_id") & (pl.col("value") == "a")).height == len(HORIZONS)


def test_all_dimensions_crossed_are_there_where_enough_users_are() -> None:
    parts = {"strategy_id": "a", "channel": ["email"] * 1_990 + ["push"] * 10, "stage": "lost"}

    crossed = money_of((300, 200), **parts).filter(pl.col("dimension") == CROSS)

    assert set(crossed["value"]) == {"a · email · lost · not noted · not noted"}


def test_shares_of_those_who_came_back_have_wilsons_interval() -> None:
    row = overall(money_of((300, 0)))

    assert (row["win_back_share_low"], row["win_back_share_high"]) == pytest.approx((0.272407, 0.329124), abs=1e-6)
    assert row["control_return_share_low"] == pytest.approx(0, abs=1e-12)
    assert row["control_return_share_high"] == pytest.approx(0.003827, abs=1e-6)


def test_unequal_weights_tell_as_much_as_fewer_users() -> None:
    of_arm = [0.2] * 200 + [0.8] * 800  # weights 5 and 1.25: 2,000² ÷ 6,250 = 640 users, .5625 of whom came back

    row = overall(money_of((300, 200), propensity=of_arm * 2))

    assert row["win_back_share"] == pytest.approx(0.5625)
    assert (row["win_back_share_low"], row["win_back_share_high"]) == pytest.approx((0.523806, 0.600447), abs=1e-6)


def test_an_arm_in_which_nobody_paid_tells_no_variance() -> None:
    spent = [20.0 + i for i in range(20)] + [0.0] * 200
    cost = [0.02] * 200 + [0.0] * 20
    frame = entries(
        220,
        arm=["treat"] * 200 + ["control"] * 20,
        propensity=[10 / 11] * 200 + [1 / 11] * 20,
        returned_after=[0] * 20 + [None] * 200,
        **{f"spend_{days}": spent for days in HORIZONS},
        **{f"cost_{days}": cost for days in HORIZONS},
    )

    found = read_experiments(frame, FAULTS.to_frame(), rules=ReadoutRules(decision_days=28, margin_share=1.0))

    assert "spend" not in set(found.readouts["metric"])
    row = overall(found.money)
    assert row["incremental_profit"] == pytest.approx(sum(spent) - 200 * 0.02)
    ends = ("incremental_profit_low", "incremental_profit_high", "return_on_spend_low", "control_cost_low")
    assert [row[end] for end in ends] == [None] * 4
