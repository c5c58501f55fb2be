from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import polars as pl
import pytest

from dagster_project.strategy.catalogue import Catalogue
from dagster_project.strategy.eligibility import cases_of
from dagster_project.strategy.learning import OUTCOMES, beliefs_from
from dagster_project.strategy.lift import uplift
from dagster_project.strategy.options import SCORES, best_options, price_options
from dagster_project.strategy.rules import ChannelRules, DecisionRules

AS_OF = date(2026, 6, 1)
Frame = Callable[..., pl.DataFrame]


def _options(users: pl.DataFrame, points: pl.DataFrame, catalogue: Catalogue, rules: DecisionRules) -> pl.DataFrame:
    cases = cases_of(users, points, catalogue=catalogue, rules=rules, as_of=AS_OF)
    return price_options(cases, catalogue=catalogue, rules=rules, as_of=AS_OF)


def _ids(options: pl.DataFrame) -> list[str]:
    return options["strategy_id"].unique().sort().to_list()


def _only(options: pl.DataFrame, strategy_id: str, channel: str = "email") -> dict[str, Any]:
    return options.row(by_predicate=(pl.col("strategy_id") == strategy_id) & (pl.col("channel") == channel), named=True)


def test_the_price_of_a_discount_counts_those_who_return_anyway(
    candidates: Frame, contact_points: Frame, catalogue: Catalogue, rules: DecisionRules
) -> None:
    paid = replace(rules, channels={"email": ChannelRules(cost=0.02)}, harm_if_unknown=0.01, reach_worth_share=0.1)
    row = _only(_options(candidates({}), contact_points(), catalogue, paid), "price_save")
    belief = rules.beliefs.of(catalogue.by_id["price_save"], channel="email")
    believed = uplift(np.array([0.2]), np.array([[1.0, 0.0, 0.0]]), belief=belief, caution=rules.caution)
    assert row["uplift"] == pytest.approx(believed.mean[0])
    assert (row["uplift_low"], row["uplift_high"]) == pytest.approx((believed.low[0], believed.high[0]))
    assert row["uplift_low"] < 0 < row["uplift_cautious"] < row["uplift"] < row["uplift_high"]
    assert row["expected_cost"] == pytest.approx(0.02 + 5.0 * 0.35 * (0.2 + row["uplift"]))
    assert row["expected_harm"] == pytest.approx(0.01 * 0.1 * 100 * 0.5)
    assert row["expected_profit"] == pytest.approx(
        row["uplift_cautious"] * 100 * 0.5 - row["expected_cost"] - row["expected_harm"]
    )
    assert row["evidence_grade"] == "prior"


def test_every_touch_of_a_series_is_paid_for_and_may_do_harm(
    candidates: Frame, contact_points: Frame, catalogue: Catalogue, rules: DecisionRules
) -> None:
    only_email = replace(rules, channels={"email": ChannelRules(cost=0.0)}, harm_if_unknown=0.1)
    paid = replace(only_email, channels={"email": ChannelRules(cost=1.0)})
    free = _only(_options(candidates({}), contact_points(), catalogue, only_email), "escalating_three")
    dear = _only(_options(candidates({}), contact_points(), catalogue, paid), "escalating_three")
    assert dear["expected_cost"] - free["expected_cost"] == pytest.approx(3.0)
    assert free["expected_harm"] == pytest.approx((1 - 0.9**3) * 0.05 * 50)


def test_a_user_whom_messages_annoy_costs_more(
    candidates: Frame, contact_points: Frame, catalogue: Catalogue, rules: DecisionRules
) -> None:
    users = candidates({}, {}, {}).with_columns(pl.Series("fatigue_probability", [0.0, 0.5, None]))
    options = _options(users, contact_points(), catalogue, rules).filter(strategy_id="whats_new", channel="email")
    assert options["expected_harm"].to_list() == pytest.approx([0.0, 0.5 * 0.05 * 50, 0.003 * 0.05 * 50])
    assert options["expected_profit"][1] < 0 < options["expected_profit"][0]


def test_a_message_believed_to_do_nothing_does_not_pay(
    candidates: Frame, contact_points: Frame, catalogue: Catalogue, rules: DecisionRules
) -> None:
    options = _options(candidates({"p_return": 0.123}), contact_points(), catalogue, rules)
    assert options.filter(pl.col("strategy_id") == "explore")["expected_profit"].max() < 0  # type: ignore[operator]


def test_an_answer_to_the_reason_of_leaving_is_worth_more_as_far_as_the_reason_is_sure(
    candidates: Frame, contact_points: Frame, catalogue: Catalogue, rules: DecisionRules
) -> None:
    users = candidates({}, {}, {}).with_columns(pl.Series("p_price_or_plan", [0.0, 0.4, 1.0]))
    options = _options(users, contact_points(), catalogue, rules)
    for strategy_id, is_rising in (("price_save", True), ("guided_restart", False)):
        found = options.filter(strategy_id=strategy_id, channel="email").sort("user_sk")["uplift"].to_list()
        assert found == sorted(found, reverse=not is_rising)
        assert len(set(found)) == 3


def test_content_speaks_before_any_outcome_is_known(
    candidates: Frame, contact_points: Frame, catalogue: Catalogue, rules: DecisionRules
) -> None:
    plain = catalogue.by_id["guided_restart"]
    mails = tuple(plain.model_copy(update={"id": word, "content": (word.title(),)}) for word in ("mens", "womens"))
    owned = pl.Series("categories", [["mens"], ["womens"], ["mens", "womens"], []], dtype=pl.List(pl.String))
    users = candidates({}, {}, {}, {}).with_columns(owned)
    options = _options(users, contact_points(), Catalogue(strategies=mails), rules)
    best = best_options(options.filter(channel="email"))
    assert best["strategy_id"].to_list() == ["mens", "womens", "mens", "mens"]
    of_last = options.filter(user_sk=4, channel="email")["uplift"]
    assert of_last[0] == of_last[1]


def test_outcomes_change_the_price_and_the_grade(
    candidates: Frame, contact_points: Frame, catalogue: Catalogue, rules: DecisionRules
) -> None:
    n = 4000
    known: dict[str, list[Any]] = {
        "strategy_id": ["price_save"] * n,
        "channel": ["email"] * n,
        "p_return": [0.2] * n,
        "is_treated": [i % 2 == 0 for i in range(n)],
        "is_return": [i % 10 < 2 for i in range(n)],
    }
    useless = pl.DataFrame({name: known.get(name, [None] * n) for name in OUTCOMES}, schema=OUTCOMES)

    def read(*, is_randomised: bool) -> DecisionRules:
        rows = useless.with_columns(pl.lit(is_randomised).alias("is_randomised"))
        beliefs = beliefs_from(rules.beliefs.priors, rows, catalogue=catalogue, as_of=AS_OF)
        return replace(rules, beliefs=beliefs)

    taught, seen = read(is_randomised=True), read(is_randomised=False)
    before, after, observed = (
        _only(_options(candidates({}), contact_points(), catalogue, one), "price_save") for one in (rules, taught, seen)
    )
    assert [row["evidence_grade"] for row in (before, after, observed)] == ["prior", "randomised", "observational"]
    assert after["uplift_high"] - after["uplift_low"] < (before["uplift_high"] - before["uplift_low"]) / 2
    assert after["uplift"] < before["uplift"]


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
    assert best_options(options).select("strategy_id", "n_options").rows() == [("guided_restart", 7)]


def test_every_open_channel_is_an_option_and_the_first_other_one_the_fallback(
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
        (1, "push", "email"),
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


def test_who_does_not_heed_a_channel_is_moved_less_there_and_thin_data_halves_the_dose(
    candidates: Frame, contact_points: Frame, catalogue: Catalogue, rules: DecisionRules
) -> None:
    users = candidates({"value_if_returned": 300.0}).with_columns(n_gaps=pl.lit(0))
    cases = cases_of(users, contact_points(), catalogue=catalogue, rules=rules, as_of=AS_OF)
    heed = pl.DataFrame({"user_sk": [1], "channel": ["push"], "attention": [0.5]})
    plain = price_options(cases, catalogue=catalogue, rules=rules, as_of=AS_OF)
    told = price_options(cases, catalogue=catalogue, rules=rules, as_of=AS_OF, attention=heed)

    before, after = (_only(made, "whats_new", "push") for made in (plain, told))
    assert after["uplift"] == pytest.approx(before["uplift"] / 2)
    assert after["uplift_low"] == pytest.approx(before["uplift_low"] / 2)
    assert _only(told, "whats_new", "email") == _only(plain, "whats_new", "email")
    assert _only(plain, "escalating_three")["max_touches"] == 1
    assert catalogue.by_id["escalating_three"].dose.max_touches == 3


def test_a_model_of_the_strategys_own_experiment_takes_the_place_of_the_belief(
    candidates: Frame, contact_points: Frame, catalogue: Catalogue, rules: DecisionRules
) -> None:
    cases = cases_of(candidates({}, {}), contact_points(), catalogue=catalogue, rules=rules, as_of=AS_OF)
    scores = pl.DataFrame([(1, "whats_new", 0.05, 0.02, 0.08)], schema=SCORES, orient="row")
    made = price_options(cases, catalogue=catalogue, rules=rules, as_of=AS_OF, scores=scores)
    first = _only(made.filter(pl.col("user_sk") == 1), "whats_new")
    assert (first["uplift"], first["uplift_low"], first["uplift_high"]) == (0.05, 0.02, 0.08)
    assert first["evidence_grade"] == "randomised"
    assert 0.02 < first["uplift_cautious"] < 0.05
    assert _only(made.filter(pl.col("user_sk") == 2), "whats_new")["evidence_grade"] == "prior"
