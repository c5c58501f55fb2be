from dataclasses import replace

import polars as pl

from dagster_project.strategy.allocation import gates
from dagster_project.strategy.hands import Hands
from dagster_project.strategy.rules import ChannelRules, DecisionRules


def _contenders(*rows: tuple[str, float, bool]) -> pl.DataFrame:
    made = pl.DataFrame(rows, schema=["channel", "expected_cost", "is_held_out"], orient="row")
    return made.with_columns(pl.lit("whats_new").alias("strategy_id"))


def test_without_limits_everyone_fits(rules: DecisionRules) -> None:
    contenders = _contenders(("email", 1e6, False), ("push", 1.0, False))
    assert gates(contenders, rules=rules).to_list() == [None, None]


def test_the_capacity_of_a_channel_ends_at_its_rank(rules: DecisionRules) -> None:
    limited = replace(rules, channels={"email": ChannelRules(cost=0, capacity=1), "push": ChannelRules(cost=0)})
    contenders = _contenders(("email", 0.0, False), ("push", 0.0, False), ("email", 0.0, False), ("push", 0.0, False))
    assert gates(contenders, rules=limited).to_list() == [None, None, "capacity.channel", None]


def test_the_budget_ends_the_list_at_the_first_that_does_not_fit(rules: DecisionRules) -> None:
    limited = replace(rules, budget_per_night=5.0)
    contenders = _contenders(("email", 3.0, False), ("email", 2.0, False), ("email", 1.0, False), ("email", 0.0, False))
    assert gates(contenders, rules=limited).to_list() == [None, None, "budget.night", "budget.night"]


def test_a_full_channel_takes_nothing_from_the_budget(rules: DecisionRules) -> None:
    limited = replace(
        rules,
        channels={"email": ChannelRules(cost=0, capacity=0), "push": ChannelRules(cost=0)},
        budget_per_night=1.0,
        max_contacts=1,
    )
    contenders = _contenders(("email", 9.0, False), ("push", 1.0, False), ("push", 0.0, False))
    assert gates(contenders, rules=limited).to_list() == ["capacity.channel", None, "budget.night"]


def test_the_held_out_use_nothing_up_but_stand_before_the_same_gate(rules: DecisionRules) -> None:
    limited = replace(rules, max_contacts=1)
    contenders = _contenders(("email", 0.0, True), ("email", 0.0, False), ("email", 0.0, True), ("email", 0.0, False))
    assert gates(contenders, rules=limited).to_list() == [None, None, "budget.night", "budget.night"]


def test_a_strategys_own_limit_ends_at_its_rank_and_takes_nothing_from_the_budget(rules: DecisionRules) -> None:
    limited = replace(rules, hands=Hands(max_contacts={"concierge": 1}), max_contacts=2)
    contenders = _contenders(*[("email", 0.0, False)] * 4).with_columns(
        strategy_id=pl.Series(["concierge", "concierge", "sunset", "sunset"])
    )
    assert gates(contenders, rules=limited).to_list() == [None, "strategy.capped", None, "budget.night"]


def test_a_channel_carries_no_more_than_its_hours_can(rules: DecisionRules) -> None:
    narrow = ChannelRules(cost=0, hourly_capacity=1, open_hour=9, close_hour=11)
    contenders = _contenders(*[("email", 0.0, False)] * 3)
    assert gates(contenders, rules=replace(rules, channels={"email": narrow})).to_list() == [
        None,
        None,
        "capacity.channel",
    ]


def test_nobody_is_no_trouble(rules: DecisionRules) -> None:
    nobody = _contenders(("email", 0.0, False)).clear()
    assert gates(nobody, rules=replace(rules, budget_per_night=1.0)).to_list() == []
