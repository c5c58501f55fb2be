"""A folder of files, the sources over them and the lake that they are taken into, for tests of the way in."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from dagster_project.ingest.arrivals import LakeArrivals
from dagster_project.ingest.raw import Layout
from dagster_project.ingest.take_in import QUARANTINE, Source, TakenIn, take_in
from dagster_project.ingest.typed import Reading
from dagster_project.ingest.user_keys import USER_KEYS
from dagster_project.lake.build import Builder, Built
from dagster_project.lake.duck import connect, frame
from dagster_project.lake.sql_model import SqlModel, load_models
from dagster_project.lake.store import Lake
from dagster_project.settings.tables import CANONICAL

EVENT_COLUMNS = {"user_id": "id", "occurred_at": "at", "event_type": "'visit'"}
MODELS = load_models()
LAYOUT = Layout(format="csv", delimiter=None, header=True, names=(), encoding="utf-8", null_values=("",))


def reading(table: str = "events", **changes: Any) -> Reading:
    plain = Reading(
        table=CANONICAL[table],
        columns=EVENT_COLUMNS,
        where=None,
        source_zone="UTC",
        business_zone="UTC",
        earliest_on=date(1970, 1, 1),
        latest_on=date(2100, 1, 1),
        core_events=None,
    )
    return replace(plain, **changes)


@dataclass
class Workbench:
    """One source at a time over the files of `folder`, and the lake beside them."""

    folder: Path
    pattern: str = "*.csv"
    layout: Layout = LAYOUT
    reading: Reading = field(default_factory=reading)
    max_quarantine_share: float = 1.0
    models: Mapping[str, SqlModel] = field(default_factory=lambda: MODELS)

    @property
    def lake(self) -> Lake:
        return Lake(self.folder / "store" / "lake")

    @property
    def source(self) -> Source:
        return Source(
            name=self.reading.table.name,
            patterns=(self.pattern,),
            root=self.folder,
            layout=self.layout,
            reading=self.reading,
        )

    @property
    def arrivals(self) -> LakeArrivals:
        return LakeArrivals(self.lake, {self.source.name: self.source})

    def connect(self) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
        return connect(spill=self.folder / "store" / "tmp", threads=1)

    def deliver(self, name: str, content: str | bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def take_in(self) -> TakenIn:
        return take_in(
            self.source,
            lake=self.lake,
            connect=self.connect,
            landing=self.folder / "store" / "landing",
            max_quarantine_share=self.max_quarantine_share,
        )

    def rows_of(self, content: str | bytes, *, name: str = "events.csv") -> pl.DataFrame:
        """Deliver one file, take it in, and return the kept rows of the source."""
        self.deliver(name, content)
        self.take_in()
        return self.kept()

    def kept(self) -> pl.DataFrame:
        table = f"ingest.{self.source.name}"
        with self.connect() as con:
            rows = frame(con, self.arrivals.relation(table, None))
        keys = [pl.read_parquet(path, glob=False) for path in self.lake.paths(USER_KEYS)]
        if not keys:
            return rows
        return rows.join(pl.concat(keys), on="user_sk", how="left").sort("dt", "user_id", "row_hash", nulls_last=False)

    def quarantine(self) -> pl.DataFrame:
        paths = self.lake.paths(QUARANTINE)
        return pl.read_parquet(paths, glob=False).sort("source_file", "row_number")

    def fates(self) -> dict[str, int]:
        counts = self.arrivals.row_counts(self.source.name).group_by("fate").agg(pl.col("n_rows").sum())
        return dict(counts.sort("fate").iter_rows())

    def builder(self) -> Builder:
        core = self.reading.core_events
        values = {"core_events": list(core or ("",)), "counts_all": core is None}
        return Builder(self.lake, self.models, self.arrivals, values, self.connect)

    def build(self, table: str, *, as_of: date | None = None) -> Built:
        return self.builder().build(table, as_of=as_of)

    def build_past(self) -> dict[str, Built]:
        return {table: self.build(table) for table in ("staging.events", "intermediate.user_days")}

    def table(self, table: str, *, as_of: date | None = None) -> pl.DataFrame:
        """The rows as seen on a day, with the user's own id in place of the key, in the order of all columns."""
        with self.connect() as con:
            self.builder().view(con, table, through=as_of)
            rows = frame(con, f"from {table}")
        keys = pl.concat([pl.read_parquet(path, glob=False) for path in self.lake.paths(USER_KEYS)])
        named = rows.join(keys, on="user_sk", how="left").drop("user_sk")
        order = [name for name, type_ in named.schema.items() if not isinstance(type_, pl.List)]
        return named.select(sorted(named.columns)).sort(sorted(order), nulls_last=False)
