"""Message facts end the same however the rows arrive and however many nights fold them; copies are seen across days."""

import tempfile
from datetime import date, timedelta
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from workbench import Workbench, reading

FIRST = date(2024, 1, 1)
AS_OF = date(2024, 1, 9)
COLUMNS = {
    "user_id": "id",
    "message_id": "message",
    "channel": "channel",
    "event": "event",
    "occurred_at": "at",
    "content_id": "content",
    "code": "code",
    "endpoint": "endpoint",
}
READING = reading("message_events", columns=COLUMNS)
HEADER = "id,message,channel,event,at,content,code,endpoint\n"
FACTS = ("staging.message_events", "intermediate.message_steps", "intermediate.message_days")
STATES = ("intermediate.channel_states", "intermediate.failure_states")

lines = st.builds(
    "{},{},{},{},{} 0{}:00:{:02},{},{},{}".format,
    st.sampled_from("ab"),
    st.sampled_from("mno"),
    st.sampled_from(["email", "push"]),
    st.sampled_from(["sent", "delivered", "opened", "clicked", "failed", "bounced", "unsubscribed"]),
    st.integers(0, 8).map(lambda n: FIRST + timedelta(days=n)),
    st.integers(0, 2),
    st.integers(0, 9),
    st.sampled_from(["", "c"]),
    st.sampled_from(["", "5.1.1", "4.4.2"]),
    st.sampled_from(["", "x", "y"]),
)


def built(folder: str, files: list[list[str]], *, nights: list[date]) -> Workbench:
    """One file a night, taken in and folded, the last night at AS_OF."""
    workbench = Workbench(folder=Path(folder), reading=READING)
    for number, rows in enumerate(files):
        workbench.deliver(f"night{9 - number}.csv", HEADER + "".join(f"{line}\n" for line in rows))
        workbench.take_in()
        for table in FACTS:
            workbench.build(table)
        for state in STATES:
            workbench.build(state, as_of=nights[number])
    return workbench


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(lines, max_size=12), st.lists(lines, max_size=8), st.integers(0, 8))
def test_messages_that_come_in_two_nights_end_as_if_they_had_come_at_once(
    first: list[str], second: list[str], night: int
) -> None:
    with tempfile.TemporaryDirectory() as stepwise, tempfile.TemporaryDirectory() as at_once:
        slow = built(stepwise, [first, second], nights=[FIRST + timedelta(days=night), AS_OF])
        # rows without a time of their own tell two equal lines of two files apart from nothing: they are one event
        fast = built(at_once, [list(dict.fromkeys([*first, *second]))], nights=[AS_OF])

        for table in (*FACTS[1:], *STATES):
            is_state = table in STATES
            if first or second:
                assert_frame_equal(
                    slow.table(table, as_of=AS_OF if is_state else None),
                    fast.table(table, as_of=AS_OF if is_state else None),
                )


def test_a_copy_is_seen_across_days_and_a_late_first_send_changes_the_days_after_it(workbench: Workbench) -> None:
    workbench.reading = READING
    sends = "".join(f"a,m{day},email,sent,2024-03-{day:02} 10:00:07,c,,\n" for day in (5, 20))
    workbench.deliver("one.csv", HEADER + sends)
    workbench.take_in()
    for table in FACTS:
        workbench.build(table)
    before = workbench.table("intermediate.message_days")["n_duplicates"].to_list()
    workbench.deliver("late.csv", HEADER + "a,m0,email,sent,2024-02-10 10:00:07,c,,\n")
    workbench.take_in()
    rebuilt = {table: workbench.build(table).written for table in FACTS}

    assert before == [0, 1]
    assert workbench.table("intermediate.message_days").sort("dt")["n_duplicates"].to_list() == [0, 1, 1]
    assert rebuilt["intermediate.message_steps"] == ("2024-02-10",)
    assert rebuilt["intermediate.message_days"] == ("2024-02-10", "2024-03-05")
