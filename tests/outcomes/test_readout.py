"""Experiments read, or shown as broken: known effects found, faults set aside, the rest read all the same."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from dagster_project.outcomes.arms import baseline_of
from dagster_project.outcomes.differences import READOUTS
from dagster_project.outcomes.faults import FAULTS
from dagster_project.outcomes.looks import looked_at
from dagster_project.outcomes.plans import planned_users
from dagster_project.outcomes.readout import (
    ReadoutRules,
    decision_horizon,
    read_experiments,
)
from outcomes.builders import NIGHT, NO_FAULT, decision, entries, only, read, sound


def test_a_real_effect_is_found_and_told_in_words() -> None:
    found = read(sound())

    row = found.experiments.row(0, named=True)
    assert row["decision"] == "works"
    assert row["low"] < 0.1 < row["high"]
    assert "came back within 28 days" in row["explanation"]
    primary = only(found.readouts, is_primary=True)
    assert (primary["dimension"], primary["metric"], primary["horizon_days"]) == ("all", "returned", 28)
    assert primary["p_adjusted"] == primary["p_looks"]
    assert primary["low"] < primary["fixed_low"] < primary["fixed_high"] < primary["high"]


def test_what_came_later_is_not_in_the_shorter_horizon() -> None:
    found = read(sound()).readouts

    assert only(found, dimension="all", metric="returned", horizon_days=1)["treated_mean"] == 0
    assert only(found, dimension="all", metric="returned", horizon_days=7)["treated_mean"] > 0.15


def test_a_harm_is_told_like_a_gain() -> None:
    assert decision(sound(lift=-0.05)) == "harms"
    n = 8_000
    frame = sound()
    harmed = frame.with_columns(
        pl.when((pl.col("arm") == "treat") & (pl.int_range(n) % 10 == 0)).then(2).alias("complained_after")
    )

    found = read(harmed)

    assert found.experiments["decision"][0] == "works at a price"
    assert "more complained" in found.experiments["explanation"][0]
    assert only(found.readouts, dimension="all", metric="complained", horizon_days=28)["verdict"] == "worse"


def test_a_harm_that_a_source_would_tell_of_and_nobody_had_is_a_share_of_none_with_a_bound() -> None:
    rules = ReadoutRules(decision_days=28, margin_share=1.0, measured=frozenset({"complained", "opened"}))

    found = read_experiments(sound(), NO_FAULT, rules=rules).readouts

    assert set(found["metric"]) == {"returned", "complained", "opened"}
    row = only(found, dimension="all", metric="complained", horizon_days=28)
    assert (row["treated_mean"], row["control_mean"], row["p_adjusted"]) == (0, 0, 1)
    assert 0 < row["high"] < 0.002
    assert row["verdict"] == "cannot tell"


def test_what_befell_nobody_takes_nothing_from_the_other_comparisons() -> None:
    rules = ReadoutRules(decision_days=28, margin_share=1.0, measured=frozenset({"complained", "opened"}))

    with_noughts = read_experiments(sound(), NO_FAULT, rules=rules).readouts.filter(pl.col("metric") == "returned")

    assert with_noughts.equals(read(sound()).readouts)


def test_nothing_is_made_of_nothing() -> None:
    assert decision(sound(lift=0.0)) == "no effect shown"


def test_who_it_helps_and_who_it_hurts_is_told_part_by_part() -> None:
    rng = np.random.default_rng(3)
    n = 12_000
    treated, young = rng.random(n) < 0.5, rng.random(n) < 0.5
    back = rng.random(n) < 0.2 + np.where(young, 0.1, -0.1) * treated
    frame = sound(
        n,
        arm=np.where(treated, "treat", "control"),
        returned_after=[0 if b else None for b in back],
        stage=np.where(young, "churned_early", "lost"),
    )

    parts = read(frame).readouts.filter((pl.col("horizon_days") == 28) & (pl.col("dimension") == "stage"))

    verdicts = dict(parts.filter(pl.col("metric") == "returned").select("value", "verdict").iter_rows())
    assert verdicts == {"churned_early": "better", "lost": "worse"}


def test_a_fault_sets_its_experiment_aside_and_the_others_are_read() -> None:
    both = pl.concat([sound(), sound(seed=2).with_columns(pl.lit("f").alias("experiment_id"))])
    fault = pl.DataFrame([("f", "two arms", "3 of its users are in two arms.")], schema=FAULTS, orient="row")

    found = read(both, fault)

    assert dict(found.experiments.select("experiment_id", "decision").iter_rows()) == {"e": "works", "f": "broken"}
    broken = only(found.experiments, experiment_id="f")
    assert (broken["faults"], broken["explanation"]) == (
        "two arms",
        "Broken, so not read. 3 of its users are in two arms.",
    )
    assert set(found.readouts["experiment_id"]) == {"e"}


def test_a_leak_of_one_arm_breaks_the_experiment() -> None:
    whole = sound()
    leaked = whole.filter((pl.col("arm") == "treat") | (pl.int_range(pl.len()) % 5 > 0))

    found = read(leaked)

    assert found.experiments["faults"][0] == "sample ratio"
    assert found.readouts.is_empty()


def test_arms_that_differed_before_entry_show_outcomes_before_the_assignment() -> None:
    frame = sound().with_columns(
        pl.when(pl.col("arm") == "treat").then(pl.int_range(pl.len()) % 3).otherwise(0).alias("n_active_days_before")
    )

    assert read(frame).experiments["faults"][0] == "outcome before assignment"


def test_explorers_are_kept_out_of_the_parts_that_chance_drew_for_them() -> None:
    frame = sound(strategy_id="whats_new", channel="email", stage="lost").with_columns(
        pl.when(pl.int_range(pl.len()) % 7 == 0).then(pl.lit("explore")).otherwise("arm").alias("arm"),
        pl.lit(None, dtype=pl.Float64).alias("propensity"),
    )

    parts = read(frame).readouts.group_by("arm").agg(pl.col("dimension").unique().sort())

    assert dict(parts.iter_rows()) == {
        "explore": ["all", "stage"],
        "treat": ["all", "channel", "stage", "strategy_id"],
    }


def test_words_are_compared_with_the_first_by_name() -> None:
    frame = sound(experiment_id="words.whats_new").with_columns(
        pl.col("arm").replace_strict({"treat": "long", "control": "brief"})
    )

    found = read(frame).experiments.row(0, named=True)

    assert (found["baseline"], found["arm"], found["decision"]) == ("brief", "long", "works")
    assert baseline_of("winter", ["a", "control"]) == "control"


def test_without_any_experiment_every_table_is_empty() -> None:
    found = read(entries(1).clear())

    assert (found.experiments.height, found.readouts.height, found.money.height) == (0, 0, 0)
    assert found.readouts.schema == READOUTS


@pytest.mark.parametrize(("horizon", "read_at"), [(14, 14), (30, 28), (90, 60), (365, 180), (3, 1)])
def test_an_experiment_is_judged_at_the_horizon_nearest_below_the_nights(horizon: int, read_at: int) -> None:
    assert decision_horizon(horizon) == read_at


def test_false_alarms_over_all_parts_and_metrics_are_rare() -> None:
    rng = np.random.default_rng(7)
    n, alarms = 3_000, 0
    for seed in range(40):
        parts = {name: rng.choice(["a", "b", "c"], n) for name in ("strategy_id", "channel", "stage")}
        opened = [3 if b else None for b in rng.random(n) < 0.3]
        found = read(sound(n, lift=0.0, seed=seed, opened_after=opened, **parts))
        alarms += found.readouts["verdict"].is_in(["better", "worse"]).any()

    assert alarms <= 6  # five in a hundred would be two of forty


def test_a_plan_rests_on_the_first_fortnight_alone() -> None:
    early = sound(p_return=0.05, uplift=0.01, origin="ledger")
    later = early.with_columns(
        pl.lit(NIGHT).alias("assigned_on"),
        pl.lit(0.3).alias("p_return"),
        pl.lit(0.2).alias("uplift"),
        ("late" + pl.col("user_id")).alias("user_id"),
    )

    plan = planned_users(early, arm="treat", baseline="control")

    assert 15_000 < plan < 18_000  # 16,310 at even arms
    assert planned_users(pl.concat([early, later]), arm="treat", baseline="control") == plan


def test_an_import_is_planned_by_its_first_fortnight_and_not_before_it_is_over() -> None:
    days = [date(2023, 1, 1 + i // 20) for i in range(500)]  # twenty users a day for twenty-five days
    growing = sound(500, assigned_on=days, n_days_seen=[25 - i // 20 for i in range(500)])
    young = growing.filter(pl.col("assigned_on") <= date(2023, 1, 13)).with_columns(pl.col("n_days_seen") - 12)

    assert planned_users(growing, arm="treat", baseline="control") == 14 * 20
    assert planned_users(young, arm="treat", baseline="control") is None
    assert planned_users(sound(500), arm="treat", baseline="control") == 500


def test_a_lasting_import_looked_at_for_forty_nights_raises_few_false_alarms() -> None:
    rng = np.random.default_rng(11)
    n_trials, per_night, arms = 300, 100, ("treat", "control")
    plan = planned_users(
        entries(
            40 * per_night,
            arm=list(arms) * (20 * per_night),
            assigned_on=[date(2023, 1, 1) + timedelta(days=i // per_night) for i in range(40 * per_night)],
            n_days_seen=[40 - i // per_night for i in range(40 * per_night)],
        ),
        arm="treat",
        baseline="control",
    )
    assert plan == 14 * per_night
    n = np.arange(1, 41) * per_night / 2
    back = rng.binomial(per_night // 2, 0.2, (2, n_trials, 40)).cumsum(axis=2) / n
    pooled = back.mean(axis=0)
    z = (back[0] - back[1]) / np.sqrt(2 * pooled * (1 - pooled) / n)

    bound, _ = looked_at(2 * n / plan)

    assert (np.abs(z) > bound).any(axis=1).mean() <= 0.06  # .32 when every night was the planned end


def test_templates_are_compared_with_each_other_beside_a_control() -> None:
    rng = np.random.default_rng(8)
    n = 9_000
    arm = rng.choice(["control", "brief", "long"], n)
    rates = pl.Series(arm).replace_strict({"control": 0.2, "brief": 0.2, "long": 0.3}).to_numpy()
    back = [3 if b else None for b in rng.random(n) < rates]

    found = read(sound(n, experiment_id="words.whats_new", arm=arm, propensity=1 / 3, returned_after=back))

    assert found.decisions.select("arm", "baseline", "decision").rows() == [
        ("brief", "control", "no effect shown"),
        ("long", "brief", "works"),
        ("long", "control", "works"),
    ]
    assert set(found.readouts["baseline"]) == {"control"}


def test_an_arm_missing_beside_chances_that_vary_within_the_others_breaks_the_experiment() -> None:
    rng = np.random.default_rng(12)
    n = 9_000
    a = rng.choice([0.2, 0.4], n)
    draw = rng.random(n)
    arm = np.where(draw < a, "a", np.where(draw < a + 0.3, "control", "b"))
    chance = np.where(arm == "a", a, np.where(arm == "control", 0.3, 0.7 - a))
    whole = sound(n, arm=arm, propensity=chance)

    assert read(whole).experiments["faults"][0] is None
    assert read(whole.filter(pl.col("arm") != "b")).experiments["faults"][0] == "empty arm"
