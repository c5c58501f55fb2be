"""Running one SQL model on literal rows."""

from collections.abc import Callable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from dagster_project.ingest.arrivals import EMPTY, empty_columns
from dagster_project.lake.build import create_schema, exists
from dagster_project.lake.duck import connect, frame
from dagster_project.lake.sql_model import load_models

MODELS = load_models()
VALUES = {
    "core_events": ["buy"],
    "counts_all": False,
    "as_of": date(2024, 1, 1),
    "window_days": 0,
    "timezone": "Europe/Berlin",
    "zones": ["Europe/Berlin", "America/New_York", "Asia/Kolkata"],
}
Rows = list[dict[str, Any]]


@pytest.fixture
def con(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with connect(spill=tmp_path, threads=1) as connection:
        yield connection


@pytest.fixture
def run(con: duckdb.DuckDBPyConnection) -> Callable[..., pl.DataFrame]:
    """Run a model on rows that name only the columns that matter; the others are null."""

    def run_model(table: str, inputs: Mapping[str, Rows], **values: Any) -> pl.DataFrame:
        model = MODELS[table]
        for read in model.reads:
            create_table(con, read)
        for name, rows in inputs.items():
            given = pl.DataFrame(rows, infer_schema_length=None)
            con.register("given", given)
            con.execute(f"insert into {name} by name from given")
            con.unregister("given")
        return frame(con, f"select * from ({model.query}) order by {', '.join(model.grain)}", bound(table, values))

    return run_model


def bound(table: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: {**VALUES, **values}[name] for name in MODELS[table].params}


def create_table(con: duckdb.DuckDBPyConnection, table: str) -> None:
    """The table with its columns and no rows."""
    if exists(con, table):
        return
    create_schema(con, table)
    if table.endswith("_before"):
        con.execute(f"create table {table} ({MODELS[table.removesuffix('_before')].start})")
    elif table in MODELS:
        for read in MODELS[table].reads:
            create_table(con, read)
        con.execute(f"create table {table} as select * from ({MODELS[table].query}) limit 0", bound(table, {}))
    else:
        columns = EMPTY.get(table) or empty_columns(table.removeprefix("ingest."))
        con.execute(f"create table {table} as select {columns} limit 0")
