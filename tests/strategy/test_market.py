from collections.abc import Callable
from dataclasses import replace
from datetime import date

import numpy as np
import polars as pl
import pytest

from dagster_project.strategy.assignment import decide
from dagster_project.strategy.catalogue import Catalogue
from dagster_project.strategy.market import Market, clear_market, market_report, night_limits, with_room_for_draws
from dagster_project.strategy.rules import ChannelRules, DecisionRules

Frame = Callable[..., pl.DataFrame]
USERS = pl.DataFrame({"user_sk": [3, 1, 2], "user_id": ["a", "b", "c"]})


def _options(*rows: tuple[int, str, float, float]) -> pl.DataFrame:
    found = pl.DataFrame(
        rows,
        schema={"user_sk": pl.Int64, "channel": pl.String, "expected_profit": pl.Float64, "expected_cost": pl.Float64},
        orient="row",
    )
    return found.with_columns(pl.lit("s").alias("strategy_id"))


def _theirs(market: Market) -> list[tuple[str, str]]:
    return market.chosen.select("user_id", "channel").rows()


def _limited(rules: DecisionRules, **capacities: int) -> DecisionRules:
    return replace(rules, channels={name: ChannelRules(cost=0.0, capacity=c) for name, c in capacities.items()})


def test_without_limits_everyone_has_their_best_and_nothing_has_a_price(rules: DecisionRules) -> None:
    options = _options((3, "email", 2.0, 0.0), (3, "push", 3.0, 0.0), (1, "email", 5.0, 0.0), (2, "email", -1.0, 0.0))
    market = clear_market(options, USERS, limits=night_limits(rules))
    assert _theirs(market) == [("b", "email"), ("a", "push")]
    assert market.prices == {}
    assert market.chosen["gain"].to_list() == [5.0, 3.0]


def test_a_scarce_channel_goes_to_those_who_have_no_other(rules: DecisionRules) -> None:
    options = _options((3, "email", 10.0, 0.0), (3, "push", 9.0, 0.0), (1, "email", 8.0, 0.0), (1, "push", 1.0, 0.0))
    market = clear_market(options, USERS, limits=night_limits(_limited(rules, email=1, push=5)))
    assert sorted(_theirs(market)) == [("a", "push"), ("b", "email")]
    assert 1.0 - 1e-6 <= market.prices["channel.email"] <= 7.0 + 1e-6
    assert market.prices["channel.push"] == pytest.approx(0, abs=1e-6)


def test_the_price_of_a_contact_is_what_one_more_would_earn(rules: DecisionRules) -> None:
    options = _options((3, "email", 5.0, 1.0), (1, "email", 4.0, 1.0), (2, "email", 3.0, 1.0))
    market = clear_market(options, USERS, limits=night_limits(replace(rules, max_contacts=2)))
    assert [user for user, _ in _theirs(market)] == ["a", "b", "c"]
    assert 3.0 - 1e-6 <= market.prices["contacts"] <= 4.0 + 1e-6
    assert market.chosen["gain"][1] > -1e-6 > market.chosen["gain"][2] - 1e-3


def test_a_budget_prefers_what_earns_more_for_the_money(rules: DecisionRules) -> None:
    options = _options((3, "email", 10.0, 10.0), (1, "email", 6.0, 2.0), (2, "email", 5.0, 2.0))
    market = clear_market(options, USERS, limits=night_limits(replace(rules, budget_per_night=4.0)))
    assert [user for user, _ in _theirs(market)] == ["b", "c", "a"]


def test_the_report_names_what_was_used_and_what_could_not_be_exceeded(rules: DecisionRules) -> None:
    limited = replace(_limited(rules, email=2, push=9), max_contacts=2, budget_per_night=50.0)
    options = _options((3, "email", 5.0, 1.0), (1, "email", 4.0, 1.0), (2, "email", 3.0, 1.0))
    market = clear_market(options, USERS, limits=night_limits(limited))
    told = market_report(market, options.head(2), pl.Series([1, 2, 3]), rules=limited)
    assert told.select("resource", "limit", "used").rows()[:4] == [
        ("budget", 50.0, 2.0),
        ("contacts", 2.0, 2.0),
        ("channel.email", 2.0, 2.0),
        ("channel.push", 9.0, 0.0),
    ]
    profit = told.row(4, named=True)
    assert (profit["resource"], profit["used"], profit["shadow_price"]) == ("profit", 9.0, None)
    assert 9.0 - 1e-6 <= profit["limit"] < 9.1


def test_a_budget_too_small_for_anything_is_none(rules: DecisionRules) -> None:
    tiny = night_limits(replace(rules, budget_per_night=2.2e-313))
    market = clear_market(_options((3, "email", 5.0, 1.0), (3, "push", 1.0, 0.0)), USERS, limits=tiny)
    assert tiny == {"budget": 0.0}
    assert _theirs(market) == [("a", "push")]


def test_nobody_is_no_trouble(rules: DecisionRules) -> None:
    market = clear_market(_options(), USERS.clear(), limits=night_limits(replace(rules, max_contacts=0)))
    assert market.chosen.height == 0
    told = market_report(market, _options(), pl.Series([], dtype=pl.Int64), rules=replace(rules, max_contacts=0))
    assert told.rows() == [("contacts", 0.0, 0.0, 0.0), ("profit", 0.0, 0.0, None)]


def test_room_is_made_for_what_exploring_costs_beyond_the_choice() -> None:
    chosen = _options((3, "email", 5.0, 1.0), (1, "email", 4.0, 1.0))
    drawn = _options((3, "email", -5.0, 4.0), (1, "push", 0.0, 0.0))
    limits = {"budget": 10.0, "contacts": 7.0, "channel.email": 3.0, "channel.push": 0.5}
    found = with_room_for_draws(limits, chosen=chosen, drawn=drawn)
    assert found == {"budget": 8.0, "contacts": 7.0, "channel.email": 4.0, "channel.push": 0.0}


def _crowd(n: int, candidates: Frame) -> pl.DataFrame:
    rng = np.random.default_rng(7)
    values, chances = rng.lognormal(4, 1, n), rng.beta(2, 8, n)
    return candidates(
        *(
            {"user_id": f"u{i:05d}", "value_if_returned": float(values[i]), "p_return": float(chances[i])}
            for i in range(n)
        )
    )


SCARCE = {"email": ChannelRules(cost=0.05, capacity=300), "push": ChannelRules(cost=0.01, capacity=200)}


def test_the_night_comes_near_what_no_allocation_could_exceed(
    candidates: Frame, contact_points: Frame, catalogue: Catalogue, rules: DecisionRules
) -> None:
    scarce = replace(rules, channels=SCARCE, budget_per_night=60.0)
    told = decide(_crowd(1500, candidates), contact_points(), catalogue=catalogue, rules=scarce, as_of=date(2026, 6, 1))
    rows = {row["resource"]: row for row in told.prices.to_dicts()}
    assert rows["profit"]["used"] >= 0.98 * rows["profit"]["limit"]
    assert rows["profit"]["used"] <= rows["profit"]["limit"] + 1e-6
    assert rows["budget"]["used"] <= 60.0 + 1e-9
    assert rows["channel.email"]["used"] <= 300
    assert rows["channel.push"]["used"] <= 200
    assert rows["budget"]["shadow_price"] > 0


def test_costly_draws_of_the_explorers_do_not_starve_the_cheap_channel(
    candidates: Frame, contact_points: Frame, catalogue: Catalogue, rules: DecisionRules
) -> None:
    scarce = replace(rules, channels=SCARCE, budget_per_night=60.0, control_share=0.1, explore_share=0.05)
    told = decide(_crowd(1500, candidates), contact_points(), catalogue=catalogue, rules=scarce, as_of=date(2026, 6, 1))
    used = {row["resource"]: row["used"] for row in told.prices.to_dicts()}
    assert used["budget"] <= 60.0 + 1e-9
    assert used["channel.push"] > 160


def test_the_held_out_are_those_who_would_have_been_written_to(
    candidates: Frame, contact_points: Frame, catalogue: Catalogue, rules: DecisionRules
) -> None:
    scarce = replace(rules, channels=SCARCE, budget_per_night=60.0, control_share=0.4)
    crowd = _crowd(1500, candidates)
    told = decide(crowd, contact_points(), catalogue=catalogue, rules=scarce, as_of=date(2026, 6, 1))
    share = told.holdout.height / (told.holdout.height + told.exported.height)
    assert share == pytest.approx(0.4, abs=0.05)
    value = crowd.select("user_id", pl.col("value_if_returned").log())
    of_control, of_treated = (
        frame.join(value, on="user_id")["value_if_returned"].to_numpy() for frame in (told.holdout, told.exported)
    )
    spread = np.hypot(of_control.std() / len(of_control) ** 0.5, of_treated.std() / len(of_treated) ** 0.5)
    assert abs(of_control.mean() - of_treated.mean()) < 3 * spread
    mix = told.holdout["would_be_strategy"].value_counts(normalize=True).sort("would_be_strategy")
    treated_mix = told.exported["strategy_id"].value_counts(normalize=True).sort("strategy_id")
    common = dict(mix.iter_rows())
    assert sum(abs(common.get(name, 0.0) - part) for name, part in treated_mix.iter_rows()) < 0.25
