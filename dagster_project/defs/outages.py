"""What of ours was broken, and whom it silenced."""

from collections.abc import Mapping
from datetime import date

import dagster as dg
import polars as pl

from dagster_project.defs.frame_tables import frame_assets
from dagster_project.defs.metadata import asset_key
from dagster_project.defs.resources import ProjectResource, as_of_date
from dagster_project.lifecycle import churn_thresholds
from dagster_project.outages.night import Sent, find_outages
from dagster_project.outages.tables import DAILY_COUNTS, OUTAGES, SILENCED_USERS, TABLES
from dagster_project.project import Project

READS = ("marts.return_flows", "marts.last_platforms", "marts.send_outcomes", "marts.hourly_sends", "marts.users")


def make_outages(project: Project, as_of: date) -> Mapping[str, pl.DataFrame]:
    """The outages of the last year and the users whom they silenced."""
    flows, last_seen, sends, hourly, users = (project.read(table, as_of=as_of) for table in READS)
    thresholds = churn_thresholds(users, rules=project.rules(as_of))
    night = find_outages(flows, last_seen, Sent(sends, hourly), thresholds, as_of=as_of)
    return {OUTAGES.table: night.outages, DAILY_COUNTS.table: night.daily, SILENCED_USERS.table: night.silenced}


def outage_facts(outages: pl.DataFrame) -> dict[str, int]:
    """How many outages are known, and how many run."""
    return {"outages": outages.height, "running": outages.filter(pl.col("end_on").is_null()).height}


@dg.asset_check(
    asset=asset_key(OUTAGES.table),
    description="Whether something of ours is broken on the night itself. It only warns.",
)
def no_outage_runs(context: dg.AssetCheckExecutionContext, winback: ProjectResource) -> dg.AssetCheckResult:
    """Amber while an outage runs: somebody has to mend it."""
    running = winback.project.read(OUTAGES.table, as_of=as_of_date(context)).filter(pl.col("end_on").is_null())
    return dg.AssetCheckResult(
        passed=running.is_empty(),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"running": running["explanation"].to_list()},
    )


@dg.definitions
def outages() -> dg.Definitions:
    """Every table of the layer."""
    tables = frame_assets(TABLES, make_outages, reads=READS, facts={OUTAGES.table: outage_facts})
    return dg.Definitions(assets=[tables], asset_checks=[no_outage_runs])
