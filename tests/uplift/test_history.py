from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from dagster_project.models.uplift.history import (
    POOLED,
    assigned_rows,
    closed_rows,
    comparisons,
    ratio_p_value,
    snapshot_days,
    with_snapshot_day,
)

DAY = date(2024, 3, 1)
USERS = pl.DataFrame({"user_sk": list(range(400)), "user_id": [f"u{i:03d}" for i in range(400)]})
NO_IMPORTS = pl.DataFrame(
    schema={
        "user_sk": pl.Int64,
        "experiment_id": pl.String,
        "arm": pl.String,
        "propensity": pl.Float64,
        "strategy_id": pl.String,
        "dt": pl.Date,
    }
)
NO_LEDGER = pl.DataFrame(
    schema={
        "user_id": pl.String,
        "experiment_id": pl.String,
        "arm": pl.String,
        "propensity": pl.Float64,
        "strategy_id": pl.String,
        "as_of": pl.Date,
    }
)


def imported(rows, experiment="x"):
    """(user_sk, arm, propensity, strategy_id) as staging.assignments of one day."""
    return pl.DataFrame(
        [(sk, experiment, arm, p, strategy, DAY) for sk, arm, p, strategy in rows],
        schema=NO_IMPORTS.schema,
        orient="row",
    )


def found(rows):
    return comparisons(assigned_rows(imported(rows), NO_LEDGER, USERS))


def counts(history):
    """strategy → (treated, control, chances of treatment)."""
    return {
        name[0]: (
            int(part["is_treated"].sum()),
            int((~part["is_treated"]).sum()),
            sorted(set(part["propensity"].round(4).to_list())),
        )
        for name, part in history.pairs.partition_by("strategy_id", as_dict=True).items()
    }


def test_held_out_who_carry_a_would_be_strategy_are_compared_within_it():
    rows = [(i, ("treat", "control")[i % 2], 0.5, ("a", "b")[i // 2 % 2]) for i in range(40)]
    assert counts(found(rows)) == {POOLED: (20, 20, [0.5]), "a": (10, 10, [0.5]), "b": (10, 10, [0.5])}


def test_held_out_without_a_strategy_serve_every_treatment_with_its_own_chance():
    arms = [("mail", 0.6), ("push", 0.2), ("Holdout", 0.2)]
    rows = [
        (i, arms[0 if i % 5 < 3 else i % 5 - 2][0], arms[0 if i % 5 < 3 else i % 5 - 2][1], None) for i in range(50)
    ]
    assert counts(found(rows)) == {
        POOLED: (40, 10, [0.8]),
        "mail": (30, 10, [0.75]),
        "push": (10, 10, [0.5]),
    }


def test_one_arm_that_drew_among_strategies_shares_its_chance_among_them():
    rows = [
        (i, "treat" if i % 4 else "none", 0.75 if i % 4 else 0.25, f"s{i % 4}" if i % 4 else None) for i in range(80)
    ]
    assert counts(found(rows))["s1"] == (20, 20, [0.5])


def test_the_arm_that_drew_its_strategy_counts_for_any_contact_alone():
    rows = [(i, "treat", 0.8, "a") for i in range(80)] + [(80 + i, "explore", 0.05, "a") for i in range(10)]
    rows += [(90 + i, "control", 0.1, "a") for i in range(10)]
    assert counts(found(rows)) == {POOLED: (90, 10, [0.9]), "a": (80, 10, [0.8889])}


def test_a_chance_that_differs_by_user_is_kept_for_both_arms():
    rows = [(i, "treat", 0.8, None) for i in range(40)] + [(40 + i, "control", 0.2, None) for i in range(10)]
    rows += [(50 + i, "treat", 0.4, None) for i in range(20)] + [(70 + i, "control", 0.6, None) for i in range(30)]
    assert counts(found(rows))["treat"] == (60, 40, [0.4, 0.8])


def test_a_chance_that_is_not_on_record_is_the_share_that_was_found():
    rows = [(i, "treat", None, "a") for i in range(30)] + [(30 + i, "control", None, None) for i in range(10)]
    assert counts(found(rows)) == {POOLED: (30, 10, [0.75]), "a": (30, 10, [0.75])}


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([(i, "treat", 0.5, "a") for i in range(9)], "no control group"),
        ([(0, "treat", 1.0, "a"), (1, "control", 0.5, None)], "a propensity of 0 or 1: nothing was drawn"),
        (
            [(i, "treat" if i < 80 else "control", 0.5, None) for i in range(100)],
            "80 were treated where the propensities make 50 of 100 likely",
        ),
    ],
)
def test_an_unsound_experiment_is_set_aside_with_its_reason(rows, reason):
    history = found(rows)
    assert history.pairs.is_empty()
    assert history.faults[POOLED] == [f"x: {reason}"]


def test_a_sample_ratio_is_tested_by_hand():
    # 60 of 100 at 1/2 lie two standard deviations off: 4.55 %
    assert ratio_p_value(pl.Series([0.5] * 100), n_treated=60) == pytest.approx(0.0455, abs=1e-4)


def test_the_first_assignment_counts_and_the_ledger_reaches_users_the_day_after_its_night():
    ledger = pl.DataFrame(
        [("u001", "own", "treat", 0.9, "b", DAY), ("u001", "own", "treat", 0.9, "a", DAY - timedelta(days=3))],
        schema=NO_LEDGER.schema,
        orient="row",
    )
    rows = assigned_rows(imported([(1, "control", 0.5, None), (399, "treat", 0.5, "a")]), ledger, USERS.head(100))
    assert rows.select("user_id", "experiment_id", "strategy_id", "assigned_on").rows() == [
        ("u001", "own", "a", DAY - timedelta(days=2)),
        ("u001", "x", None, DAY),
    ]


def test_only_assignments_whose_horizon_is_over_are_read():
    rows = assigned_rows(imported([(1, "control", 0.5, None)]), NO_LEDGER, USERS)
    assert closed_rows(rows, as_of=DAY + timedelta(days=13), horizon_days=14).height == 1
    assert closed_rows(rows, as_of=DAY + timedelta(days=12), horizon_days=14).height == 0


def test_users_are_looked_at_before_their_assignment_and_on_few_days():
    assigned = pl.Series([DAY + timedelta(days=i) for i in range(100)])
    days = snapshot_days(assigned, most=24)
    assert len(days) == 24 and days[0] == DAY - timedelta(days=1)
    pairs = pl.DataFrame({"assigned_on": assigned, "strategy_id": "a", "user_id": "u", "experiment_id": "x"})
    seen = with_snapshot_day(pairs, days)
    assert seen["snapshot_on"].null_count() == 0
    assert (seen["assigned_on"] - seen["snapshot_on"]).dt.total_days().min() == 1
    assert (seen["assigned_on"] - seen["snapshot_on"]).dt.total_days().max() <= 6


def test_few_days_of_assignment_are_each_looked_at_on_their_eve():
    assert snapshot_days(pl.Series([DAY, DAY, DAY + timedelta(days=9)])) == [
        DAY - timedelta(days=1),
        DAY + timedelta(days=8),
    ]


def test_a_ledger_stamp_of_utc_is_no_day_of_ours():
    # assigned_at is midnight UTC; the day comes from the night, whatever zone the business has
    ledger = NO_LEDGER.with_columns(assigned_at=pl.lit(None, dtype=pl.Datetime("us", "UTC")))
    one = pl.DataFrame(
        [("u001", "own", "treat", 0.9, "a", DAY, datetime(2024, 3, 2, tzinfo=UTC))], schema=ledger.schema, orient="row"
    )
    assert assigned_rows(NO_IMPORTS, one, USERS)["assigned_on"].to_list() == [date(2024, 3, 2)]


def test_experiments_on_words_are_no_further_trial_of_their_strategy():
    rows = [("u001", "global_holdout", "treat"), ("u001", "words.s", "letter_a"), ("u002", "global_holdout", "control")]
    ledger = pl.DataFrame(
        [(user, experiment, arm, 0.5, "s", DAY) for user, experiment, arm in rows],
        schema=NO_LEDGER.schema,
        orient="row",
    )
    made = assigned_rows(NO_IMPORTS, ledger, USERS)
    assert made["experiment_id"].unique().to_list() == ["global_holdout"]
    assert made.height == 2
