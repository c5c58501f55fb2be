from datetime import date

import numpy as np
import polars as pl
import pytest

from dagster_project.models.refusal import pace_probability, shortfalls, stand_in

from .simulated import HORIZON_DAYS, training_frame, users_now

CUTOFF = date(2024, 5, 4)


def test_enough_data_lacks_nothing() -> None:
    assert shortfalls(training_frame(600), horizon_days=HORIZON_DAYS) == ()


def test_no_cutoff_is_said_in_words() -> None:
    assert shortfalls(training_frame(5).clear(), horizon_days=28) == (
        "The log is shorter than 1.5 horizons of 28 days: no past day has a closed window and enough log before it.",
    )


def test_a_single_cutoff_cannot_judge_what_it_has_taught() -> None:
    assert shortfalls(training_frame(600, n_cutoffs=1), horizon_days=28) == (
        "No cutoff lies 28 days before 2024-05-04: nothing to learn from.",
    )


def test_missing_outcomes_are_counted_by_kind() -> None:
    everyone_active = training_frame(150).with_columns(is_active=pl.lit(True))
    assert shortfalls(everyone_active, horizon_days=28) == (
        "Only 0 inactive outcomes to learn from, at least 100 are needed.",
        "Only 0 inactive outcomes to judge a model on, at least 20 are needed.",
    )


def test_the_stand_in_is_the_share_of_the_group_drawn_to_that_of_all() -> None:
    newest = pl.DataFrame(
        {
            "user_id": [f"u{i:02d}" for i in range(28)],
            "cutoff": [CUTOFF] * 28,
            "is_lapsed": [True] * 10 + [False] * 18,
            "is_active": [True] + [False] * 9 + [True] * 13 + [False] * 5,
        }
    )
    now = pl.DataFrame({"user_id": ["a", "b", "c"], "is_lapsed": [True, False, None]})
    plain = stand_in(newest, now, horizon_days=28)
    lapsed, others = (
        (1 + 20 * 0.5) / 30,
        (13 + 20 * 0.5) / 38,
    )  # of all 15 of 30, the Beta prior's two included
    assert plain.probability.tolist() == pytest.approx([lapsed, others, others])
    assert plain.seen.outcome.sum() == 14


def test_without_a_closed_window_the_own_pace_decides() -> None:
    users = pl.DataFrame({"n_active_days": [10, 2, 1], "tenure_days": [20, 20, 0]})
    probability = pace_probability(users, horizon_days=14)
    pace = 11 / 54
    exposure = 20 + 1 / pace
    assert probability[0] == pytest.approx(1 - (exposure / (exposure + 14)) ** 10)
    assert probability[0] > probability[2] > 0
    assert (np.diff(probability[:2]) < 0).all()


def test_one_user_with_one_event_gets_a_number() -> None:
    one = users_now(1).with_columns(n_active_days=pl.lit(1), tenure_days=pl.lit(0), silence_days=pl.lit(0))
    plain = stand_in(training_frame(1).clear(), one, horizon_days=14)
    assert plain.probability.tolist() == [0.5]
    assert len(plain.seen.outcome) == 0
