"""What a night adds to the ledger: one row per experiment that a user takes part in."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

import polars as pl
import pytest

from dagster_project.strategy.assignment import Decisions, decide
from dagster_project.strategy.catalogue import Catalogue
from dagster_project.strategy.ledger import ASSIGNMENTS
from dagster_project.strategy.rules import DecisionRules
from dagster_project.strategy.tiers import value_tiers

AS_OF = date(2026, 6, 1)
Frame = Callable[..., pl.DataFrame]


def _with_two_words(catalogue: Catalogue, strategy_id: str) -> Catalogue:
    one = catalogue.by_id[strategy_id]
    words = {"channels": ("email",)}
    templates = tuple(
        one.templates[0].model_copy(update={**words, "template_id": f"{strategy_id}_{name}"}) for name in ("a", "b")
    )
    return Catalogue(strategies=(one.model_copy(update={**words, "templates": templates}),))


@pytest.fixture
def night(
    candidates: Frame, contact_points: Frame, catalogue: Catalogue, rules: DecisionRules
) -> Callable[..., Decisions]:
    def run(n: int, **changes: Any) -> Decisions:
        users = candidates(*({"value_if_returned": 180.0} for _ in range(n)))
        words = _with_two_words(catalogue, "whats_new")
        return decide(users, contact_points(), catalogue=words, rules=replace(rules, **changes), as_of=AS_OF)

    return run


def test_two_templates_are_drawn_alike_and_logged_as_an_experiment_of_their_own(
    night: Callable[..., Decisions],
) -> None:
    ledger = night(2000, control_share=0.2).assignments

    assert ledger.schema == ASSIGNMENTS
    words = ledger.filter(pl.col("experiment_id") == "words.whats_new.email")
    told = {
        row["arm"]: (row["n"], row["propensity"])
        for row in words.group_by("arm").agg(pl.len().alias("n"), pl.col("propensity").first()).iter_rows(named=True)
    }
    assert set(told) == {"control", "whats_new_a", "whats_new_b"}
    assert told["control"][1] == 0.2
    assert told["whats_new_a"][1] == told["whats_new_b"][1] == pytest.approx(0.4)
    assert abs(told["whats_new_a"][0] - told["whats_new_b"][0]) < 4 * 1600**0.5
    contacted = words.filter(pl.col("arm") != "control")
    assert (contacted["arm"] == contacted["template_id"]).all()
    assert contacted["is_contacted"].all()
    assert not words.filter(pl.col("arm") == "control")["is_contacted"].any()


def test_the_same_user_gets_the_same_words_whoever_else_there_is(night: Callable[..., Decisions]) -> None:
    few, many = (dict(night(n).exported.select("user_id", "template_id").iter_rows()) for n in (20, 60))
    assert few.items() <= many.items()


def test_one_template_is_no_experiment_and_explorers_take_no_part(
    candidates: Frame,
    contact_points: Frame,
    catalogue: Catalogue,
    rules: DecisionRules,
    night: Callable[..., Decisions],
) -> None:
    one = catalogue.by_id["whats_new"]
    email = {"channels": ("email",)}
    words = one.templates[0].model_copy(update=email)
    alone = Catalogue(strategies=(one.model_copy(update={**email, "templates": (words,)}),))
    told = decide(candidates({"value_if_returned": 180.0}), contact_points(), catalogue=alone, rules=rules, as_of=AS_OF)
    assert told.assignments["experiment_id"].to_list() == ["global_holdout"]

    explorers = night(300, explore_share=0.5).assignments.filter(pl.col("arm") == "explore")
    assert explorers.height > 100
    assert explorers["experiment_id"].unique().to_list() == ["global_holdout"]


def test_tiers_are_thirds_of_what_is_known() -> None:
    assert value_tiers(pl.Series([1.0, 2.0, 3.0, None])).to_list() == ["low", "middle", "high", "unknown"]
    assert value_tiers(pl.Series([5.0, 5.0, 5.0])).to_list() == ["low"] * 3
    assert value_tiers(pl.Series([None], dtype=pl.Float64)).to_list() == ["unknown"]
