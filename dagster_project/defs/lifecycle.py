"""Where every user stands on a night, and how users moved since the day before."""

from datetime import date, timedelta

import dagster as dg
import polars as pl

from dagster_project.defs.frame_tables import frame_asset
from dagster_project.defs.outages import WAYS_READ, silenced_at
from dagster_project.lake.table_doc import Documented
from dagster_project.lifecycle import (
    agreement,
    assign_stages,
    migration_matrix,
    regret_rates,
    stage_dwell,
    with_previous,
)
from dagster_project.lifecycle import lifecycle_parameters as parameters_row
from dagster_project.lifecycle.tables import (
    DEFINITION_AGREEMENT,
    PARAMETERS,
    REGRET_RATES,
    STAGE_DWELL,
    STAGE_MIGRATIONS,
    STAGES,
)
from dagster_project.outages.tables import OUTAGES, SILENCED_USERS
from dagster_project.project import Project


def make_parameters(project: Project, as_of: date) -> pl.DataFrame:
    """The yardsticks of the night."""
    return parameters_row(project.rules(as_of), as_of=as_of)


def make_stages(project: Project, as_of: date) -> pl.DataFrame:
    """The stages of the night, beside those of the day before by that day's own yardsticks."""
    silenced = project.read(SILENCED_USERS.table, as_of=as_of)
    users, rules = project.at("marts.users", as_of=as_of), project.rules(as_of)
    today = assign_stages(users, as_of=as_of, rules=rules, paused=silenced)
    day_before = as_of - timedelta(days=1)
    if day_before < project.event_days()[0]:
        return today
    users, rules = project.at("marts.users", as_of=day_before), project.rules(day_before)
    paused = silenced_at(project, day_before, as_of=as_of)
    return with_previous(today, assign_stages(users, as_of=day_before, rules=rules, paused=paused))


def make_regret_rates(project: Project, as_of: date) -> pl.DataFrame:
    """What became of those whom each definition called churned one horizon ago."""
    horizon_days = project.rules(as_of).horizon_days
    cutoff = as_of - timedelta(days=horizon_days)
    messages = project.seen("marts.channel_events", as_of=as_of)
    return regret_rates(
        project.at("marts.users", as_of=cutoff),
        project.at("marts.users", as_of=as_of),
        as_of=as_of,
        rules=project.rules(cutoff, horizon_days=horizon_days),
        contacted=messages.filter(pl.col("occurred_at").dt.date() > cutoff).select("user_sk").unique(),
    )


def stage_facts(stages: pl.DataFrame) -> dict[str, int]:
    """How many users each stage has."""
    return {f"stage {stage}": n for stage, n in stages.group_by("stage").len().sort("stage").iter_rows()}


@dg.definitions
def lifecycle() -> dg.Definitions:
    """Every table of the layer."""
    users = "marts.users"
    silences: list[Documented | str] = [
        OUTAGES,
        SILENCED_USERS,
        "marts.last_platforms",
        "marts.send_outcomes",
        *WAYS_READ,
    ]
    return dg.Definitions(
        assets=[
            frame_asset(
                PARAMETERS, make_parameters, reads=[users], facts=lambda made: made.drop("as_of").row(0, named=True)
            ),
            frame_asset(STAGES, make_stages, reads=[users, PARAMETERS, *silences], facts=stage_facts),
            frame_asset(
                STAGE_MIGRATIONS,
                lambda project, as_of: migration_matrix(project.read("lifecycle.stages", as_of=as_of)),
                reads=[STAGES],
            ),
            frame_asset(
                STAGE_DWELL,
                lambda project, as_of: stage_dwell(project.read("lifecycle.stages", as_of=as_of)),
                reads=[STAGES],
            ),
            frame_asset(
                DEFINITION_AGREEMENT,
                lambda project, as_of: agreement(project.read("lifecycle.stages", as_of=as_of)),
                reads=[STAGES],
            ),
            frame_asset(REGRET_RATES, make_regret_rates, reads=[users, "marts.channel_events", PARAMETERS]),
        ]
    )
