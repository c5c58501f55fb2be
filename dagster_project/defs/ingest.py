"""The sources: one asset per canonical table, and what was learned while reading them."""

import dagster as dg
import polars as pl

from dagster_project.defs.metadata import asset_key, counts_table
from dagster_project.defs.resources import ProjectResource
from dagster_project.ingest.repeats import REPEATS
from dagster_project.ingest.take_in import QUARANTINE
from dagster_project.ingest.user_keys import USER_KEYS
from dagster_project.settings import CANONICAL
from dagster_project.settings.tables import SWITCHED_OFF


def source_asset(table: str) -> dg.AssetsDefinition:
    """The asset of one canonical table."""
    canonical = CANONICAL[table]
    fed = ", ".join(canonical.columns)

    @dg.asset(
        key=asset_key(f"ingest.{table}"),
        group_name="ingest",
        kinds={"duckdb", "parquet"},
        description=f"The rows of `sources.{table}` as delivered, typed, with the day of each. Columns: {fed}.",
    )
    def taken_in(winback: ProjectResource) -> dg.MaterializeResult[None]:
        project = winback.project
        taken = project.take_in(table)
        if taken is None:
            return dg.MaterializeResult(
                metadata={"absent": f"no [sources.{table}] in the settings; {SWITCHED_OFF.get(table, '')}"}
            )
        by_fate = project.arrivals.row_counts(table).group_by("fate").agg(pl.col("n_rows", "amount").sum())
        fates = {f"rows {fate}": n_rows for fate, n_rows, _ in by_fate.sort("fate").iter_rows()}
        return dg.MaterializeResult(
            metadata={"files": taken.n_files, "files read this time": len(taken.new_files), **fates}
        )

    return taken_in


def index_asset(table: str, *, deps: list[str], text: str) -> dg.AssetsDefinition:
    """A table that reading the sources has made; its asset tells how it stands."""

    @dg.asset(
        key=asset_key(table),
        deps=[asset_key(dep) for dep in deps],
        group_name=table.split(".")[0],
        kinds={"parquet"},
        description=text,
    )
    def made_with_it(winback: ProjectResource) -> dg.MaterializeResult[None]:
        index = winback.project.lake.index(table)
        return dg.MaterializeResult(metadata={"dagster/row_count": sum(part.rows for part in index.values())})

    return made_with_it


def quarantine_asset() -> dg.AssetsDefinition:
    """The rows that could not be what their columns say."""

    @dg.asset(
        key=asset_key(QUARANTINE),
        deps=[asset_key(f"ingest.{table}") for table in CANONICAL],
        group_name="staging",
        kinds={"parquet"},
        description="One row per bad row of a source: its file, its row number there, the reason and its text. "
        "A text file's header line is row 1.",
    )
    def quarantine(winback: ProjectResource) -> dg.MaterializeResult[None]:
        rows = winback.project.quarantine()
        reasons = (
            rows.group_by("source_table", "reason").len("n_rows").sort("n_rows", "reason", descending=[True, False])
        )
        # values of single users stand in the reasons: only how many, by table, goes into the event log
        counts = reasons.group_by("source_table").agg(pl.col("n_rows").sum()).sort("source_table")
        return dg.MaterializeResult(metadata={"dagster/row_count": rows.height, "by table": counts_table(counts)})

    return quarantine


@dg.definitions
def ingest() -> dg.Definitions:
    """Every source, the keys of users, the repeats of event ids, the quarantine."""
    all_sources = [f"ingest.{table}" for table in CANONICAL]
    keys = index_asset(
        USER_KEYS,
        deps=all_sources,
        text="One row per user of any source: the user's own id and the dense integer that stands for it inside.",
    )
    repeats = index_asset(
        REPEATS,
        deps=["ingest.events"],
        text="One row per event id and later day on which it came again: the earliest day keeps the event.",
    )
    return dg.Definitions(assets=[*map(source_asset, CANONICAL), keys, repeats, quarantine_asset()])
