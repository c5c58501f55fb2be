"""A settings file and what it stands for: the lake, its sources, the builder of its tables.

The one place where settings turn into the plain values that the pure packages take.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from dagster_project.errors import DataQualityError
from dagster_project.ingest.arrivals import LakeArrivals
from dagster_project.ingest.raw import Layout
from dagster_project.ingest.take_in import Source, TakenIn, take_in
from dagster_project.ingest.typed import Reading
from dagster_project.lake.build import Builder, Built
from dagster_project.lake.duck import connect, frame
from dagster_project.lake.sql_model import SqlModel, load_models
from dagster_project.lake.store import Lake
from dagster_project.settings import CANONICAL, Settings, load_settings

NO_EVENT_TYPE = ("",)  # an empty list has no type that DuckDB could bind


@dataclass(frozen=True)
class Project:
    """Everything that a night needs to know of where it is and what it was told."""

    settings: Settings

    @staticmethod
    def load(path: Path) -> "Project":
        """The project of a settings file.

        Raises:
            SettingsError: the file is missing or says something impossible.
        """
        return Project(load_settings(path))

    @cached_property
    def lake(self) -> Lake:
        """The store."""
        return Lake(self.settings.data_dir / "lake")

    @cached_property
    def models(self) -> Mapping[str, SqlModel]:
        """The SQL models by table."""
        return load_models()

    @cached_property
    def sources(self) -> Mapping[str, Source]:
        """The sources that the settings name, by canonical table."""
        return {name: self._source(name) for name in self.settings.sources.tables}

    @property
    def arrivals(self) -> LakeArrivals:
        """What has been taken in until now."""
        return LakeArrivals(self.lake, self.sources)

    def connect(self) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
        """A fresh DuckDB with the settings' threads and memory."""
        return connect(
            spill=self.settings.data_dir / "tmp",
            threads=self.settings.engine.threads,
            memory_limit=self.settings.engine.memory_limit,
        )

    def take_in(self, table: str) -> TakenIn | None:
        """Read the new files of a source; None for a table that the settings do not name."""
        if table not in self.sources:
            return None
        return take_in(
            self.sources[table],
            lake=self.lake,
            connect=self.connect,
            landing=self.settings.data_dir / "landing",
            max_quarantine_share=self.settings.quality.max_quarantine_share,
        )

    def builder(self, **values: Any) -> Builder:
        """A builder that binds the settings' values and those given."""
        core = self.settings.core_events
        bound = {"core_events": list(core or NO_EVENT_TYPE), "counts_all": core is None, **values}
        return Builder(self.lake, self.models, self.arrivals, bound, self.connect)

    def build(self, table: str, *, as_of: date | None = None, **values: Any) -> Built:
        """Bring one table in line with its inputs."""
        return self.builder(**values).build(table, as_of=as_of)

    def seen(self, table: str, *, as_of: date) -> pl.DataFrame:
        """The rows of a table that a night may see."""
        with self.connect() as con:
            self.builder().view(con, table, through=as_of)
            return frame(con, f"from {table}")

    def event_days(self) -> tuple[date, date]:
        """The first and the last day with an event.

        Raises:
            DataQualityError: there is no event at all.
        """
        days = [day for day, part in self.lake.index("staging.events").items() if part.rows]
        if not days:
            raise DataQualityError(
                "sources.events: no row of it is an event of a known user",
                fix="deliver a file with events, or correct sources.events (path, columns, where)",
            )
        return date.fromisoformat(days[0]), date.fromisoformat(days[-1])

    def _source(self, name: str) -> Source:
        given = self.settings.sources.tables[name]
        return Source(
            name=name,
            patterns=self.settings.source_paths(name),
            root=self.settings.root,
            layout=Layout(
                format=given.file_format,
                delimiter=given.delimiter,
                header=given.header,
                names=given.names or (),
                encoding=given.encoding,
                null_values=given.null_values,
            ),
            reading=Reading(
                table=CANONICAL[name],
                columns=given.columns,
                where=given.where,
                source_zone=given.timezone or self.settings.timezone,
                business_zone=self.settings.timezone,
                earliest_on=self.settings.quality.earliest_on,
                latest_on=self.settings.quality.latest_on,
                core_events=self.settings.core_events,
            ),
        )
