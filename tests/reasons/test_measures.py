"""What messages and habits say of the last days: literal users."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest

from dagster_project.reasons.deaths import Leavings
from dagster_project.reasons.measures import habit_measures, message_measures
from reasons.test_judge import DEAD, LEFT, MESSAGES

LEFT_NOW = pl.DataFrame(
    {
        "user_sk": [1],
        "user_id": ["u1"],
        "first_on": [LEFT - timedelta(days=300)],
        "left_on": [LEFT],
        "until_on": [LEFT + timedelta(days=200)],
        "usual_gap_days": [7.0],
        "n_gaps": [40],
        "is_churned": [True],
    }
)
PAUSES = {"user_sk": pl.Int64, "left_on": pl.Date, "until_on": pl.Date, "is_return": pl.Boolean}


def measured(*channels: dict[str, Any], pauses: Sequence[tuple[int, int, bool]] = ()) -> dict[str, Any]:
    """Pauses: days from the last active day at which they began and ended, and whether the user had left."""
    paused = [
        (1, LEFT + timedelta(days=began), LEFT + timedelta(days=ended), is_return) for began, ended, is_return in pauses
    ]
    leavings = Leavings(LEFT_NOW, pl.DataFrame(paused, schema=PAUSES, orient="row"))
    return message_measures(pl.DataFrame(list(channels), schema=MESSAGES), leavings).row(0, named=True)


def dies(alive: int | None, failed: int) -> dict[str, Any]:
    """The dead channel, alive and refused so many days after the last active day."""
    lived = None if alive is None else LEFT + timedelta(days=alive)
    return {**DEAD, "last_delivered_on": lived, "first_failed_on": LEFT + timedelta(days=failed)}


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

    assert (measured(once)["p_died_leaving"] > 0.5) is is_permanent


def test_the_main_channel_is_that_of_most_messages() -> None:
    other = {**DEAD, "channel": "email", "n_sent": 900, "n_sent_before": 400, "last_delivered_on": LEFT}
    alive = {**other, "first_failed_on": None, "failed_code": None, "n_failed_in_row": 0}

    found = measured(DEAD, alive)

    assert found["p_died_leaving"] < 0.1
    assert found["is_other_dead"] is True


def test_a_channel_that_died_within_the_own_gaps_died_with_the_leaving() -> None:
    assert measured(dies(-3, 9))["p_died_leaving"] > 0.9


def test_a_channel_that_delivered_well_into_the_silence_died_too_late_to_be_why() -> None:
    assert measured(dies(60, 90))["p_died_leaving"] < 0.01


def test_a_channel_that_died_before_the_last_visit_kept_nobody_away() -> None:
    assert measured(dies(-40, -20))["p_died_leaving"] < 0.01


def test_the_longer_the_days_of_death_are_unknown_the_likelier_is_chance() -> None:
    chances = [measured(dies(alive, 9))["p_died_leaving"] for alive in (-3, -30, -90, None)]

    assert chances == sorted(chances, reverse=True)


def test_a_channel_that_died_at_an_earlier_leaving_counts_if_the_user_came_back_unreached() -> None:
    before = dies(-102, -95)

    assert measured(before)["p_died_leaving"] < 0.01
    assert measured(before, pauses=[(-100, -60, True)])["p_died_leaving"] > 0.5
    assert measured(before, pauses=[(-80, -40, True)])["p_died_leaving"] < 0.05


def test_a_pause_that_the_own_habit_makes_often_is_no_leaving() -> None:
    before = dies(-102, -95)
    short, long = ((-100, -100 + days, False) for days in (15, 50))

    assert measured(before, pauses=[short])["p_died_leaving"] < measured(before, pauses=[long])["p_died_leaving"]
    assert measured(before, pauses=[short])["p_died_leaving"] < 0.01


def test_who_has_not_left_has_no_chance_of_it() -> None:
    stayed = Leavings(LEFT_NOW.with_columns(is_churned=False), pl.DataFrame(schema=PAUSES))

    found = message_measures(pl.DataFrame([DEAD], schema=MESSAGES), stayed)

    assert found["p_died_leaving"].to_list() == [None]


def test_a_channel_that_leavers_give_up_anyway_proves_less() -> None:
    """The further channel of thirty who were reached to the end dies with a third of them, as the main one of one."""
    users = pl.DataFrame({"user_sk": range(1, 32)}).with_columns(user_id=pl.format("u{}", "user_sk"))
    left = users.join(LEFT_NOW.drop("user_sk", "user_id"), how="cross")
    one = {**dies(-3, 9), "user_sk": 1, "channel": "wechat"}
    given_up = [{**dies(-3, 9), "user_sk": key, "channel": "wechat", "n_sent": 4} for key in range(2, 12)]
    reached = {"n_sent": 90, "n_sent_before": 40, "first_failed_on": None, "failed_code": None, "n_failed_in_row": 0}
    alive = [
        {**DEAD, **reached, "user_sk": key, "last_delivered_on": LEFT + timedelta(days=150)} for key in range(2, 32)
    ]
    codes = [{**row, "failed_code": "43004"} for row in (one, *given_up)]
    kept = Leavings(left, pl.DataFrame(schema=PAUSES))

    def chance(*rows: dict[str, Any]) -> float:
        found = message_measures(pl.DataFrame(list(rows), schema=MESSAGES), kept)
        return float(found.filter(pl.col("user_sk") == 1)["p_died_leaving"].item())

    assert chance(*codes, *alive) < chance(codes[0], *alive)


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
