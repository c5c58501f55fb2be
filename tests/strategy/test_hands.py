"""Caps, pins, approvals and own control groups, as people set them."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date

import polars as pl
import pytest

from dagster_project.strategy.assignment import decide
from dagster_project.strategy.catalogue import Catalogue
from dagster_project.strategy.hands import Hands, allowed_options, is_waiting
from dagster_project.strategy.rules import DecisionRules

AS_OF = date(2026, 6, 1)
Frame = Callable[..., pl.DataFrame]


@pytest.fixture
def night(candidates: Frame, contact_points: Frame, catalogue: Catalogue, rules: DecisionRules):  # type: ignore[no-untyped-def]
    def run(n: int, hands: Hands, **changes: object):  # type: ignore[no-untyped-def]
        users = candidates(*({"value_if_returned": 180.0} for _ in range(n)))
        told = replace(rules, hands=hands, **changes)
        return decide(users, contact_points(), catalogue=catalogue, rules=told, as_of=AS_OF)

    return run


def test_an_approval_holds_up_to_its_last_night() -> None:
    assert is_waiting(("a", "b", "c"), {"a": date(2026, 6, 1), "b": date(2026, 5, 31)}, as_of=AS_OF) == {"b", "c"}


def test_a_user_whom_a_pinned_strategy_fits_has_no_other_option() -> None:
    options = pl.DataFrame({"user_sk": [1, 1, 2, 3, 3], "strategy_id": ["a", "b", "a", "b", "c"]})
    left = allowed_options(options, hands=Hands(pinned=("c", "b")))
    assert left.rows() == [(1, "b"), (2, "a"), (3, "c")]


def test_a_stopped_strategy_is_nobodys_option_and_the_night_says_why(night) -> None:  # type: ignore[no-untyped-def]
    told = night(40, Hands(stopped={"price_save": "price_save is stopped: it harms."}), explore_share=0.5)
    assert "price_save" not in told.exported["strategy_id"].to_list()
    assert told.exported.height == 40
    assert told.hands.rows() == [("price_save", "stopped by rule", 0, "price_save is stopped: it harms.")]


def test_a_strategy_that_waits_writes_to_nobody_and_its_users_are_told_why(night) -> None:  # type: ignore[no-untyped-def]
    free = night(40, Hands(), control_share=0.2)
    chosen = free.exported["strategy_id"].unique().to_list()
    assert chosen == ["price_save"]

    told = night(40, Hands(waiting=frozenset(chosen)), control_share=0.2)

    assert (told.exported.height, told.holdout.height, told.assignments.height) == (0, 0, 0)
    assert told.awaiting["user_id"].to_list() == free.exported["user_id"].to_list()
    assert told.awaiting["send_at"].null_count() == 0
    assert told.suppressed["rule_id"].unique().to_list() == ["strategy.awaits_approval"]
    assert told.suppressed["until"].null_count() == 40
    assert told.hands.rows() == [
        ("price_save", "waits for approval", told.awaiting.height, "Nothing of it goes out: see awaiting_approval.csv.")
    ]


def test_a_capped_strategy_stops_at_its_limit_and_others_take_its_users(night) -> None:  # type: ignore[no-untyped-def]
    told = night(10, Hands(max_contacts={"price_save": 3}))
    counts = dict(told.exported["strategy_id"].value_counts().iter_rows())
    assert counts["price_save"] == 3
    assert told.exported.height == 10
    assert told.hands.row(0) == ("price_save", "capped", 3, "At most 3 contacts a night. The limit was reached.")


def test_a_strategys_own_control_group_is_held_out_in_an_experiment_of_its_own(night) -> None:  # type: ignore[no-untyped-def]
    told = night(400, Hands(control_shares={"price_save": 0.4}), control_share=0.1)
    own = told.holdout.filter(pl.col("experiment_id") == "strategy.price_save")
    assert 100 < own.height < 190  # 40 % of the 90 % who are not in the control group of all
    assert told.exported.height + told.holdout.height == 400

    ledger = told.assignments
    experiment = ledger.filter(pl.col("experiment_id") == "strategy.price_save")
    assert experiment.select("arm", "propensity", "is_contacted").unique().sort("arm").rows() == [
        ("control", 0.4, False),
        ("treat", 0.6, True),
    ]
    # By intention to treat: in the experiment of all they count as treated.
    of_all = ledger.filter(
        pl.col("experiment_id") == "global_holdout", pl.col("user_id").is_in(own["user_id"].implode())
    )
    assert of_all.select("arm", "is_contacted").unique().rows() == [("treat", False)]
    assert ledger.select("user_id", "experiment_id").is_unique().all()


def test_own_control_groups_are_sticky_and_not_those_of_another_strategy(night) -> None:  # type: ignore[no-untyped-def]
    def held(shares: dict[str, float]) -> set[str]:
        return set(night(200, Hands(control_shares=shares)).holdout["user_id"])

    assert held({"price_save": 0.2}) <= held({"price_save": 0.5})
    assert held({"concierge": 0.5}) == set()
