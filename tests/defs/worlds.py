"""Small companies on disk and nights run on them: the real job, on records of Dagster that end with the test."""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from hashlib import sha256
from pathlib import Path

import dagster as dg
import polars as pl

from dagster_project.defs.resources import ProjectResource
from dagster_project.project import Project
from dagster_project.simulate import WorldSpec, simulate_world, write_world
from dagster_project.simulate.world import World

ROOT = Path(__file__).resolve().parents[2]
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
SPEC = WorldSpec(n_users=400, n_days=170, seed=7, campaign_day=100)
LAST = SPEC.first_on + timedelta(days=SPEC.n_days - 1)
NIGHT = LAST - timedelta(days=9)
TESTED = "\n[holdout]\ncontrol_share = 0.3\nexplore_share = 0.2\n\n[caps]\nmin_days_between = 7\n"
DATED_BY = {
    "events": "occurred_at",
    "users": "signed_up_at",
    "subscriptions": "started_at",
    "message_events": "occurred_at",
    "consents": "changed_at",
    "feedback": "occurred_at",
    "links": "since",
    "assignments": "assigned_at",
}
PLAIN = """\
[sources.events]
path = "events.csv"
columns = { user_id = "uid", occurred_at = "at", event_type = "kind" }
"""


@cache
def definitions() -> dg.Definitions:
    """The definitions without a settings file, whose calendar has every night from 1990 on."""
    named = os.environ.pop("WINBACK_SETTINGS", None)
    from dagster_project.definitions import defs

    loaded: dg.Definitions = defs()
    if named is not None:
        os.environ["WINBACK_SETTINGS"] = named
    return loaded


def run(
    settings: Path, as_of: date, *, tags: Mapping[str, str] | None = None, instance: dg.DagsterInstance | None = None
) -> dg.ExecuteInProcessResult:
    """The nightly job for one night; a failure is a result, not an exception."""
    return (
        definitions()
        .resolve_job_def("nightly")
        .execute_in_process(
            partition_key=as_of.isoformat(),
            run_config=QUIET,
            raise_on_error=False,
            tags=tags,
            instance=instance,
            resources={"winback": ProjectResource(path=str(settings))},
        )
    )


def errors(result: dg.ExecuteInProcessResult) -> list[str]:
    """What the failed steps had to say, innermost first words."""
    said = []
    for event in result.get_step_failure_events():
        error = event.step_failure_data.error
        while error is not None and error.cause is not None:
            error = error.cause
        said.append("" if error is None else error.message.strip())
    return said


@dataclass(frozen=True)
class Company:
    """A settings file and what lies around it."""

    settings: Path

    @property
    def folder(self) -> Path:
        return self.settings.parent

    @property
    def project(self) -> Project:
        return Project.load(self.settings)

    def run(self, as_of: date, **options: object) -> dg.ExecuteInProcessResult:
        result = run(self.settings, as_of, **options)  # type: ignore[arg-type]
        assert result.success, errors(result)
        return result

    def reports(self, as_of: date) -> Path:
        return self.folder / "reports" / as_of.isoformat()

    def hashes(self, as_of: date) -> dict[str, str]:
        """Every file of a night's reports with the hash of its bytes."""
        root = self.reports(as_of)
        files = sorted(path for path in root.rglob("*") if path.is_file())
        return {path.relative_to(root).as_posix(): sha256(path.read_bytes()).hexdigest() for path in files}

    def csv(self, as_of: date, name: str) -> pl.DataFrame:
        return pl.read_csv(self.reports(as_of) / name, infer_schema=False)

    def users(self, as_of: date) -> pl.DataFrame:
        return pl.read_parquet(self.reports(as_of) / "users.parquet")

    def metrics(self, as_of: date) -> dict[str, object]:
        loaded: dict[str, object] = json.loads((self.reports(as_of) / "metrics.json").read_text(encoding="utf-8"))
        return loaded

    def ledger(self) -> dict[str, list[tuple[object, ...]]]:
        """The rows of the ledger by night."""
        lake = self.project.lake
        table = "strategy.assignments"
        return {key: lake.read(table, key=key).sort("user_id").rows() for key in lake.index(table)}

    def copy(self, folder: Path) -> "Company":
        shutil.copytree(self.folder, folder)
        return Company(folder / self.settings.name)


@cache
def world() -> World:
    """What happened at the company, ten days beyond the night."""
    return simulate_world(SPEC)


def known_until(whole: World, last: date) -> World:
    """What the same company had recorded by the end of a day (and a day of slack for its own zone)."""
    tables = {
        name: table.filter(pl.col(DATED_BY[name]).is_null() | (pl.col(DATED_BY[name]).dt.date() <= last))
        for name, table in whole.tables.items()
    }
    return World(**{**vars(whole), "tables": tables})


def write(whole: World, folder: Path) -> Company:
    """The company's files, settings with larger arms than usual, so that small lists hold every arm."""
    settings = write_world(whole, folder)
    text = settings.read_text(encoding="utf-8").replace(f"first_as_of = {LAST - timedelta(days=13)}", "")
    settings.write_text(text + TESTED, encoding="utf-8")
    return Company(settings)


def plain(folder: Path, rows: str, *, settings: str = PLAIN) -> Company:
    """A company that has three columns of events and nothing else."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "events.csv").write_text(f"uid,at,kind\n{rows}", encoding="utf-8")
    (folder / "winback.toml").write_text(settings, encoding="utf-8")
    return Company(folder / "winback.toml")
