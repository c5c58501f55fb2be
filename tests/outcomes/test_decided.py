"""Since when a decision stands."""

from datetime import date

import polars as pl

from dagster_project.outcomes.decided import DECIDED, decisions_of, with_decided_on

BEFORE, NIGHT = date(2024, 5, 31), date(2024, 6, 1)


def told(*rows: tuple[str, str]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=["experiment_id", "decision"], orient="row")


def test_a_decision_stands_since_the_night_on_which_it_last_changed() -> None:
    before = pl.DataFrame(
        [("same", "works", date(2024, 5, 2)), ("turned", "works", date(2024, 5, 2)), ("gone", "works", BEFORE)],
        schema=DECIDED,
        orient="row",
    )

    made = with_decided_on(told(("new", "works"), ("same", "works"), ("turned", "harms")), before, as_of=NIGHT)

    assert made.rows() == [("new", "works", NIGHT), ("same", "works", date(2024, 5, 2)), ("turned", "harms", NIGHT)]


def test_without_a_night_before_every_decision_is_of_this_one() -> None:
    assert with_decided_on(told(("e", "works")), DECIDED.to_frame(), as_of=NIGHT)["decided_on"].to_list() == [NIGHT]


def test_a_night_that_kept_no_such_day_counts_as_the_day() -> None:
    assert decisions_of(told(("e", "works")), night=BEFORE).rows() == [("e", "works", BEFORE)]
    kept = told(("e", "works")).with_columns(pl.lit(date(2024, 1, 1)).alias("decided_on"))
    assert decisions_of(kept, night=BEFORE).rows() == [("e", "works", date(2024, 1, 1))]
