from dataclasses import replace
from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dagster_project.strategy.catalogue import Catalogue
from dagster_project.strategy.eligibility import cases_of
from dagster_project.strategy.exploring import KEYS, drawn_by_chance, explore_chances
from dagster_project.strategy.lift import Part, declared
from dagster_project.strategy.options import price_options
from dagster_project.strategy.priors import Beliefs, Taught
from dagster_project.strategy.rules import ChannelRules, DecisionRules
from tests.strategy.conftest import candidate_frame, contact_point_frame

AS_OF = date(2026, 6, 1)


@pytest.fixture(scope="module")
def priced(catalogue: Catalogue, rules: DecisionRules) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(options, cases) of users who differ in what they would return for."""
    users = candidate_frame(*({"p_return": 0.05 + 0.01 * k, "value_if_returned": 20.0 + 5 * k} for k in range(30)))
    cases = cases_of(users, contact_point_frame(), catalogue=catalogue, rules=rules, as_of=AS_OF)
    return price_options(cases, catalogue=catalogue, rules=rules, as_of=AS_OF), cases


Priced = tuple[pl.DataFrame, pl.DataFrame]


def _sure(rules: DecisionRules, catalogue: Catalogue, lifts: dict[str, float]) -> DecisionRules:
    """Rules that hardly doubt the lift of each strategy."""

    def belief(lift: float) -> Taught:
        parts = [Part("strategy", lift, 1e-3, (0.8, 0.1, 0.1), "s")]
        parts += [Part(name, 0.0, 1e-3, (0.8, 0.1, 0.1), "s") for name in ("content", "reason")]
        made = declared(parts)
        certain = (made.signs[:, 0] == 1).astype(float) * made.weights
        return Taught(replace(made, weights=certain / certain.sum()), {})

    taught = {one.id: belief(lifts.get(one.id, 0.0)) for one in catalogue.sending}
    return replace(rules, beliefs=Beliefs(rules.beliefs.priors, taught))


def test_the_chances_of_a_user_add_up_to_one_and_none_is_below_its_floor(
    priced: Priced, catalogue: Catalogue, rules: DecisionRules
) -> None:
    options, cases = priced
    found = explore_chances(options, cases, catalogue=catalogue, rules=rules, seed="s", even_share=0.2)
    by_user = found.group_by("user_sk").agg(pl.col("chance").sum(), pl.len(), pl.col("chance").min().alias("least"))
    assert by_user["chance"].to_list() == pytest.approx([1.0] * by_user.height)
    assert (by_user["least"] >= 0.2 / by_user["len"] - 1e-12).all()
    assert found.height == options.height
    assert found.columns == [*options.columns, "chance"]


def test_what_is_surely_best_gets_all_but_what_is_spread_evenly(
    priced: Priced, catalogue: Catalogue, rules: DecisionRules
) -> None:
    options, cases = priced
    one_channel = options.filter(channel="email")
    sure = _sure(rules, catalogue, {"whats_new": 1.0, "explore": 0.2})
    found = explore_chances(one_channel, cases, catalogue=catalogue, rules=sure, seed="s", even_share=0.2)
    n = pl.len().over("user_sk")
    best = found.with_columns(n.alias("n")).filter(strategy_id="whats_new")
    assert best["chance"].to_list() == pytest.approx((0.8 + 0.2 / best["n"]).to_list())


def test_equal_options_share_alike(priced: Priced, catalogue: Catalogue, rules: DecisionRules) -> None:
    options, cases = priced
    free = replace(rules, channels={"email": ChannelRules(cost=0.0), "push": ChannelRules(cost=0.0)})
    sure = _sure(free, catalogue, {})
    found = explore_chances(
        options.filter(strategy_id="explore"), cases, catalogue=catalogue, rules=sure, seed="s", even_share=0.0
    )
    assert found["chance"].to_list() == pytest.approx([0.5] * found.height)


def test_what_is_doubted_is_tried_more_often_than_what_is_known_to_be_worse(
    priced: Priced, catalogue: Catalogue, rules: DecisionRules
) -> None:
    options, cases = priced
    sure = _sure(rules, catalogue, {"whats_new": 0.3, "guided_restart": 0.1, "explore": 0.1})
    doubted = declared([Part(name, 0.1, 0.5, (0.6, 0.3, 0.1), "s") for name in ("strategy", "content", "reason")])
    beliefs = Beliefs(rules.beliefs.priors, {**sure.beliefs.taught, "explore": Taught(doubted, {})})
    found = explore_chances(
        options.filter(channel="email"), cases, catalogue=catalogue, rules=replace(rules, beliefs=beliefs), seed="s"
    )
    mean = {str(name): float(group["chance"].mean()) for (name,), group in found.group_by("strategy_id")}  # type: ignore[arg-type]
    assert mean["whats_new"] > mean["explore"] > mean["guided_restart"]


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(order=st.permutations(range(12)))
def test_a_rerun_in_any_order_gives_the_same_chances(
    priced: Priced, catalogue: Catalogue, rules: DecisionRules, order: list[int]
) -> None:
    options, cases = priced[0].head(12), priced[1]
    there = explore_chances(options, cases, catalogue=catalogue, rules=rules, seed="s", n_draws=16)
    back = explore_chances(options[order], cases.reverse(), catalogue=catalogue, rules=rules, seed="s", n_draws=16)
    assert there.equals(back)


def test_another_seed_draws_anew(priced: Priced, catalogue: Catalogue, rules: DecisionRules) -> None:
    options, cases = priced
    one, other = (
        explore_chances(options, cases, catalogue=catalogue, rules=rules, seed=seed)["chance"] for seed in "ab"
    )
    assert not one.equals(other)
    assert one.to_numpy() == pytest.approx(other.to_numpy(), abs=0.25)


def test_users_get_their_options_as_often_as_the_chances_say() -> None:
    n = 20_000
    options = pl.DataFrame(
        {
            "user_sk": np.repeat(np.arange(n), 3),
            "strategy_id": ["a", "b", "c"] * n,
            "channel": ["email"] * 3 * n,
            "chance": [0.7, 0.05, 0.25] * n,
        }
    )
    draws = pl.DataFrame({"user_sk": np.arange(n), "draw": np.random.default_rng(1).random(n)})
    drawn = drawn_by_chance(options, draws)
    assert drawn["user_sk"].to_list() == list(range(n))
    for name, chance in (("a", 0.7), ("b", 0.05), ("c", 0.25)):
        assert (drawn["strategy_id"] == name).mean() == pytest.approx(chance, abs=0.012)
        assert drawn.filter(strategy_id=name)["chance"].unique().to_list() == [chance]


def test_rounding_leaves_nobody_without_an_option() -> None:
    options = pl.DataFrame(
        {"user_sk": [1, 1], "strategy_id": ["a", "b"], "channel": ["email"] * 2, "chance": [0.1, 0.2]}
    )
    drawn = drawn_by_chance(options, pl.DataFrame({"user_sk": [1], "draw": [0.999999]}))
    assert drawn.select(KEYS).rows() == [(1, "b", "email")]


def test_nobody_explores_where_nobody_has_an_option(priced: Priced, catalogue: Catalogue, rules: DecisionRules) -> None:
    options, cases = priced
    assert explore_chances(options.clear(), cases, catalogue=catalogue, rules=rules, seed="s").is_empty()


def test_an_option_on_a_channel_that_is_not_heeded_is_drawn_less_often(
    priced: Priced, catalogue: Catalogue, rules: DecisionRules
) -> None:
    _, cases = priced
    sure = _sure(rules, catalogue, {"whats_new": 0.5})
    heed = cases.select("user_sk", pl.lit("email").alias("channel"), pl.lit(0.25).alias("attention"))

    def chance(attention: pl.DataFrame | None) -> float:
        options = price_options(cases, catalogue=catalogue, rules=sure, as_of=AS_OF, attention=attention)
        found = explore_chances(options, cases, catalogue=catalogue, rules=sure, seed="s")
        on_email = found.filter(pl.col("strategy_id") == "whats_new", pl.col("channel") == "email")
        return float(on_email["chance"].sum())

    # Without heed both channels of the surely best strategy are equally good; with it the other one is.
    assert chance(heed) < 0.5 * chance(None)
