"""Our event log is Dagster's own in all but speed: the same files, the same records."""

from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.event_log import SqliteEventLogStorage

from dagster_project.defs.event_log import KeptEventLog
from dagster_project.defs.launch import make_home


@dg.asset(check_specs=[dg.AssetCheckSpec("sound", asset="told")])
def told() -> dg.MaterializeResult:
    return dg.MaterializeResult(metadata={"n": 3}, check_results=[dg.AssetCheckResult(passed=True)])


def test_a_run_is_recorded_where_and_as_dagster_would_record_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = make_home(tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    with dg.DagsterInstance.get() as instance:
        assert isinstance(instance.event_log_storage, KeptEventLog)
        run = dg.materialize([told], instance=instance)

    usual = SqliteEventLogStorage(str(home / "history" / "runs"))

    kinds = [record.dagster_event_type for record in usual.get_logs_for_run(run.run_id)]
    assert dg.DagsterEventType.ASSET_MATERIALIZATION in kinds
    assert dg.DagsterEventType.ASSET_CHECK_EVALUATION in kinds
    assert dg.DagsterEventType.RUN_SUCCESS in kinds
    (record,) = usual.get_asset_records([dg.AssetKey("told")])
    assert record.asset_entry.last_run_id == run.run_id


def test_without_a_home_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    with pytest.raises(dg.DagsterInvariantViolationError, match="DAGSTER_HOME"):
        KeptEventLog.from_config_value(None, {})


def test_only_the_index_and_the_newest_run_stay_open_and_all_is_closed_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = make_home(tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    with dg.DagsterInstance.get() as instance:
        older, newer = (dg.materialize([told], instance=instance).run_id for _ in range(2))
        assert sorted(path.stem for path in home.rglob("runs/*.db-wal")) == sorted(["index", newer])
        assert instance.all_logs(older) != []

        instance.wipe()
        assert instance.all_logs(older) == []
        again = dg.materialize([told], instance=instance).run_id

    assert list(home.rglob("runs/*.db-wal")) == []
    assert SqliteEventLogStorage(str(home / "history" / "runs")).get_logs_for_run(again) != []
