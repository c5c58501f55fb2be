from datetime import date

import polars as pl

from dagster_project.models.snapshots import labelled_snapshot, return_spells, with_lapse

FEATURES = pl.DataFrame(
    {"user_sk": [2, 1, 3], "user_id": ["b", "a", "c"], "silence_days": [40, 3, 90], "n_active_days": [2, 9, 1]},
    schema_overrides={"n_active_days": pl.Int64},
)
STAGES = pl.DataFrame(
    {
        "user_sk": [1, 2, 3],
        "user_id": ["a", "b", "c"],
        "stage": ["active", "churned_early", "churned_late"],
        "is_churned": [False, True, True],
        "usual_gap_days": [2.0, 10.0, 30.0],
    }
)
OUTCOMES = pl.DataFrame(
    {
        "user_sk": [1, 2],
        "first_active_on": [date(2024, 1, 3), date(2024, 1, 20)],
        "n_active_days": [4, 1],
        "amount": [9.5, None],
    }
)


def test_a_user_without_a_row_of_outcomes_was_not_active() -> None:
    snapshot = labelled_snapshot(with_lapse(FEATURES, STAGES), OUTCOMES, cutoff=date(2024, 1, 1))
    assert snapshot["user_id"].to_list() == ["a", "b", "c"]
    assert snapshot["is_active"].to_list() == [True, True, False]
    assert snapshot["is_lapsed"].to_list() == [False, True, True]
    assert snapshot["n_active_days_next"].to_list() == [4, 1, 0]
    assert snapshot["amount_next"].to_list() == [9.5, 0.0, 0.0]
    assert set(snapshot["cutoff"]) == {date(2024, 1, 1)}


def test_a_log_without_amounts_has_no_amount_next() -> None:
    outcomes = OUTCOMES.with_columns(pl.lit(None, dtype=pl.Float64).alias("amount"))
    snapshot = labelled_snapshot(with_lapse(FEATURES, STAGES), outcomes, cutoff=date(2024, 1, 1))
    assert snapshot["amount_next"].to_list() == [None, None, None]


def test_a_spell_lasts_until_the_return_or_is_censored_at_the_night() -> None:
    spells = return_spells(STAGES, FEATURES, OUTCOMES, cutoff=date(2024, 1, 1), as_of=date(2024, 3, 1))
    assert spells.select("user_id", "stage", "duration_days", "returned").rows() == [
        ("b", "churned_early", 19, True),
        ("c", "churned_late", 60, False),
    ]


def test_the_next_event_counts_from_the_cutoff_and_a_longer_look_sees_further() -> None:
    features = with_lapse(FEATURES, STAGES)
    within = labelled_snapshot(features, OUTCOMES, cutoff=date(2024, 1, 1))
    assert within["next_active_in_days"].to_list() == [2, 19, None]
    assert within["follow_up_days"].to_list() == [None, None, None]
    later = pl.DataFrame(
        {"user_sk": [1, 2, 3], "first_active_on": [date(2024, 1, 3), date(2024, 1, 20), date(2024, 2, 10)]}
    )
    beyond = labelled_snapshot(features, OUTCOMES, cutoff=date(2024, 1, 1), later=later, follow_up_days=60)
    assert beyond["next_active_in_days"].to_list() == [2, 19, 40]
    assert beyond["follow_up_days"].to_list() == [60, 60, 60]
    assert beyond["is_active"].to_list() == [True, True, False]
