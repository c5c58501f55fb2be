"""Why users left, and who left why."""

from collections.abc import Mapping
from datetime import date

import dagster as dg
import polars as pl

from dagster_project.defs.frame_tables import frame_assets
from dagster_project.lifecycle.tables import STAGES
from dagster_project.outages.tables import SILENCED_USERS
from dagster_project.project import Project
from dagster_project.reach.tables import ENDPOINTS
from dagster_project.reasons import UNKNOWN
from dagster_project.reasons.breakdowns import break_down, dimensions_of
from dagster_project.reasons.judge import Facts, judge_reasons
from dagster_project.reasons.tables import BREAKDOWNS, REASONS_TABLE


def facts_of(project: Project, as_of: date) -> Facts:
    """What the night knows of those who left, and of whose silence is of our making."""
    silenced = project.read(SILENCED_USERS.table, as_of=as_of)
    return Facts(
        users=project.read("marts.users", as_of=as_of),
        stages=project.read("lifecycle.stages", as_of=as_of),
        signals=project.read("marts.reason_signals", as_of=as_of),
        messages=project.read("marts.departure_messages", as_of=as_of),
        endpoints=project.read(ENDPOINTS.table, as_of=as_of),
        habits=project.read("marts.departure_habits", as_of=as_of),
        tables=frozenset(project.settings.sources.tables),
        silenced=silenced.filter(pl.col("kind") == "events"),
        unreached=silenced.filter(pl.col("kind") != "events", pl.col("reached_on").is_null()),
    )


def make_reasons(project: Project, as_of: date) -> Mapping[str, pl.DataFrame]:
    """The reason of everybody who left, and its breakdown."""
    facts = facts_of(project, as_of)
    reasons = judge_reasons(facts, as_of=as_of)
    traits = project.read("marts.departure_traits", as_of=as_of)
    dimensions = dimensions_of(facts.users, traits=traits, as_of=as_of)
    return {REASONS_TABLE.table: reasons, BREAKDOWNS.table: break_down(reasons, dimensions)}


def reason_facts(reasons: pl.DataFrame) -> dict[str, float]:
    """How many users left for each reason, and for how many none was found."""
    counts = {f"reason {reason}": n for reason, n in reasons.group_by("reason").len().sort("reason").iter_rows()}
    n_unknown = reasons.filter(pl.col("reason") == UNKNOWN).height
    return {**counts, "unknown share": round(n_unknown / max(reasons.height, 1), 4)}


@dg.definitions
def reasons() -> dg.Definitions:
    """Every table of the layer."""
    marts = ("users", "reason_signals", "departure_messages", "departure_habits", "departure_traits")
    made = frame_assets(
        [REASONS_TABLE, BREAKDOWNS],
        make_reasons,
        reads=[STAGES, SILENCED_USERS, ENDPOINTS, *(f"marts.{name}" for name in marts)],
        facts={REASONS_TABLE.table: reason_facts},
    )
    return dg.Definitions(assets=[made])
