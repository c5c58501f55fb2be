from dataclasses import replace

import polars as pl

from dagster_project.strategy.catalogue import Catalogue
from dagster_project.strategy.parity import equal_offers
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
    left = equal_offers(OPTIONS, cases, catalogue=_catalogue(catalogue), rules=rules)
    assert left.select("user_sk", "strategy_id").rows() == [(1, DEEP), (2, DEEP), (3, DEEP), (3, "other")]


def test_stages_may_differ(catalogue: Catalogue, rules: DecisionRules) -> None:
    cases = _cases((1, "churned_early", True), (2, "churned_late", True), (3, "lost", True))
    left = equal_offers(OPTIONS, cases, catalogue=_catalogue(catalogue), rules=rules)
    assert left.select("user_sk", "strategy_id").rows() == [(1, DEEP), (2, SHALLOW), (3, DEEP)]


def test_a_stage_gets_the_offer_or_the_message_without_one_whichever_is_worth_more_to_all_of_it(
    catalogue: Catalogue, rules: DecisionRules
) -> None:
    shops = Catalogue(strategies=_catalogue(catalogue).strategies[:1])
    cases = _cases(*((user, stage, True) for stage, users in (("lost", (1, 2, 5)), ("new", (3, 4))) for user in users))
    options = _options(
        *((1, DEEP, 9.0), (1, "plain", 2.0), (2, DEEP, 1.0), (2, "plain", 3.0), (5, "plain", 1.0)),
        *((3, DEEP, 2.0), (3, "plain", 1.0), (4, DEEP, 1.0), (4, "plain", 3.0)),
    )
    left = equal_offers(options, cases, catalogue=shops, rules=rules)
    # of "lost" 9 + 1 + 1 against 2 + 3 + 1 (user 5 does not fit the offer), of "new" 2 + 1 against 1 + 3
    assert left.select("user_sk", "strategy_id").rows() == [
        *((1, DEEP), (2, DEEP), (5, "plain")),
        *((3, "plain"), (4, "plain")),
    ]


def test_where_no_law_asks_the_settings_can(catalogue: Catalogue, rules: DecisionRules) -> None:
    cases = _cases(*((user, "churned_early", False) for user in (1, 2, 3)))
    shops = _catalogue(catalogue)
    assert equal_offers(OPTIONS, cases, catalogue=shops, rules=rules).equals(OPTIONS)
    equal = equal_offers(OPTIONS, cases, catalogue=shops, rules=replace(rules, equal_offers_for_all=True))
    assert equal["strategy_id"].to_list() == [DEEP, DEEP, DEEP]


def test_without_an_offer_every_option_stays(catalogue: Catalogue, rules: DecisionRules) -> None:
    cases = _cases((1, "churned_early", True), (2, "churned_early", True))
    assert equal_offers(OPTIONS, cases, catalogue=Catalogue(strategies=()), rules=rules).equals(OPTIONS)
    assert equal_offers(OPTIONS.clear(), cases, catalogue=_catalogue(catalogue), rules=rules).height == 0
