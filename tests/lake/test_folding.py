"""However events arrive, and in however many nights, the tables end as if all had come at once."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from workbench import EVENT_COLUMNS, Workbench, reading

FIRST = date(2024, 1, 1)
AS_OF = date(2024, 3, 1)
READING = reading(
    columns={**EVENT_COLUMNS, "event_type": "kind", "amount": "amount", "item": "item", "event_id": "key"},
    core_events=("buy",),
    business_zone="Asia/Tokyo",
)
TABLES = ("staging.events", "intermediate.user_days", "intermediate.user_states")
HEADER = "id,at,kind,amount,item,key\n"

lines = st.builds(
    "{},{} {:02}:00,{},{},{},{}".format,
    st.sampled_from("abcd"),
    st.integers(0, 40).map(lambda n: FIRST + timedelta(days=n)),
    st.sampled_from([0, 14, 15, 23]),
    st.sampled_from(["buy", "look"]),
    st.sampled_from(["", "0.1", "2.25", "100"]),
    st.sampled_from(["", "tea", "salt"]),
    st.sampled_from(["", "", "k1", "k2", "k3"]),
)


@dataclass(frozen=True)
class Night:
    """What is delivered: a new file, more rows for an older file, a copy of an older file; and the night's as_of."""

    rows: list[str] = field(default_factory=list)
    more: list[str] = field(default_factory=list)
    grows: int = 0
    copies: bool = False
    as_of: date | None = None


nights = st.lists(
    st.builds(
        Night,
        rows=st.lists(lines, max_size=6),
        more=st.lists(lines, max_size=4),
        grows=st.integers(0, 5),
        copies=st.booleans(),
        as_of=st.none() | st.integers(0, 45).map(lambda n: FIRST + timedelta(days=n)),
    ),
    min_size=1,
    max_size=4,
)


def live_through(workbench: Workbench, story: Sequence[Night]) -> dict[str, str]:
    """Deliver, take in and build night by night; what the files hold in the end."""
    files: dict[str, str] = {}
    for number, night in enumerate(story):
        if files and night.more:
            grown = sorted(files)[night.grows % len(files)]
            files[grown] += "".join(f"{line}\n" for line in night.more)
        if files and night.copies:
            files[f"copy{number}.csv"] = files[sorted(files)[0]]
        files[f"night{9 - number}.csv"] = HEADER + "".join(f"{line}\n" for line in night.rows)
        for name, text in files.items():
            workbench.deliver(name, text)
        workbench.take_in()
        workbench.build_past()
        if night.as_of is not None:
            workbench.build("intermediate.user_states", as_of=night.as_of)
    workbench.build("intermediate.user_states", as_of=AS_OF)
    return files


def at_once(workbench: Workbench, files: dict[str, str]) -> Workbench:
    for name, text in files.items():
        workbench.deliver(name, text)
    workbench.take_in()
    workbench.build_past()
    workbench.build("intermediate.user_states", as_of=AS_OF)
    return workbench


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(nights)
def test_any_order_of_deliveries_ends_like_a_full_rebuild(story: list[Night]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        lived = Workbench(Path(folder) / "lived", reading=READING)
        files = live_through(lived, story)
        rebuilt = at_once(Workbench(Path(folder) / "rebuilt", reading=READING), files)
        if not any(text != HEADER for text in files.values()):
            return

        for table in TABLES:
            assert_frame_equal(lived.table(table, as_of=AS_OF), rebuilt.table(table, as_of=AS_OF), check_exact=True)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(lines, min_size=1, max_size=15),
    st.lists(st.integers(0, 45), max_size=4).map(lambda days: [FIRST + timedelta(days=n) for n in days]),
)
def test_folding_in_steps_equals_folding_at_once(rows: list[str], steps: list[date]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        files = {"a.csv": HEADER + "".join(f"{line}\n" for line in rows)}
        whole = at_once(Workbench(Path(folder) / "whole", reading=READING), files)
        stepped = Workbench(Path(folder) / "stepped", reading=READING)
        stepped.deliver("a.csv", files["a.csv"])
        stepped.take_in()
        stepped.build_past()
        for step in steps:  # in any order: a night may be replayed after later ones
            stepped.build("intermediate.user_states", as_of=step)
        stepped.build("intermediate.user_states", as_of=AS_OF)

        states = "intermediate.user_states"
        assert_frame_equal(stepped.table(states, as_of=AS_OF), whole.table(states, as_of=AS_OF), check_exact=True)
