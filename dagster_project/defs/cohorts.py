"""The lists: whom to contact in which order, and every user with what was decided."""

from collections.abc import Mapping
from datetime import date

import dagster as dg
import polars as pl

from dagster_project.cohorts.ranking import every_user, rank_cohorts
from dagster_project.cohorts.tables import CONTACTS, USERS
from dagster_project.defs.frame_tables import frame_assets
from dagster_project.lake.table_doc import Documented
from dagster_project.lifecycle.tables import STAGES
from dagster_project.models.contracts.tables import SCORES as CONTRACT_SCORES
from dagster_project.models.tables import SCORES
from dagster_project.project import Project
from dagster_project.reach.tables import CONTACT_POINTS
from dagster_project.strategy.tables import EXPORTED, HOLDOUT


def make_cohorts(project: Project, as_of: date) -> Mapping[str, pl.DataFrame]:
    """The ranked list and the table of everybody."""
    candidates = project.candidates(as_of)
    contacts = rank_cohorts(project.read("strategy.exported", as_of=as_of), candidates, catalogue=project.catalogue)
    users = every_user(
        candidates,
        contacts,
        project.read("strategy.holdout", as_of=as_of),
        project.read("reach.contact_points", as_of=as_of),
        channels=list(project.settings.channels),
    )
    return {CONTACTS.table: contacts, USERS.table: users}


@dg.definitions
def cohorts() -> dg.Definitions:
    """Every table of the layer."""
    reads: list[Documented | str] = ["marts.users", STAGES, SCORES, CONTRACT_SCORES, CONTACT_POINTS, EXPORTED, HOLDOUT]
    return dg.Definitions(assets=[frame_assets([CONTACTS, USERS], make_cohorts, reads=reads)])
