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
Facts = Callable[[pl.DataFrame], Mapping[str, Any]]


def frame_asset(
    doc: TableDoc, make: Make, *, reads: Sequence[Documented | str], facts: Facts | None = None, kind: str = "polars"
) -> dg.AssetsDefinition:
    """The asset of a table that `make` makes of a night. `facts` are figures whose history the UI shall plot."""
    docs = [load_models()[read] if isinstance(read, str) else read for read in reads]

    @dg.asset(
        key=asset_key(doc.table),
        deps=[asset_key(read.table) for read in docs],
        group_name=doc.table.split(".")[0],
        kinds={kind, "parquet"},
        partitions_def=nights,
        description=description(doc),
        metadata={
            "dagster/column_schema": column_schema(doc),
            "dagster/column_lineage": same_name_lineage(doc, docs),
        },
        check_specs=check_specs(doc),
    )
    def table(
        context: dg.AssetExecutionContext, winback: ProjectResource
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[None]]:
        as_of = as_of_date(context)
        made = make(winback.project, as_of)
        try:
            results = audit_frame(made, doc)
        except AuditError as error:
            yield from check_results(doc.table, error.results)
            raise
        winback.project.write(doc.table, made, as_of=as_of)
        yield from check_results(doc.table, results)
        yield dg.MaterializeResult(
            metadata={
                "dagster/row_count": made.height,
                "dagster/column_schema": column_schema(doc, {name: str(t) for name, t in made.schema.items()}),
                **(facts(made) if facts else {}),
            }
        )

    return table
