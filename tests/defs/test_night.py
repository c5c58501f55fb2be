"""A whole night by the real job: its files, and that each user is dealt with once."""

import csv
import json
from hashlib import sha256

import duckdb
import polars as pl

from defs.conftest import Run
from defs.worlds import NIGHT, Company

COHORT_COLUMNS = [
    "rank",
    "user_id",
    "cohort",
    "stage",
    "days_silent",
    "churned_on",
    "reason",
    "reason_confidence",
    "p_return",
    "p_return_low",
    "p_return_high",
    "expected_return_on",
    "value_if_returned",
    "uplift",
    "uplift_low",
    "uplift_high",
    "evidence_grade",
    "expected_profit",
    "strategy_id",
    "channel",
    "fallback_channel",
    "send_at",
    "max_touches",
    "offer",
    "template_id",
    "locale",
    "consent_basis",
    "arm",
    "explanation",
]
USER_COLUMNS = [
    "user_id",
    "stage",
    "previous_stage",
    "phase",
    "is_churned",
    "days_silent",
    "churn_factor",
    "p_active",
    "p_return",
    "p_churn",
    "expected_events",
    "expected_value",
    "value_if_returned",
    "relapse_probability",
    "reason",
    "reason_confidence",
    "trust_index",
    "reachable_channels",
    "strategy_id",
    "channel",
    "arm",
    "rank",
]


def test_every_file_has_exactly_the_columns_of_the_contract_in_order(past: Company) -> None:
    assert past.csv(NIGHT, "cohorts.csv").columns == COHORT_COLUMNS
    assert past.csv(NIGHT, "suppressed.csv").columns == [
        *("user_id", "rule_id", "citation", "until", "explanation", "ends_with")
    ]
    assert past.csv(NIGHT, "holdout.csv").columns == ["user_id", "experiment_id", "arm", "would_be_strategy"]
    assert past.users(NIGHT).columns == USER_COLUMNS
    assert sorted(path.name for path in past.reports(NIGHT).iterdir()) == [
        "awaiting_approval.csv",
        "awaiting_approval.parquet",
        "cohorts",
        "cohorts.csv",
        "cohorts.parquet",
        "data_dictionary.csv",
        "decisions.parquet",
        "handover.csv",
        "handover.parquet",
        "holdout.csv",
        "holdout.parquet",
        "manifest.json",
        "metrics.json",
        "recalled.csv",
        "recalled.parquet",
        "report.html",
        "suppressed.csv",
        "suppressed.parquet",
        "users.parquet",
    ]
    assert sorted(path.name for path in (past.folder / "reports").iterdir()) == [NIGHT.isoformat(), "assets"]


def test_the_cohort_files_are_the_parts_of_the_whole_list(past: Company) -> None:
    whole = past.csv(NIGHT, "cohorts.csv").with_columns(pl.col("rank").cast(pl.Int64))
    parts = {path.stem: pl.read_csv(path, infer_schema=False) for path in (past.reports(NIGHT) / "cohorts").iterdir()}

    assert set(parts) == set(whole["cohort"]) and len(parts) >= 3
    assert all(part["cohort"].unique().to_list() == [name] for name, part in parts.items())
    joined = pl.concat(parts.values()).with_columns(pl.col("rank").cast(pl.Int64)).sort("rank")
    assert joined.equals(whole)
    assert whole["rank"].to_list() == list(range(1, whole.height + 1))
    assert (whole["cohort"] == whole["strategy_id"] + "__" + whole["channel"]).all()


def test_the_manifest_vouches_for_every_file(past: Company) -> None:
    folder = past.reports(NIGHT)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))

    listed = manifest.pop("files")
    assert sorted(manifest) == ["as_of", "data_hash", "run_id", "schema_version", "settings_hash"]
    assert manifest["as_of"] == NIGHT.isoformat()
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    assert set(listed) == set(found) - {"manifest.json"}
    for name, said in listed.items():
        data = found[name].read_bytes()
        assert (said["sha256"], said["n_bytes"]) == (sha256(data).hexdigest(), len(data))
        if name.endswith(".csv"):
            assert said["n_rows"] == len(list(csv.reader(data.decode().splitlines()))) - 1
    assert listed["users.parquet"]["n_rows"] == past.users(NIGHT).height


def test_the_parquet_twins_hold_the_same_rows(past: Company) -> None:
    for name in ("cohorts", "holdout", "suppressed"):
        twin = pl.read_parquet(past.reports(NIGHT) / f"{name}.parquet")
        assert twin.columns == past.csv(NIGHT, f"{name}.csv").columns
        assert twin["user_id"].to_list() == past.csv(NIGHT, f"{name}.csv")["user_id"].to_list()


def test_the_data_dictionary_tells_every_column_of_every_list(past: Company) -> None:
    told = past.csv(NIGHT, "data_dictionary.csv")
    columns = dict(told.group_by("file").agg(pl.col("column")).rows())
    assert columns["cohorts.csv"] == columns["cohorts.parquet"] == COHORT_COLUMNS
    assert columns["users.parquet"] == USER_COLUMNS
    assert columns["holdout.csv"] == past.csv(NIGHT, "holdout.csv").columns


def test_every_churned_user_is_in_exactly_one_list(past: Company) -> None:
    users = past.users(NIGHT)
    lists = [past.csv(NIGHT, name)["user_id"].to_list() for name in ("cohorts.csv", "holdout.csv", "suppressed.csv")]
    listed = [user for names in lists for user in names]

    assert all(lists)
    here = users.filter(~pl.col("is_churned"), pl.col("stage").is_in(["cooling", "at_risk"]))["user_id"]
    churned = users.filter("is_churned")["user_id"]
    assert set(churned) <= set(listed) <= {*churned, *here}
    assert not set(here) & set(lists[2])
    assert len(listed) == len(set(listed))
    arms = dict(users.filter(pl.col("arm").is_not_null()).group_by("arm").len().iter_rows())
    assert arms["control"] == len(lists[1])
    assert arms["treat"] + arms["explore"] == len(lists[0])


def test_the_table_of_users_has_everybody_who_was_there(past: Company) -> None:
    raw = pl.read_parquet(past.folder / "data" / "raw" / "users" / "users.parquet")
    business = pl.col("signed_up_at").dt.replace_time_zone("UTC").dt.convert_time_zone("Europe/Berlin").dt.date()
    there = raw.filter(business <= NIGHT)["user_id"]

    assert past.users(NIGHT)["user_id"].to_list() == sorted(there)
    assert past.users(NIGHT)["user_id"].is_sorted()


def test_no_user_is_named_in_the_records_of_dagster(past: Company, first_run: Run) -> None:
    assert "marts/users" in first_run.events or '"users"' in first_run.events
    named = [user for user in past.users(NIGHT)["user_id"] if user in first_run.events]

    assert named == []


def test_the_warehouse_is_whole_and_explains_itself(past: Company) -> None:
    path = past.folder / "data" / "warehouse.duckdb"
    with duckdb.connect(str(path), read_only=True) as con:
        about = dict(con.sql("from main.about").fetchall())
        relations = con.sql(
            "select schema_name || '.' || table_name as name, comment from duckdb_tables() "
            "union all select schema_name || '.' || view_name, comment from duckdb_views() where not internal"
        ).fetchall()
        contacts = con.sql("select count(*) from cohorts.contacts").fetchall()[0][0]
        silent = con.sql(
            "select comment from duckdb_columns() "
            "where schema_name = 'marts' and table_name = 'user_features' and column_name = 'silence_days'"
        ).fetchall()
        n_uncommented = con.sql(
            "select count(*) from duckdb_columns() where comment is null and not internal and schema_name <> 'main' "
            "and not (schema_name = 'staging' and table_name = 'quarantine')"
        ).fetchall()[0][0]

    assert about == {"as_of": "2024-06-09", "currency": "EUR", "notice": "Simulated data: no real person or company."}
    assert contacts == past.csv(NIGHT, "cohorts.csv").height
    assert silent == [("since the last active day (days)",)]
    uncommented = sorted(name for name, comment in relations if comment is None)
    assert uncommented == ["main.about", "staging.quarantine"]
    assert n_uncommented == 0
    assert {"staging.events", "intermediate.user_days", "marts.users", "models.scores", "strategy.assignments"} <= {
        name for name, _ in relations
    }
    assert list(path.parent.glob("warehouse.*")) == [path]


def test_fresh_data_raise_no_warning(past: Company) -> None:
    assert past.metrics(NIGHT)["freshness"] == {"days_behind": 0, "newest_on": "2024-06-09", "usual_days": 1}


def test_every_user_has_a_trust_index_and_the_night_tells_of_trust(past: Company) -> None:
    index = past.users(NIGHT)["trust_index"]
    trust = past.metrics(NIGHT)["trust"]

    assert index.null_count() == 0
    assert index.is_between(0, 1).all()
    assert isinstance(trust, dict)
    assert 0 < trust["mean_index"] < 1
    assert [row["cause"] for row in trust["damage"]] == ["failed_delivery", "over_messaging", "irrelevance"]
    assert min(trust["max_per_week"].values()) >= 1
    assert trust["newest_week"]["week_end"] > NIGHT.isoformat()
