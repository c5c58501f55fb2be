"""What is concluded of an experiment, and in which words."""

import numpy as np
import polars as pl
import pytest

from dagster_project.outcomes.readout import (
    ReadoutRules,
    read_experiments,
)
from dagster_project.outcomes.verdicts import LEAST
from outcomes.builders import NO_FAULT, decision, only, read, sound


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


def test_an_import_without_a_plan_yet_is_too_early_to_say() -> None:
    found = read(sound(n_days_seen=10), days=7)

    assert found.experiments["decision"][0] == "too early"
    assert "its first fortnight, which makes the plan, is not over" in found.experiments["explanation"][0]


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
