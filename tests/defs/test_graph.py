"""The graph as Dagster loads it: which assets, jobs, schedules and sensors there are, and what each tells."""

import json
import os
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import dagster as dg
import pytest

from dagster_project.defs import jobs
from dagster_project.defs.jobs import record_failures
from dagster_project.defs.resources import ProjectResource
from dagster_project.errors import WinbackError
from dagster_project.lake.sql_model import load_models
from defs.worlds import ROOT, definitions

ASSETS = [
    "ingest/assignments",
    "ingest/consents",
    "ingest/events",
    "ingest/feedback",
    "ingest/links",
    "ingest/message_events",
    "ingest/repeated_events",
    "ingest/subscriptions",
    "ingest/user_keys",
    "ingest/users",
    "staging/assignments",
    "staging/consents",
    "staging/events",
    "staging/feedback",
    "staging/links",
    "staging/message_events",
    "staging/quarantine",
    "staging/subscriptions",
    "staging/users",
    "intermediate/active_hours",
    "intermediate/platform_days",
    "intermediate/channel_states",
    "intermediate/failure_states",
    "intermediate/message_days",
    "intermediate/message_steps",
    "intermediate/category_days",
    "intermediate/response_days",
    "intermediate/signal_days",
    "intermediate/user_days",
    "intermediate/user_states",
    "marts/app_removals",
    "marts/channel_complaints",
    "marts/channel_events",
    "marts/contracts",
    "marts/daily_activity",
    "marts/hourly_sends",
    "marts/last_platforms",
    "marts/return_flows",
    "marts/send_outcomes",
    "marts/sent_hours",
    "marts/message_quality",
    "marts/message_failures",
    "marts/message_outcomes",
    "marts/message_records",
    "marts/message_weeks",
    "marts/messages",
    "marts/pressure_windows",
    "marts/recent_sends",
    "marts/departure_habits",
    "marts/departure_messages",
    "marts/departure_traits",
    "marts/reason_signals",
    "marts/user_features",
    "marts/user_hours",
    "marts/user_links",
    "marts/user_messages",
    "marts/user_outcomes",
    "marts/user_sightings",
    "marts/user_stops",
    "marts/user_windows",
    "marts/users",
    "outages/daily_counts",
    "outages/outages",
    "outages/silenced_users",
    "outcomes/balance",
    "outcomes/decisions",
    "outcomes/entries",
    "outcomes/experiments",
    "outcomes/money",
    "outcomes/power",
    "outcomes/readouts",
    "outcomes/second_life",
    "lifecycle/definition_agreement",
    "lifecycle/parameters",
    "lifecycle/regret_rates",
    "lifecycle/stage_dwell",
    "lifecycle/stage_migrations",
    "lifecycle/stages",
    "models/contract_cause_scores",
    "models/contract_cox_summary",
    "models/contract_evaluations",
    "models/contract_incidence",
    "models/contract_proportionality",
    "models/contract_refused_columns",
    "models/contract_scores",
    "models/contract_survival",
    "models/contract_verdicts",
    "models/cox_summary",
    "models/evaluations",
    "models/km_curves",
    "models/past_returns",
    "models/relapse_summary",
    "models/reliability",
    "models/return_curves",
    "models/return_spells",
    "models/scores",
    "models/training_snapshots",
    "models/uplift_choices",
    "models/uplift_learners",
    "models/uplift_scores",
    "models/uplift_verdicts",
    "models/value_comparison",
    "models/value_evaluation",
    "models/verdicts",
    "reach/contact_points",
    "reach/endpoints",
    "reach/failure_codes",
    "reach/damage",
    "reach/delivery",
    "reach/harm_charges",
    "reach/late_messages",
    "reach/recalled",
    "reach/saturation",
    "reach/trust",
    "reach/trust_funnel",
    "reach/trust_weeks",
    "reasons/breakdowns",
    "reasons/reasons",
    "strategy/assignments",
    "strategy/awaiting",
    "strategy/beliefs",
    "strategy/budget_curve",
    "strategy/considered",
    "strategy/exported",
    "strategy/gated",
    "strategy/handover",
    "strategy/hands",
    "strategy/stops",
    "strategy/holdout",
    "strategy/prices",
    "strategy/send_hours",
    "strategy/suppressed",
    "cohorts/awaiting_approval",
    "cohorts/contacts",
    "cohorts/decisions",
    "cohorts/explanations",
    "cohorts/users",
    "reports/night_files",
    "reports/warehouse",
]
LAYERS = {
    "ingest",
    "staging",
    "intermediate",
    "marts",
    "outages",
    "lifecycle",
    "models",
    "reasons",
    "reach",
    "outcomes",
    "strategy",
    "cohorts",
    "reports",
}


@pytest.fixture(scope="module")
def specs() -> dict[str, dg.AssetSpec]:
    return {spec.key.to_user_string(): spec for spec in definitions().resolve_all_asset_specs()}


@pytest.fixture(scope="module")
def tables(specs: dict[str, dg.AssetSpec]) -> dict[str, dg.AssetSpec]:
    """The assets of one table of our own each; the ingest and reports layers and the quarantine tell in prose."""
    return {key: spec for key, spec in specs.items() if "dagster/column_schema" in spec.metadata}


def test_everything_can_be_loaded() -> None:
    dg.Definitions.validate_loadable(definitions())


def test_these_are_the_assets(specs: dict[str, dg.AssetSpec]) -> None:
    assert sorted(specs) == sorted(ASSETS)


def test_these_are_the_jobs_schedules_and_sensors() -> None:
    repository = definitions().get_repository_def()

    assert [job.name for job in repository.get_all_jobs() if not job.name.startswith("__")] == ["nightly"]
    assert [schedule.name for schedule in repository.schedule_defs] == ["every_night"]
    assert [sensor.name for sensor in repository.sensor_defs] == ["record_failures"]
    assert definitions().resolve_schedule_def("every_night").default_status == dg.DefaultScheduleStatus.RUNNING
    assert definitions().resolve_sensor_def("record_failures").default_status == dg.DefaultSensorStatus.RUNNING


def test_the_job_runs_every_asset_and_every_check() -> None:
    job = definitions().resolve_job_def("nightly")
    graph = definitions().resolve_asset_graph()

    assert {key.to_user_string() for key in job.asset_layer.selected_asset_keys} == set(ASSETS)
    assert job.asset_layer.asset_graph.asset_check_keys == graph.asset_check_keys
    assert len(graph.asset_check_keys) > 80


def test_every_file_of_sql_is_an_asset_with_its_query(specs: dict[str, dg.AssetSpec]) -> None:
    files = {f"{path.parent.name}/{path.stem}" for path in (ROOT / "sql").glob("*/*.sql")}

    assert files == {key for key, spec in specs.items() if "sql" in spec.kinds}
    for model in load_models().values():
        spec = specs[model.table.replace(".", "/")]
        assert model.query in (spec.description or "")
        assert {dep.asset_key.to_user_string() for dep in spec.deps} == {
            read.replace(".", "/") for read in model.reads if read != model.before
        }


def test_the_groups_are_the_layers_and_the_first_part_of_each_key(specs: dict[str, dg.AssetSpec]) -> None:
    assert {spec.group_name for spec in specs.values()} == LAYERS
    assert all(spec.group_name == key.split("/")[0] for key, spec in specs.items())


def test_no_asset_waits_for_itself(specs: dict[str, dg.AssetSpec]) -> None:
    waits_for = {key: {dep.asset_key.to_user_string() for dep in spec.deps} for key, spec in specs.items()}

    order = list(TopologicalSorter(waits_for).static_order())

    assert sorted(order) == sorted(ASSETS)
    assert order[-1] == "reports/warehouse"


def test_every_table_tells_its_columns_and_where_they_come_from(tables: dict[str, dg.AssetSpec]) -> None:
    untold = {"reports/night_files", "reports/warehouse", "staging/quarantine"}
    assert set(tables) == {key for key in ASSETS if not key.startswith("ingest/")} - untold
    for spec in tables.values():
        schema: dg.TableSchema = spec.metadata["dagster/column_schema"]
        lineage: dg.TableColumnLineage = spec.metadata["dagster/column_lineage"]
        assert all(column.description for column in schema.columns)
        assert list(lineage.deps_by_column) == [column.name for column in schema.columns]
        assert (spec.description or "").startswith("One row per ")


def test_lineage_names_only_columns_that_exist(tables: dict[str, dg.AssetSpec]) -> None:
    columns = {
        key: {column.name for column in spec.metadata["dagster/column_schema"].columns} for key, spec in tables.items()
    }
    for key, spec in tables.items():
        lineage: dg.TableColumnLineage = spec.metadata["dagster/column_lineage"]
        upstream = {dep.asset_key.to_user_string() for dep in spec.deps}
        named = [dep for deps in lineage.deps_by_column.values() for dep in deps]
        assert {dep.asset_key.to_user_string() for dep in named} <= upstream, key
        for dep in named:
            known = columns.get(dep.asset_key.to_user_string())
            assert known is None or dep.column_name in known


def test_lineage_follows_an_expression_to_its_columns(tables: dict[str, dg.AssetSpec]) -> None:
    lineage: dg.TableColumnLineage = tables["intermediate/user_days"].metadata["dagster/column_lineage"]

    found = {(dep.asset_key.to_user_string(), dep.column_name) for dep in lineage.deps_by_column["amount"]}

    assert found == {("staging/events", "amount"), ("staging/events", "event_type")}


def test_without_settings_the_calendar_begins_in_1990_and_every_night_table_is_on_it(
    specs: dict[str, dg.AssetSpec],
) -> None:
    nightly = {key for key, spec in specs.items() if spec.partitions_def is not None}

    by_day = {
        "intermediate/active_hours",
        "intermediate/message_days",
        "intermediate/message_steps",
        "intermediate/platform_days",
        "intermediate/category_days",
        "intermediate/response_days",
        "intermediate/signal_days",
        "intermediate/user_days",
    }
    assert nightly == {key for key in ASSETS if key.split("/")[0] not in ("ingest", "staging")} - by_day
    starts = {spec.partitions_def.get_first_partition_key() for spec in specs.values() if spec.partitions_def}
    assert starts == {"1990-01-01"}


ASK = """
import json, datetime, dagster as dg
from dagster_project.definitions import defs
loaded = defs()
schedule = loaded.resolve_schedule_def("every_night")
tick = datetime.datetime.fromisoformat("2024-07-02T19:30:00+00:00")
found = schedule(dg.build_schedule_context(scheduled_execution_time=tick))
requests = found if isinstance(found, list) else [found]
nights = loaded.resolve_job_def("nightly").partitions_def
print(json.dumps({
    "cron": schedule.cron_schedule,
    "timezone": schedule.execution_timezone,
    "requested": [request.partition_key for request in requests],
    "first": nights.get_first_partition_key(),
}))
"""


def test_the_schedule_asks_for_yesterday_at_the_time_and_in_the_zone_of_the_settings(tmp_path: Path) -> None:
    settings = tmp_path / "winback.toml"
    settings.write_text(
        'timezone = "Asia/Shanghai"\nfirst_as_of = 2024-06-20\n\n[schedule]\nat = "03:30"\n\n'
        '[sources.events]\npath = "e.csv"\ncolumns = { user_id = "u", occurred_at = "t", event_type = "k" }\n',
        encoding="utf-8",
    )
    asked = subprocess.run(
        [sys.executable, "-c", ASK],
        env={**os.environ, "WINBACK_SETTINGS": str(settings), "DAGSTER_DISABLE_TELEMETRY": "1"},
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )

    # 19:30 UTC on 2 July is 03:30 on 3 July in Shanghai: the night before is that of 2 July
    assert json.loads(asked.stdout) == {
        "cron": "30 3 * * *",
        "timezone": "Asia/Shanghai",
        "requested": ["2024-07-02"],
        "first": "2024-06-20",
    }


def test_a_failed_run_leaves_one_line_that_names_step_and_reason(tmp_path: Path) -> None:
    settings = tmp_path / "winback.toml"
    settings.write_text(
        '[sources.events]\npath = "e.csv"\ncolumns = { user_id = "u", occurred_at = "t", event_type = "k" }\n',
        encoding="utf-8",
    )

    @dg.op
    def breaks() -> None:
        raise WinbackError("the file is gone", fix="bring it back")

    @dg.job
    def broken() -> None:
        breaks()

    with dg.DagsterInstance.ephemeral() as instance:
        result = broken.execute_in_process(
            instance=instance, raise_on_error=False, tags={"dagster/partition": "2024-06-01"}
        )
        context = dg.build_run_status_sensor_context(
            sensor_name="record_failures",
            dagster_event=result.get_run_failure_event(),
            dagster_instance=instance,
            dagster_run=result.dagster_run,
            resources={"winback": ProjectResource(path=str(settings))},
        ).for_run_failure()
        record_failures(context)

    lines = (tmp_path / "data" / jobs.FAILURES).read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1
    said = json.loads(lines[0])
    assert (said["job"], said["as_of"]) == ("broken", "2024-06-01")
    assert list(said["steps"]) == ["breaks"]
    assert "the file is gone" in said["steps"]["breaks"] and "Traceback" not in lines[0]
