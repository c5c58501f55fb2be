"""Imported assignments: when an outcome was, by the zone of the file, and what a channel cost."""

import json
from datetime import UTC, date, datetime

import duckdb
import polars as pl
import pytest

from dagster_project.lake.duck import frame
from dagster_project.outcomes.entries import assignment_rows, first_entries
from dagster_project.outcomes.faults import FAULTS, find_faults
from dagster_project.outcomes.imports import imported_query, imported_rows, with_control_named
from dagster_project.outcomes.readout import ReadoutRules, read_experiments
from outcomes.builders import entries, rows


def told(outcome: str | None = None, *, channel: str = "email", **attributes: object) -> pl.DataFrame:
    """One assignment at nine in the morning of New York (13:00 UTC), when its outcome was, and what else is told."""
    with duckdb.connect() as con:
        con.execute("set timezone = 'UTC'; create schema staging")
        con.execute(
            "create table staging.assignments as select 1 as user_sk, 'e' as experiment_id, 'treat' as arm, "
            "timestamp '2024-06-03 13:00:00' as assigned_at, .5 as propensity, 's' as strategy_id, "
            "$channel as channel, date '2024-06-03' as dt, "
            "$attributes as attributes",
            {"attributes": json.dumps({"outcome_at": outcome, **attributes}), "channel": channel},
        )
        return frame(con, imported_query(source_zone="America/New_York", business_zone="America/New_York"))


@pytest.mark.parametrize(
    ("outcome", "utc"),
    [
        ("2024-06-03 10:30:00", datetime(2024, 6, 3, 14, 30, tzinfo=UTC)),
        ("2024-06-03T10:30:00.5", datetime(2024, 6, 3, 14, 30, 0, 500_000, tzinfo=UTC)),
        ("2024-06-03 10:30:00+00", datetime(2024, 6, 3, 10, 30, tzinfo=UTC)),
        ("2024-06-03T10:30:00Z", datetime(2024, 6, 3, 10, 30, tzinfo=UTC)),
        ("2024-06-03", datetime(2024, 6, 4, 3, 59, 59, 999_999, tzinfo=UTC)),
        ("2024-06-03 00:00:00", datetime(2024, 6, 4, 3, 59, 59, 999_999, tzinfo=UTC)),
        ("soon", None),
        (None, None),
    ],
)
def test_an_outcome_is_read_in_the_zone_of_its_source(outcome: str | None, utc: datetime | None) -> None:
    assert told(outcome)["outcome_at"].dt.replace_time_zone("UTC").to_list() == [utc]


@pytest.mark.parametrize(
    ("outcome", "is_late"),
    [("2024-06-03 10:30:00", False), ("2024-06-03 08:30:00", True), ("2024-06-03", False), ("2024-06-02", True)],
)
def test_only_an_outcome_before_the_assignment_breaks_the_experiment(outcome: str, is_late: bool) -> None:
    assigned = assignment_rows(imported_rows(_of("u", told(outcome)), costs={}))

    faults = find_faults(assigned, first_entries(assigned), as_of=date(2024, 7, 1))["fault"].to_list()

    assert ("assigned after the outcome" in faults) is is_late


def test_a_channel_costs_the_same_however_its_name_is_written() -> None:
    row = imported_rows(told(None, channel="Email"), costs={"email": 0.02, "SMS": 0.1}).row(0, named=True)

    assert (row["channel"], row["expected_cost"]) == ("email", 0.02)
    assert (row["assigned_on"], row["origin"]) == (date(2024, 6, 3), "imported")
    assert row["assigned_at"] == datetime(2024, 6, 3, 13, tzinfo=UTC)


def test_what_was_known_at_entry_is_read_as_text_or_number() -> None:
    words = {"stage": " lost ", "reason": "price", "value_tier": "high", "template_id": "t1"}
    numbers = {"p_return": "0.2", "uplift": -0.05, "value_if_returned": "12.5", "expected_cost": 3}

    row = assignment_rows(imported_rows(_of("u", told(**words, **numbers)), costs={"email": 0.02})).rows

    assert row.select(list(words)).row(0) == ("lost", "price", "high", "t1")
    assert row.select(list(numbers)).row(0) == (0.2, -0.05, 12.5, 3.0)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        *(("p_return", said) for said in ("1.01", -0.1, "20 %", "nan", "", None)),
        *(("uplift", said) for said in (1.5, "-2", "much")),
        *(("value_if_returned", said) for said in (-1, "inf", "12,50")),
        *(("expected_cost", said) for said in (-0.01, "free")),
        *((name, said) for name in ("stage", "reason", "value_tier", "template_id") for said in ("", "  ", None)),
    ],
)
def test_what_cannot_be_read_or_be_true_is_not_known(name: str, said: object) -> None:
    assert told(**{name: said})[name].to_list() == [None]


def test_a_cost_that_is_told_stands_before_that_of_the_channel() -> None:
    costs = {"email": 0.02}

    assert imported_rows(told(expected_cost="0.5"), costs=costs)["expected_cost"].to_list() == [0.5]
    assert imported_rows(told(expected_cost="dear"), costs=costs)["expected_cost"].to_list() == [0.02]


def _of(user: str, assigned: pl.DataFrame) -> pl.DataFrame:
    return assigned.with_columns(pl.lit(user).alias("user_id"))


def named(*given: dict[str, object]) -> list[tuple[str | None, str | None]]:
    """strategy_id and channel of the rows, by experiment and user, once the control is named."""
    filled = with_control_named(rows(*({"user_id": f"u{place}", **row} for place, row in enumerate(given))))
    return filled.rows.select("strategy_id", "channel").rows()


def test_a_control_was_held_out_from_the_only_strategy_and_channel_of_its_experiment() -> None:
    mail = {"strategy_id": "offer", "channel": "email"}

    assert named(mail, mail, {"arm": "Holdout"}) == [("offer", "email")] * 3
    assert named({"strategy_id": "offer"}, {"arm": "control"}) == [("offer", None)] * 2


def test_what_nobody_knows_of_a_control_stays_unsaid() -> None:
    mail, text = {"strategy_id": "offer", "channel": "email"}, {"strategy_id": "plain", "channel": "email"}
    held = {"arm": "control"}

    assert named(mail, text, held)[2] == (None, "email")
    assert named(mail, {}, held)[2] == (None, None)
    assert named(mail, held, held | {"strategy_id": "plain"})[1] == (None, "email")
    assert named(held, mail | {"experiment_id": "f"})[0] == (None, None)
    assert named(mail | {"origin": "ledger"}, held | {"origin": "ledger"})[1] == (None, None)


def test_the_slices_of_an_import_compare_with_a_control_that_names_nothing() -> None:
    """Of 400 written to a half comes back, of 400 held out a quarter; the file names strategy and channel of the
    former alone."""
    n = 800
    given = [{"strategy_id": "offer", "channel": "email"}, {"arm": "control"}]
    filled = with_control_named(rows(*({"user_id": f"u{i:05d}", **given[i % 2]} for i in range(n)))).rows
    told = entries(
        n,
        arm=filled["arm"],
        strategy_id=filled["strategy_id"],
        channel=filled["channel"],
        propensity=0.5,
        returned_after=[3 if i % 4 == 0 or i % 8 == 1 else None for i in range(n)],
    )

    found = read_experiments(
        told, pl.DataFrame(schema=FAULTS), rules=ReadoutRules(decision_days=28, margin_share=1.0)
    ).readouts

    of_returns = found.filter((pl.col("metric") == "returned") & (pl.col("horizon_days") == 28))
    assert of_returns.select("dimension", "value", "n_treated", "n_control", "difference").rows() == [
        ("all", "all", 400, 400, pytest.approx(0.25)),
        ("channel", "email", 400, 400, pytest.approx(0.25)),
        ("strategy_id", "offer", 400, 400, pytest.approx(0.25)),
    ]
