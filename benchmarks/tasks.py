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
MONTH_DAYS = 30


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


def simulate_message_log(
    folder: str, n_users: int, n_events: int, n_days: int, first_on: str, seed: int
) -> dict[str, int]:
    """Files of some 30 days each, then one of the last day, with about `n_events` message events; a visit of each user.

    Of ten messages, nine are delivered, three opened (a third of these by machines at once), one clicked; the other
    one fails, mostly for a while.
    """
    import duckdb

    events_per_message = 2.4
    with duckdb.connect() as con:
        con.execute(
            f"copy (select 'u' || i as user_id, timestamp '{first_on}' + to_days(cast(i % {n_days} as integer)) "
            f"as occurred_at from range({n_users}) as ids(i)) to '{folder}/events.parquet'"
        )
        starts = [*range(0, n_days - 1, MONTH_DAYS), n_days - 1]
        n_rows = {}
        for start, end in zip(starts, [*starts[1:], n_days], strict=True):
            name = "new_day" if start == n_days - 1 else f"history_{start:04}"
            n_messages = int(n_events * (end - start) / n_days / events_per_message)
            con.execute(message_file(folder, name, n_messages, n_users, start, end, first_on, seed))
            found = con.execute(f"select count(*) from '{folder}/{name}.parquet'").fetchall()
            n_rows[name] = int(found[0][0])
    return n_rows


def message_file(
    folder: str, name: str, n_messages: int, n_users: int, start: int, end: int, first_on: str, seed: int
) -> str:
    """The statement that writes the message events of some days to a file."""
    return f"""
        copy (
            with messages as (
                select
                    'u' || hash(i, {seed}, '{name}') % {n_users} as user_id,
                    '{name}' || i as message_id,
                    ['email', 'push', 'sms'][cast(1 + hash(i, {seed}, 'channel') % 3 as integer)] as channel,
                    timestamp '{first_on}' + to_days(cast({start} + hash(i, {seed}, 'day') % {end - start} as integer))
                        + to_seconds(cast(hash(i, {seed}, 'at') % 80000 as integer)) as sent_at,
                    'c' || hash(i, {seed}, 'content') % 40 as content_id,
                    hash(i, {seed}, 'fate') % 30 as fate
                from range({n_messages}) as ids(i)
            ), steps as (
                from (values ('sent', 0, 0, 29), ('delivered', 3, 0, 26), ('opened', 5, 0, 2), ('opened', 900, 3, 8),
                    ('clicked', 960, 6, 8), ('failed', 4, 27, 29)) as steps(event, delay, least, most)
            )
            select
                user_id, message_id, channel, event, sent_at + to_seconds(delay) as occurred_at, content_id,
                'e' || user_id as endpoint,
                case when event = 'failed' then if(fate = 27, '5.1.1', '4.4.2') end as code
            from messages join steps on fate between least and most
        ) to '{folder}/{name}.parquet' (format parquet)
    """


def facts(
    settings: str, as_of: str, sources: Sequence[str] = ("events",), tables: Sequence[str] = LAST_FACTS
) -> list[dict[str, Any]]:
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

    for source in sources:
        known = set(project.arrivals.row_counts(source)["delivery"])
        project.take_in(source)
        counts = project.arrivals.row_counts(source)
        n_read = int(sum(n for n, d in counts.select("n_rows", "delivery").iter_rows() if d not in known))
        lap("take_in" if source == "events" else f"take_in {source}", n_read)
    for table in with_inputs(project.models, tables):
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
    "simulate_message_log": simulate_message_log,
    "facts": facts,
    "write_users": write_users,
    "score_base": score_base,
}

if __name__ == "__main__":
    name, arguments, answer = sys.argv[1:]
    Path(answer).write_text(json.dumps(TASKS[name](**json.loads(arguments))), encoding="utf-8")
