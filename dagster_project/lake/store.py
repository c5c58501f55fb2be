"""Parquet partitions on disk: where they lie, how they are replaced whole, what they were made from.

A table is a folder `<root>/<schema>/<table>/`; a partition is a file below it. `_index.json` beside the
partitions names each one with its rows and its fingerprint, and only what it names is read: a file that a
killed run left behind does not exist for anybody.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from dagster_project.errors import LakeError
from dagster_project.lake.lock import locked

WHOLE = "all"
INDEX = "_index.json"
LOCK = "_lock"


@dataclass(frozen=True)
class Partition:
    """One file of a table. `fingerprint` changes exactly when what it was made from changed."""

    rows: int
    fingerprint: str


@dataclass(frozen=True)
class Lake:
    """The folder that holds every table."""

    root: Path

    def folder(self, table: str) -> Path:
        """Where the partitions of `schema.table` lie."""
        schema, _, name = table.partition(".")
        return self.root / schema / name

    def path(self, table: str, key: str = WHOLE) -> Path:
        """The file of one partition, whether it exists or not."""
        return self.folder(table) / f"{key}.parquet"

    def index(self, table: str) -> dict[str, Partition]:
        """Every partition of the table by key, in the order of the keys; empty for an unknown table."""
        path = self.folder(table) / INDEX
        if not path.exists():
            return {}
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise LakeError(
                f"{path} is not readable as JSON",
                fix=f"delete {path.parent} and run again; it will be rebuilt",
            ) from error
        return {key: Partition(**raw[key]) for key in sorted(raw)}

    def commit(self, table: str, changed: Mapping[str, Partition], *, dropped: Iterable[str] = ()) -> None:
        """Make the changed partitions visible at once and forget the dropped ones."""
        with locked(self.folder(table) / LOCK):  # nights of a backfill may run side by side
            index = {**self.index(table), **changed}
            gone = [key for key in dropped if index.pop(key, None) is not None]
            write_json(self.folder(table) / INDEX, {key: asdict(index[key]) for key in sorted(index)})
        for key in gone:
            self.path(table, key).unlink(missing_ok=True)

    def write(self, table: str, frame: pl.DataFrame, *, key: str = WHOLE, fingerprint: str) -> Partition:
        """Replace one partition by `frame`, in the frame's own order of rows."""
        self.put(table, frame, key=key)
        partition = Partition(rows=frame.height, fingerprint=fingerprint)
        self.commit(table, {key: partition})
        return partition

    def put(self, table: str, frame: pl.DataFrame, *, key: str) -> None:
        """Move the file of a partition into place without making it visible: `commit` does that."""
        path = self.path(table, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = aside_of(path)
        frame.write_parquet(aside, compression="zstd", statistics=True)
        aside.replace(path)

    def read(self, table: str, *, key: str = WHOLE) -> pl.DataFrame:
        """One partition as a frame.

        Raises:
            LakeError: the partition was never written.
        """
        if key not in self.index(table):
            raise LakeError(
                f"table {table} has no partition {key}",
                fix="run the night that makes it: winback run --as-of <date>",
            )
        return pl.read_parquet(self.path(table, key), glob=False)

    def types(self, table: str) -> dict[str, str]:
        """The columns of the table's newest partition with their types; empty for an unknown table."""
        newest = next(reversed(self.index(table)), None)
        if newest is None:
            return {}
        return {name: str(type_) for name, type_ in pl.read_parquet_schema(self.path(table, newest)).items()}

    def paths(self, table: str, keys: Iterable[str] | None = None) -> list[str]:
        """The files of the given partitions (of all, if None), in the order of their keys."""
        known = self.index(table)
        wanted = known if keys is None else sorted(set(keys) & known.keys())
        return [str(self.path(table, key)) for key in wanted]


def aside_of(path: Path) -> Path:
    """Where this process writes a file before it moves it to `path`; no other process writes there."""
    return path.with_suffix(f".{os.getpid()}.tmp")


def day_keys(index: Iterable[str], *, through: date | None = None, after: date | None = None) -> list[str]:
    """The keys of day partitions with after < day <= through."""
    low = after.isoformat() if after else ""
    high = through.isoformat() if through else "9999"
    return [key for key in sorted(index) if low < key <= high]


def fingerprint(*parts: object) -> str:
    """A stable name for the given inputs: 32 hex digits, equal exactly when their JSON is equal."""
    text = json.dumps(parts, sort_keys=True, default=str, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def write_json(path: Path, value: Any) -> None:
    """Write JSON aside and move it into place, on disk before it is visible."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = aside_of(path)
    with aside.open("w", encoding="utf-8") as file:
        json.dump(value, file, indent=1, ensure_ascii=False, sort_keys=True)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
