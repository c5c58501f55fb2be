"""What of ours was broken, and whom it silenced."""

from collections.abc import Mapping
from datetime import date

import dagster as dg
import polars as pl

from dagster_project.defs.frame_tables import frame_assets
from dagster_project.defs.metadata import asset_key
from dagster_project.defs.resources import ProjectResource, as_of_date
from dagster_project.lifecycle import churn_thresholds
from dagster_project.outages.night import Sent, WaysOf, find_outages, silenced_messages
from dagster_project.outages.silence import SILENCED, known_by, silenced_by_events
from dagster_project.outages.tables import DAILY_COUNTS, OUTAGES, SILENCED_USERS, TABLES
from dagster_project.outages.ways import ARRIVALS_QUERY, REMOVALS_QUERY, Ways, channel_ways
from dagster_project.project import Project

OF_MESSAGES = ("messages", "token_purge")
READS = ("marts.return_flows", "marts.last_platforms", "marts.send_outcomes", "marts.hourly_sends", "marts.users")
KINDS = ("events", *OF_MESSAGES)
# Of the users whose messages failed only, and only where there was an outage of messages.
WAYS_READ = (
    "intermediate.channel_states",
    "intermediate.failure_states",
    "intermediate.message_steps",
    "intermediate.signal_days",
    "marts.user_stops",
    "staging.consents",
)


def make_outages(project: Project, as_of: date) -> Mapping[str, pl.DataFrame]:
    """The outages of the last year and the users whom they silenced."""
    flows, last_seen, sends, hourly, users = (project.read(table, as_of=as_of) for table in READS)
    thresholds = churn_thresholds(users, rules=project.rules(as_of))
    sent = Sent(sends, hourly)
    night = find_outages(flows, last_seen, sent, thresholds, as_of=as_of, ways_of=ways_at(project, as_of))
    return {OUTAGES.table: night.outages, DAILY_COUNTS.table: night.daily, SILENCED_USERS.table: night.silenced}


def ways_at(project: Project, day: date) -> WaysOf:
    """What tells the ways to users as they were on any day."""

    def ways_of(hit: pl.DataFrame) -> Ways:
        states, failures, stops = (
            project.at(table, as_of=day).join(hit, on="user_sk", how="semi")
            for table in ("intermediate.channel_states", "intermediate.failure_states", "marts.user_stops")
        )
        has_consents = "consents" in project.settings.sources.tables
        consents = project.seen("staging.consents", as_of=day) if has_consents else None
        return Ways(
            channels=channel_ways(
                states,
                failures,
                consents=None if consents is None else consents.join(hit, on="user_sk", how="semi"),
                timezone=project.settings.timezone,
            ),
            arrivals=project.ask(ARRIVALS_QUERY, table="intermediate.message_steps", as_of=day, hit=hit),
            stopped=stops.select("user_sk"),
            removals=project.ask(REMOVALS_QUERY, table="intermediate.signal_days", as_of=day, hit=hit),
        )

    return ways_of


def silenced_at(project: Project, day: date, *, as_of: date, kinds: tuple[str, ...] = KINDS) -> pl.DataFrame:
    """Whom the outages that the night `as_of` knows of had silenced by an earlier day, as outages.silenced_users."""
    known = known_by(project.read(OUTAGES.table, as_of=as_of), as_of=day)
    outages = known.filter(pl.col("kind").is_in(kinds))
    if outages.is_empty():
        return SILENCED.to_frame()
    users, last_seen = (project.at(table, as_of=day) for table in ("marts.users", "marts.last_platforms"))
    thresholds = churn_thresholds(users, rules=project.rules(day))
    sends = project.read("marts.send_outcomes", as_of=as_of)
    by_messages = silenced_messages(outages, last_seen, sends, thresholds, as_of=day, ways_of=ways_at(project, day))
    return pl.concat([silenced_by_events(outages, last_seen, thresholds, as_of=day), by_messages])


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
    tables = frame_assets(TABLES, make_outages, reads=[*READS, *WAYS_READ], facts={OUTAGES.table: outage_facts})
    return dg.Definitions(assets=[tables], asset_checks=[no_outage_runs])
