"""What messages and habits say of the last days: literal users."""

from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from dagster_project.reasons.deaths import Rates, Watched, cause_probabilities, fit_rates
from dagster_project.reasons.measures import Leavings, habit_measures, message_measures
from reasons.test_judge import ALIVE, DEAD, ENDPOINTS, LEFT, MESSAGES

USUAL_GAPS = pl.DataFrame({"user_sk": [1, 2], "usual_gap_days": [7.0, 7.0]})
CURRENT = pl.DataFrame({"user_sk": [1], "left_on": [LEFT], "usual_gap_days": [7.0], "is_churned": [True]})
NOBODY = pl.Series([], dtype=pl.Int64)
EARLIER = pl.Schema({"user_sk": pl.Int64, "left_on": pl.Date, "until_on": pl.Date, "usual_gap_days": pl.Float64})


def leaving(days_before: int, *, back_after: int) -> pl.DataFrame:
    """An earlier leaving, so many days before the last active day, and the return from it."""
    left = LEFT - timedelta(days=days_before)
    return pl.DataFrame([(1, left, left + timedelta(days=back_after), 7.0)], schema=EARLIER, orient="row")


def measured(*channels: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The measures of one user, who left with these channels."""
    earlier = {"returned": EARLIER.to_frame(), "paused": EARLIER.to_frame()}
    told = {"explained": NOBODY, "removed": NOBODY, "begun": NOBODY}
    made = message_measures(
        pl.DataFrame([{name: row[name] for name in MESSAGES} for row in channels], schema=MESSAGES),
        pl.DataFrame([{name: row[name] for name in ENDPOINTS} for row in channels], schema=ENDPOINTS),
        Leavings(**{"current": CURRENT, **earlier, **told, **more}),
    )
    return made.row(0, named=True)


def died(alive: int, failed: int, **more: Any) -> dict[str, Any]:
    """A channel that lived and was refused so many days after the last active day."""
    on = LEFT + timedelta(days=failed)
    return {**DEAD, "last_delivered_on": LEFT + timedelta(days=alive), "first_failed_on": on, "died_on": on, **more}


def test_a_death_about_the_leaving_is_its_cause_and_one_far_from_it_is_chance() -> None:
    about, late, before = died(-5, 9), died(150, 180), died(-150, -100)

    chances = [measured(channel)["death_probability"] for channel in (about, late, before)]

    assert chances[0] > 0.9
    assert max(chances[1:]) < 0.05


def test_the_more_die_by_chance_the_less_a_death_near_the_leaving_says() -> None:
    def at(rate: float) -> float:
        one = Watched(*(np.asarray([x]) for x in (-100.0, 10.0, 30.0, 60.0, 7.0)), *np.asarray([[0], [0]]), [True])
        return float(cause_probabilities(one, Rates(np.asarray([0.1]), np.asarray([rate])))[0])

    assert at(1e-5) > 0.95 > at(1e-3) > at(1e-2)


def test_rates_of_death_are_those_of_the_log() -> None:
    rng = np.random.default_rng(3)
    n, daily, share = 20_000, 1 / 400, 0.2
    is_cause = rng.random(n) < share
    # A moment of leaving falls into a pause the likelier the longer the pause.
    pause = 7.0 * np.exp(0.8**2 + 0.8 * rng.normal(size=n))
    left_after = np.where(rng.random(n) < 0.1, -14 * rng.random(n), pause * rng.random(n))
    day = np.where(is_cause, left_after, -100 + rng.exponential(1 / daily, n))
    is_dead = day < 200
    watched = Watched(
        seen=np.full(n, -100.0),
        alive=np.where(is_dead, np.floor(day / 10) * 10, 200.0),
        died=np.where(is_dead, np.floor(day / 10) * 10 + 10, np.inf),
        until=np.full(n, 200.0),
        gap=np.full(n, 7.0),
        channel=np.zeros(n, dtype=np.int64),
        kind=np.zeros(n, dtype=np.int64),
        is_judged=np.ones(n, dtype=np.bool_),
    )

    rates = fit_rates(watched)
    chances = cause_probabilities(watched, rates)

    assert rates.share[0] == pytest.approx(share, abs=0.02)
    assert rates.daily[0] == pytest.approx(daily, rel=0.1)
    assert chances[is_dead].sum() == pytest.approx((is_cause & is_dead).sum(), rel=0.1)


def test_failures_that_pass_do_not_kill_and_those_without_a_known_code_do_by_number() -> None:
    passing = died(-5, 9, died_on=None, failure_class="provider", code="UNAVAILABLE", n_failed_since_delivered=9)
    nameless = died(-5, 9, died_on=None, failure_class=None, code=None)

    assert measured(passing)["death_probability"] == 0
    assert measured(nameless)["death_probability"] > 0.9
    assert measured({**nameless, "n_failed_since_delivered": 2})["death_probability"] == 0


def test_who_stopped_following_has_no_dead_channel() -> None:
    shut = died(
        -5, 9, channel="wechat", died_on=None, reach="revoked", failure_class="permission_revoked", code="43004"
    )

    assert measured(shut)["death_probability"] == 0


def test_the_main_channel_is_that_of_most_messages_while_it_lived() -> None:
    given_up = died(-5, 9, n_sent=7, first_seen_on=LEFT - timedelta(days=60))
    since = {**DEAD, **ALIVE, "channel": "email", "n_sent": 10, "last_seen_on": LEFT + timedelta(days=500)}
    busier = {**since, "n_sent": 200}

    after, beside = (measured(given_up, {**one, "first_seen_on": LEFT}) for one in (since, busier))

    assert (after["death_probability"] > 0.9, after["is_other_dead"]) == (True, False)
    assert (beside["death_probability"], beside["is_other_dead"]) == (0, True)


def test_a_death_at_an_earlier_leaving_counts_for_those_who_came_back_unreached() -> None:
    before = died(-105, -95)

    returned = measured(before, returned=leaving(100, back_after=40))
    paused = measured(before, paused=leaving(100, back_after=20))

    assert measured(before)["returned_death_probability"] == 0
    assert returned["returned_death_probability"] > 0.85
    assert 0.5 < paused["paused_death_probability"] < returned["returned_death_probability"]


def test_habits_are_told_by_their_standard_errors() -> None:
    habits = pl.DataFrame(
        {
            "user_sk": [1, 2],
            "first_on": [date(2023, 1, 1), date(2024, 1, 1)],
            "last_on": [date(2024, 2, 1), date(2024, 1, 2)],
            "n_active_days": [9, 2],
            "n_gaps": [8, 1],
            "gap_growth_per_day": [0.0, None],
            "gap_days_ss": [100.0, None],
            "gap_residual_ss": [4.0, None],
            "n_late_categorised": [4, 0],
            "own_category_share_late": [0.0, None],
            "own_category_share_early": [0.5, None],
            "n_days_season_ago": [3, 0],
        }
    )

    made = habit_measures(habits, USUAL_GAPS)

    assert made.drop("gap_growth_log_odds").rows() == [(1, 2.0, 1, 0), (2, None, 0, 1)]
    assert made["gap_growth_log_odds"].is_null().to_list() == [False, True]


def test_gaps_that_grow_are_told_from_gaps_that_vary() -> None:
    """Of one slope, one that twenty gaps prove, one that three gaps on a line by chance do, and none at all."""
    habits = pl.DataFrame(
        {
            "user_sk": [1, 2, 3, *range(4, 40)],
            "n_gaps": [20, 3, 20] + [20] * 36,
            "gap_growth_per_day": [0.01, 0.01, 0.0] + [0.0] * 36,
            "gap_days_ss": [2e5, 5e2, 2e5] + [2e5] * 36,
            "gap_residual_ss": [7.0, 1e-6, 7.0] + [7.0] * 36,
        }
    ).with_columns(
        first_on=pl.lit(date(2023, 1, 1)),
        last_on=pl.lit(date(2024, 1, 1)),
        n_active_days=pl.col("n_gaps") + 1,
        n_late_categorised=pl.lit(0),
        own_category_share_late=pl.lit(None, dtype=pl.Float64),
        own_category_share_early=pl.lit(None, dtype=pl.Float64),
        n_days_season_ago=pl.lit(0),
    )
    gaps = habits.select("user_sk", usual_gap_days=pl.lit(10.0))

    proven, chance, none = habit_measures(habits, gaps)["gap_growth_log_odds"].head(3)

    assert proven > 10
    assert abs(chance) < 1
    assert none < -1
