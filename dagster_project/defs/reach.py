"""Whether a message may and can go to each user."""

from datetime import date, timedelta

import dagster as dg
import polars as pl

from dagster_project.defs.frame_tables import frame_asset
from dagster_project.project import Project
from dagster_project.reach.contact_points import ContactFacts, contact_points
from dagster_project.reach.tables import CONTACT_POINTS
from dagster_project.strategy.ledger import listed_contacts

CAP_DAYS = 31  # no cap looks back further


def make_contact_points(project: Project, as_of: date) -> pl.DataFrame:
    """Law, wishes, caps and delivery as the night knows them; a table that is not mapped is None, not empty."""
    users = project.read("marts.users", as_of=as_of)
    return contact_points(users, contact_facts(project, users, as_of), rules=project.gate_rules(as_of))


def contact_facts(project: Project, users: pl.DataFrame, as_of: date) -> ContactFacts:
    """What the gate goes by. `endpoints`, once a night makes them, take the place of the delivery facts."""
    mapped = project.settings.sources.tables
    has_messages = "message_events" in mapped
    return ContactFacts(
        consents=project.seen("staging.consents", as_of=as_of) if "consents" in mapped else None,
        message_events=project.read("marts.channel_events", as_of=as_of) if has_messages else None,
        stops=project.read("marts.user_stops", as_of=as_of),
        sends=project.read("marts.recent_sends", as_of=as_of) if has_messages else None,
        listed=listed_contacts(project.ledger_rows(after=as_of - timedelta(days=CAP_DAYS), before=as_of), users),
        complaints=project.read("marts.channel_complaints", as_of=as_of) if has_messages else None,
    )


def reach_facts(points: pl.DataFrame) -> dict[str, int]:
    """Contact points by reach, and the rules that close them."""
    by_reach = points.group_by("reach").len().sort("reach").iter_rows()
    by_rule = points.drop_nulls("rule_id").group_by("rule_id").len().sort("rule_id").iter_rows()
    return {**{f"reach {reach}": n for reach, n in by_reach}, **{f"rule {rule}": n for rule, n in by_rule}}


@dg.definitions
def reach() -> dg.Definitions:
    """Every table of the layer."""
    reads = [
        "marts.users",
        "staging.consents",
        "marts.channel_events",
        "marts.user_stops",
        "marts.recent_sends",
        "marts.channel_complaints",
    ]
    return dg.Definitions(assets=[frame_asset(CONTACT_POINTS, make_contact_points, reads=reads, facts=reach_facts)])
