"""The night's files, and the warehouse that analysts open."""

from datetime import date

import dagster as dg

from dagster_project.cohorts import tables as cohort_tables
from dagster_project.defs.metadata import asset_key
from dagster_project.defs.resources import ProjectResource, as_of_date, nights
from dagster_project.ingest.take_in import QUARANTINE
from dagster_project.lake.store import WHOLE, Lake
from dagster_project.lake.table_doc import Documented
from dagster_project.lake.warehouse import Shelf, publish_warehouse
from dagster_project.lifecycle import tables as lifecycle_tables
from dagster_project.models import tables as model_tables
from dagster_project.models.contracts import tables as contract_tables
from dagster_project.models.uplift import tables as uplift_tables
from dagster_project.night import publish_night
from dagster_project.outages import tables as outage_tables
from dagster_project.outcomes import tables as outcome_tables
from dagster_project.project import Project
from dagster_project.pruning import prune
from dagster_project.reach import tables as reach_tables
from dagster_project.reach import trust_tables
from dagster_project.reasons import tables as reason_tables
from dagster_project.strategy import tables as strategy_tables

FILES = "reports.night_files"
WAREHOUSE = "reports.warehouse"
FRAME_TABLES: tuple[Documented, ...] = (
    *outage_tables.TABLES,
    *lifecycle_tables.TABLES,
    model_tables.RETURN_SPELLS,
    model_tables.PAST_RETURNS,
    *model_tables.NIGHT_TABLES,
    *contract_tables.TABLES,
    *uplift_tables.TABLES,
    reach_tables.ENDPOINTS,
    reach_tables.FAILURE_CODES,
    *reason_tables.TABLES,
    reach_tables.CONTACT_POINTS,
    reach_tables.RECALLED,
    reach_tables.LATE_MESSAGES,
    *trust_tables.TABLES,
    *outcome_tables.TABLES,
    strategy_tables.SEND_HOURS,
    strategy_tables.EXPORTED,
    strategy_tables.HOLDOUT,
    strategy_tables.SUPPRESSED,
    strategy_tables.AWAITING,
    strategy_tables.HANDED_OVER,
    strategy_tables.CONSIDERED,
    strategy_tables.GATED,
    strategy_tables.PRICES,
    strategy_tables.CURVE,
    strategy_tables.HANDS,
    strategy_tables.STOPS,
    strategy_tables.BELIEFS,
    cohort_tables.EXPLANATIONS,
    cohort_tables.CONTACTS,
    cohort_tables.AWAITING_CONTACTS,
    cohort_tables.USERS,
    cohort_tables.DECISIONS,
)


def shelves(project: Project, as_of: date) -> list[Shelf]:
    """What the warehouse holds: facts as views, the night's tables as tables, the whole ledger."""
    key, addresses = as_of.isoformat(), project.settings.export.address_attributes
    sql = [
        Shelf(
            table=model.table,
            is_fact=model.partition == "day",
            key=WHOLE if model.partition == "whole" else key,
            doc=model,
            withheld=addresses if model.table == "staging.users" else (),
        )
        for model in project.models.values()
    ]
    frames = [Shelf(table=doc.table, is_fact=False, key=key, doc=doc) for doc in FRAME_TABLES]
    ledger = Shelf(table="strategy.assignments", is_fact=True, key=None, doc=strategy_tables.ASSIGNMENTS)
    return [*sql, *frames, ledger, Shelf(table=QUARANTINE, is_fact=True, key=None, doc=None)]


def is_newest_night(lake: Lake, as_of: date) -> bool:
    """Whether no later night has made its lists."""
    return as_of.isoformat() >= max(lake.index("cohorts.contacts"), default="")


@dg.asset(
    key=asset_key(FILES),
    deps=[
        asset_key(table)
        for table in (
            "cohorts.contacts",
            "cohorts.users",
            "strategy.holdout",
            "strategy.suppressed",
            "strategy.prices",
            "strategy.budget_curve",
            "strategy.hands",
            "strategy.beliefs",
            "strategy.handover",
            "cohorts.awaiting_approval",
            "cohorts.decisions",
            "lifecycle.stage_migrations",
            "lifecycle.stage_dwell",
            "lifecycle.definition_agreement",
            "lifecycle.regret_rates",
            "outages.outages",
            "outcomes.experiments",
            "models.verdicts",
            "models.uplift_verdicts",
            "models.uplift_learners",
            "models.uplift_choices",
            "marts.daily_activity",
            "marts.message_quality",
            "reach.failure_codes",
            "reach.late_messages",
            "reach.recalled",
            "reach.damage",
            "reach.trust_funnel",
            "reasons.breakdowns",
            "staging.quarantine",
            "staging.users",
        )
    ],
    group_name="reports",
    kinds={"csv", "html"},
    partitions_def=nights,
)
def night_files(context: dg.AssetExecutionContext, winback: ProjectResource) -> dg.MaterializeResult[None]:
    """The files of a night: cohorts, holdout, suppressed, users, metrics, report, manifest. Moved into place whole."""
    folder = publish_night(winback.project, as_of_date(context))
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return dg.MaterializeResult(
        metadata={
            "folder": dg.MetadataValue.path(folder),
            "report": dg.MetadataValue.path(folder / "report.html"),
            "files": len(files),
            "bytes": sum(path.stat().st_size for path in files),
        }
    )


@dg.asset(
    key=asset_key(WAREHOUSE),
    deps=[asset_key(FILES), asset_key("strategy.assignments"), asset_key("reach.endpoints")],
    group_name="reports",
    kinds={"duckdb"},
    partitions_def=nights,
)
def warehouse(context: dg.AssetExecutionContext, winback: ProjectResource) -> dg.MaterializeResult[None]:
    """`data/warehouse.duckdb`: the newest night and all facts, for any client. An older night leaves it alone."""
    project, as_of = winback.project, as_of_date(context)
    if not is_newest_night(project.lake, as_of):
        return dg.MaterializeResult(metadata={"warehouse": "left as it is: a later night has published it"})
    path = project.settings.data_dir / "warehouse.duckdb"
    facts = {"notice": project.settings.notice or "", "currency": project.settings.currency}
    publish_warehouse(project.lake, path, shelves=shelves(project, as_of), as_of=as_of, facts=facts)
    prune(project, newest=as_of)
    return dg.MaterializeResult(metadata={"file": dg.MetadataValue.path(path), "bytes": path.stat().st_size})


@dg.definitions
def reports() -> dg.Definitions:
    """What leaves the house."""
    return dg.Definitions(assets=[night_files, warehouse])
