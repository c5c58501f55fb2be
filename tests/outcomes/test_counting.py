"""Outcomes counted from days: which day is the first, what is not yet over, and what is not known."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import duckdb
import polars as pl
import pytest

from dagster_project.lake.duck import connect
from dagster_project.outcomes.counting import count_outcomes

ENTRY = date(2024, 3, 1)
DAYS = {"user_sk": "bigint", "dt": "date", "n_core_events": "bigint", "amount": "decimal(38, 4)"}
FLAGS = ("is_opened", "is_clicked", "is_opted_out", "is_complained", "is_app_removed", "is_shared")
SCORES = {"nps_sum": "double", "nps_n": "bigint", "csat_sum": "double", "csat_max": "double", "csat_n": "bigint"}


@pytest.fixture
def con(tmp_path: Any) -> Iterator[duckdb.DuckDBPyConnection]:
    with connect(spill=tmp_path, threads=1) as connection:
        connection.execute("create schema intermediate")
        for table, columns in {
            "user_days": DAYS,
            "response_days": {"user_sk": "bigint", "dt": "date", **dict.fromkeys(FLAGS, "boolean"), **SCORES},
        }.items():
            named = ", ".join(f"{name} {kind}" for name, kind in columns.items())
            connection.execute(f"create table intermediate.{table} ({named})")
        yield connection


def add(con: duckdb.DuckDBPyConnection, table: str, *rows: dict[str, Any]) -> None:
    given = pl.DataFrame(rows, infer_schema_length=None)
    con.register("given", given)
    con.execute(f"insert into intermediate.{table} by name from given")
    con.unregister("given")


def day(since: int) -> date:
    return ENTRY + timedelta(days=since)


def count(con: duckdb.DuckDBPyConnection, *, seen: int = 200, **facts: Any) -> dict[str, Any]:
    starts = pl.DataFrame({"user_sk": [1], "assigned_on": [ENTRY]})
    thresholds = pl.DataFrame({"user_sk": [1], "churn_threshold_days": [30.0]})
    found = count_outcomes(con, starts, as_of=day(seen - 1), thresholds=thresholds, **facts)
    assert found.height == 1
    return found.row(0, named=True)


def active(since: int, *, amount: float | None = None) -> dict[str, Any]:
    return {"user_sk": 1, "dt": day(since), "n_core_events": 1, "amount": amount}


def test_a_return_counts_from_the_day_of_entry_on(con: duckdb.DuckDBPyConnection) -> None:
    add(con, "user_days", active(-40), active(-3), active(0), active(5))

    found = count(con)

    assert found["returned_after"] == 0
    assert found["n_active_days_before"] == 1  # the one within 28 days
    assert found["n_days_seen"] == 200


def test_days_without_a_core_event_are_no_return(con: duckdb.DuckDBPyConnection) -> None:
    add(con, "user_days", {**active(2), "n_core_events": 0}, active(7))

    assert count(con)["returned_after"] == 7


def test_what_comes_after_180_days_is_nothing_of_the_entry(con: duckdb.DuckDBPyConnection) -> None:
    add(con, "user_days", active(180))

    assert count(con, seen=300)["returned_after"] is None


def test_spend_is_summed_within_each_horizon_and_unknown_without_any_amount(con: duckdb.DuckDBPyConnection) -> None:
    add(con, "user_days", active(0, amount=10), active(7, amount=5), active(100, amount=-3))

    found = count(con)

    assert [found[f"spend_{days}"] for days in (1, 7, 14, 180)] == [10, 10, 15, 12]


def test_without_amounts_nobodys_spending_is_known(con: duckdb.DuckDBPyConnection) -> None:
    add(con, "user_days", active(0))

    assert count(con)["spend_180"] is None


def test_a_relapse_is_the_first_day_of_a_silence_beyond_the_threshold_after_a_return(
    con: duckdb.DuckDBPyConnection,
) -> None:
    add(con, "user_days", active(-60), active(4), active(20), active(100))

    found = count(con)

    assert found["returned_after"] == 4
    assert found["relapsed_after"] == 51  # 30 days of silence after day 20 are none yet, the 31st is


def test_who_has_come_back_and_is_not_silent_beyond_the_threshold_has_not_relapsed(
    con: duckdb.DuckDBPyConnection,
) -> None:
    add(con, "user_days", active(4))

    assert count(con, seen=35)["relapsed_after"] is None
    assert count(con, seen=36)["relapsed_after"] == 35


def test_answers_and_closed_doors_are_the_first_day_of_each(con: duckdb.DuckDBPyConnection) -> None:
    add(con, "response_days", {"user_sk": 1, "dt": day(-1), "is_opened": True, "is_opted_out": True})
    add(con, "response_days", {"user_sk": 1, "dt": day(3), "is_opened": True, "is_clicked": True})
    add(con, "response_days", {"user_sk": 1, "dt": day(9), "is_complained": True, "is_app_removed": True})
    said = pl.DataFrame({"user_sk": [1, 1], "dt": [day(-5), day(6)]})

    found = count(con, withdrawals=said, referrals=said)

    assert {name: found[f"{name}_after"] for name in ("opened", "clicked", "complained", "app_removed")} == {
        "opened": 3,
        "clicked": 3,
        "complained": 9,
        "app_removed": 9,
    }
    assert (found["opted_out_after"], found["shared_after"]) == (6, 6)


def test_satisfaction_is_a_mean_from_0_to_1_of_those_who_told(con: duckdb.DuckDBPyConnection) -> None:
    add(con, "response_days", {"user_sk": 1, "dt": day(2), "nps_sum": 8.0, "nps_n": 1})
    add(con, "response_days", {"user_sk": 1, "dt": day(20), "csat_sum": 2.0, "csat_max": 2.0, "csat_n": 1})
    add(con, "response_days", {"user_sk": 2, "dt": day(2), "csat_sum": 5.0, "csat_max": 5.0, "csat_n": 1})

    found = count(con)

    assert found["satisfaction_1"] is None
    assert found["satisfaction_7"] == pytest.approx(0.8)
    assert found["satisfaction_28"] == pytest.approx((0.8 + 0.4) / 2)


def test_who_entered_and_did_nothing_has_a_row(con: duckdb.DuckDBPyConnection) -> None:
    found = count(con)

    assert (found["returned_after"], found["n_active_days_before"], found["opened_after"]) == (None, 0, None)
