"""The night's decisions, and the ledger of who was in which arm."""

from collections.abc import Mapping
from datetime import date, timedelta

import dagster as dg
import polars as pl

from dagster_project.defs.frame_tables import audited, frame_assets, table_spec, written
from dagster_project.defs.metadata import check_specs
from dagster_project.defs.proof import proof_check
from dagster_project.defs.resources import ProjectResource, as_of_date, nights
from dagster_project.lifecycle.tables import STAGES
from dagster_project.models.contracts.tables import SCORES as CONTRACT_SCORES
from dagster_project.models.tables import SCORES
from dagster_project.project import Project
from dagster_project.reach.tables import CONTACT_POINTS
from dagster_project.reasons.tables import REASONS_TABLE
from dagster_project.strategy.assignment import decide
from dagster_project.strategy.ledger import last_contacts, may_write
from dagster_project.strategy.tables import ASSIGNMENTS, EXPORTED, HOLDOUT, SUPPRESSED

BACKFILL_TAG = "dagster/backfill"
BACKTEST_TAG = "winback/backtest"
PROPOSED = "strategy.proposed_assignments"


def make_decisions(project: Project, as_of: date) -> Mapping[str, pl.DataFrame]:
    """Who is written to, who is held out, who is left alone and why."""
    candidates = project.candidates(as_of)
    cool_down = timedelta(days=project.settings.caps.min_days_between)
    decisions = decide(
        candidates,
        project.read("reach.contact_points", as_of=as_of),
        catalogue=project.catalogue,
        rules=project.decision_rules(),
        as_of=as_of,
        recent_contacts=last_contacts(project.ledger_rows(after=as_of - cool_down, before=as_of), candidates),
    )
    return {
        "strategy.exported": decisions.exported,
        "strategy.holdout": decisions.holdout,
        "strategy.suppressed": decisions.suppressed,
        PROPOSED: decisions.assignments,
    }


def ledger_asset() -> dg.AssetsDefinition:
    """The ledger. A run of an older night or of a backfill leaves it as it is."""

    @dg.multi_asset(
        name="strategy__assignments",
        specs=[table_spec(ASSIGNMENTS, [EXPORTED, HOLDOUT])],
        check_specs=check_specs(ASSIGNMENTS),
        partitions_def=nights,
    )
    def assignments(context: dg.AssetExecutionContext, winback: ProjectResource):  # type: ignore[no-untyped-def]
        project, as_of = winback.project, as_of_date(context)
        made = project.read(PROPOSED, as_of=as_of)
        yield from audited(ASSIGNMENTS, made)
        is_backtest = not {BACKFILL_TAG, BACKTEST_TAG}.isdisjoint(context.run.tags)
        if may_write(list(project.lake.index(ASSIGNMENTS.table)), as_of=as_of, is_backtest=is_backtest):
            project.write(ASSIGNMENTS.table, made, as_of=as_of)
            yield written(ASSIGNMENTS, made, facts=arm_facts)
        else:
            yield dg.MaterializeResult(metadata={"ledger": "left as it is: this run replays the past"})

    return assignments


def arm_facts(assignments: pl.DataFrame) -> dict[str, int]:
    """How many users each arm has."""
    return {f"arm {arm}": n for arm, n in assignments.group_by("arm").len().sort("arm").iter_rows()}


def export_facts(exported: pl.DataFrame) -> dict[str, float]:
    """What the night expects of its contacts."""
    return {"expected profit": round(float(exported["expected_profit"].sum()), 2)}


@dg.definitions
def strategy() -> dg.Definitions:
    """Every table of the layer."""
    decisions = frame_assets(
        [EXPORTED, HOLDOUT, SUPPRESSED],
        make_decisions,
        reads=["marts.users", STAGES, SCORES, CONTRACT_SCORES, REASONS_TABLE, CONTACT_POINTS],
        facts={"strategy.exported": export_facts},
    )
    return dg.Definitions(assets=[decisions, ledger_asset()], asset_checks=[proof_check(EXPORTED)])
