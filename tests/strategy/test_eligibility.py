from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

import polars as pl
import pytest

from dagster_project.strategy.catalogue import Catalogue
from dagster_project.strategy.eligibility import cases_of, fits
from dagster_project.strategy.model import LAPSED_STAGES
from dagster_project.strategy.options import price_options
from dagster_project.strategy.rules import ChannelRules, DecisionRules

AS_OF = date(2026, 6, 1)
Frame = Callable[..., pl.DataFrame]
Fitting = Callable[..., list[str]]
HERE = {"is_churned": False, "churned_on": None, "p_return": None, "days_silent": 9}


@pytest.fixture(scope="module")
def cases(candidates: Frame, contact_points: Frame, catalogue: Catalogue, rules: DecisionRules) -> Frame:
    def of(*users: dict[str, Any], points: tuple[dict[str, Any], ...] = (), **columns: list[Any]) -> pl.DataFrame:
        frame = candidates(*users).with_columns(pl.Series(name, values) for name, values in columns.items())
        return cases_of(frame, contact_points(*points), catalogue=catalogue, rules=rules, as_of=AS_OF)

    return of


@pytest.fixture(scope="module")
def options(cases: Frame, catalogue: Catalogue, rules: DecisionRules) -> Fitting:
    def of(*users: dict[str, Any], **more: Any) -> list[str]:
        priced = price_options(cases(*users, **more), catalogue=catalogue, rules=rules, as_of=AS_OF)
        return priced.sort("user_sk", "strategy_id")["strategy_id"].unique(maintain_order=True).to_list()

    return of


def test_a_reason_triggers_from_the_probability_that_the_strategy_asks_for(options: Fitting) -> None:
    without = options({})
    for probability, is_met in ((0.49, False), (0.5, True), (None, False)):
        found = options({}, p_service_failure=[probability])
        assert sorted(set(found) - set(without)) == (["apology_and_fix"] if is_met else [])


def test_any_of_several_signs_is_enough(options: Fitting) -> None:
    by_reason = options({}, p_payment_failure=[0.9])
    by_evidence = options({}, **{"evidence.payment_failed": [True]})
    neither = options({}, p_payment_failure=[0.1], **{"evidence.payment_failed": [False]})
    assert "dunning" in by_reason and "dunning" in by_evidence and "dunning" not in neither


def test_a_trigger_whose_column_is_not_there_fits_nobody(options: Fitting, catalogue: Catalogue) -> None:
    asked = {one.id for one in catalogue.sending if one.trigger.reasons or one.trigger.evidence}
    asked |= {one.id for one in catalogue.sending if one.trigger.occasions}
    assert len(asked) == 10
    assert asked.isdisjoint(options({"value_if_returned": 300.0}))


def test_friends_who_are_still_here_are_a_reason_to_write(options: Fitting) -> None:
    assert "friends_are_here" in options({}, **{"evidence.friends_here": [True]})
    assert "friends_are_here" not in options({}, **{"evidence.friends_here": [None]})


def test_an_occasion_triggers_only_what_asks_for_it(options: Fitting) -> None:
    near = {
        "birthday": "birthday_greeting",
        "signup_anniversary": "anniversary_thanks",
        "christmas": "holiday_greeting",
    }
    for occasion, strategy_id in near.items():
        found = options({}, occasions=[[occasion]])
        assert [one for one in near.values() if one in found] == [strategy_id]
    assert not set(near.values()) & set(options({}, occasions=[None]))


def test_a_dead_channel_beside_an_open_one_asks_for_repair(cases: Frame, options: Fitting) -> None:
    dead = {"user_sk": 1, "channel": "email", "rule_id": "reach.dead"}
    assert "repair_reach" in options({}, points=(dead,))
    assert "repair_reach" in options({}, points=({**dead, "channel": "telegram"},))
    for wish in ("consent.withdrawn", "consent.revoked_at_provider", "reach.capped"):
        assert "repair_reach" not in options({}, points=({**dead, "rule_id": wish},))
    assert cases({}, points=(dead,))["silenced_by"].to_list() == [None]


def test_only_who_is_unreachable_for_technical_reasons_alone_goes_to_an_audience(cases: Frame) -> None:
    def silenced(email: str, push: str) -> str | None:
        points = (
            {"user_sk": 1, "channel": "email", "rule_id": email},
            {"user_sk": 1, "channel": "push", "rule_id": push},
        )
        return cases({}, points=points)["silenced_by"].item()  # type: ignore[no-any-return]

    assert silenced("reach.dead", "reach.dead") == "paid_audience_only"
    assert silenced("reach.dead", "consent.withdrawn") is None
    assert silenced("reach.dead", "consent.revoked_at_provider") is None
    assert silenced("complaint.stop", "complaint.stop") is None
    assert silenced("reach.dead", "cap.week") is None


def test_deliberate_silence_is_given_its_strongest_ground(cases: Frame) -> None:
    users = [{"p_return": 0.9}] * 4
    found = cases(
        *users,
        p_identity_switch=[0.0, 0.8, 0.8, 0.0],
        p_explicit_stop=[0.0, 0.0, 0.9, 0.0],
        **{"evidence.privacy_complaint": [False, False, False, True]},
    )
    assert found["silenced_by"].to_list() == ["quiet_period", "repair_data", "do_not_contact", "do_not_contact"]


def test_who_was_silenced_by_an_outage_goes_on_the_list_of_repairs_whatever_the_stage(cases: Frame) -> None:
    found = cases({}, {**HERE, "stage": "active"}, is_measurement_gap=[True, True])
    assert found.select("silenced_by", "is_triggered").rows() == [("repair_data", False)] * 2


def test_who_no_message_can_reach_goes_on_the_list_of_repairs_and_to_no_audience(cases: Frame) -> None:
    points = tuple({"user_sk": 1, "channel": name, "rule_id": "reach.dead"} for name in ("email", "push"))
    quiet = {**HERE, "stage": "at_risk"}
    found = cases(quiet, quiet, points=points, is_unreached=[True, True], **{"evidence.asked_to_stop": [False, True]})
    assert found.select("silenced_by", "is_triggered").rows() == [
        ("repair_address", False),
        ("do_not_contact", False),
    ]


def test_users_who_are_still_here_are_cases_only_where_a_strategy_triggers_for_them(cases: Frame) -> None:
    stages = ["active", "cooling", "at_risk", "dormant", "churned_early"]
    users = [HERE | {"stage": stage, "value_if_returned": None} for stage in stages[:4]] + [{}]
    found = cases(*users, p_active=[0.5] * 5, expected_value=[30.0, 40.0, 50.0, 60.0, 70.0])
    assert found.select("user_id", "is_churned", "p_return", "value_if_returned", "is_triggered").rows() == [
        ("u2", False, 0.5, 40.0, True),
        ("u3", False, 0.5, 50.0, True),
        ("u5", True, 0.2, 100.0, True),
    ]


def test_early_warning_has_its_own_strategies_and_the_lapsed_have_theirs(
    options: Fitting, catalogue: Catalogue
) -> None:
    trouble = {"evidence.recent_trouble": [True], "p_active": [0.5]}
    assert options(HERE | {"stage": "cooling"}, p_active=[0.5]) == ["habit_nudge"]
    assert options(HERE | {"stage": "at_risk"}, p_active=[0.5]) == ["value_reminder"]
    assert options(HERE | {"stage": "at_risk"}, **trouble) == ["service_check", "value_reminder"]
    assert options(HERE | {"stage": "cooling"}, p_active=[0.9]) == []
    lapsed = options({}, **trouble)
    assert all(LAPSED_STAGES.issuperset(catalogue.by_id[one].trigger.stages) for one in lapsed)
    # A stage of churned users without the flag, or the flag without such a stage, fits neither kind.
    assert options({"is_churned": False}, **trouble) == []
    assert options({"stage": "cooling"}, **trouble) == []


def test_who_asked_us_to_stop_is_left_alone_while_still_here(options: Fitting) -> None:
    user = HERE | {"stage": "cooling"}
    assert options(user, p_active=[0.5], **{"evidence.asked_to_stop": [True]}) == []


def test_without_an_estimate_nobody_who_is_still_here_is_written_to(options: Fitting) -> None:
    assert options(HERE | {"stage": "cooling"}) == []


def test_an_offer_that_hangs_on_a_reason_is_a_prediction_where_law_forbids_that(options: Fitting) -> None:
    for country, is_offered in (("DE", True), ("CN", False)):
        assert ("upgrade_trial" in options({"country": country}, p_price_or_plan=[0.9])) == is_offered


def test_excluded_stages_hold_for_users_who_are_still_here_too(
    candidates: Frame, contact_points: Frame, catalogue: Catalogue, rules: DecisionRules
) -> None:
    users = candidates(HERE | {"stage": "cooling"}).with_columns(p_active=0.5)
    excluding = replace(rules, excluded_stages=frozenset({"cooling"}))
    found = cases_of(users, contact_points(), catalogue=catalogue, rules=excluding, as_of=AS_OF)
    assert found.height == 0


def test_a_night_without_channels_has_no_facts_of_reach(
    candidates: Frame, contact_points: Frame, catalogue: Catalogue, rules: DecisionRules
) -> None:
    no_channels: dict[str, ChannelRules] = {}
    none = replace(rules, channels=no_channels)
    found = cases_of(candidates({}), contact_points(), catalogue=catalogue, rules=none, as_of=AS_OF)
    assert found.select("evidence.dead_channel", "evidence.only_dead_channels").row(0) == (False, False)


def test_a_trigger_never_answers_null(cases: Frame, catalogue: Catalogue) -> None:
    blank = dict.fromkeys(("days_silent", "churned_on", "p_return", "value_if_returned", "country"))
    found = cases(blank)
    for strategy in catalogue.strategies:
        assert found.select(fits(strategy, as_of=AS_OF).alias("fits"))["fits"].null_count() == 0
