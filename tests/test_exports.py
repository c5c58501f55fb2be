"""Addresses of a small company: who supplied one, which profile counts, and that none leaves the lake."""

from collections.abc import Mapping
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from dagster_project.cohorts.decisions import DECISIONS
from dagster_project.cohorts.ranking import COHORTS, USERS
from dagster_project.defs.reports import shelves
from dagster_project.exports import exports_of, night_addresses, write_lists
from dagster_project.lake.warehouse import publish_warehouse
from dagster_project.project import Project
from dagster_project.reach.recalls import RECALLED
from dagster_project.strategy.assignment import HANDOVER

NIGHT = date(2024, 3, 20)
SETTINGS = """\
[sources.events]
path = "events.csv"
columns = { user_id = "uid", occurred_at = "at", event_type = "'visit'" }

[sources.users]
path = "users*.csv"

[sources.users.columns]
user_id = "uid"
signed_up_at = "since"
mail = "mail"
mobile = "mobile"
size = "size"

[export]
email_attribute = "mail"
phone_attribute = "mobile"

[export.destinations.mailer]
columns = ["user_id", "channel"]

[export.destinations.google]
channels = ["email"]
identifier = "email_sha256"
rename = { email_sha256 = "Email" }
"""
EVENTS = "uid,at\n" + "".join(f"{user},2024-03-0{day}\n" for user in ("007", "b", "c", "held") for day in (1, 3, 5))
PROFILES = """\
uid,since,mail,mobile,size
007,2024-01-01, Ann@Secret.org ,+1 650 555 1212,XL
b,2024-01-01,,13800138000,M
c,2024-01-01,dora@secret.org,,S
held,2024-01-01,DORA@secret.org,,S
"""
EXCLUDED = {
    "holdout": ["user_id", "experiment_id", "arm", "would_be_strategy"],
    "suppressed": ["user_id", "rule_id", "citation", "until", "explanation", "ends_with"],
    "handover": list(HANDOVER),
}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A company that was taken in, with the lists of a night put in place by hand."""
    (tmp_path / "events.csv").write_text(EVENTS, encoding="utf-8")
    (tmp_path / "users.csv").write_text(PROFILES, encoding="utf-8")
    (tmp_path / "winback.toml").write_text(SETTINGS, encoding="utf-8")
    project = Project.load(tmp_path / "winback.toml")
    take_in(project)
    contacts = pl.DataFrame(
        {"rank": [1, 2, 3], "user_id": ["007", "b", "c"], "cohort": "s__email", "channel": "email", "strategy_id": "s"}
    )
    project.write("cohorts.contacts", filled(contacts, COHORTS), as_of=NIGHT)
    project.write("cohorts.users", filled(contacts, USERS), as_of=NIGHT)
    project.write("cohorts.awaiting_approval", filled(contacts.clear(), COHORTS), as_of=NIGHT)
    project.write("cohorts.decisions", filled(contacts.clear(), dict(DECISIONS)), as_of=NIGHT)
    project.write("reach.recalled", RECALLED.to_frame(), as_of=NIGHT)
    for name, columns in EXCLUDED.items():
        users = ["held"] if name == "holdout" else []
        rows = pl.DataFrame({"user_id": users}, schema={"user_id": pl.String})
        project.write(f"strategy.{name}", filled(rows, dict.fromkeys(columns, pl.String)), as_of=NIGHT)
    return project


def take_in(project: Project) -> None:
    for table in ("events", "users"):
        project.take_in(table)
    for table in ("staging.users", "staging.events", "intermediate.user_days"):
        project.build(table)
    project.at("marts.users", as_of=NIGHT)


def filled(rows: pl.DataFrame, types: Mapping[str, Any]) -> pl.DataFrame:
    return rows.select(
        (pl.col(name) if name in rows.columns else pl.lit(None)).cast(dtype).alias(name)
        for name, dtype in types.items()
    )


def test_the_settings_become_plain_values_by_name(project: Project) -> None:
    exports = exports_of(project.settings)
    google, mailer = exports.destinations
    assert (google.name, google.hashed_as, google.columns) == ("google", "email_sha256", ("email_sha256",))
    assert (mailer.name, mailer.hashed_as, mailer.columns) == ("mailer", None, ("user_id", "channel"))
    assert exports.needs_addresses


def test_addresses_are_the_attributes_that_the_settings_name(project: Project) -> None:
    found = night_addresses(project, NIGHT, users=pl.Series(["b", "007", "stranger"]))
    assert found.rows() == [("007", " Ann@Secret.org ", "+1 650 555 1212"), ("b", None, "13800138000")]


def test_the_newest_profile_that_the_night_may_see_counts(project: Project, tmp_path: Path) -> None:
    newer = "uid,since,mail,mobile,size\nb,2024-01-01,new@secret.org,,M\nc,2024-03-25,late@secret.org,,S\n"
    (tmp_path / "users_2.csv").write_text(newer, encoding="utf-8")
    take_in(project)
    found = night_addresses(project, NIGHT, users=pl.Series(["b", "c"]))
    assert found.rows() == [("b", "new@secret.org", None), ("c", "dora@secret.org", None)]


def test_a_night_writes_its_lists_twins_dictionary_and_destinations(project: Project, tmp_path: Path) -> None:
    counts = write_lists(project, NIGHT, folder=tmp_path / "night")
    files = sorted(path.relative_to(tmp_path / "night").as_posix() for path in (tmp_path / "night").rglob("*.*"))
    assert files == [
        "awaiting_approval.csv",
        "awaiting_approval.parquet",
        "cohorts.csv",
        "cohorts.parquet",
        "cohorts/s__email.csv",
        "data_dictionary.csv",
        "decisions.parquet",
        "destinations/google.csv",
        "destinations/mailer.csv",
        "handover.csv",
        "handover.parquet",
        "holdout.csv",
        "holdout.parquet",
        "recalled.csv",
        "recalled.parquet",
        "suppressed.csv",
        "suppressed.parquet",
        "users.parquet",
    ]
    hashed = sha256(b"ann@secret.org").hexdigest()
    assert (tmp_path / "night" / "destinations" / "google.csv").read_text(encoding="utf-8") == f"Email\n{hashed}\n"
    assert (tmp_path / "night" / "destinations" / "mailer.csv").read_bytes() == (
        b"user_id,channel\n007,email\nb,email\nc,email\n"
    )
    assert counts["google"] == {
        "n_chosen": 3,
        "n_written": 1,
        "n_without_address": 1,
        "n_unreadable": 0,
        "n_shared_with_excluded": 1,
        "n_same_address": 0,
    }


def test_the_same_night_gives_the_same_bytes(project: Project, tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_lists(project, NIGHT, folder=tmp_path / name)
    for path in (tmp_path / "one").rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes()


def test_no_address_leaves_the_lake(project: Project, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write_lists(project, NIGHT, folder=tmp_path / "night")
    warehouse = tmp_path / "warehouse.duckdb"
    publish_warehouse(project.lake, warehouse, shelves=shelves(project, NIGHT), as_of=NIGHT, facts={})
    for path in [warehouse, *(tmp_path / "night").rglob("*.*")]:
        said = path.read_bytes().lower()
        assert not [word for word in (b"secret.org", b"650 555", b"13800138000") if word in said], path
    assert "secret" not in "".join(capfd.readouterr()).lower()
    with duckdb.connect(str(warehouse), read_only=True) as con:
        kept = con.sql("select distinct attributes from staging.users order by 1").fetchall()
    assert kept == [('{"size":"M"}',), ('{"size":"S"}',), ('{"size":"XL"}',)]
