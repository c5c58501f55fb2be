"""What a further day costs once the history is in the lake, and what late rows of two days cost."""

import shutil
import tempfile
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from benchmarks.measure import Finished, run_child
from benchmarks.tables import Section, table

FIRST_ON = date(2025, 1, 1)
SEED = 20260101
NIGHT_BEFORE = "the night before the new day"  # run so that there is a state to fold from, not shown
SETTINGS = """\
[sources.events]
path = "in/*.parquet"

[sources.events.columns]
user_id = "user_id"
occurred_at = "occurred_at"
event_type = "'purchase'"
amount = "amount"
"""


@dataclass(frozen=True)
class LogSize:
    """How large the simulated log is."""

    n_users: int
    n_events: int
    n_days: int


def measure_increments(size: LogSize) -> Section:
    """The table of the first build, a new day, late rows, and nothing new."""
    last_on = FIRST_ON + timedelta(days=size.n_days - 1)
    nights = (
        ("first build", "history", last_on - timedelta(days=4)),
        (NIGHT_BEFORE, None, last_on - timedelta(days=1)),
        ("one new day", "new_day", last_on),
        ("late rows of two days", "late", last_on),
        ("nothing new", None, last_on),
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        simulate(folder, size)
        settings = folder / "winback.toml"
        settings.write_text(SETTINGS, encoding="utf-8")
        (folder / "in").mkdir()
        done = {}
        for title, delivery, as_of in nights:
            if delivery is not None:
                shutil.copy(folder / delivery / "events.parquet", folder / "in" / f"{delivery}.parquet")
            done[title] = run_child("facts", settings=str(settings), as_of=as_of.isoformat())
    del done[NIGHT_BEFORE]
    first = busy_seconds(done["first build"])
    empty = {lap["step"] for lap in done["first build"].answer if lap["rows"] == 0}
    rows = [row for title, finished in done.items() for row in rows_of(title, finished, empty=empty, first_s=first)]
    return Section(
        title=f"A further day ({size.n_events:,} events, {size.n_users:,} users, {size.n_days} days, simulated)",
        text="Taking in the files that are new and bringing the tables of SQL in line with them, up to the features of "
        "the night, each night in a process of its own; models and lists are not part of it, for "
        "they cost what the users cost, however the facts arrived. `rows` are those read by the intake and those in "
        "the partitions written by a table; imports are left out. The late rows are of two and three days "
        "before the night.",
        table=table(
            ("night", "step", "wall s", "CPU s", "peak MB", "rows", "partitions written", "MB written", "MB read"),
            rows,
        ),
        said="; ".join(f"{title}: {busy_seconds(f) / first:.3f} of the first build" for title, f in done.items()) + ".",
    )


def simulate(folder: Path, size: LogSize) -> None:
    """The three deliveries, each in a folder of its own."""
    run_child(
        "simulate_log",
        folder=str(folder),
        n_users=size.n_users,
        n_events=size.n_events,
        n_days=size.n_days,
        first_on=FIRST_ON.isoformat(),
        seed=SEED,
    )


def busy_seconds(finished: Finished) -> float:
    """Wall seconds of all steps, without the imports."""
    return float(sum(lap["wall_s"] for lap in finished.answer))


def rows_of(title: str, finished: Finished, *, empty: set[str], first_s: float) -> list[tuple[str, ...]]:
    """The lines of one night: its steps, those of tables that have no rows taken together, and all of them."""
    laps: list[dict[str, Any]] = finished.answer
    shown = [lap for lap in laps if lap["step"] not in empty]
    if rest := [lap for lap in laps if lap["step"] in empty]:
        shown.append({**together(rest), "step": f"{len(rest)} empty tables", "rows": 0})
    whole = together(laps)
    whole |= {"step": f"**all** ({whole['wall_s'] / first_s:.3f})", "rows": None}
    return [line(title if lap is shown[0] else "", lap) for lap in shown] + [line("", whole)]


def together(laps: list[dict[str, Any]]) -> dict[str, Any]:
    """The sum of what laps took, and the highest of their peaks."""
    added = ("wall_s", "cpu_s", "files", "written_mb", "read_mb")
    return {name: sum(lap[name] for lap in laps) for name in added} | {"peak_mb": max(lap["peak_mb"] for lap in laps)}


def line(night: str, lap: dict[str, Any]) -> tuple[str, ...]:
    """One line of the table."""
    return (
        night,
        lap["step"],
        f"{lap['wall_s']:.2f}",
        f"{lap['cpu_s']:.2f}",
        f"{lap['peak_mb']:.0f}",
        "" if lap["rows"] is None else f"{lap['rows']:,}",
        f"{lap['files']:,}",
        f"{lap['written_mb']:.2f}",
        f"{lap['read_mb']:.1f}",
    )
