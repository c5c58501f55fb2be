"""The DuckDB that every stage computes with: in memory, deterministic, offline."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

_NUMBERS = count()


@contextmanager
def connect(
    *, spill: Path | None = None, threads: int | None = None, memory_limit: str | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to an empty database, in UTC, that spills to `spill` and never reaches for the network."""
    if spill is not None:
        spill.mkdir(parents=True, exist_ok=True)
    engine = _engine(spill, threads, memory_limit)
    database = f"lent_{next(_NUMBERS)}"
    connection = engine.cursor()
    try:
        connection.execute(f"attach ':memory:' as {database}")
        connection.execute(f"use {database}")
        yield connection
    finally:
        connection.close()
        with engine.cursor() as ending:
            ending.execute(f"detach database if exists {database}")


# A small night connects two hundred times, and to start a DuckDB took a third of its time. Two: of the lake, of frames.
@lru_cache(maxsize=2)
def _engine(spill: Path | None, threads: int | None, memory_limit: str | None) -> duckdb.DuckDBPyConnection:
    config: dict[str, Any] = {
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "enable_external_file_cache": False,  # it would outlive the connection that read the file
    }
    if spill is not None:
        config["temp_directory"] = str(spill)
    if threads is not None:
        config["threads"] = threads
    if memory_limit is not None:
        config["memory_limit"] = memory_limit
    engine = duckdb.connect(config=config)
    engine.execute("set global TimeZone = 'UTC'")
    # try_cast straight over read_csv raises instead of giving null (duckdb#23818)
    engine.execute("set global disabled_optimizers = 'type_pushdown'")
    return engine


def quoted(name: str) -> str:
    """`name` as a SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """`text` as a SQL string."""
    return "'" + text.replace("'", "''") + "'"


def file_list(paths: Sequence[str]) -> str:
    """Paths as a SQL list of strings."""
    return "[" + ", ".join(literal(path) for path in paths) + "]"


def frame(connection: duckdb.DuckDBPyConnection, query: str, params: dict[str, Any] | None = None) -> pl.DataFrame:
    """The result of a query as a polars frame."""
    result: pl.DataFrame = connection.sql(query, params=params or None).pl()
    return result
