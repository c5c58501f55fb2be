"""The data dictionary beside the lists: type, unit and meaning of every file's columns, in the tables' own words."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from dagster_project.cohorts.destinations import Destination
from dagster_project.cohorts.export import CsvForm
from dagster_project.cohorts.tables import AWAITING_CONTACTS, CONTACTS, DECISIONS, USERS
from dagster_project.lake.sql_model import ColumnDoc
from dagster_project.lake.table_doc import TableDoc
from dagster_project.reach.tables import RECALLED
from dagster_project.strategy.tables import HANDED_OVER, HOLDOUT, SUPPRESSED

DICTIONARY = "data_dictionary.csv"

COHORT_FILES = "cohorts/<strategy>__<channel>.csv"
_LISTS = {
    "cohorts": CONTACTS,
    "holdout": HOLDOUT,
    "suppressed": SUPPRESSED,
    "handover": HANDED_OVER,
    "awaiting_approval": AWAITING_CONTACTS,
    "recalled": RECALLED,
}
_WHOLE = {"users": USERS, "decisions": DECISIONS}
_HASHES = {
    "email_sha256": ColumnDoc("SHA-256 of the user's e-mail address, trimmed and in small letters", "hex digits"),
    "phone_sha256": ColumnDoc("SHA-256 of the user's phone number in E.164 form, with its +", "hex digits"),
    "phone_digits_sha256": ColumnDoc("SHA-256 of the digits of the user's phone number, without +", "hex digits"),
}
_GUARDED = "exact: without one leading ' where there is one"
_NOTES = {
    "plain": f"import as text; {_GUARDED}",
    "quote": "exact: without the leading '",
    "formula": 'exact: without =" and " around it, else without the leading \'',
}


@dataclass(frozen=True)
class _File:
    name: str
    columns: Sequence[str]
    types: Mapping[str, pl.DataType]
    docs: Mapping[str, ColumnDoc]
    csv: CsvForm | None
    headers: Mapping[str, str] = field(default_factory=dict)


def data_dictionary(
    lists: Mapping[str, pl.Schema],
    *,
    whole: Mapping[str, pl.Schema],
    form: CsvForm,
    destinations: Sequence[Destination] = (),
) -> pl.DataFrame:
    """file, column, type, unit, meaning, note: one row per file and column, in the order of the files' columns.

    `lists`: the schemas of cohorts and of the other lists, which are written as CSV of `form` and
    as Parquet; `whole` those of users and decisions, written as Parquet alone. `column` is the name in the file. `note`
    says how a CSV cell becomes the exact value again.
    """
    rows = [row for file in _files(lists, whole, form, destinations) for row in _rows(file)]
    names = ("file", "column", "type", "unit", "meaning", "note")
    return pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row")


def _files(
    lists: Mapping[str, pl.Schema],
    whole: Mapping[str, pl.Schema],
    form: CsvForm,
    destinations: Sequence[Destination],
) -> Iterator[_File]:
    for name, doc in _LISTS.items():
        yield _of_list(f"{name}.csv", lists[name], doc, form)
        if doc is CONTACTS:
            yield _of_list(COHORT_FILES, lists[name], doc, form)
        yield _of_list(f"{name}.parquet", lists[name], doc, None)
    for name, doc in _WHOLE.items():
        yield _of_list(f"{name}.parquet", whole[name], doc, None)
    types = {**lists["cohorts"], **dict.fromkeys(_HASHES, pl.String())}
    for one in destinations:
        yield _File(one.path, one.columns, types, {**CONTACTS.columns, **_HASHES}, one.csv, one.headers)


def _of_list(name: str, schema: pl.Schema, doc: TableDoc, csv: CsvForm | None) -> _File:
    return _File(name, schema.names(), schema, doc.columns, csv)


def _rows(file: _File) -> Iterator[tuple[str, str, str, str | None, str, str | None]]:
    for name in file.columns:
        dtype, doc = file.types[name], file.docs[name]
        yield (
            file.name,
            file.headers.get(name, name),
            _type(dtype),
            None if doc.unit == "date" else doc.unit,
            doc.description,
            _note(name, dtype, file.csv),
        )


def _type(dtype: pl.DataType) -> str:
    if dtype == pl.Date:
        return "date"
    if dtype == pl.Boolean:
        return "true or false"
    if dtype.is_integer():
        return "whole number"
    return "number" if dtype.is_numeric() else "text"


def _note(name: str, dtype: pl.DataType, csv: CsvForm | None) -> str | None:
    if csv is None or dtype != pl.String or name in _HASHES:
        return None
    return _NOTES[csv.ids_as_text] if name == "user_id" else _GUARDED
