"""Nights on almost nothing, and nights that must not be published."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from dagster_project.defs import reach
from dagster_project.reach.contact_points import contact_points
from defs.worlds import NIGHT, Company, errors, plain, run

FIRST = date(2024, 1, 1)


def rows_of_regulars() -> str:
    """Eleven users with gaps of their own for three months, then silence; nobody at all on some days."""
    days = [(f"user {n}", FIRST + timedelta(days=day)) for n in range(11) for day in range(n, 90, 5 + 3 * n)]
    return "".join(f"{user},{day} 10:00:00,visit\n" for user, day in days)


def failed_blocking(result: dg.ExecuteInProcessResult) -> list[tuple[str, str]]:
    return [
        (check.asset_key.to_user_string(), check.check_name)
        for check in result.get_asset_check_evaluations()
        if not check.passed and check.blocking
    ]


def warnings(result: dg.ExecuteInProcessResult) -> list[str]:
    return [
        check.check_name
        for check in result.get_asset_check_evaluations()
        if not check.passed and check.severity == dg.AssetCheckSeverity.WARN
    ]


def test_three_columns_of_events_are_enough_and_long_after_the_last_all_have_churned(tmp_path: Path) -> None:
    company = plain(tmp_path, rows_of_regulars() + "once only,2024-02-01 08:00:00,visit\n")
    night = date(2024, 8, 1)

    result = company.run(night)

    users = company.users(night)
    assert users.height == 12
    assert users.filter("is_churned").height == 12
    once = users.row(by_predicate=pl.col("user_id") == "once only", named=True)
    assert (once["days_silent"], once["value_if_returned"]) == (182, 1.0)  # no money: one per active day
    lists = [company.csv(night, name).height for name in ("cohorts.csv", "holdout.csv", "suppressed.csv")]
    assert sum(lists) == 12
    assert warnings(result) == ["events_reach_the_night"]
    assert company.metrics(night)["freshness"] == {"days_behind": 124, "newest_on": "2024-03-30", "usual_days": 5}
    assert "The newest event is of 2024-03-30, 124 days before the night" in (
        company.reports(night) / "report.html"
    ).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "rows",
    ["alone,2024-03-01 10:00:00,visit\n", "alone,2024-02-20 10:00:00,visit\nalone,2024-03-01 09:00:00,visit\n"],
    ids=["one event in all", "one user in all"],
)
def test_one_user_is_enough(tmp_path: Path, rows: str) -> None:
    company = plain(tmp_path, rows)

    company.run(date(2024, 3, 1))

    assert company.users(date(2024, 3, 1)).select("user_id", "is_churned", "days_silent").rows() == [
        ("alone", False, 0)
    ]
    assert company.csv(date(2024, 3, 1), "cohorts.csv").height == 0


def test_a_night_before_the_first_event_is_refused(tmp_path: Path) -> None:
    company = plain(tmp_path, rows_of_regulars())

    result = run(company.settings, date(2023, 12, 31))

    assert not result.success
    assert any("as_of 2023-12-31 is before the first event, which is of 2024-01-01" in said for said in errors(result))
    assert not company.reports(date(2023, 12, 31)).exists()


def test_a_file_that_holds_only_a_header_makes_no_night(tmp_path: Path) -> None:
    company = plain(tmp_path, "")

    result = run(company.settings, FIRST)

    assert not result.success
    assert any("no row of it is an event of a known user" in said for said in errors(result))
    assert not (tmp_path / "reports").exists()


def test_a_failed_check_stops_what_follows_and_leaves_the_table_in_place(
    copied: Company, past: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = copied.project.lake
    in_place = lake.path("reach.contact_points", NIGHT.isoformat()).read_bytes()

    def twice(*args: Any, **kwargs: Any) -> pl.DataFrame:
        made = contact_points(*args, **kwargs)
        return pl.concat([made, made.head(3)])

    monkeypatch.setattr(reach, "contact_points", twice)
    result = run(copied.settings, NIGHT)

    assert not result.success
    assert failed_blocking(result) == [("reach/contact_points", "unique_user_sk_channel")]
    assert any("reach.contact_points as made breaks unique_user_sk_channel (3 rows)" in said for said in errors(result))
    assert lake.path("reach.contact_points", NIGHT.isoformat()).read_bytes() == in_place
    made = {str(event.asset_key.to_user_string()) for event in result.get_asset_materialization_events()}
    assert "lifecycle/stages" in made
    assert not made & {"reach/contact_points", "strategy/exported", "cohorts/contacts", "reports/night_files"}
    assert copied.hashes(NIGHT) == past.hashes(NIGHT)
