"""Outcomes counted from days: which day is the first, what is not yet over, and what is not known."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import duckdb
import polars as pl
import pytest

from dagster_project.lake.duck import connect
from dagster_project.outcomes.counting import count_outcomes
from dagster_project.outcomes.facts import read_facts

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


def counted(
    con: duckdb.DuckDBPyConnection, starts: dict[str, Any], *, as_of: date, accounts: Any = None, **kept: Any
) -> pl.DataFrame:
    entries = pl.DataFrame(starts)
    each = entries.select(pl.col("user_sk").alias("account_sk"), "user_sk").unique()
    since = entries["assigned_on"].min() - timedelta(days=28)  # type: ignore[operator]
    facts = read_facts(con, each if accounts is None else accounts, since=since, as_of=as_of, **kept)
    return count_outcomes(entries, facts, as_of=as_of)


def count(con: duckdb.DuckDBPyConnection, *, seen: int = 200, **kept: Any) -> dict[str, Any]:
    starts = {"user_sk": [1], "assigned_on": [ENTRY], "churn_threshold_days": [30.0], "is_known": [True]}
    return counted(con, starts, as_of=day(seen - 1), **kept).row(0, named=True)


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


@pytest.mark.parametrize(("next_on", "relapsed_after"), [(35, None), (36, 35)])
def test_a_gap_that_ends_has_been_a_relapse_only_if_a_silent_day_was_beyond_the_threshold(
    con: duckdb.DuckDBPyConnection, next_on: int, relapsed_after: int | None
) -> None:
    add(con, "user_days", active(4), active(next_on))  # thirty silent days, or thirty-one

    assert count(con, seen=40)["relapsed_after"] == relapsed_after


def test_each_entry_has_the_threshold_of_its_own_day(con: duckdb.DuckDBPyConnection) -> None:
    add(con, "user_days", active(25), active(60))
    starts = {
        "user_sk": [1, 1, 1],
        "assigned_on": [ENTRY, day(10), day(20)],
        "churn_threshold_days": [20.0, 40.0, None],
        "is_known": [True, True, True],
    }

    found = counted(con, starts, as_of=day(62))

    assert found["relapsed_after"].to_list() == [46, None, None]


def test_what_any_account_of_a_person_does_counts_once(con: duckdb.DuckDBPyConnection) -> None:
    accounts = pl.DataFrame({"account_sk": [1, 2, 3], "user_sk": [1, 1, 3]})
    add(con, "user_days", active(-3), {**active(-3), "user_sk": 2}, active(9, amount=5))
    add(con, "user_days", {**active(2, amount=20), "user_sk": 2}, {**active(1, amount=7), "user_sk": 3})
    add(con, "response_days", {"user_sk": 2, "dt": day(6), "is_opened": True})
    withdrawn = pl.DataFrame({"user_sk": [2], "dt": [day(8)]})

    found = count(con, accounts=accounts, withdrawals=withdrawn)

    assert (found["n_active_days_before"], found["returned_after"], found["spend_14"]) == (1, 2, 25)
    assert (found["opened_after"], found["opted_out_after"]) == (6, 8)


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


def test_neighbours_in_the_list_and_strangers_lend_nothing_to_each_other(con: duckdb.DuckDBPyConnection) -> None:
    add(con, "user_days", {**active(3, amount=5), "user_sk": 2}, {**active(-2), "user_sk": 4})
    starts = {"user_sk": [4, -1, 1, 2], "assigned_on": [ENTRY] * 4, "churn_threshold_days": [9.0] * 4, "is_known": True}

    found = counted(con, starts, as_of=day(100))

    assert found["user_sk"].to_list() == [4, -1, 1, 2]
    assert found["returned_after"].to_list() == [None, None, None, 3]
    assert found["n_active_days_before"].to_list() == [1, 0, 0, 0]
    assert found["spend_28"].to_list() == [0, 0, 0, 5]
    assert found["relapsed_after"].to_list() == [None, None, None, 13]


def test_without_any_day_of_anybody_nothing_happened(con: duckdb.DuckDBPyConnection) -> None:
    found = count(con)

    assert (found["returned_after"], found["relapsed_after"], found["satisfaction_180"]) == (None, None, None)
