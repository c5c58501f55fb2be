"""The published `warehouse.duckdb`: everything an analyst queries, built aside and swapped in whole."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb

from dagster_project.lake.build import create_schema
from dagster_project.lake.duck import file_list, literal, quoted
from dagster_project.lake.store import Lake
from dagster_project.lake.table_doc import Documented


@dataclass(frozen=True)
class Shelf:
    """One table of the warehouse and how it is laid out there.

    `is_fact`: all its partitions, as a view over the lake's files (they are too large to copy each night);
    otherwise the partition `key`, as a table. `withheld`: keys of the column `attributes` that stay in the lake.
    """

    table: str
    is_fact: bool
    key: str | None
    doc: Documented | None
    withheld: tuple[str, ...] = ()


def publish_warehouse(
    lake: Lake, path: Path, *, shelves: Iterable[Shelf], as_of: date, facts: Mapping[str, str]
) -> None:
    """Replace the warehouse. `facts` are shown in the table `main.about`, as_of beside them.

    Readers of the old file keep it until they close it.
    """
    aside = path.with_suffix(".tmp")
    aside.unlink(missing_ok=True)
    aside.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(str(aside)) as con:
        con.execute("create table about (name varchar, value varchar)")
        con.executemany("insert into about values (?, ?)", [("as_of", as_of.isoformat()), *sorted(facts.items())])
        for shelf in shelves:
            con.begin()  # a comment of its own would wait for the disk
            fill(con, lake, shelf)
            con.commit()
    aside.replace(path)


def fill(con: duckdb.DuckDBPyConnection, lake: Lake, shelf: Shelf) -> None:
    """One table or view with its comments; nothing for a table that the lake does not have."""
    paths = lake.paths(shelf.table, None if shelf.is_fact or shelf.key is None else [shelf.key])
    if not paths:
        return
    create_schema(con, shelf.table)
    kind = "view" if shelf.is_fact else "table"
    shown = f"* {without(shelf.withheld)}" if shelf.withheld else "*"
    # Partitions of other versions may lack columns; to look for them in every file is dear, so only where it can be.
    by_name = ", union_by_name = true" if shelf.key is None else ""
    con.execute(f"create {kind} {shelf.table} as select {shown} from read_parquet({file_list(paths)}{by_name})")
    if shelf.doc is None:
        return
    con.execute(f"comment on {kind} {shelf.table} is {literal(shelf.doc.description)}")
    for name, column in shelf.doc.columns.items():
        text = f"{column.description} ({column.unit})" if column.unit else column.description
        con.execute(f"comment on column {shelf.table}.{quoted(name)} is {literal(text)}")


def without(keys: tuple[str, ...]) -> str:
    """The clause that takes keys out of the JSON of `attributes`; by RFC 7396 a null in a patch removes its key."""
    patch = literal(json.dumps(dict.fromkeys(keys)))
    patched = f"cast(json_merge_patch(attributes, {patch}) as varchar)"
    return f"replace (case when attributes is not null then {patched} end as attributes)"
