"""Running the nightly job from a command: the same job that the schedule runs, on the same instance.

The settings file is named by the environment, since the definitions are made when this is imported.
"""

import os
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import dagster as dg

from dagster_project.defs.strategy import BACKTEST_TAG

INSTANCE = """\
# Written once by winback; change it as you like.
telemetry:
  enabled: false
nux:
  enabled: false
concurrency:
  runs:
    max_concurrent_runs: 1
run_monitoring:
  enabled: true
  free_slots_after_run_end_seconds: 300
run_retries:
  enabled: true
  max_retries: 1
  retry_on_asset_or_op_failure: false
event_log_storage:
  module: dagster_project.defs.event_log
  class: KeptEventLog
retention:
  schedule:
    purge_after_days: 90
  sensor:
    purge_after_days: 7
"""
CLASS_NAME = re.compile(r"^[\w.]+: ")
OnStep = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Outcome:
    """How a run went. `error` is what the first failed step had to say (problem, fix), None on success."""

    run_id: str
    error: str | None


def make_home(data_dir: Path) -> Path:
    """The folder of Dagster's own records, with the settings that a new one gets."""
    home = data_dir / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    instance = home / "dagster.yaml"
    if not instance.exists():
        instance.write_text(INSTANCE, encoding="utf-8")
    return home


def run_night(as_of: date, *, data_dir: Path, on_step: OnStep, is_backtest: bool = False) -> Outcome:
    """Run the job for one night. `on_step(layer, n_done, n_steps)` is called as steps end.

    A backtest treats nobody: it leaves the ledger as it is.
    """
    from dagster_project.definitions import defs  # which loads this module with all others of the folder

    os.environ["DAGSTER_HOME"] = str(make_home(data_dir))
    with dg.DagsterInstance.get() as instance:
        job = defs().resolve_job_def("nightly")
        run_id = str(uuid.uuid4())
        watch(instance, run_id, n_steps=len(job.nodes), on_step=on_step)
        result = job.execute_in_process(
            partition_key=as_of.isoformat(),
            instance=instance,
            raise_on_error=False,
            run_id=run_id,
            tags={BACKTEST_TAG: "true"} if is_backtest else None,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
        return Outcome(run_id=run_id, error=None if result.success else first_error(result))


def watch(instance: dg.DagsterInstance, run_id: str, *, n_steps: int, on_step: OnStep) -> None:
    """Tell of each step that ends well."""
    done: set[str] = set()

    def heard(record: dg.EventLogEntry) -> None:
        event = record.dagster_event
        if event is not None and event.is_step_success and event.step_key not in done:
            done.add(str(event.step_key))
            on_step(str(event.step_key).split("__")[0], len(done), n_steps)

    instance.add_event_listener(run_id, heard)


def first_error(result: dg.ExecuteInProcessResult) -> str:
    """The innermost error of the first step that failed, in its own words."""
    for event in result.all_events:
        if event.is_step_failure and event.step_failure_data.error is not None:
            error = event.step_failure_data.error
            while error.cause is not None:
                error = error.cause
            said = CLASS_NAME.sub("", error.message.strip())
            layer, _, table = str(event.step_key).partition("__")
            return f"{layer}.{table}: {said}"
    return "the run failed before its first step"
