from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_project.errors import WinbackError
from dagster_project.models.backtest import (
    NIGHT_SCHEMA,
    SUMMARY_SCHEMA,
    backtest_nights,
    rolling_origin_summary,
    sayings,
    stack_nights,
)
from dagster_project.models.evaluation import EVALUATION_SCHEMA

FIRST, SECOND = date(2024, 5, 1), date(2024, 5, 15)


def judged(candidate: str, population: str = "lapsed", **figures: Any) -> dict[str, Any]:
    return {"candidate": candidate, "population": population, "is_winner": False, "n": 100, **figures}


def evaluation(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=EVALUATION_SCHEMA)


def two_nights() -> pl.DataFrame:
    return stack_nights(
        {
            SECOND: evaluation(
                judged("recency", log_loss=0.5, auc=0.6, observed_over_expected=2.0),
                judged("boosting", log_loss=0.6, auc=None, observed_over_expected=1.0),
            ),
            FIRST: evaluation(
                judged("recency", log_loss=0.5, auc=0.7, observed_over_expected=0.5),
                judged("boosting", is_winner=True, log_loss=0.3, auc=0.8, brier=0.1, observed_over_expected=1.0),
            ),
        }
    )


def summary_row(candidate: str) -> dict[str, Any]:
    return rolling_origin_summary(two_nights()).filter(pl.col("candidate") == candidate).row(0, named=True)


def test_nights_start_at_the_first_and_end_at_or_before_the_last() -> None:
    assert backtest_nights(FIRST, SECOND, every_days=7) == [FIRST, date(2024, 5, 8), SECOND]
    assert backtest_nights(FIRST, SECOND, every_days=10) == [FIRST, date(2024, 5, 11)]
    assert backtest_nights(FIRST, FIRST, every_days=1) == [FIRST]


@given(st.dates(max_value=date(2999, 1, 1)), st.integers(0, 2000), st.integers(1, 400))
def test_nights_are_evenly_spaced_and_inside(first: date, length: int, every: int) -> None:
    last = first + timedelta(days=length)
    nights = backtest_nights(first, last, every_days=every)

    assert nights[0] == first
    assert last - timedelta(days=every) < nights[-1] <= last
    assert {later - earlier for earlier, later in pairwise(nights)} <= {timedelta(days=every)}


def test_impossible_spans_are_named() -> None:
    with pytest.raises(WinbackError, match="would end on 2024-05-01, before it begins on 2024-05-15"):
        backtest_nights(SECOND, FIRST, every_days=7)
    with pytest.raises(WinbackError, match="cannot be 0 days apart"):
        backtest_nights(FIRST, SECOND, every_days=0)


def test_stacked_nights_are_sorted_and_a_refused_night_adds_none() -> None:
    stacked = stack_nights({SECOND: evaluation(judged("b"), judged("a")), FIRST: evaluation()})

    assert stacked.schema == NIGHT_SCHEMA
    assert stacked.select("night", "candidate").rows() == [(SECOND, "a"), (SECOND, "b")]


def test_each_night_counts_alike_and_recency_is_compared_on_the_same_nights() -> None:
    row = summary_row("boosting")

    assert (row["n_nights"], row["n_nights_won"], row["n_users"]) == (2, 1, 200)
    assert row["log_loss"] == pytest.approx(0.45)
    assert row["log_loss_worst"] == pytest.approx(0.6)
    assert row["log_loss_saved"] == pytest.approx((0.2 - 0.1) / 2)
    assert row["n_nights_ahead"] == 1


def test_a_figure_that_a_night_lacks_is_left_out_of_its_mean() -> None:
    assert summary_row("boosting")["auc"] == pytest.approx(0.8)
    assert summary_row("boosting")["brier"] == pytest.approx(0.1)
    assert summary_row("recency")["brier"] is None


def test_forecasts_that_miss_both_ways_cancel_in_the_mean_but_not_in_the_miss() -> None:
    row = summary_row("recency")

    assert row["observed_over_expected"] == pytest.approx(1.0)
    assert row["calibration_miss"] == pytest.approx(0.693147, abs=1e-6)


def test_the_summary_leads_with_the_lowest_loss_and_no_row_order_reaches_it() -> None:
    summary = rolling_origin_summary(two_nights())

    assert summary.schema == SUMMARY_SCHEMA
    assert summary["candidate"].to_list() == ["boosting", "recency"]
    assert rolling_origin_summary(two_nights().reverse()).equals(summary)


def test_no_night_gives_an_empty_summary_and_says_so() -> None:
    nothing = stack_nights({FIRST: evaluation()})
    summary = rolling_origin_summary(nothing)

    assert summary.schema == SUMMARY_SCHEMA
    assert sayings(nothing, summary, horizon_days=28) == (
        "No night could be judged: every one of them lacked the history for it.",
    )


def test_what_came_out_is_said_with_its_caution() -> None:
    nights = two_nights()

    assert sayings(nights, rolling_origin_summary(nights), horizon_days=28) == (
        "2 nights were judged, 2024-05-01 to 2024-05-15.",
        (
            "For the lapsed boosting had the lowest mean log-loss (0.4500, 0.0500 below recency), "
            "ahead of recency on 1 of 2 nights."
        ),
        (
            "Nights stand 14 days apart, the horizon is 28: neighbours share outcomes, "
            "so runs of good or bad nights are partly one event seen twice."
        ),
    )


def test_when_recency_is_best_that_is_said() -> None:
    nights = stack_nights({FIRST: evaluation(judged("recency", "all", log_loss=0.5))})

    assert sayings(nights, rolling_origin_summary(nights), horizon_days=28)[1] == (
        "For all users nothing had a lower mean log-loss than recency alone (0.5000)."
    )
