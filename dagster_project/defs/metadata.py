"""What the UI shows of a table: its columns, where each comes from, its checks."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence

import dagster as dg
import polars as pl
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.lineage import Node, lineage

from dagster_project.lake.audit import TestResult
from dagster_project.lake.sql_model import SqlModel
from dagster_project.lake.table_doc import Documented

PREVIEW_ROWS = 50
logging.getLogger("sqlglot").setLevel(logging.ERROR)  # its lineage warns of every scope that it cannot name


def asset_key(table: str) -> dg.AssetKey:
    """Path = asset key = table."""
    return dg.AssetKey(table.split("."))


def description(doc: Documented) -> str:
    """The header's own words."""
    return f"{doc.description}\n\n{doc.prose}".strip()


def column_schema(doc: Documented, types: Mapping[str, object] | None = None) -> dg.TableSchema:
    """Names, types, units and meanings of the columns."""
    known = types or {}
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=name,
                type=str(known.get(name, "?")),
                description=f"{column.description} ({column.unit})" if column.unit else column.description,
            )
            for name, column in doc.columns.items()
        ]
    )


def check_specs(doc: Documented) -> list[dg.AssetCheckSpec]:
    """One blocking check per test of the table."""
    return [
        dg.AssetCheckSpec(name=test.name, asset=asset_key(doc.table), blocking=True, description=f"{test.failing} = 0")
        for test in doc.tests
    ]


def check_results(table: str, results: Iterable[TestResult]) -> Iterator[dg.AssetCheckResult]:
    """How the tests went."""
    for result in results:
        yield dg.AssetCheckResult(
            passed=result.passed,
            check_name=result.name,
            asset_key=asset_key(table),
            metadata={"failing rows": result.n_failing},
        )


def sql_lineage(model: SqlModel, columns_of: Mapping[str, Sequence[str]]) -> dg.TableColumnLineage:
    """For each column the columns of other tables that its expression reads, by the query itself."""
    schema: dict[str, dict[str, dict[str, str]]] = {}
    for table in model.reads:
        layer, name = table.split(".")
        schema.setdefault(layer, {})[name] = dict.fromkeys(columns_of.get(table, ()), "unknown")
    try:
        # untrimmed: what a node shows of its query is not read, and to trim it copies the query for each column
        nodes = lineage(None, model.query, dialect="duckdb", schema=schema, trim_selects=False)
    except SqlglotError:
        nodes = {}  # a construct that the lineage cannot follow; the columns then show no origin
    return dg.TableColumnLineage(
        deps_by_column={name: list(sources_of(nodes[name], model)) if name in nodes else [] for name in model.columns}
    )


def sources_of(node: Node, model: SqlModel) -> Iterator[dg.TableColumnDep]:
    """The columns at the far end of one column's lineage."""
    found = {
        (f"{leaf.expression.db}.{leaf.expression.name}", leaf.name.rsplit(".", 1)[-1].strip('"'))
        for leaf in node.walk()
        if isinstance(leaf.expression, exp.Table) and leaf.expression.db
    }
    for table, name in sorted(found):
        if table != model.before and name != "*":
            yield dg.TableColumnDep(asset_key=asset_key(table), column_name=name)


def same_name_lineage(doc: Documented, inputs: Iterable[Documented]) -> dg.TableColumnLineage:
    """For a table that a function makes: each column that keeps its name comes from the inputs that have it."""
    tables = list(inputs)
    return dg.TableColumnLineage(
        deps_by_column={
            name: [dg.TableColumnDep(asset_key(table.table), name) for table in tables if name in table.columns]
            for name in doc.columns
        }
    )


def counts_table(frame: pl.DataFrame) -> dg.TableMetadataValue:
    """A small table of counts; never rows of users."""
    columns = [dg.TableColumn(name, "string") for name in frame.columns]
    records = [
        dg.TableRecord({name: "" if value is None else str(value) for name, value in row.items()})
        for row in frame.head(PREVIEW_ROWS).iter_rows(named=True)
    ]
    return dg.MetadataValue.table(records, schema=dg.TableSchema(columns))
