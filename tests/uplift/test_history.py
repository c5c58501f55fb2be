from datetime import date, timedelta

import polars as pl
import pytest

from dagster_project.models.uplift.history import (
    POOLED,
    ROWS,
    closed_rows,
    comparisons,
    snapshot_days,
    with_snapshot_day,
)
from dagster_project.outcomes.entries import ENTRIES

DAY = date(2024, 3, 1)
USERS = pl.DataFrame({"user_sk": list(range(400)), "user_id": [f"u{i:03d}" for i in range(400)]})


def drawn(rows, experiment="x", **also):
    """(user_sk, arm, propensity, strategy_id) as ROWS of one day, all contacted and randomised but for `also`."""
    plain = {
        "experiment_id": experiment,
        "assigned_on": DAY,
        "is_contacted": None,
        "is_randomised": True,
        "is_return": False,
        "cost": None,
        "value": None,
        "spend": None,
    }
    told = [
        {"user_sk": sk, "user_id": f"u{sk:03d}", "arm": arm, "propensity": p, "strategy_id": strategy} | plain | also
        for sk, arm, p, strategy in rows
    ]
    return pl.DataFrame(told, schema=ROWS)


def found(rows):
    return comparisons(drawn(rows), reasons={})


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
    arms = [("mail", 0.6), ("push", 0.2), ("control", 0.2)]
    rows = [
        (i, arms[0 if i % 5 < 3 else i % 5 - 2][0], arms[0 if i % 5 < 3 else i % 5 - 2][1], None) for i in range(50)
    ]
    assert counts(found(rows)) == {
        POOLED: (40, 10, [0.8]),
        "x/mail": (30, 10, [0.75]),
        "x/push": (10, 10, [0.5]),
    }


def test_arms_of_one_name_are_one_treatment_only_where_they_name_one_strategy():
    def of_two(strategy):
        rows = [(i, ("treat", "control")[i % 2], 0.5, strategy if i % 2 == 0 else None) for i in range(40)]
        both = pl.concat([drawn(rows, "discount_email"), drawn(rows, "phone_call")])
        return counts(comparisons(both, reasons={}))

    one = (20, 20, [0.5])
    assert of_two(None) == {POOLED: (40, 40, [0.5]), "discount_email/treat": one, "phone_call/treat": one}
    assert of_two("a") == {POOLED: (40, 40, [0.5]), "a": (40, 40, [0.5])}


def test_one_arm_that_drew_among_strategies_shares_its_chance_among_them():
    rows = [
        (i, "treat" if i % 4 else "control", 0.75 if i % 4 else 0.25, f"s{i % 4}" if i % 4 else None) for i in range(80)
    ]
    assert counts(found(rows))["s1"] == (20, 20, [0.5])


def test_the_arm_that_drew_its_strategy_counts_for_any_contact_alone():
    rows = [(i, "treat", 0.8, "a") for i in range(80)] + [(80 + i, "explore", 0.05, "a") for i in range(10)]
    rows += [(90 + i, "control", 0.1, "a") for i in range(10)]
    assert counts(found(rows)) == {POOLED: (90, 10, [0.9]), "a": (80, 10, [0.8889])}


def test_a_chance_that_differs_by_user_is_kept_for_both_arms():
    rows = [(i, "treat", 0.8, None) for i in range(40)] + [(40 + i, "control", 0.2, None) for i in range(10)]
    rows += [(50 + i, "treat", 0.4, None) for i in range(20)] + [(70 + i, "control", 0.6, None) for i in range(30)]
    assert counts(found(rows))["x/treat"] == (60, 40, [0.4, 0.8])


def test_a_chance_that_is_not_on_record_is_the_share_that_was_found():
    rows = [(i, "treat", None, "a") for i in range(30)] + [(30 + i, "control", None, None) for i in range(10)]
    assert counts(found(rows)) == {POOLED: (30, 10, [0.75]), "a": (30, 10, [0.75])}


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([(i, "treat", 0.5, "a") for i in range(9)], "no control group"),
        ([(0, "treat", 1.0, "a"), (1, "control", 0.5, None)], "a propensity of 0 or 1: nothing was drawn"),
    ],
)
def test_an_unsound_experiment_is_set_aside_with_its_reason(rows, reason):
    history = found(rows)
    assert history.pairs.is_empty()
    assert history.faults[POOLED] == [f"x: {reason}"]


def test_what_the_readout_set_aside_is_set_aside_for_its_reason():
    rows = [(i, ("treat", "control")[i % 2], 0.5, "a") for i in range(40)]
    history = comparisons(drawn(rows, is_randomised=False), reasons={"x": "two arms"})
    assert history.pairs.is_empty()
    assert history.faults == {POOLED: ["x: two arms"], "a": ["x: two arms"]}


def test_whom_their_own_control_held_out_are_not_treated_and_lower_the_chance_of_the_others():
    reached = drawn([(i, "treat", 0.9, "a") for i in range(60)], "global", is_contacted=True)
    held = drawn([(60 + i, "treat", 0.9, "a") for i in range(30)], "global", is_contacted=False)
    others = drawn([(90 + i, "control", 0.1, "a") for i in range(10)], "global", is_contacted=False)
    history = comparisons(pl.concat([reached, held, others]), reasons={})
    assert counts(history)["a"] == (60, 10, [round(0.6 / 0.7, 4)])


def test_chance_chose_the_treatment_only_where_each_arm_is_one():
    arms = [(i, ("mail", "push", "control")[i % 3], 1 / 3, None) for i in range(30)]
    by_rule = [(i, "treat" if i % 2 else "control", 0.5, f"s{i % 4}" if i % 2 else None) for i in range(40)]
    drawn_ones = found(arms).pairs.filter(pl.col("is_drawn"))["strategy_id"].unique().sort().to_list()
    assert drawn_ones == ["x/mail", "x/push"]
    assert not found(by_rule).pairs["is_drawn"].any()


def entries(rows):
    """(user_id, experiment_id, n_days_seen, returned_after) as outcomes.entries."""
    plain = dict.fromkeys(ENTRIES) | {"arm": "treat", "assigned_on": DAY, "value_if_returned": 50.0}
    costs = {"cost_14": 1.0, "cost_28": 2.0, "spend_14": 30.0, "spend_28": 40.0}
    schema = ENTRIES | {"is_randomised": pl.Boolean, "n_days_seen": pl.Int64, "returned_after": pl.Int64}
    schema |= {"spend_14": pl.Float64, "spend_28": pl.Float64}
    told = [
        plain
        | costs
        | {"user_id": user, "experiment_id": experiment, "n_days_seen": seen, "returned_after": after}
        | {"is_randomised": True}
        for user, experiment, seen, after in rows
    ]
    return pl.DataFrame(told, schema=pl.Schema(schema))


def test_only_entries_whose_horizon_is_over_are_read_with_what_came_of_them_within_it():
    rows = entries([("u001", "x", 20, 19), ("u002", "x", 20, 20), ("u003", "x", 19, 3), ("u004", "x", 20, None)])
    closed = closed_rows(rows.lazy(), USERS, horizon_days=20)
    assert closed.select("user_sk", "is_return", "cost", "value", "spend").rows() == [
        (1, True, 2.0, 50.0, 40.0),
        (2, False, 2.0, 50.0, 40.0),
        (4, False, 2.0, 50.0, 40.0),
    ]


def test_experiments_on_words_are_no_further_trial_of_their_strategy_and_strangers_have_no_features():
    rows = entries([("u001", "global_holdout", 20, 1), ("u001", "words.s", 20, 1), ("nobody", "global_holdout", 20, 1)])
    assert closed_rows(rows.lazy(), USERS, horizon_days=14).select("user_id", "experiment_id").rows() == [
        ("u001", "global_holdout")
    ]


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
