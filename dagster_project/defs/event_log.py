"""Dagster's own record of runs in SQLite, without making every connection anew from scratch.

A night writes some two thousand events. Dagster's storage sets up an engine for each connection (and compiles each
statement anew) and asks before each event whether a table is there; that was a fifth of a small night's CPU time.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dagster import DagsterInvariantViolationError
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._serdes import ConfigurableClassData
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.pool import NullPool


class KeptEventLog(SqliteEventLogStorage):
    """The same files as Dagster's default, under DAGSTER_HOME; each file's engine is kept, its connections are not."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines: dict[str, Engine] = {}
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

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock:
            engine = self._engines.get(shard)
            if engine is None:
                timeout = {"timeout": SQLITE_BUSY_TIMEOUT_SECONDS}
                engine = create_engine(self.conn_string_for_shard(shard), poolclass=NullPool, connect_args=timeout)
                self._engines[shard] = engine
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.connect() as connection, connection.begin():
                yield connection
