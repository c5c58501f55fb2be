"""Writes a simulated world as a company would have it: many formats, own column names, a settings file."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from dagster_project.errors import WinbackError
from dagster_project.simulate.settings_text import settings_text
from dagster_project.simulate.spec import SIMULATED_NOTICE
from dagster_project.simulate.world import World

README = """{notice}

This folder was drawn from a seed by the simulator of winback. Nobody in it exists.

winback.toml   settings that map every file below
data/raw/      what the simulated company recorded
  events/          one gzipped CSV per month; timestamps are wall-clock time in {timezone}
  users/           Parquet; timestamps are UTC, here and below
  message_events/  NDJSON, compressed with zstd
  the others       CSV
truth/         what is true and the company does not know: reasons of leaving, interest, dead endpoints,
               effects of contact, outages. For judging results only: winback.toml does not name it.

Users: {n_users}, first day {first_on}, days {n_days}, seed {seed}.
"""
# The files have names of their own for these, so that the mapping of columns is shown to work.
EVENT_COLUMNS: Mapping[str, str] = {
    "user_id": "uid",
    "occurred_at": "local_time",
    "event_type": "action",
    "amount": "value_eur",
    "item": "sku",
    "category": "department",
    "platform": "os",
    "app_version": "build",
    "event_id": "eid",
}
CSV_TABLES = ("subscriptions", "consents", "feedback", "links", "assignments")
AT_FORMAT = "%Y-%m-%d %H:%M:%S"


def write_world(world: World, folder: Path) -> Path:
    """Write tables, truth, README.txt and winback.toml under `folder`; return the path of winback.toml.

    The same world gives the same bytes. An earlier simulated world in the folder is replaced. Raises
    WinbackError where the folder holds data that are not marked as simulated.
    """
    _make_room(folder)
    raw = folder / "data" / "raw"
    _write_events(world.tables["events"], raw / "events", timezone=world.spec.business_timezone)
    world.tables["users"].write_parquet(_file(raw / "users" / "users.parquet"))
    messages = _stamped(world.tables["message_events"])
    messages.write_ndjson(_file(raw / "message_events" / "message_events.ndjson.zst"), compression="zstd")
    for table in CSV_TABLES:
        _stamped(world.tables[table]).write_csv(_file(raw / table / f"{table}.csv"))
    for name, truth in world.truth.items():
        truth.write_parquet(_file(folder / "truth" / f"{name}.parquet"))
    spec = world.spec
    readme = README.format(
        notice=SIMULATED_NOTICE,
        timezone=spec.business_timezone,
        n_users=spec.n_users,
        first_on=spec.first_on,
        n_days=spec.n_days,
        seed=spec.seed,
    )
    (folder / "README.txt").write_text(readme, encoding="utf-8")
    settings = folder / "winback.toml"
    settings.write_text(settings_text(spec, event_columns=EVENT_COLUMNS), encoding="utf-8")
    return settings


def _make_room(folder: Path) -> None:
    """Remove an earlier simulated world, and nothing else."""
    readme, mine = folder / "README.txt", (folder / "data" / "raw", folder / "truth")
    present = [path for path in (*mine, folder / "winback.toml") if path.exists()]
    marked = readme.exists() and readme.read_text(encoding="utf-8").startswith(SIMULATED_NOTICE)
    if present and not marked:
        raise WinbackError(
            f"{present[0]} exists and {readme} does not say that it is simulated",
            fix="choose an empty folder for the simulated data",
        )
    for path in mine:
        if path.exists():
            shutil.rmtree(path)


def _file(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _stamped(table: pl.DataFrame) -> pl.DataFrame:
    """Write timestamps as text without a zone, to the second, as most exports have them."""
    return table.with_columns(pl.col(pl.Datetime).dt.strftime(AT_FORMAT))


def _write_events(events: pl.DataFrame, folder: Path, *, timezone: str) -> None:
    local = pl.col("occurred_at").dt.replace_time_zone("UTC").dt.convert_time_zone(timezone)
    stamped = events.with_columns(occurred_at=local.dt.replace_time_zone(None))
    months = stamped.with_columns(month=pl.col("occurred_at").dt.strftime("%Y-%m"))
    for (month,), part in months.partition_by("month", include_key=False, as_dict=True).items():
        named = _stamped(part).rename(EVENT_COLUMNS)
        named.write_csv(_file(folder / f"events_{month}.csv.gz"), compression="gzip")
