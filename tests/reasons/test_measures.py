"""What messages and habits say of the last days: literal users."""

from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest

from dagster_project.reasons.measures import habit_measures, message_measures
from reasons.test_judge import DEAD, LEFT, MESSAGES

DEPARTURES = pl.DataFrame({"user_sk": [1], "left_on": [LEFT], "usual_gap_days": [7.0]})


def measured(*channels: dict[str, Any], returned: bool = False, paused: bool = False) -> dict[str, Any]:
    made = message_measures(
        pl.DataFrame(list(channels), schema=MESSAGES),
        DEPARTURES,
        returned=pl.Series([1] * returned, dtype=pl.Int64),
        paused=pl.Series([1] * paused, dtype=pl.Int64),
    )
    return made.row(0, named=True)


@pytest.mark.parametrize(
    ("code", "is_permanent"),
    [
        ("UNREGISTERED", True),
        ("BadDeviceToken", True),
        ("5.1.1", True),
        ("550 5.1.1 user unknown", True),
        ("UNAVAILABLE", False),
        ("4.2.2", False),
        ("421", False),
        ("5.7.1", False),
    ],
)
def test_permanent_failures_are_told_from_passing_ones(code: str, is_permanent: bool) -> None:
    channel = "push" if code.isalpha() else "email"
    once = {**DEAD, "channel": channel, "failed_code": code, "n_failed_in_row": 1}

    assert measured(once)["is_main_dead"] is is_permanent


def test_the_main_channel_is_that_of_most_messages() -> None:
    other = {**DEAD, "channel": "email", "n_sent": 10, "first_failed_on": None, "failed_code": None}

    found = measured(DEAD, other)

    assert (found["is_main_dead"], found["is_other_dead"]) == (False, True)


def test_a_channel_that_delivered_well_into_the_silence_died_too_late_to_be_why() -> None:
    late = {**DEAD, "last_delivered_on": LEFT + timedelta(days=60), "first_failed_on": LEFT + timedelta(days=90)}

    found = measured(late)

    assert (found["is_main_dead"], found["is_main_dead_late"]) == (False, True)


def test_a_channel_that_died_long_before_counts_only_for_those_who_left_or_paused_before() -> None:
    before = {**DEAD, "last_delivered_on": None, "first_failed_on": LEFT - timedelta(days=100)}
    names = ("is_main_dead", "is_main_dead_returned", "is_main_dead_paused")

    assert [measured(before)[name] for name in names] == [False, False, False]
    assert [measured(before, returned=True, paused=True)[name] for name in names] == [False, True, False]
    assert [measured(before, paused=True)[name] for name in names] == [False, False, True]


def test_habits_are_told_by_their_standard_errors() -> None:
    habits = pl.DataFrame(
        {
            "user_sk": [1, 2],
            "first_on": [date(2023, 1, 1), date(2024, 1, 1)],
            "last_on": [date(2024, 2, 1), date(2024, 1, 2)],
            "n_active_days": [9, 2],
            "gap_growth_z": [1.5, None],
            "last_gap_ratio": [2.0, None],
            "n_late_categorised": [4, 0],
            "own_category_share_late": [0.0, None],
            "own_category_share_early": [0.5, None],
            "n_days_season_ago": [3, 0],
        }
    )

    assert habit_measures(habits).rows() == [(1, 1.5, 2.0, 2.0, 1, 0), (2, None, None, None, 0, 1)]
