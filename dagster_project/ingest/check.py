"""Whether the files of a source fit the settings, without taking anything in."""

from pathlib import Path

import duckdb

from dagster_project.ingest.files import InputFile, find_files
from dagster_project.ingest.raw import Raw, header_of, open_raw
from dagster_project.ingest.take_in import Source, as_text
from dagster_project.ingest.typed import forms_of, mapped_columns
from dagster_project.lake.build import Connect
from dagster_project.lake.duck import quoted


def check_source(source: Source, *, connect: Connect, landing: Path) -> int:
    """How many files the source has; each of them has the columns that the settings name.

    Raises:
        SourceError: a file is missing, empty, or lacks a column; an expression cannot be computed.
    """
    files = find_files(source.patterns, root=source.root, landing=landing, source=source.name)
    for file in files:
        with connect() as con, as_text(file, source=source, landing=landing) as text:
            raw = glance(con, text, source=source)
            for form in forms_of(source.reading):
                mapped_columns(con, raw, reading=form, file_name=file.name)
    return len(files)


def glance(con: duckdb.DuckDBPyConnection, file: InputFile, *, source: Source) -> Raw:
    """The columns of a file as `raw`: of a csv by its first line alone, without its rows."""
    if source.layout.format != "csv":
        return open_raw(con, file, layout=source.layout, source=source.name)
    _, names = header_of(file, layout=source.layout, source=source.name)
    con.execute(f"create table raw ({', '.join(f'{quoted(name)} varchar' for name in names)})")
    return Raw(columns=dict.fromkeys(names, "VARCHAR"), n_unreadable=0)
