"""The pieces of work that are measured, each run in a child: `python -m benchmarks.tasks NAME ARGUMENTS ANSWER`."""

import json
import os
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks.measure import Stopwatch
from benchmarks.scale import score_base, write_users

N_SCANS = 5
LAST_FACTS = ("marts.users", "marts.user_features")


def bare_scan(path: str, query: str) -> list[float]:
    """Seconds of each of a few scans of a file by a bare DuckDB, the first one cold."""
    import duckdb

    seconds = []
    with duckdb.connect() as con:
        for _ in range(N_SCANS):
            watch = Stopwatch()
            con.execute(query, {"path": path}).fetchall()
            seconds.append(watch.lap()["wall_s"])
    return seconds


def night(settings: str, as_of: str) -> list[dict[str, Any]]:
    """The nightly job with the laps of its steps; the first is what happens before it: imports and the graph."""
    watch = Stopwatch()
    os.environ["WINBACK_SETTINGS"] = settings
    os.environ["DAGSTER_DISABLE_TELEMETRY"] = "1"
    import dagster as dg

    from dagster_project.definitions import defs
    from dagster_project.defs.launch import make_home
    from dagster_project.project import Project

    os.environ["DAGSTER_HOME"] = str(make_home(Project.load(Path(settings)).settings.data_dir))
    with dg.DagsterInstance.get() as instance:
        job = defs().resolve_job_def("nightly")
        laps = [{"step": "import", **watch.lap()}]
        with listening(instance, laps, watch) as run_id:
            result = job.execute_in_process(
                partition_key=as_of,
                instance=instance,
                run_id=run_id,
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            )
    assert result.success
    return laps


@contextmanager
def listening(instance: Any, laps: list[dict[str, Any]], watch: Stopwatch) -> Iterator[str]:
    """Gives an id for a run; adds a lap for its start, for each step that ends, and for what comes after the last."""
    run_id = str(uuid.uuid4())
    ended: set[str] = set()

    def heard(record: Any) -> None:
        event = record.dagster_event
        if event is not None and event.is_step_start and not ended:
            ended.add("start")
            laps.append({"step": "start", **watch.lap()})
        if event is not None and event.is_step_success and event.step_key not in ended:
            ended.add(event.step_key)
            laps.append({"step": event.step_key, **watch.lap()})

    instance.add_event_listener(run_id, heard)
    yield run_id
    laps.append({"step": "end", **watch.lap()})


def simulate_log(folder: str, n_users: int, n_events: int, n_days: int, first_on: str, seed: int) -> dict[str, int]:
    """Three deliveries: all days but the last, the last day, and late rows of two days before it.

    Users differ in pace (their events fall like u³, so the first tenth makes nearly half of them).
    """
    import duckdb

    late = max(1, n_events // n_days // 10)
    parts = {
        "history": (n_events - n_events // n_days, f"hash(i, {seed}, 'day') % {n_days - 1}"),
        "new_day": (n_events // n_days, f"{n_days - 1}"),
        "late": (late, f"{n_days} - 3 - hash(i, {seed}, 'day') % 2"),
    }
    with duckdb.connect() as con:
        for name, (n_rows, day) in parts.items():
            path = Path(folder) / name / "events.parquet"
            path.parent.mkdir(parents=True)
            con.execute(
                f"""
                copy (
                    select
                        'u' || cast(floor(pow(hash(i, {seed}, '{name}') / 18446744073709551616.0, 3) * {n_users})
                            as integer) as user_id,
                        cast(date '{first_on}' as timestamp) + to_days(cast({day} as integer))
                            + to_seconds(cast(hash(i, {seed}, '{name} at') % 86400 as integer)) as occurred_at,
                        cast(hash(i, {seed}, '{name} amount') % 10000 / 100.0 as decimal(9, 2)) as amount
                    from range({n_rows}) as ids(i)
                ) to '{path}' (format parquet)
                """
            )
    return {name: n_rows for name, (n_rows, _) in parts.items()}


def facts(settings: str, as_of: str) -> list[dict[str, Any]]:
    """Take in what is new and bring the tables of SQL in line with it, with the laps of each and what was written."""
    from dagster_project.project import Project

    project, night = Project.load(Path(settings)), date.fromisoformat(as_of)
    watch, before = Stopwatch(), files_of(project.settings.data_dir)
    laps: list[dict[str, Any]] = []

    def lap(step: str, n_read: int) -> None:
        nonlocal before
        spent, after = watch.lap(), files_of(project.settings.data_dir)
        written = [name for name, kind in after.items() if before.get(name) != kind and name.endswith(".parquet")]
        size = sum(after[name][1] for name in written)
        laps.append({"step": step, **spent, "rows": n_read, "files": len(written), "written_mb": size / 1e6})
        before = after

    known = set(project.arrivals.row_counts("events")["delivery"])
    project.take_in("events")
    counts = project.arrivals.row_counts("events")
    lap("take_in", int(sum(n for n, d in counts.select("n_rows", "delivery").iter_rows() if d not in known)))
    for table in with_inputs(project.models, LAST_FACTS):
        is_nightly = project.models[table].partition in ("as_of", "state")
        built = project.build(table, as_of=night if is_nightly else None)
        lap(table, built.n_rows if built.written else 0)
    return laps


def with_inputs(models: Mapping[str, Any], tables: Sequence[str]) -> list[str]:
    """The tables and all models that they read, each after those that it reads."""
    found: list[str] = []
    for table in tables:
        reads = [read for read in models[table].reads if read in models and read != models[table].before]
        found += [name for name in [*with_inputs(models, reads), table] if name not in found]
    return found


def files_of(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file below a folder with the time it was written and its size."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_file():
            told = path.stat()
            found[path.relative_to(folder).as_posix()] = (told.st_mtime_ns, told.st_size)
    return found


TASKS: dict[str, Callable[..., Any]] = {
    "bare_scan": bare_scan,
    "night": night,
    "simulate_log": simulate_log,
    "facts": facts,
    "write_users": write_users,
    "score_base": score_base,
}

if __name__ == "__main__":
    name, arguments, answer = sys.argv[1:]
    Path(answer).write_text(json.dumps(TASKS[name](**json.loads(arguments))), encoding="utf-8")
