"""Whether a message may and can go to each user."""

from datetime import date

import dagster as dg
import polars as pl

from dagster_project.defs.frame_tables import frame_asset
from dagster_project.project import Project
from dagster_project.reach.contact_points import contact_points
from dagster_project.reach.endpoints import endpoints
from dagster_project.reach.failures import failure_codes
from dagster_project.reach.tables import CONTACT_POINTS, ENDPOINTS, FAILURE_CODES


def make_contact_points(project: Project, as_of: date) -> pl.DataFrame:
    """Consent and delivery as the night knows them; a table that is not mapped is None, not empty."""
    mapped = project.settings.sources.tables
    return contact_points(
        project.read("marts.users", as_of=as_of),
        project.seen("staging.consents", as_of=as_of) if "consents" in mapped else None,
        project.read("marts.channel_events", as_of=as_of) if "message_events" in mapped else None,
        channels=list(project.settings.channels),
    )


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
    )


def make_failure_codes(project: Project, as_of: date) -> pl.DataFrame:
    """Every code seen, known or not."""
    return failure_codes(project.read("intermediate.failure_states", as_of=as_of))


def reach_facts(points: pl.DataFrame) -> dict[str, int]:
    """Contact points by reach."""
    return {f"reach {reach}": n for reach, n in points.group_by("reach").len().sort("reach").iter_rows()}


@dg.definitions
def reach() -> dg.Definitions:
    """Every table of the layer."""
    reads = ["marts.users", "staging.consents", "marts.channel_events"]
    states = ["intermediate.channel_states", "intermediate.failure_states"]
    known = ["marts.users", "staging.consents", *states, "marts.user_sightings"]
    return dg.Definitions(
        assets=[
            frame_asset(CONTACT_POINTS, make_contact_points, reads=reads, facts=reach_facts),
            frame_asset(ENDPOINTS, make_endpoints, reads=known, facts=reach_facts),
            frame_asset(FAILURE_CODES, make_failure_codes, reads=states[1:]),
        ]
    )
