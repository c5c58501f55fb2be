"""Checking a freshly made table before anybody can read it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import duckdb

from dagster_project.errors import DataQualityError
from dagster_project.lake.sql_model import SqlTest


class Tested(Protocol):
    """A table that says which rules its rows keep."""

    @property
    def table(self) -> str:
        """`schema.table`."""

    @property
    def tests(self) -> tuple[SqlTest, ...]:
        """The rules."""


@dataclass(frozen=True)
class TestResult:
    """How many rows broke one test of a model."""

    name: str
    n_failing: int

    @property
    def passed(self) -> bool:
        """Whether no row did."""
        return self.n_failing == 0


class AuditError(DataQualityError):
    """A freshly made table breaks a test of its model; the table in place is the one from before."""

    def __init__(self, problem: str, *, fix: str, results: tuple[TestResult, ...]) -> None:
        super().__init__(problem, fix=fix)
        self.results = results


def run_tests(
    con: duckdb.DuckDBPyConnection, model: Tested, relation: str, values: Mapping[str, Any]
) -> tuple[TestResult, ...]:
    """Every test of the model on `relation`, a SQL source that holds the table's new rows."""
    return tuple(TestResult(test.name, count_failing(con, test, relation, values)) for test in model.tests)


def count_failing(con: duckdb.DuckDBPyConnection, test: SqlTest, relation: str, values: Mapping[str, Any]) -> int:
    """How many rows of `relation` break one test."""
    bound = {name: value for name, value in values.items() if f"${name}" in test.failing}
    found = con.execute(test.failing.format(table=relation), bound).fetchall()
    return int(found[0][0] or 0)


def no_failures(model: Tested) -> tuple[TestResult, ...]:
    """The results of a model whose rows in place have passed before."""
    return tuple(TestResult(test.name, 0) for test in model.tests)


def merge_tests(chunks: Sequence[Sequence[TestResult]]) -> tuple[TestResult, ...]:
    """The results of several chunks of one table, added up."""
    return tuple(
        TestResult(same[0].name, sum(result.n_failing for result in same)) for same in zip(*chunks, strict=True)
    )


def refuse_failures(model: Tested, results: tuple[TestResult, ...], *, where: str) -> None:
    """Stop if any test failed.

    Raises:
        AuditError: names table, partition, tests and counts.
    """
    failed = [f"{result.name} ({result.n_failing} rows)" for result in results if not result.passed]
    if failed:
        raise AuditError(
            f"{model.table} {where} breaks {', '.join(failed)}",
            fix=f"look at the rows that make {model.table}; the table in place is unchanged",
            results=results,
        )
