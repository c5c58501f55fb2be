"""Dagster's own record of runs in SQLite, without making every connection anew from scratch.

A night writes some two thousand events. Dagster's storage sets up an engine for each connection (and compiles each
statement anew) and asks before each event whether a table is there; that was a fifth of a small night's CPU time.
Whoever closes the last connection to a file moves its log of writes into it and waits for the disk: with a connection
for each write that was a quarter of a small night's time.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dagster import DagsterInvariantViolationError
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._serdes import ConfigurableClassData
from sqlalchemy import Connection, Engine, create_engine, event


class KeptEventLog(SqliteEventLogStorage):
    """The same files as Dagster's default, under DAGSTER_HOME.

    Each file's engine is kept, and a connection to two of the files: the index and the run that was asked for last.
    """

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines: dict[str, Engine] = {}
        self._open_run = ""
        self._tables: set[str] = set()
        super().__init__(base_dir, inst_data)

    @classmethod
    def config_type(cls) -> Any:
        """Nothing is to be configured."""
        return {}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "KeptEventLog":
        """The log of the instance that DAGSTER_HOME names."""
        home = os.environ.get("DAGSTER_HOME")
        if not home:
            raise DagsterInvariantViolationError("DAGSTER_HOME is not set: the event log lies under it")
        return cls(str(Path(home) / "history" / "runs"), inst_data, **config_value)

    def has_table(self, table_name: str) -> bool:
        """Whether the index has a table. Tables are never dropped, so one that was seen is there."""
        if table_name not in self._tables and super().has_table(table_name):
            self._tables.add(table_name)
        return table_name in self._tables

    def wipe(self) -> None:
        """Delete every record; what is open would go on writing to files that are gone."""
        self._close(self._engines)
        super().wipe()

    def dispose(self) -> None:
        """Let go of the files."""
        super().dispose()
        self._close(self._engines)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock:
            if shard not in self._engines:
                self._engines[shard] = engine_of(self.conn_string_for_shard(shard))
            engine = self._engines[shard]
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            if shard not in (INDEX_SHARD_NAME, self._open_run):
                self._close([self._open_run])
                self._open_run = shard
            with engine.connect() as connection, connection.begin():
                yield connection

    def _close(self, shards: Iterable[str]) -> None:
        for shard in shards:
            if shard in self._engines:
                self._engines[shard].dispose()


def engine_of(address: str) -> Engine:
    """An engine that keeps one connection, which does not wait for the disk: a crash of the machine, not of the
    program, may cost the last records of a run.
    """
    engine = create_engine(address, pool_size=1, connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS})

    @event.listens_for(engine, "connect")
    def without_waiting(connection: sqlite3.Connection, _: object) -> None:
        connection.execute("pragma synchronous = normal")

    return engine
