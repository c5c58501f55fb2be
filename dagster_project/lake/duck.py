"""The DuckDB that every stage computes with: in memory, deterministic, offline."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import polars as pl


@contextmanager
def connect(
    *, spill: Path, threads: int | None = None, memory_limit: str | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection in UTC that spills to `spill` and never reaches for the network."""
    spill.mkdir(parents=True, exist_ok=True)
    config: dict[str, Any] = {
        "temp_directory": str(spill),
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    if threads is not None:
        config["threads"] = threads
    if memory_limit is not None:
        config["memory_limit"] = memory_limit
    connection = duckdb.connect(config=config)
    try:
        connection.execute("set TimeZone = 'UTC'")
        # try_cast straight over read_csv raises instead of giving null (duckdb#23818)
        connection.execute("set disabled_optimizers = 'type_pushdown'")
        yield connection
    finally:
        connection.close()


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
