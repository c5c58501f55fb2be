"""The settings file as a resource, the executor, the calendar of nights."""

import os
from datetime import date
from functools import cached_property
from pathlib import Path

import dagster as dg

from dagster_project.errors import SettingsError
from dagster_project.project import EARLIEST_NIGHT, Project
from dagster_project.settings import SETTINGS_FILE, Settings

SETTINGS_VARIABLE = "WINBACK_SETTINGS"


def settings_path() -> Path:
    """The settings file of this process: of the environment, else `winback.toml` of the current folder."""
    return Path(os.environ.get(SETTINGS_VARIABLE, SETTINGS_FILE)).absolute()


def settings_or_none() -> Settings | None:
    """The settings, or None where there are none yet: the graph can be looked at without them."""
    path = settings_path()
    return Project.load(path).settings if path.exists() else None


def calendar_of_nights() -> dg.DailyPartitionsDefinition:
    """One partition per `as_of`, in the business zone, the last one yesterday."""
    settings = settings_or_none()
    first = (settings and settings.first_as_of) or EARLIEST_NIGHT
    return dg.DailyPartitionsDefinition(start_date=first.isoformat(), timezone=settings.timezone if settings else "UTC")


nights = calendar_of_nights()


def as_of_date(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> date:
    """The last day that this run may see."""
    return date.fromisoformat(context.partition_key)


class ProjectResource(dg.ConfigurableResource["ProjectResource"]):
    """The project of one settings file."""

    path: str

    @cached_property
    def project(self) -> Project:
        """Read anew in each run.

        Raises:
            SettingsError: there is no such file, or it says something impossible.
        """
        if not Path(self.path).exists():
            raise SettingsError(
                f"{self.path} does not exist", fix=f"winback init <folder>, or set {SETTINGS_VARIABLE} to your file"
            )
        return Project.load(Path(self.path))


@dg.definitions
def resources() -> dg.Definitions:
    """The project, and one process per run: a step costs half a second in it, seven in a process of its own."""
    return dg.Definitions(
        resources={"winback": ProjectResource(path=str(settings_path()))}, executor=dg.in_process_executor
    )
