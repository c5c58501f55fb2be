"""Whether a message may and can go to each user."""

from datetime import date

import dagster as dg
import polars as pl

from dagster_project.defs.frame_tables import frame_asset
from dagster_project.project import Project
from dagster_project.reach.contact_points import contact_points
from dagster_project.reach.tables import CONTACT_POINTS


def make_contact_points(project: Project, as_of: date) -> pl.DataFrame:
    """Consent and delivery as the night knows them; a table that is not mapped is None, not empty."""
    mapped = project.settings.sources.tables
    return contact_points(
        project.read("marts.users", as_of=as_of),
        project.seen("staging.consents", as_of=as_of) if "consents" in mapped else None,
        project.read("marts.channel_events", as_of=as_of) if "message_events" in mapped else None,
        channels=list(project.settings.channels),
    )


def reach_facts(points: pl.DataFrame) -> dict[str, int]:
    """Contact points by reach."""
    return {f"reach {reach}": n for reach, n in points.group_by("reach").len().sort("reach").iter_rows()}


@dg.definitions
def reach() -> dg.Definitions:
    """Every table of the layer."""
    reads = ["marts.users", "staging.consents", "marts.channel_events"]
    return dg.Definitions(assets=[frame_asset(CONTACT_POINTS, make_contact_points, reads=reads, facts=reach_facts)])
