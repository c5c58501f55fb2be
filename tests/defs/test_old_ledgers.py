"""A ledger whose older nights lack columns: read, and published, with nulls in their place."""

from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import polars as pl

from dagster_project.lake.warehouse import Shelf, publish_warehouse
from dagster_project.project import Project
from dagster_project.strategy.ledger import ASSIGNMENTS
from dagster_project.strategy.tables import ASSIGNMENTS as DOC

SETTINGS = """\
[sources.events]
path = "e.csv"
columns = { user_id = "u", occurred_at = "t", event_type = "k" }
"""
OLD, NEW = date(2026, 5, 1), date(2026, 5, 9)


def row(on: date) -> pl.DataFrame:
    values = {
        "user_id": ["a"],
        "experiment_id": ["global_holdout"],
        "arm": ["treat"],
        "assigned_at": [datetime(on.year, on.month, on.day, tzinfo=UTC)],
        "propensity": [0.85],
        "strategy_id": ["sunset"],
        "channel": ["email"],
        "as_of": [on],
        "step": [1],
        "template_id": ["sunset_letter"],
    }
    return pl.concat([ASSIGNMENTS.to_frame(), pl.DataFrame(values)], how="diagonal_relaxed").cast(ASSIGNMENTS)


def company(folder: Path) -> Project:
    (folder / "winback.toml").write_text(SETTINGS, encoding="utf-8")
    project = Project.load(folder / "winback.toml")
    project.write("strategy.assignments", row(OLD).drop("step", "template_id"), as_of=OLD)
    project.write("strategy.assignments", row(NEW), as_of=NEW)
    return project


def test_older_nights_have_neither_step_nor_words(tmp_path: Path) -> None:
    ledger = company(tmp_path).ledger_rows(after=date.min, before=date(2026, 6, 1))

    assert ledger.schema == ASSIGNMENTS
    assert ledger.select("as_of", "step", "template_id").rows() == [(OLD, None, None), (NEW, 1, "sunset_letter")]


def test_the_warehouse_shows_the_columns_of_every_night(tmp_path: Path) -> None:
    project, path = company(tmp_path), tmp_path / "warehouse.duckdb"
    shelf = Shelf(table="strategy.assignments", is_fact=True, key=None, doc=DOC)

    publish_warehouse(project.lake, path, shelves=[shelf], as_of=NEW, facts={})

    with duckdb.connect(str(path), read_only=True) as con:
        assert con.sql("select as_of, step from strategy.assignments order by as_of").fetchall() == [
            (OLD, None),
            (NEW, 1),
        ]
