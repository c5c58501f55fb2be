"""The report's section on our own outages."""

from datetime import date
from typing import Any

import polars as pl
import pytest

from dagster_project.outages.night import DAILY, OUTAGES
from dagster_project.reports.outages import about_outages, outage_table, pictured


def outages(*rows: dict[str, Any]) -> pl.DataFrame:
    plain = {**dict.fromkeys(OUTAGES.names()), "n_users": 3, "expected": 40.4, "observed": 1.0, "explanation": "Why."}
    return pl.DataFrame([{**plain, **row} for row in rows], schema=OUTAGES)


TWO = outages(
    {
        "outage_id": "a",
        "kind": "events",
        "platform": "ios",
        "app_version": "3.1",
        "start_on": date(2024, 3, 1),
        "end_on": date(2024, 3, 4),
    },
    {"outage_id": "b", "kind": "messages", "channel": "email", "start_on": date(2024, 4, 1)},
)


@pytest.mark.parametrize(
    ("known", "said"),
    [
        (TWO.clear(), "Nothing of ours is known to have been broken in the last year."),
        (
            TWO,
            (
                "2 outages of the last year, 1 of them still running. The silence of 3 users began where events "
                "were lost: "
                "on those days their clock stands still, so they are neither called churned for them nor learnt from."
            ),
        ),
    ],
)
def test_the_sentence_says_how_many_run_and_whom_they_hide(known: pl.DataFrame, said: str) -> None:
    assert about_outages(known) == said


def test_the_table_has_the_newest_first_and_marks_what_runs() -> None:
    table = outage_table(TWO)

    assert table is not None
    assert table.rows == (
        ("messages refused", "email", "2024-04-01", "still running", "3", "1", "40"),
        ("events not recorded", "ios 3.1", "2024-03-01", "before 2024-03-04", "3", "1", "40"),
    )
    assert table.marked == frozenset({0})


def test_each_outage_is_drawn_as_seen_and_due() -> None:
    daily = pl.DataFrame(
        {
            "outage_id": ["a", "a"],
            "dt": [date(2024, 3, 1), date(2024, 3, 2)],
            "observed": [0.0, 1.0],
            "expected": [9, 8.5],
        },
        schema=DAILY,
    )

    [(name, lead, figure)] = pictured(TWO, daily)

    assert (name, lead) == ("outage-1", "Why.")
    assert [(trace.name, list(trace.y)) for trace in figure.data] == [("due", [9.0, 8.5]), ("seen", [0.0, 1.0])]
