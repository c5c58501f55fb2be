"""The section on reasons: shares, what is said of them, and groups that differ."""

from dataclasses import replace
from datetime import date

import polars as pl
import pytest

from dagster_project.reports import ReportContent, render_report
from dagster_project.reports.reasons import (
    about_differences,
    about_shares,
    real_differences,
    reason_metrics,
    reason_shares,
)

REASONS = pl.DataFrame(
    {
        "reason": ["unknown"] * 5 + ["price_or_plan"] * 3 + ["delivery_dead"] * 2,
        "reason_confidence": [0.8] * 5 + [0.9] * 3 + [0.7] * 2,
        "decided_by": ["posterior"] * 5 + ["said_price"] * 3 + ["main_channel_dead", "posterior"],
    }
)
BREAKDOWNS = pl.DataFrame(
    {
        "dimension": ["plan"] * 4,
        "value": ["basic", "basic", "plus", "plus"],
        "reason": ["price_or_plan", "unknown"] * 2,
        "difference": [0.3, -0.3, -0.3, 0.3],
        "p_adjusted": [0.01, 0.2, 0.2, None],
    }
)


def test_shares_stand_with_their_intervals_and_unknown_stands_last() -> None:
    shares = reason_shares(REASONS)

    assert shares.select("reason", "n_users").rows() == [("price_or_plan", 3), ("delivery_dead", 2), ("unknown", 5)]
    assert shares["share"].to_list() == pytest.approx([0.3, 0.2, 0.5])
    assert shares.row(0)[3:5] == pytest.approx((0.108, 0.603), abs=1e-3)
    assert about_shares(shares) == (
        "Of 10 users who left, 50.0% have a reason that something tells; most often price or plan (30.0%)."
    )


def test_metrics_hold_counts_and_no_user() -> None:
    found = reason_metrics(REASONS)

    assert (found["n_left"], found["n_unknown"], found["n_by_posterior"]) == (10, 5, 1)
    assert found["mean_confidence"] == pytest.approx(0.81)
    assert [row["reason"] for row in found["by_reason"]] == ["price_or_plan", "delivery_dead", "unknown"]


def test_metrics_of_nobody_are_empty() -> None:
    assert reason_metrics(REASONS.clear()) == {
        "n_left": 0,
        "n_unknown": 0,
        "n_by_posterior": 0,
        "mean_confidence": None,
        "by_reason": [],
    }


def test_only_differences_beyond_chance_are_shown() -> None:
    found = real_differences(BREAKDOWNS)

    assert found.select("value", "reason", "shown").rows() == [
        ("basic", "price_or_plan", 0.3),
        ("basic", "unknown", None),
    ]
    assert about_differences(found).startswith("Plan basic names price or plan 30.0 points more often")


def test_the_page_shows_who_left_why(night: ReportContent) -> None:
    page = render_report(replace(night, reasons=REASONS, breakdowns=BREAKDOWNS))

    assert 'id="figure-reasons"' in page
    assert 'id="figure-reason-differences"' in page


def test_a_page_without_reasons_says_so() -> None:
    page = render_report(ReportContent(as_of=date(2026, 3, 2), currency="EUR", horizon_days=60))

    assert "Nobody has left, so there are no reasons." in page
