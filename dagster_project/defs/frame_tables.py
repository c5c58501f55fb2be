"""Assets of tables that functions make: read, call, audit, write, report."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import dagster as dg
import polars as pl

from dagster_project.defs.metadata import (
    asset_key,
    check_results,
    check_specs,
    column_schema,
    description,
    same_name_lineage,
)
from dagster_project.defs.resources import ProjectResource, as_of_date, nights
from dagster_project.lake.audit import AuditError
from dagster_project.lake.sql_model import load_models
from dagster_project.lake.table_doc import Documented, TableDoc, audit_frame
from dagster_project.project import Project

Make = Callable[[Project, date], pl.DataFrame]
MakeSeveral = Callable[[Project, date], Mapping[str, pl.DataFrame]]
Facts = Callable[[pl.DataFrame], Mapping[str, Any]]
FactsOfAll = Callable[[Project, date, Mapping[str, pl.DataFrame]], Mapping[str, Any]]
Results = Iterator[dg.AssetCheckResult | dg.MaterializeResult[None]]


def frame_asset(
    doc: TableDoc, make: Make, *, reads: Sequence[Documented | str], facts: Facts | None = None
) -> dg.AssetsDefinition:
    """The asset of a table that `make` makes of a night. `facts` are figures whose history the UI shall plot."""

    def make_one(project: Project, as_of: date) -> Mapping[str, pl.DataFrame]:
        return {doc.table: make(project, as_of)}

    return frame_assets([doc], make_one, reads=reads, facts={doc.table: facts} if facts else {})


def frame_assets(
    docs: Sequence[TableDoc],
    make: MakeSeveral,
    *,
    reads: Sequence[Documented | str],
    facts: Mapping[str, Facts] | None = None,
    facts_of_all: Mapping[str, FactsOfAll] | None = None,
) -> dg.AssetsDefinition:
    """The assets of tables that one call makes together: all are audited before any is written.

    `facts_of_all`: what the UI shall know of a table that only all that were made with it tell.
    """
    inputs = [load_models()[read] if isinstance(read, str) else read for read in reads]

    @dg.multi_asset(
        name=docs[0].table.replace(".", "__"),
        specs=[table_spec(doc, inputs) for doc in docs],
        check_specs=[spec for doc in docs for spec in check_specs(doc)],
        partitions_def=nights,
    )
    def tables(context: dg.AssetExecutionContext, winback: ProjectResource) -> Results:
        as_of = as_of_date(context)
        made = make(winback.project, as_of)
        for doc in docs:
            yield from audited(doc, made[doc.table])
        for table, frame in made.items():
            winback.project.write(table, frame, as_of=as_of)
        for doc in docs:
            wide = (facts_of_all or {}).get(doc.table)
            told = wide(winback.project, as_of, made) if wide else {}
            yield written(doc, made[doc.table], facts=(facts or {}).get(doc.table), told=told)

    return tables


def table_spec(doc: TableDoc, inputs: Sequence[Documented]) -> dg.AssetSpec:
    """What the UI knows of the table before it is made."""
    return dg.AssetSpec(
        key=asset_key(doc.table),
        deps=[asset_key(read.table) for read in inputs],
        group_name=doc.table.split(".")[0],
        kinds={"polars", "parquet"},
        description=description(doc),
        metadata={
            "dagster/column_schema": column_schema(doc),
            "dagster/column_lineage": same_name_lineage(doc, inputs),
        },
    )


def audited(doc: TableDoc, made: pl.DataFrame) -> Iterator[dg.AssetCheckResult]:
    """How the tests of a frame went; the run stops at one that failed, before anything is written."""
    try:
        results = audit_frame(made, doc)
    except AuditError as error:
        yield from check_results(doc.table, error.results)
        raise
    yield from check_results(doc.table, results)


def written(
    doc: TableDoc, made: pl.DataFrame, *, facts: Facts | None, told: Mapping[str, Any] | None = None
) -> dg.MaterializeResult[None]:
    """Rows, column types and figures of a table in place."""
    types = {name: str(type_) for name, type_ in made.schema.items()}
    return dg.MaterializeResult(
        asset_key=asset_key(doc.table),
        metadata={
            "dagster/row_count": made.height,
            "dagster/column_schema": column_schema(doc, types),
            **(facts(made) if facts else {}),
            **(told or {}),
        },
    )
