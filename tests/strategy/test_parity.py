from dataclasses import replace

import polars as pl

from dagster_project.strategy.catalogue import Catalogue
from dagster_project.strategy.parity import equal_depths
from dagster_project.strategy.rules import DecisionRules

SHALLOW, DEEP = "shallow", "deep"


def _catalogue(catalogue: Catalogue) -> Catalogue:
    base = catalogue.by_id["price_save"]
    made = tuple(
        base.model_copy(update={"id": name, "offer": base.offer.model_copy(update={"cost": cost})})
        for name, cost in ((DEEP, 20.0), (SHALLOW, 5.0))
    )
    return Catalogue(strategies=made)


def _options(*rows: tuple[int, str, float]) -> pl.DataFrame:
    made = pl.DataFrame(rows, schema=["user_sk", "strategy_id", "expected_profit"], orient="row")
    return made.with_columns(pl.lit("email").alias("channel"))


def _cases(*rows: tuple[int, str, bool]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=["user_sk", "stage", "needs_equal_offers"], orient="row")


OPTIONS = _options(
    (1, DEEP, 9.0), (1, SHALLOW, 2.0), (2, DEEP, 1.0), (2, SHALLOW, 6.0), (3, DEEP, 4.0), (3, "other", 1.0)
)


def test_under_a_law_of_equal_offers_a_stage_gets_the_depth_that_is_worth_most_to_all_of_it(
    catalogue: Catalogue, rules: DecisionRules
) -> None:
    cases = _cases((1, "churned_early", True), (2, "churned_early", True), (3, "churned_early", False))
    left = equal_depths(OPTIONS, cases, catalogue=_catalogue(catalogue), rules=rules)
    assert left.select("user_sk", "strategy_id").rows() == [(1, DEEP), (2, DEEP), (3, DEEP), (3, "other")]


def test_stages_may_differ(catalogue: Catalogue, rules: DecisionRules) -> None:
    cases = _cases((1, "churned_early", True), (2, "churned_late", True), (3, "lost", True))
    left = equal_depths(OPTIONS, cases, catalogue=_catalogue(catalogue), rules=rules)
    assert left.select("user_sk", "strategy_id").rows() == [(1, DEEP), (2, SHALLOW), (3, DEEP), (3, "other")]


def test_where_no_law_asks_the_settings_can(catalogue: Catalogue, rules: DecisionRules) -> None:
    cases = _cases(*((user, "churned_early", False) for user in (1, 2, 3)))
    shops = _catalogue(catalogue)
    assert equal_depths(OPTIONS, cases, catalogue=shops, rules=rules).equals(OPTIONS)
    equal = equal_depths(OPTIONS, cases, catalogue=shops, rules=replace(rules, equal_offers_for_all=True))
    assert equal["strategy_id"].to_list() == [DEEP, DEEP, DEEP, "other"]


def test_one_depth_a_kind_leaves_every_option(catalogue: Catalogue, rules: DecisionRules) -> None:
    cases = _cases((1, "churned_early", True))
    one = Catalogue(strategies=_catalogue(catalogue).strategies[:1])
    assert equal_depths(OPTIONS, cases, catalogue=one, rules=rules).equals(OPTIONS)
