"""Experiments read, or shown as broken: known effects found, faults set aside, the rest read all the same."""

from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from dagster_project.outcomes.arms import baseline_of
from dagster_project.outcomes.differences import READOUTS
from dagster_project.outcomes.faults import FAULTS
from dagster_project.outcomes.looks import looked_at
from dagster_project.outcomes.plans import planned_users
from dagster_project.outcomes.randomisation import balance_p, inverse_propensities
from dagster_project.outcomes.ratios import sample_ratio_p
from dagster_project.outcomes.readout import (
    ReadoutRules,
    Readouts,
    decision_horizon,
    read_experiments,
)
from dagster_project.outcomes.verdicts import LEAST
from outcomes.builders import NIGHT, entries

NO_FAULT = FAULTS.to_frame()


def read(frame: pl.DataFrame, faults: pl.DataFrame = NO_FAULT, *, days: int = 28) -> Readouts:
    return read_experiments(frame, faults, rules=ReadoutRules(decision_days=days, margin_share=1.0))


def sound(n: int = 8_000, *, lift: float = 0.1, seed: int = 1, **columns: Any) -> pl.DataFrame:
    """Half treated, a tenth of the others come back, `lift` more of the treated."""
    rng = np.random.default_rng(seed)
    treated = rng.random(n) < 0.5
    back = rng.random(n) < 0.1 + lift * treated
    return entries(
        n,
        **{
            "arm": np.where(treated, "treat", "control"),
            "propensity": 0.5,
            "returned_after": [5 if b else None for b in back],
            **columns,
        },
    )


def only(frame: pl.DataFrame, **wanted: Any) -> dict[str, Any]:
    return frame.filter(*(pl.col(name) == value for name, value in wanted.items())).row(0, named=True)


def decision(frame: pl.DataFrame, **faults: Any) -> str:
    return str(read(frame, **faults).experiments["decision"][0])


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


def test_a_handful_of_users_is_shown_and_decides_nothing() -> None:
    frame = sound(
        40,
        arm=["treat"] * 30 + ["control"] * 10,
        propensity=[0.75] * 30 + [0.25] * 10,
        returned_after=[3] * 30 + [None] * 10,
    )

    found = read(frame)

    primary = only(found.readouts, is_primary=True)
    assert (primary["difference"], primary["verdict"]) == (1.0, "cannot tell")
    assert primary["p_looks"] < 0.001
    assert found.experiments["decision"][0] == "cannot tell yet"
    assert "It cannot be told: 20 users of either arm are the least to judge by." in found.experiments["explanation"][0]


def test_small_experiments_that_do_nothing_are_concluded_of_in_at_most_five_of_a_hundred() -> None:
    concluded, n_runs = 0, 60
    for seed in range(n_runs):
        rng = np.random.default_rng(seed)
        treated = rng.random(30) < 0.85
        if treated.all():
            continue
        frame = sound(
            30,
            arm=np.where(treated, "treat", "control"),
            propensity=np.where(treated, 0.85, 0.15),
            returned_after=[3 if back else None for back in rng.random(30) < 0.5],
        )
        concluded += decision(frame) in {"works", "harms"}

    assert concluded <= 0.05 * n_runs  # 9 in a hundred before


def test_an_import_that_could_see_no_usual_gain_shows_nothing_by_showing_nothing() -> None:
    few = sound(100, arm=["treat", "control"] * 50, returned_after=[3] * 20 + [None] * 80)

    row = read(few).experiments.row(0, named=True)

    assert (row["difference"], row["decision"]) == (0, "cannot tell yet")
    assert row["explanation"].endswith("These are too few to tell: an effect below 25.5 points could not be seen.")
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


def test_nobodys_days_being_over_is_too_early() -> None:
    assert decision(sound(n_days_seen=20)) == "too early"


@pytest.mark.parametrize(
    ("n_days_seen", "said"),
    [
        ([20] * 500, "Too early: nobody of both arms has had the 28 days yet by which it is judged."),
        ([20] + [400] * 499, "Too early: nobody of control has had the 28 days yet by which it is judged."),
        ([400] * 500, f"It cannot be told: only 1 of control has had the 28 days by which it is judged, and {LEAST}."),
    ],
)
def test_an_arm_with_one_user_is_not_called_too_early_once_its_days_are_over(n_days_seen: list[int], said: str) -> None:
    frame = sound(500, arm=["control"] + ["treat"] * 499, propensity=[0.002] + [0.998] * 499, n_days_seen=n_days_seen)

    row = read(frame).experiments.row(0, named=True)

    assert row["decision"] == ("cannot tell yet" if "cannot" in said else "too early")
    assert row["explanation"] == said


@pytest.mark.parametrize(
    ("lift", "n_opted_out", "decided"),
    [(0.0, 40, "no gain shown"), (0.0, 150, "harms"), (0.03, 40, "works at a price")],
)
def test_opt_outs_that_no_strategy_is_stopped_for_do_not_make_it_harmful(
    lift: float, n_opted_out: int, decided: str
) -> None:
    n_back = [1_000 + round(lift * 10_000), 1_000]
    frame = sound(
        20_000,
        arm=["treat"] * 10_000 + ["control"] * 10_000,
        returned_after=[3 if i < n else None for n in n_back for i in range(10_000)],
        opted_out_after=[2] * n_opted_out + [None] * (20_000 - n_opted_out),
    )

    found = read(frame)

    row = found.experiments.row(0, named=True)
    assert row["decision"] == decided
    assert found.decisions["harms"][0] == "opted out"
    assert only(found.readouts, dimension="all", metric="opted_out", horizon_days=28)["verdict"] == "worse"
    if decided == "no gain shown":
        assert row["explanation"].endswith("No gain is shown, and more opted out, though no more than is tolerated.")


def test_of_what_drives_users_away_both_are_told_the_fewer_and_the_harm() -> None:
    complaining = sound(lift=-0.05).with_columns(
        pl.when((pl.col("arm") == "treat") & (pl.int_range(8_000) % 10 == 0)).then(2).alias("complained_after")
    )

    told = read(complaining).experiments["explanation"][0]

    assert told.endswith("It harms: fewer came back, and more complained.")


def test_a_harm_that_is_sure_before_returns_are_read_is_told() -> None:
    early = sound(n_days_seen=20).with_columns(
        pl.when((pl.col("arm") == "treat") & (pl.int_range(8_000) % 10 == 0)).then(2).alias("complained_after"),
        pl.lit("ledger").alias("origin"),
        pl.lit(0.1).alias("p_return"),
    )

    row = read(early).experiments.row(0, named=True)

    assert row["decision"] == "harms"
    assert row["explanation"].endswith("by which it is judged. It harms: more complained.")


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


def test_arms_of_the_drawn_sizes_pass_and_others_do_not() -> None:
    even = entries(1_000, arm=["treat", "control"] * 500, propensity=0.5)
    assert sample_ratio_p(even) == pytest.approx(1)
    assert sample_ratio_p(even.with_columns(pl.lit(None, dtype=pl.Float64).alias("propensity"))) is None
    tenth = even.with_columns(pl.when(pl.col("arm") == "treat").then(0.9).otherwise(0.1).alias("propensity"))
    assert (sample_ratio_p(tenth) or 0) < 1e-9


def test_sizes_are_judged_by_each_users_own_chance_where_chances_differ() -> None:
    rng = np.random.default_rng(5)
    n = 20_000
    chance = rng.choice([0.2, 0.8], n)
    treated = rng.random(n) < chance
    frame = entries(n, arm=np.where(treated, "treat", "control"), propensity=np.where(treated, chance, 1 - chance))

    assert (sample_ratio_p(frame) or 0) > 0.01
    assert (sample_ratio_p(frame.filter((pl.col("arm") == "treat") | (pl.int_range(n) % 8 > 0))) or 0) < 0.001


def test_few_users_are_not_called_different_before_entry() -> None:
    frame = entries(130, arm=["control"] * 30 + ["treat"] * 100, n_active_days_before=[0] * 30 + [0] * 90 + [1] * 10)

    assert (balance_p(frame, baseline="control") or 0) > 0.05
    assert balance_p(frame.tail(110), baseline="control") is None


def test_arms_are_not_called_alike_by_days_that_are_not_on_record() -> None:
    began = date(2024, 3, 1)
    arms = ["control", "treat"] * 100
    late = entries(200, arm=arms, n_active_days_before=[0, 0, 1, 1] * 50, assigned_on=date(2024, 3, 29))
    early = entries(200, arm=arms, assigned_on=date(2024, 3, 28))
    uneven = early.with_columns(n_active_days_before=(pl.col("arm") == "treat").cast(pl.Int64))

    assert balance_p(late, baseline="control", records_from=began) == 1.0
    assert balance_p(early, baseline="control", records_from=began) is None
    assert balance_p(early, baseline="control") == 1.0
    assert balance_p(pl.concat([early, late]), baseline="control", records_from=began) == 1.0
    assert (balance_p(uneven, baseline="control", records_from=began) or 0) < 0.001


def test_weights_are_there_only_where_chances_differ_within_an_arm() -> None:
    plain = entries(4, arm=["treat", "treat", "control", "control"], propensity=[0.9, 0.9, 0.1, 0.1])
    assert inverse_propensities(plain) is None

    unequal = entries(4, arm=["treat", "treat", "control", "control"], propensity=[0.25, 0.75, 0.5, 0.5])
    weights = inverse_propensities(unequal)
    assert weights is not None
    assert weights.tolist() == pytest.approx([1.5, 0.5, 1, 1])


def test_shares_that_are_weighted_are_not_told_as_counts() -> None:
    rng = np.random.default_rng(10)
    n = 8_000
    chance = rng.choice([0.2, 0.8], n)
    treated = rng.random(n) < chance
    frame = sound(
        n,
        arm=np.where(treated, "treat", "control"),
        propensity=np.where(treated, chance, 1 - chance),
        returned_after=[3 if back else None for back in rng.random(n) < np.where(chance > 0.5, 0.6, 0.2)],
    )

    found = read(frame)

    told = only(found.decisions, arm="treat")
    assert told["treated_mean"] == pytest.approx(0.4, abs=0.03)  # of those who are there .52 came back
    assert told["explanation"].startswith("Weighted by the chances of the arms, of 3,979 assigned to treat ")
    assert read(sound()).experiments["explanation"][0].startswith("Of ")


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


def test_an_import_without_a_plan_yet_is_too_early_to_say() -> None:
    found = read(sound(n_days_seen=10), days=7)

    assert found.experiments["decision"][0] == "too early"
    assert "its first fortnight, which makes the plan, is not over" in found.experiments["explanation"][0]


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


def test_each_arm_has_a_decision_of_its_own() -> None:
    rng = np.random.default_rng(5)
    n = 12_000
    arm = rng.choice(["control", "a", "b"], n)
    rates = pl.Series(arm).replace_strict({"control": 0.2, "a": 0.273, "b": 0.099}).to_numpy()
    frame = sound(n, arm=arm, propensity=1 / 3, returned_after=[3 if b else None for b in rng.random(n) < rates])

    found = read(frame)

    told = found.decisions.select("arm", "baseline", "decision").rows()
    assert told == [("a", "control", "works"), ("b", "control", "harms")]
    assert found.experiments["arm"][0] == "b"  # the largest
    assert "a against control: works." in found.experiments["explanation"][0]


def test_arms_that_share_a_control_are_corrected_for_their_number_and_treat_is_not() -> None:
    rng = np.random.default_rng(6)
    arm = rng.choice(["control", "a", "b"], 6_000)
    frame = sound(6_000, arm=arm, propensity=1 / 3, lift=0.0)

    primary = read(frame).readouts.filter(pl.col("is_primary")).sort("p_looks")
    assert primary["p_adjusted"].to_list() == pytest.approx(
        [min(2 * primary["p_looks"][0], 1), max(min(2 * primary["p_looks"][0], 1), primary["p_looks"][1])]
    )
    renamed = frame.with_columns(
        pl.col("arm").replace({"a": "treat", "b": "explore"}), propensity=pl.lit(None, dtype=pl.Float64)
    )
    own = only(read(renamed).readouts, is_primary=True, arm="treat")
    assert own["p_adjusted"] == own["p_looks"]


def test_an_interval_that_allows_for_looks_alone_is_not_left_to_contradict_its_sentence() -> None:
    arms = ["control", "a1", "a2", "a3", "a4"]
    n_back = {"control": 200, "a1": 245, "a2": 200, "a3": 200, "a4": 200}
    frame = sound(
        10_000,
        arm=[arm for arm in arms for _ in range(2_000)],
        propensity=0.2,
        returned_after=[3 if i < n_back[arm] else None for arm in arms for i in range(2_000)],
    )

    told = only(read(frame).decisions, arm="a1")

    assert told["low"] > 0
    assert told["p_adjusted"] > 0.05
    assert told["decision"] == "no effect shown"
    assert told["explanation"].endswith(
        "Chance gives as much where so many arms are compared, for which the interval does not allow. "
        "All that were planned have had these days, and no effect is shown."
    )


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


def test_who_leaves_again_is_no_harm_of_what_won_more_back() -> None:
    rng = np.random.default_rng(9)
    n = 20_000
    treated = rng.random(n) < 0.5
    back = rng.random(n) < 0.1 + 0.05 * treated
    gone = back & (rng.random(n) < 0.5)
    frame = sound(
        n,
        arm=np.where(treated, "treat", "control"),
        returned_after=[2 if b else None for b in back],
        relapsed_after=[20 if g else None for g in gone],
    )

    found = read(frame)

    assert found.experiments["decision"][0] == "works"
    assert only(found.readouts, dimension="all", metric="relapsed", horizon_days=28)["difference"] > 0.01


def test_an_experiment_keeps_the_horizon_of_its_first_night() -> None:
    both = pl.concat([sound(), sound(seed=2).with_columns(pl.lit("f").alias("experiment_id"))])

    found = read_experiments(
        both, NO_FAULT, rules=ReadoutRules(decision_days=28, margin_share=1.0, fixed_days={"e": 14})
    )

    assert found.experiments["decision_days"].to_list() == [14, 28]
    primary = found.readouts.filter(pl.col("is_primary")).select("experiment_id", "horizon_days")
    assert primary.rows() == [("e", 14), ("f", 28)]


def test_users_known_by_their_assignment_alone_are_counted_and_named() -> None:
    frame = sound().with_columns((pl.int_range(pl.len()) % 4 > 0).alias("is_known"))

    row = read(frame).experiments.row(0, named=True)

    assert (row["n_users"], row["n_unknown"]) == (8_000, 2_000)
    assert "2,000 of its users are known by their assignment alone" in row["explanation"]


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
