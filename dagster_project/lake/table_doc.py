"""What a table says of itself, whether a query or a function makes it: grain, tests, columns."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import polars as pl

from dagster_project.errors import LakeError
from dagster_project.lake.audit import TestResult, count_failing, refuse_failures
from dagster_project.lake.duck import connect
from dagster_project.lake.sql_model import ColumnDoc, SqlTest, parse_columns, parse_header_text, parse_test, words

FINITE = SqlTest("finite", "rows with a NaN or an infinite number in any column")
"""Kept by every table that a function makes: a null says that nothing is known, a NaN says nothing at all."""


class Documented(Protocol):
    """What a SQL model and a documented frame have in common."""

    @property
    def table(self) -> str:
        """`schema.table`."""

    @property
    def description(self) -> str:
        """One row per ..."""

    @property
    def prose(self) -> str:
        """The business rule."""

    @property
    def grain(self) -> tuple[str, ...]:
        """The columns that name a row."""

    @property
    def tests(self) -> tuple[SqlTest, ...]:
        """Rules that every row keeps."""

    @property
    def columns(self) -> Mapping[str, ColumnDoc]:
        """What each column means, in the table's order."""


@dataclass(frozen=True)
class TableDoc:
    """The header of a table that a function makes, in the words of a SQL model's header."""

    table: str
    description: str
    prose: str
    grain: tuple[str, ...]
    tests: tuple[SqlTest, ...]
    columns: Mapping[str, ColumnDoc]


def table_doc(table: str, header: str) -> TableDoc:
    """The header text of a table: description, `grain:`, `tests:`, `columns:`, prose (as in `sql_model`)."""
    description, sections, prose = parse_header_text(header, where=table)
    return TableDoc(
        table=table,
        description=description,
        prose=prose,
        grain=words(sections.get("grain", "")),
        tests=(*(parse_test(text) for text in sections.get("tests", "").split(";") if text.strip()), FINITE),
        columns=parse_columns(sections.get("columns", "")),
    )


def audit_frame(
    frame: pl.DataFrame, doc: TableDoc, *, values: Mapping[str, Any] | None = None
) -> tuple[TestResult, ...]:
    """The results of the table's tests on a frame that is about to be written.

    Raises:
        LakeError: the frame's columns are not those of the document.
        AuditError: a row breaks a test.
    """
    if list(doc.columns) != frame.columns:
        odd = sorted(set(doc.columns) ^ set(frame.columns)) or "their order"
        raise LakeError(
            f"{doc.table}: documented and made columns differ: {odd}", fix="let the document name each column"
        )
    with connect() as con:
        con.register("made", frame)
        results = tuple(
            TestResult(
                test.name, _n_not_finite(frame) if test is FINITE else count_failing(con, test, "made", values or {})
            )
            for test in doc.tests
        )
    refuse_failures(doc, results, where="as made")
    return results


def _n_not_finite(frame: pl.DataFrame) -> int:
    numbers = [column for column in frame.get_columns() if column.dtype.is_float()]
    return int(sum((~column.is_finite()).cast(pl.Int64).sum() for column in numbers))
