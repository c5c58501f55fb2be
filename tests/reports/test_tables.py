from datetime import date

import polars as pl

from dagster_project.reports import tables
from dagster_project.reports.content import ReportContent


def content_with(**frames: object) -> ReportContent:
    return ReportContent(as_of=date(2026, 3, 2), currency="EUR", horizon_days=60, **frames)  # type: ignore[arg-type]


def test_dwell_is_listed_in_lifecycle_order_with_the_share_of_all() -> None:
    dwell = pl.DataFrame(
        {
            "stage": ["lost", "active"],
            "n_users": [1, 3],
            "median_days_in_stage": [400.0, None],
            "p90_days_in_stage": [600.4, 21.0],
            "left_share": [0.0, 0.25],
        }
    )

    table = tables.stage_dwell(content_with(dwell=dwell))

    assert table is not None
    assert table.rows == (
        ("active", "3", "75.0%", "–", "21", "25.0%"),
        ("lost", "1", "25.0%", "400", "600", "0.0%"),
    )


def test_staying_is_no_move() -> None:
    migration = pl.DataFrame(
        {
            "previous_stage": ["active", "active", None],
            "stage": ["active", "cooling", "new"],
            "n_users": [90, 4, 4],
            "share_of_previous": [0.9, 0.04, None],
        }
    )

    table = tables.largest_moves(content_with(migration=migration))

    assert table is not None
    assert table.rows == (("active", "cooling", "4", "4.0%"), ("first seen", "new", "4", "–"))


def test_a_night_on_which_nobody_moved_has_no_table_of_moves() -> None:
    migration = pl.DataFrame(
        {"previous_stage": ["active"], "stage": ["active"], "n_users": [9], "share_of_previous": [1.0]}
    )

    assert tables.largest_moves(content_with(migration=migration)) is None


def test_the_definition_in_use_is_marked(night: ReportContent) -> None:
    table = tables.regret(night)

    assert table is not None
    assert table.caption == "Churn definitions and their regret rate within 60 days"
    assert table.rows[0] == ("cadence (in use)", "430", "53", "12.3% (9.6 to 15.8%)")
    assert table.marked == {0}


def test_the_winner_comes_first_and_the_baseline_right_behind_it(night: ReportContent) -> None:
    table = tables.evaluations(night)

    assert table is not None
    assert [row[:2] for row in table.rows] == [
        ("snapshot boosting (winner)", "lapsed"),
        ("recency only (baseline)", "lapsed"),
        ("cox", "lapsed"),
        ("recency only (baseline)", "all"),
        ("snapshot boosting", "all"),
        ("cox", "all"),
    ]
    assert table.marked == {0}
    assert table.rows[0][4] == "0.714 (0.660 to 0.760)"
    assert table.rows[2][4] == "0.705"


def test_the_cohort_list_shows_twenty_users_by_rank(night: ReportContent) -> None:
    table = tables.cohort(night)

    assert table is not None
    assert table.caption == "The first 20 of 24 users in cohorts.csv"
    assert len(table.rows) == 20
    assert table.rows[0] == (
        "1",
        "customer-17000",
        "churned mid",
        "61",
        "31.0% (24.0 to 39.0%)",
        "210.50 EUR",
        "19.30 EUR",
        "we miss you",
        "push",
        "2026-03-03 19:00 +01:00",
        "Bought 4 times, usually every 12 days, and has been silent for 61; that is five times their own gap.",
    )


def test_suppressed_users_are_counted_by_rule_most_first(night: ReportContent) -> None:
    table = tables.suppressed(night)

    assert table is not None
    assert table.rows == (
        ("no consent", "41", "GDPR art. 6(1)(a); ePrivacy Directive art. 13"),
        ("hard bounce", "13", "The address no longer exists."),
        ("complaint", "3", "–"),
    )


def test_without_frames_there_is_no_table() -> None:
    nothing = content_with()

    for build in (tables.stage_dwell, tables.largest_moves, tables.regret, tables.definition_agreement,
                  tables.evaluations, tables.strategies, tables.arms, tables.suppressed, tables.quality,
                  tables.quarantine_reasons, tables.cohort):  # fmt: skip
        assert build(nothing) is None


def test_what_moved_is_told_with_its_size_and_an_unknown_size_as_such() -> None:
    moved = (
        {"feature": "tenure_days", "mean_then": 100.0, "mean_now": 131.0, "shift_sd": 0.55, "psi": 0.21},
        {"feature": "n_sent_90d", "mean_then": 0.0, "mean_now": 3.0, "shift_sd": None, "psi": None},
    )

    table = tables.moved_features(content_with(moved_features=moved))

    assert table is not None
    assert table.rows == (
        ("tenure days", "100.00", "131.00", "0.55", "0.21"),
        ("n sent 90d", "0.00", "3.00", "–", "–"),
    )
    assert tables.moved_features(content_with()) is None
