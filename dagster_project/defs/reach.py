"""Whether a message may and can go to each user."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, timedelta

import dagster as dg
import polars as pl

from dagster_project.defs.frame_tables import frame_asset, frame_assets
from dagster_project.lake.table_doc import Documented
from dagster_project.lifecycle.tables import STAGES
from dagster_project.project import Project
from dagster_project.reach.caps import Cap
from dagster_project.reach.choices import ChoiceReading, words_of_consent
from dagster_project.reach.contact_points import ContactFacts, contact_points
from dagster_project.reach.endpoints import endpoints
from dagster_project.reach.failures import failure_codes
from dagster_project.reach.recalls import (
    Calendar,
    late_messages,
    listed_nights,
    recalled_contacts,
    stop_words,
    with_deadlines,
)
from dagster_project.reach.saturation import costing_caps
from dagster_project.reach.tables import CONTACT_POINTS, ENDPOINTS, FAILURE_CODES, LATE_MESSAGES, RECALLED
from dagster_project.reach.trust_tables import SATURATION
from dagster_project.strategy.ledger import listed_contacts

CAP_DAYS = 31  # no cap looks back further
EXPORTED_LISTS = "strategy.exported"  # of earlier nights, which the layer behind this one made


def make_contact_points(project: Project, as_of: date) -> pl.DataFrame:
    """Law, wishes, caps and delivery as the night knows them; a table that is not mapped is None, not empty."""
    stages = project.read(STAGES.table, as_of=as_of).select("user_sk", "stage")
    users = project.read("marts.users", as_of=as_of).join(stages, on="user_sk", how="left", maintain_order="left")
    rules = project.gate_rules(as_of)
    rules = replace(rules, caps=(*rules.caps, *stage_caps(project.read(SATURATION.table, as_of=as_of))))
    return contact_points(users, contact_facts(project, users, as_of), rules=rules)


def stage_caps(saturation: pl.DataFrame) -> list[Cap]:
    """The caps that the curves of pressure and response ask for."""
    return [
        Cap(rule_id="cap.stage", max_messages=most, hours=24 * days, stages=frozenset({stage}))
        for stage, days, most in costing_caps(saturation).iter_rows()
    ]


def contact_facts(project: Project, users: pl.DataFrame, as_of: date) -> ContactFacts:
    """What the gate goes by; of delivery the ledger of endpoints alone says what is shut."""
    mapped = project.settings.sources.tables
    has_messages = "message_events" in mapped
    return ContactFacts(
        consents=project.seen("staging.consents", as_of=as_of) if "consents" in mapped else None,
        message_events=project.read("marts.channel_events", as_of=as_of) if has_messages else None,
        stops=project.read("marts.user_stops", as_of=as_of),
        sends=project.read("marts.recent_sends", as_of=as_of) if has_messages else None,
        listed=listed_contacts(project.ledger_rows(after=as_of - timedelta(days=CAP_DAYS), before=as_of), users),
        complaints=project.read("marts.channel_complaints", as_of=as_of) if has_messages else None,
        endpoints=project.read(ENDPOINTS.table, as_of=as_of) if has_messages else None,
    )


def make_recalls(project: Project, as_of: date) -> Mapping[str, pl.DataFrame]:
    """Contacts to take back from lists that are out, and messages that left after the deadline of a stop."""
    users, sends = (project.read(name, as_of=as_of) for name in ("marts.users", "marts.recent_sends"))
    ready_at = project.decision_rules().ready_at(as_of).astimezone(UTC).replace(tzinfo=None)
    calendar = Calendar(timezone=project.settings.timezone, ready_at=ready_at)
    said = stop_words(
        _spoken(project, as_of),
        project.read("marts.channel_events", as_of=as_of),
        project.read("marts.user_stops", as_of=as_of),
        channels=tuple(project.settings.channels),
    )
    words = with_deadlines(said, users, book=project.law_book, calendar=calendar)
    points = project.read(CONTACT_POINTS.table, as_of=as_of)
    exempt = frozenset(word.lower() for word in project.settings.caps.exempt_categories)
    listed = pending_lists(project, users, as_of)
    return {
        RECALLED.table: recalled_contacts(listed, points, words, sends, calendar=calendar),
        LATE_MESSAGES.table: late_messages(sends, words, exempt=exempt, calendar=calendar),
    }


def pending_lists(project: Project, users: pl.DataFrame, as_of: date) -> pl.DataFrame:
    """Contacts that the ledger notes of the latest nights, with the moment that those nights gave them."""
    after, before = listed_nights(as_of)
    ledger = project.ledger_rows(after=after, before=before)
    contacted = ledger.filter(pl.coalesce("is_contacted", pl.col("arm") != "control"))
    kept = project.lake.index(EXPORTED_LISTS)
    nights = [night for night in contacted["as_of"].unique().drop_nulls().sort() if night.isoformat() in kept]
    moments = [
        project.read(EXPORTED_LISTS, as_of=night).select(
            "user_id", "channel", "strategy_id", "send_at", pl.lit(night).alias("as_of")
        )
        for night in nights
    ]
    key = ["user_id", "channel", "strategy_id", "as_of"]
    none = contacted.select(key).clear().with_columns(pl.lit(None, dtype=pl.String).alias("send_at"))
    timed = pl.concat([none, *moments], how="diagonal")
    listed = contacted.join(timed, on=key, how="left").join(users.select("user_sk", "user_id"), on="user_id")
    return listed.select("user_sk", *key, "assigned_at", "send_at").unique()


def _spoken(project: Project, as_of: date) -> pl.DataFrame | None:
    if "consents" not in project.settings.sources.tables:
        return None
    rules = project.gate_rules(as_of)
    reading = ChoiceReading(send_on=rules.send_on, channels=rules.channels, categories=rules.categories)
    return words_of_consent(project.seen("staging.consents", as_of=as_of), reading=reading)


def make_endpoints(project: Project, as_of: date) -> pl.DataFrame:
    """What the endpoints' past proves."""
    mapped = project.settings.sources.tables
    return endpoints(
        project.read("marts.users", as_of=as_of),
        project.read("intermediate.channel_states", as_of=as_of),
        project.read("intermediate.failure_states", as_of=as_of),
        consents=project.seen("staging.consents", as_of=as_of) if "consents" in mapped else None,
        sightings=project.read("marts.user_sightings", as_of=as_of),
        as_of=as_of,
        timezone=project.settings.timezone,
        channels=project.settings.channels,
    )


def make_failure_codes(project: Project, as_of: date) -> pl.DataFrame:
    """Every code seen, known or not."""
    return failure_codes(project.read("intermediate.failure_states", as_of=as_of))


def reach_facts(points: pl.DataFrame) -> dict[str, int]:
    """Contact points by reach, and the rules that close them."""
    by_reach = points.group_by("reach").len().sort("reach").iter_rows()
    by_rule = points.drop_nulls("rule_id").group_by("rule_id").len().sort("rule_id").iter_rows()
    return {**{f"reach {reach}": n for reach, n in by_reach}, **{f"rule {rule}": n for rule, n in by_rule}}


def endpoint_facts(known: pl.DataFrame) -> dict[str, int]:
    """Endpoints by reach."""
    return {f"reach {reach}": n for reach, n in known.group_by("reach").len().sort("reach").iter_rows()}


@dg.definitions
def reach() -> dg.Definitions:
    """Every table of the layer."""
    states = ["intermediate.channel_states", "intermediate.failure_states"]
    gated_by: list[Documented | str] = [
        "marts.users",
        "staging.consents",
        "marts.channel_events",
        "marts.user_stops",
        "marts.recent_sends",
        "marts.channel_complaints",
        ENDPOINTS,
        STAGES,
        SATURATION,
    ]
    recalls: list[Documented | str] = [
        CONTACT_POINTS,
        *("marts.users", "marts.recent_sends", "marts.channel_events", "marts.user_stops", "staging.consents"),
    ]
    known = ["marts.users", "staging.consents", *states, "marts.user_sightings"]
    return dg.Definitions(
        assets=[
            frame_asset(CONTACT_POINTS, make_contact_points, reads=gated_by, facts=reach_facts),
            frame_asset(ENDPOINTS, make_endpoints, reads=known, facts=endpoint_facts),
            frame_asset(FAILURE_CODES, make_failure_codes, reads=states[1:]),
            frame_assets([RECALLED, LATE_MESSAGES], make_recalls, reads=recalls),
        ]
    )
