"""When things run: the night, its schedule, and what happens when it fails."""

import json
from pathlib import Path
from typing import Any

import dagster as dg

from dagster_project.defs.resources import ProjectResource, settings_or_none
from dagster_project.settings import Settings

FAILURES = "failures.ndjson"

nightly = dg.define_asset_job(
    "nightly",
    selection=dg.AssetSelection.all(),
    description="Everything, from new files to the night's lists. Its partition is `as_of`, the last day it sees; "
    "a backfill of past partitions is a backtest.",
)


def nightly_schedule(settings: Settings | None) -> Any:  # dagster does not export the type that it returns
    """The night before, at the set time of the business zone."""
    hour, minute = (settings.schedule.clock.hour, settings.schedule.clock.minute) if settings else (2, 0)
    return dg.build_schedule_from_partitioned_job(
        nightly,
        name="every_night",
        hour_of_day=hour,
        minute_of_hour=minute,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Runs the night before. Missed files are caught up by the next night: ingestion reads what is new.",
    )


@dg.run_failure_sensor(
    name="record_failures",
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Adds one line per failed run to failures.ndjson in the data folder: what failed, on which night, why.",
)
def record_failures(context: dg.RunFailureSensorContext, winback: ProjectResource) -> None:
    """One line per failed run, for whatever watches files."""
    path = winback.project.settings.data_dir / FAILURES
    path.parent.mkdir(parents=True, exist_ok=True)
    append_line(path, failure_line(context))


def failure_line(context: dg.RunFailureSensorContext) -> str:
    """What is known of a failed run, as JSON."""
    steps = {event.step_key: reason_of(event) for event in context.get_step_failure_events() if event.step_key}
    failed = {
        "run_id": context.dagster_run.run_id,
        "job": context.dagster_run.job_name,
        "as_of": context.dagster_run.tags.get("dagster/partition"),
        "message": context.failure_event.message,
        "steps": steps,
    }
    return json.dumps(failed, ensure_ascii=False, sort_keys=True)


def reason_of(event: dg.DagsterEvent) -> str:
    """The error's own words, without the stack."""
    error = event.step_failure_data.error
    return "" if error is None else (error.cause or error).message.strip()


def append_line(path: Path, line: str) -> None:
    """One line at the end of a file."""
    with path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")


@dg.definitions
def jobs() -> dg.Definitions:
    """The job, its schedule, its sensor."""
    return dg.Definitions(jobs=[nightly], schedules=[nightly_schedule(settings_or_none())], sensors=[record_failures])
