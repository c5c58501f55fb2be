"""Running SQL models: which partitions are out of date, what each may see, and how they are replaced.

A partition is made again only if its query, its bound values or the content of its inputs changed. A model
that is partitioned by `as_of` is given views that end at that day, so no query can reach a later row.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Protocol

import duckdb
import polars as pl

from dagster_project.errors import LakeError
from dagster_project.lake.audit import TestResult, merge_tests, no_failures, refuse_failures, run_tests
from dagster_project.lake.duck import file_list, frame, literal
from dagster_project.lake.lock import locked
from dagster_project.lake.sql_model import SqlModel
from dagster_project.lake.store import LOCK, WHOLE, Lake, Partition, aside_of, day_keys, fingerprint

DAYS_AT_ONCE = 92
ROWS_AT_ONCE = 2_000_000  # a wide row costs up to 800 bytes while it is written: some 1.6 GB


class Connect(Protocol):
    """Opens an empty database."""

    def __call__(self) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
        """A connection that closes itself."""


class Arrivals(Protocol):
    """What ingestion has taken in of a source table, before any query has seen it."""

    def days(self, table: str) -> Mapping[str, str]:
        """The content of each day by its ISO date, as a stable text; rows without a day stand under ''."""

    def n_rows(self, table: str) -> Mapping[str, int]:
        """How many rows each day has, by its ISO date."""

    def relation(self, table: str, days: Sequence[str] | None) -> str:
        """A select of the rows of those days (None: of all), with every canonical column and `dt`."""


@dataclass(frozen=True)
class Built:
    """What a build did: the partitions that it wrote or dropped, the table's tests."""

    table: str
    written: tuple[str, ...]
    dropped: tuple[str, ...]
    n_rows: int
    tests: tuple[TestResult, ...]


@dataclass(frozen=True)
class Builder:
    """Builds the tables of the SQL models in a lake."""

    lake: Lake
    models: Mapping[str, SqlModel]
    arrivals: Arrivals
    values: Mapping[str, Any]
    connect: Connect

    def build(self, table: str, *, as_of: date | None = None) -> Built:
        """Bring a table in line with its inputs: all days of a `day` model, else the one partition.

        Raises:
            AuditError: a new row breaks a test of the model; what was in place stays.
        """
        model = self.models[table]
        if model.partition in ("as_of", "state"):
            return self._build_one(model, as_of)
        # nights that run side by side share these tables: the second one finds them made
        with locked(self.lake.folder(table) / f"{LOCK}_build"):
            return self._build_days(model) if model.partition == "day" else self._build_one(model, None)

    def build_with_inputs(self, table: str, *, as_of: date) -> Built:
        """The same of a table of a night, after the tables of that night that it reads."""
        for read in self.models[table].reads:
            model = self.models.get(read)
            if model is not None and model.partition in ("as_of", "state"):
                self.build_with_inputs(read, as_of=as_of)
        return self.build(table, as_of=as_of)

    def compute(self, table: str, *, as_of: date) -> pl.DataFrame:
        """The rows that a model gives as of a day with the bound values, without keeping them."""
        model = self.models[table]
        with self.connect() as con:
            self._view_inputs(con, model, as_of)
            return frame(con, f"select * from ({model.query}) order by all", self._values(model, as_of))

    def content(self, table: str, *, as_of: date | None) -> object:
        """What a reader at `as_of` sees of a table, as a value that changes exactly when it does."""
        model = self.models.get(table)
        if model is None:
            return dict(self.arrivals.days(table))
        if model.partition == "day":
            index = self.lake.index(table)
            return [(day, index[day].fingerprint) for day in day_keys(index, through=as_of)]
        return self._fingerprint(model, as_of)

    def view(
        self,
        con: duckdb.DuckDBPyConnection,
        table: str,
        *,
        through: date | None = None,
        after: date | None = None,
    ) -> None:
        """Make `schema.table` readable on `con` as it was seen on the day `through`."""
        model = self.models.get(table)
        if model is None:
            self._view_arrivals(con, table, None)
        elif model.partition == "day":
            self._view_days(con, model, day_keys(self.lake.index(table), through=through, after=after))
        else:
            self._view_one(con, model, through)

    def _build_days(self, model: SqlModel) -> Built:
        wanted = self._day_fingerprints(model)
        known = self.lake.index(model.table)
        stale = [day for day in sorted(wanted) if day not in known or known[day].fingerprint != wanted[day]]
        gone = tuple(day for day in known if day not in wanted)
        chunks = in_chunks(stale, n_rows=self._input_rows(model))
        built = [self._build_chunk(model, chunk, wanted) for chunk in chunks]
        if gone:
            self.lake.commit(model.table, {}, dropped=gone)
        tests = merge_tests([tests for _, tests in built]) if built else no_failures(model)
        return Built(model.table, tuple(stale), gone, sum(rows for rows, _ in built), tests)

    def _build_chunk(
        self, model: SqlModel, days: Sequence[str], wanted: Mapping[str, str]
    ) -> tuple[int, tuple[TestResult, ...]]:
        with self.connect() as con:
            for read in model.reads:
                self._view_chunk(con, read, self._with_days_before(model, read, days))
            order, wanted_days = ", ".join(row_order(model)), file_list(days)
            asked = f"where list_contains({wanted_days}, cast(dt as varchar))" if model.lookback_days else ""
            made = frame(con, f"select * from ({model.query}) {asked} order by {order}", self._values(model, None))
            con.register("made", made)
            results = run_tests(con, model, "made", self._values(model, None))
        refuse_failures(model, results, where=f"{days[0]} to {days[-1]}")
        parts = {part["dt"][0].isoformat(): part for part in made.partition_by("dt", maintain_order=True)}
        empty = made.clear()
        for day in days:
            self.lake.put(model.table, parts.get(day, empty), key=day)
        rows = {day: parts.get(day, empty).height for day in days}
        self.lake.commit(model.table, {day: Partition(rows[day], wanted[day]) for day in days})
        return made.height, results

    def _build_one(self, model: SqlModel, as_of: date | None) -> Built:
        key = as_of.isoformat() if as_of else WHOLE
        wanted = self._fingerprint(model, as_of)
        known = self.lake.index(model.table).get(key)
        if known is not None and known.fingerprint == wanted:
            return Built(model.table, (), (), known.rows, no_failures(model))
        path = self.lake.path(model.table, key)
        aside = aside_of(path)
        aside.parent.mkdir(parents=True, exist_ok=True)
        with self.connect() as con:
            self._view_inputs(con, model, as_of)
            con.execute(
                f"copy (select * from ({model.query}) order by {', '.join(row_order(model))}) "
                f"to {literal(str(aside))} (format parquet, compression zstd)",
                self._values(model, as_of),
            )
            made = f"read_parquet({literal(str(aside))})"
            results = run_tests(con, model, made, self._values(model, as_of))
            rows = int(con.sql(f"select count(*) from {made}").fetchall()[0][0])
        refuse_failures(model, results, where=key)
        aside.replace(path)
        self.lake.commit(model.table, {key: Partition(rows=rows, fingerprint=wanted)})
        return Built(model.table, (key,), (), rows, results)

    def _day_fingerprints(self, model: SqlModel) -> dict[str, str]:
        inputs = [self._days_of(read) for read in model.reads]
        days: set[str] = set().union(*inputs) - {""}
        base = (model.code_version, self._values(model, None))
        return {day: fingerprint(base, *contents_of(day, inputs, model=model)) for day in sorted(days)}

    def _with_days_before(self, model: SqlModel, table: str, days: Sequence[str]) -> Sequence[str]:
        if not model.lookback_days:
            return days
        shown = {before for day in days for before in days_before(day, n_days=model.lookback_days)}
        return sorted({*days, *(shown & self._days_of(table).keys())})

    def _input_rows(self, model: SqlModel) -> dict[str, int]:
        rows: dict[str, int] = {}
        for read in model.reads:
            known = {day: part.rows for day, part in self.lake.index(read).items()} if read in self.models else None
            for day, n_rows in (self.arrivals.n_rows(read) if known is None else known).items():
                rows[day] = rows.get(day, 0) + n_rows
        return rows

    def _days_of(self, table: str) -> Mapping[str, str]:
        if table not in self.models:
            return self.arrivals.days(table)
        return {day: partition.fingerprint for day, partition in self.lake.index(table).items()}

    def _fingerprint(self, model: SqlModel, as_of: date | None) -> str:
        contents = [self.content(read, as_of=as_of) for read in model.reads if read != model.before]
        return fingerprint(model.code_version, self._values(model, as_of), contents)

    def _values(self, model: SqlModel, as_of: date | None) -> dict[str, Any]:
        known = {**self.values, "as_of": as_of}
        return {name: known[name] for name in model.params}

    def _view_inputs(self, con: duckdb.DuckDBPyConnection, model: SqlModel, as_of: date | None) -> None:
        base = self._newest_valid_state(model, as_of) if model.partition == "state" else None
        for read in model.reads:
            if read != model.before:
                self.view(con, read, through=as_of, after=base)
        if model.before in model.reads:
            create_schema(con, model.table)
            if base is None:
                con.execute(f"create table {model.before} ({model.start})")
            else:
                source = self.lake.paths(model.table, [base.isoformat()])
                con.execute(f"create view {model.before} as from read_parquet({file_list(source)})")

    def _newest_valid_state(self, model: SqlModel, as_of: date | None) -> date | None:
        index = self.lake.index(model.table)
        for key in reversed(index):
            day = date.fromisoformat(key)
            if (as_of is None or day < as_of) and index[key].fingerprint == self._fingerprint(model, day):
                return day
        return None

    def _view_chunk(self, con: duckdb.DuckDBPyConnection, table: str, days: Sequence[str]) -> None:
        if table in self.models:
            self._view_days(con, self.models[table], days)
        else:
            self._view_arrivals(con, table, days)

    def _view_arrivals(self, con: duckdb.DuckDBPyConnection, table: str, days: Sequence[str] | None) -> None:
        create_schema(con, table)
        con.execute(f"create view {table} as {self.arrivals.relation(table, days)}")

    def _view_days(self, con: duckdb.DuckDBPyConnection, model: SqlModel, days: Sequence[str]) -> None:
        paths = self.lake.paths(model.table, days)
        if not paths:
            self._create_empty(con, model)
            return
        create_schema(con, model.table)
        con.execute(f"create view {model.table} as from read_parquet({file_list(paths)})")

    def _view_one(self, con: duckdb.DuckDBPyConnection, model: SqlModel, through: date | None) -> None:
        key = through.isoformat() if through and model.partition != "whole" else WHOLE
        if key not in self.lake.index(model.table):
            raise LakeError(f"{model.table} has no partition {key}", fix="build the tables that it reads first")
        create_schema(con, model.table)
        # a dated row of a whole table is not there before its day; a row without a date always is
        dated = "dt" in model.columns and through is not None and model.partition == "whole"
        seen = f" where dt is null or dt <= date {literal(str(through))}" if dated else ""
        source = file_list(self.lake.paths(model.table, [key]))
        con.execute(f"create view {model.table} as from read_parquet({source}){seen}")

    def _create_empty(self, con: duckdb.DuckDBPyConnection, model: SqlModel) -> None:
        absent = [read for read in model.reads if not exists(con, read)]
        for read in absent:
            self._view_chunk(con, read, [])
        create_schema(con, model.table)
        # a table, not a view: a view takes no bound values
        con.execute(f"create table {model.table} as select * from ({model.query}) limit 0", self._values(model, None))
        for read in absent:  # whoever asks for one of these next wants its rows
            con.execute(f"drop {'table' if read in self.models else 'view'} {read}")


def in_chunks(days: Sequence[str], *, n_rows: Mapping[str, int]) -> list[list[str]]:
    """The days in runs that are made together: few enough days, and rows of input, for the memory of one machine.

    A single day with more than ROWS_AT_ONCE is a run of its own.
    """
    chunks: list[list[str]] = []
    rows_so_far = 0
    for day in days:
        rows_so_far += n_rows.get(day, 0)
        if not chunks or len(chunks[-1]) == DAYS_AT_ONCE or rows_so_far > ROWS_AT_ONCE:
            chunks.append([])
            rows_so_far = n_rows.get(day, 0)
        chunks[-1].append(day)
    return chunks


def contents_of(day: str, inputs: Sequence[Mapping[str, str]], *, model: SqlModel) -> list[list[str | None]]:
    """What a day of a model is made of: the content of that day of each input, then of the days it looks back on."""
    own = [[found.get(day) for found in inputs]]
    return own + [[found.get(before) for found in inputs] for before in days_before(day, n_days=model.lookback_days)]


def days_before(day: str, *, n_days: int) -> list[str]:
    """The ISO dates of the days before one, newest first."""
    return [(date.fromisoformat(day) - timedelta(days=n)).isoformat() for n in range(1, n_days + 1)]


def row_order(model: SqlModel) -> list[str]:
    """The columns that a table's rows are sorted by: the user's own id, where it is there, before the key."""
    first = [name for name in ("dt" if model.partition == "day" else "user_id",) if name in model.columns]
    return list(dict.fromkeys([*first, *model.grain]))


def create_schema(con: duckdb.DuckDBPyConnection, table: str) -> None:
    """The schema of `schema.table`, if it is not there yet."""
    con.execute(f"create schema if not exists {table.split('.')[0]}")


def exists(con: duckdb.DuckDBPyConnection, table: str) -> bool:
    """Whether `schema.table` is known on this connection."""
    schema, _, name = table.partition(".")
    found = con.execute(
        "select count(*) from information_schema.tables "
        "where table_catalog = current_database() and table_schema = $schema and table_name = $name",
        {"schema": schema, "name": name},
    ).fetchall()
    return bool(found[0][0])
