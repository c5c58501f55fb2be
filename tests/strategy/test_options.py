from collections.abc import Callable
from dataclasses import replace
from datetime import date
from math import exp, log

import polars as pl
import pytest

from dagster_project.strategy.catalogue import Catalogue
from dagster_project.strategy.eligibility import churned_cases
from dagster_project.strategy.options import best_options, drawn_options, price_options
from dagster_project.strategy.rules import ChannelRules, DecisionRules

AS_OF = date(2026, 6, 1)
Frame = Callable[..., pl.DataFrame]


def _options(users: pl.DataFrame, points: pl.DataFrame, catalogue: Catalogue, rules: DecisionRules) -> pl.DataFrame:
    cases = churned_cases(users, points, catalogue=catalogue, rules=rules, as_of=AS_OF)
    return price_options(cases, catalogue=catalogue, rules=rules, as_of=AS_OF)


def _ids(options: pl.DataFrame) -> list[str]:
    return options["strategy_id"].to_list()


def test_the_price_of_a_discount_counts_those_who_return_anyway(
    candidates: Frame, contact_points: Frame, catalogue: Catalogue, rules: DecisionRules
) -> None:
    paid = replace(rules, channels={"email": ChannelRules(cost=0.02)})
    options = _options(candidates({}), contact_points(), catalogue, paid)
    row = options.row(by_predicate=pl.col("strategy_id") == "price_save", named=True)
    uplift = 1 / (1 + exp(-(log(0.2 / 0.8) + 0.35))) - 0.2
    assert row["uplift"] == pytest.approx(uplift)
    assert row["uplift_low"] == pytest.approx(1 / (1 + exp(-(log(0.25) + 0.10))) - 0.2)
    assert row["uplift_high"] == pytest.approx(1 / (1 + exp(-(log(0.25) + 0.60))) - 0.2)
    assert row["expected_cost"] == pytest.approx(0.02 + 5.0 * 0.35 * (0.2 + uplift))
    assert row["expected_profit"] == pytest.approx(uplift * 100 * 0.5 - row["expected_cost"])
    assert row["evidence_grade"] == "prior"


def test_every_touch_of_a_series_is_paid_for(
    candidates: Frame, contact_points: Frame, catalogue: Catalogue, rules: DecisionRules
) -> None:
    free = _options(candidates({}), contact_points(), catalogue, rules)
    paid = replace(rules, channels={"email": ChannelRules(cost=1.0)})
    difference = _options(candidates({}), contact_points(), catalogue, paid)["expected_cost"] - free["expected_cost"]
    assert dict(zip(_ids(free), difference.round(9), strict=True))["escalating_three"] == 3.0


def test_a_message_believed_to_do_nothing_earns_exactly_nothing(
    candidates: Frame, contact_points: Frame, catalogue: Catalogue, rules: DecisionRules
) -> None:
    options = _options(candidates({"p_return": 0.123}), contact_points(), catalogue, rules)
    assert options.filter(pl.col("strategy_id") == "explore")["expected_profit"].to_list() == [0.0]


def test_the_trigger_decides_who_has_which_option(
    candidates: Frame, contact_points: Frame, catalogue: Catalogue, rules: DecisionRules
) -> None:
    def of(**user: object) -> list[str]:
        return _ids(_options(candidates(user), contact_points(), catalogue, rules))

    early = [
        "escalating_three",
        "exit_survey",
        "explore",
        "guided_restart",
        "loyalty_points",
        "price_save",
        "whats_new",
    ]
    assert of() == early
    assert of(value_if_returned=250.0) == sorted([*early, "concierge"])
    assert of(p_return=0.5) == sorted(set(early) - {"price_save"})
    assert of(value_if_returned=None) == ["exit_survey", "explore", "guided_restart", "whats_new"]
    assert of(churned_on=AS_OF) == ["explore", "guided_restart"]
    assert of(churned_on=date(2026, 5, 27)) == [
        "escalating_three", "explore", "guided_restart", "loyalty_points", "whats_new",
    ]  # fmt: skip
    assert of(stage="lost") == ["sunset"]
    assert of(stage="churned_late", days_silent=179) == ["exit_survey", "explore", "loyalty_points", "whats_new"]
    assert "seasonal_recall" in of(stage="churned_late", days_silent=180)


def test_who_is_not_churned_or_kept_silent_or_unpriced_or_excluded_has_no_option(
    candidates: Frame, contact_points: Frame, catalogue: Catalogue, rules: DecisionRules
) -> None:
    users = candidates({"is_churned": False}, {"p_return": 0.9}, {"p_return": None}, {"stage": "lost"})
    excluding = replace(rules, excluded_stages=frozenset({"lost"}))
    assert _options(users, contact_points(), catalogue, excluding).height == 0


def test_without_money_in_the_data_a_stand_in_value_ranks_by_effect(
    candidates: Frame, contact_points: Frame, catalogue: Catalogue, rules: DecisionRules
) -> None:
    options = _options(candidates({"value_if_returned": None}), contact_points(), catalogue, rules)
    assert best_options(options).select("strategy_id", "n_options").rows() == [("guided_restart", 4)]


def test_the_first_open_channel_is_used_and_the_second_is_the_fallback(
    candidates: Frame, contact_points: Frame, catalogue: Catalogue, rules: DecisionRules
) -> None:
    closed = contact_points(
        {"user_sk": 2, "channel": "email", "rule_id": "reach.dead"},
        {"user_sk": 3, "channel": "push", "rule_id": "reach.dead"},
        {"user_sk": 4, "channel": "email", "rule_id": "consent.withdrawn"},
        {"user_sk": 4, "channel": "push", "rule_id": "reach.dead"},
        {"user_sk": 1, "channel": "email", "reach": "unknown"},
    )
    options = _options(candidates({}, {}, {}, {}), closed, catalogue, rules)
    restart = options.filter(pl.col("strategy_id") == "guided_restart")
    assert restart.select("user_sk", "channel", "fallback_channel").rows() == [
        (1, "email", "push"),
        (2, "push", None),
        (3, "email", None),
    ]


def test_equal_profits_go_to_the_first_strategy_by_id() -> None:
    options = pl.DataFrame(
        {
            "user_sk": [1, 1, 1],
            "strategy_id": ["c", "b", "a"],
            "channel": ["email", "email", "push"],
            "expected_profit": [2.0, 2.0, 1.0],
        }
    )
    assert best_options(options)["strategy_id"].to_list() == ["b"]


def test_a_draw_picks_each_option_with_equal_chance() -> None:
    options = pl.DataFrame({"user_sk": [1] * 4, "strategy_id": ["d", "c", "b", "a"], "channel": ["email"] * 4})
    draws = [0.0, 0.2499, 0.25, 0.5, 0.7499, 0.75, 0.999999]
    picked = [drawn_options(options, pl.DataFrame({"user_sk": [1], "draw": [d]}))["strategy_id"].item() for d in draws]
    assert picked == ["a", "a", "b", "c", "c", "d", "d"]
