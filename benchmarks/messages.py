"""`python -m benchmarks.messages`: what the facts on messages cost, at once and for a further day."""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from benchmarks.incremental import FIRST_ON, NIGHT_BEFORE, SEED, LogSize, busy_seconds, rows_of
from benchmarks.measure import run_child
from benchmarks.tables import Section, table

# Every table of the night that is made of messages alone; those that also need a model or a ledger are left out.
LAST_TABLES = (
    "staging.events",
    "marts.user_messages",
    "marts.channel_events",
    "marts.departure_messages",
    "marts.send_outcomes",
    "marts.hourly_sends",
    "marts.messages",
    "marts.message_records",
    "marts.message_failures",
    "marts.message_outcomes",
    "marts.message_weeks",
    "marts.message_quality",
    "marts.channel_complaints",
    "marts.recent_sends",
    "marts.sent_hours",
    "marts.user_stops",
)
SETTINGS = """\
[engine]
memory_limit = "{memory_limit}"

[sources.events]
path = "events.parquet"
columns = {{ user_id = "user_id", occurred_at = "occurred_at", event_type = "'visit'" }}

[sources.message_events]
path = "in/*.parquet"

[sources.message_events.columns]
user_id = "user_id"
message_id = "message_id"
channel = "channel"
event = "event"
occurred_at = "occurred_at"
content_id = "content_id"
endpoint = "endpoint"
code = "code"
"""


def measure_messages(size: LogSize, *, memory_limit: str, folder: Path) -> Section:
    """The table of a first build over nearly all days and of one further day, each night a process of its own."""
    last_on = FIRST_ON + timedelta(days=size.n_days - 1)
    nights = (("first build", 2), (NIGHT_BEFORE, 1), ("one new day", 0))
    simulated = {"n_users": size.n_users, "n_events": size.n_events, "n_days": size.n_days}
    rows = run_child("simulate_message_log", folder=str(folder), first_on=str(FIRST_ON), seed=SEED, **simulated).answer
    (folder / "winback.toml").write_text(SETTINGS.format(memory_limit=memory_limit), encoding="utf-8")
    (folder / "in").mkdir()
    done = {}
    for title, age_days in nights:
        for name in rows:
            is_due = name == "new_day" if age_days == 0 else name != "new_day"
            if is_due and not (folder / "in" / f"{name}.parquet").exists():
                shutil.move(folder / f"{name}.parquet", folder / "in")
        done[title] = run_child(
            "facts",
            settings=str(folder / "winback.toml"),
            as_of=(last_on - timedelta(days=age_days)).isoformat(),
            sources=["events", "message_events"],
            tables=list(LAST_TABLES),
        )
    del done[NIGHT_BEFORE]
    first = busy_seconds(done["first build"])
    empty = {lap["step"] for lap in done["first build"].answer if lap["rows"] < 2}
    lines = [row for title, night in done.items() for row in rows_of(title, night, empty=empty, first_s=first)]
    highest = {title: max(lap["peak_mb"] for lap in night.answer) for title, night in done.items()}
    peaks = "; ".join(f"{title}: peak {peak_mb:,.0f} MB" for title, peak_mb in highest.items())
    ratio = busy_seconds(done["one new day"]) / first
    return Section(
        title=f"Messages ({sum(rows.values()):,} events, {size.n_users:,} users, {size.n_days} days, simulated)",
        text=f"Taking in the files and building every table of SQL on messages with memory_limit {memory_limit}.",
        table=table(
            ("night", "step", "wall s", "CPU s", "peak MB", "rows", "partitions written", "MB written", "MB read"),
            lines,
        ),
        said=f"{peaks}; a further day costs {ratio:.3f} of the first build.",
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    flags = argparse.ArgumentParser(prog="python -m benchmarks.messages", description="Facts on messages.")
    flags.add_argument("--events", type=int, default=50_000_000, help="message events (default: %(default)s)")
    flags.add_argument("--users", type=int, default=1_000_000, help="users (default: %(default)s)")
    flags.add_argument("--days", type=int, default=365, help="days of the log (default: %(default)s)")
    flags.add_argument("--memory-limit", default="2GB", help="engine.memory_limit (default: %(default)s)")
    asked = flags.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        size = LogSize(asked.users, asked.events, asked.days)
        print(measure_messages(size, memory_limit=asked.memory_limit, folder=Path(name)).markdown, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
