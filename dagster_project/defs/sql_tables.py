"""One asset per file of sql/: its dependencies, columns, lineage and checks are those of the query and its header."""

from collections.abc import Iterator

import dagster as dg

from dagster_project.defs.metadata import (
    asset_key,
    check_results,
    check_specs,
    column_schema,
    description,
    sql_lineage,
)
from dagster_project.defs.resources import ProjectResource, as_of_date, nights
from dagster_project.lake.audit import AuditError
from dagster_project.lake.sql_model import SqlModel, load_models
from dagster_project.settings import CANONICAL


def sql_asset(model: SqlModel, columns_of: dict[str, list[str]]) -> dg.AssetsDefinition:
    """The asset of one SQL model."""
    is_nightly = model.partition in ("as_of", "state")

    @dg.asset(
        key=asset_key(model.table),
        deps=[asset_key(read) for read in model.reads if read != model.before],
        group_name=model.schema,
        kinds={"duckdb", "sql"},
        partitions_def=nights if is_nightly else None,
        code_version=model.code_version,
        description=f"{description(model)}\n\n```sql\n{model.query}\n```",
        metadata={
            "dagster/column_schema": column_schema(model),
            "dagster/column_lineage": sql_lineage(model, columns_of),
        },
        check_specs=check_specs(model),
    )
    def table(
        context: dg.AssetExecutionContext, winback: ProjectResource
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[None]]:
        project = winback.project
        as_of = as_of_date(context) if is_nightly else None
        try:
            built = project.build(model.table, as_of=as_of)
        except AuditError as error:
            yield from check_results(model.table, error.results)
            raise
        yield from check_results(model.table, built.tests)
        rows = sum(part.rows for part in project.lake.index(model.table).values()) if as_of is None else built.n_rows
        yield dg.MaterializeResult(
            metadata={
                "dagster/row_count": rows,
                "dagster/column_schema": column_schema(model, project.lake.types(model.table)),
                "partitions written": len(built.written),
            }
        )

    return table


@dg.asset_check(
    asset=asset_key("marts.users"),
    description="Whether events came up to the night, by the steps between event days of the last 90. It only warns.",
)
def events_reach_the_night(context: dg.AssetCheckExecutionContext, winback: ProjectResource) -> dg.AssetCheckResult:
    """Amber when the events end earlier than usual: the next lists may take an outage for silence."""
    found = winback.project.freshness(as_of_date(context))
    return dg.AssetCheckResult(
        passed=not found.is_stale,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "newest event": str(found.newest_on),
            "days behind": found.days_behind,
            "usual days": found.usual_days,
        },
    )


@dg.definitions
def sql_tables() -> dg.Definitions:
    """Every file of sql/."""
    models = load_models()
    columns_of = {table: list(model.columns) for table, model in models.items()}
    columns_of |= {
        f"ingest.{name}": ["user_sk", *table.columns, "attributes", "dt"] for name, table in CANONICAL.items()
    }
    assets = [sql_asset(model, columns_of) for model in models.values()]
    return dg.Definitions(assets=assets, asset_checks=[events_reach_the_night])
