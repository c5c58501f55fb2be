from dataclasses import replace

import polars as pl

from dagster_project.lifecycle import PHASE_OF_STAGE
from dagster_project.reports import sentences
from dagster_project.reports.content import ReportContent

EVALUATIONS = pl.DataFrame(
    {
        "candidate": ["recency", "boosting"],
        "population": ["lapsed", "lapsed"],
        "log_loss": [0.34, 0.33],
        "auc": [0.69, 0.71],
        "is_winner": [False, True],
    }
)


def test_phases_are_counted_in_words() -> None:
    stages = pl.DataFrame({"stage": ["active", "lost", "active"], "phase": ["engaged", "churned", "engaged"]})

    assert sentences.about_stages(stages, on="2 March 2026") == (
        "Of 3 users on 2 March 2026, 2 (66.7%) are engaged and 1 (33.3%) have churned. "
        "The largest stage is active, with 2 users."
    )


def test_moves_tell_who_stayed_churned_returned_and_arrived() -> None:
    migration = pl.DataFrame(
        {
            "previous_stage": ["active", "dormant", "lost", None],
            "stage": ["active", "churned_early", "reactivated_trial", "new"],
            "n_users": [97, 2, 1, 5],
            "share_of_previous": [1.0, 1.0, 1.0, None],
        }
    )

    assert sentences.about_migration(migration, phases=PHASE_OF_STAGE) == (
        "97.0% of the users known the day before stayed where they were. "
        "2 users newly churned, 1 churned user came back and 5 users were seen for the first time."
    )


def test_on_the_first_day_everybody_is_new() -> None:
    migration = pl.DataFrame(
        {"previous_stage": [None], "stage": ["new"], "n_users": [5], "share_of_previous": [None]},
        schema_overrides={"previous_stage": pl.String},
    )

    said = sentences.about_migration(migration, phases=PHASE_OF_STAGE)

    assert said == "All 5 users are seen for the first time."


def test_the_winner_is_named_beside_the_recency_baseline() -> None:
    assert sentences.about_winner(EVALUATIONS) == (
        "Judged on “lapsed”, boosting won: log loss 0.3300 against 0.3400 of the recency baseline "
        "(lower is better), AUC 0.710 against 0.690."
    )


def test_a_baseline_that_wins_is_said_to_win() -> None:
    swapped = EVALUATIONS.with_columns(is_winner=pl.Series([True, False]))

    assert sentences.about_winner(swapped) == (
        "Judged on “lapsed”, recency won: no model beat this simplest of baselines out of time, "
        "so it is the one in use."
    )


def test_a_missing_baseline_is_not_passed_over() -> None:
    alone = EVALUATIONS.filter(pl.col("candidate") == "boosting")

    assert sentences.about_winner(alone).endswith("no recency baseline was fitted to compare it with.")


def test_regret_is_told_of_the_definition_in_use(night: ReportContent) -> None:
    assert sentences.about_definitions(night) == (
        "The definition in use is “cadence”. Of 430 users that it had labelled churned, 53 came back unaided "
        "within 60 days: a regret rate of 12.3% (9.6 to 15.8%)."
    )


def test_regret_without_parameters_names_no_definition_in_use(night: ReportContent) -> None:
    said = sentences.about_definitions(replace(night, parameters=None))

    assert said == "Each row below is one way to say that a user has churned, and how often it spoke too soon."


def test_stages_are_compared_on_the_last_day_that_all_curves_reach() -> None:
    curves = pl.DataFrame(
        {
            "stage": ["churned_early", "churned_early", "churned_early", "lost", "lost"],
            "day": [0, 30, 60, 0, 30],
            "p_returned": [0.0, 0.3, 0.5, 0.0, 0.1],
        }
    )

    assert sentences.about_returns(curves) == (
        "Within 30 days, 30.0% of the users in churned early returned, against 10.0% of those in lost."
    )


def test_reliability_weighs_bins_by_their_users() -> None:
    bins = pl.DataFrame(
        {
            "candidate": ["boosting", "boosting"],
            "mean_predicted": [0.1, 0.5],
            "observed": [0.1, 0.9],
            "n": [300, 100],
        }
    )

    assert sentences.about_reliability(bins, winner="boosting").startswith(
        "Of 400 users kept from the fit, boosting expected 20.0% to be active within the horizon; 30.0% were."
    )


def test_the_list_says_what_it_is_worth(night: ReportContent) -> None:
    assert sentences.about_cohort(night) == (
        "24 users are worth writing to tonight, for an expected profit of 325.20 EUR in all. "
        "They are ranked by the profit that contact is expected to cause, not by their risk."
    )


def test_kept_rows_are_a_share_of_those_read() -> None:
    quality = pl.DataFrame({"n_rows_read": [100, 20], "n_kept": [95, 19], "n_quarantined": [1, 0]})

    assert sentences.about_quality(quality) == (
        "Of 120 rows read, 114 (95.0%) were kept and 1 set aside as unreadable or impossible."
    )
