"""Message events: words that are none, and wide exports with one row per message."""

from datetime import datetime

import polars as pl
import pytest
from workbench import Workbench, reading

from dagster_project.errors import SourceError
from dagster_project.ingest.check import check_source
from dagster_project.settings.tables import MESSAGE_EVENTS

LONG = {"user_id": "id", "message_id": "m", "channel": "'email'", "event": "event", "occurred_at": "at"}
WIDE = {"user_id": "id", "message_id": "m", "channel": "'email'", "code": "why", "content_id": "what"}
EVENTS = (("sent", "sent_at"), ("opened", "opened_at"), ("bounced", "bounced_at"))
HEADER = "id,m,what,sent_at,opened_at,bounced_at,why\n"


@pytest.fixture
def wide(workbench: Workbench) -> Workbench:
    workbench.reading = reading("message_events", columns=WIDE, events=EVENTS)
    return workbench


def kept(workbench: Workbench) -> list[tuple[object, ...]]:
    rows = workbench.kept().sort("message_id", "occurred_at", "event")
    return rows.select("user_id", "message_id", "event", pl.col("occurred_at").dt.day(), "code").rows()


def test_an_unknown_event_word_is_quarantined_and_named(workbench: Workbench) -> None:
    workbench.reading = reading("message_events", columns=LONG)

    rows = workbench.rows_of("id,m,event,at\na,1,Sent,2024-01-01\na,1,deferred,2024-01-01\n")

    assert rows["event"].to_list() == ["Sent"]
    (reason,) = workbench.quarantine()["reason"]
    assert reason == f'event: "deferred" is none of {", ".join(MESSAGE_EVENTS)}'


def test_a_wide_row_gives_an_event_for_each_time_that_it_has(wide: Workbench) -> None:
    wide.rows_of(HEADER + "a,1,x,2024-01-01,2024-01-02,,\nb,2,x,2024-01-03,,2024-01-04,5.1.1\n")

    assert kept(wide) == [
        ("a", "1", "sent", 1, None),
        ("a", "1", "opened", 2, None),
        ("b", "2", "sent", 3, None),
        ("b", "2", "bounced", 4, "5.1.1"),
    ]
    assert wide.fates() == {"kept": 4}


def test_a_bad_time_is_one_bad_event_and_a_row_without_a_time_is_one_bad_row(wide: Workbench) -> None:
    wide.rows_of(HEADER + "a,1,x,2024-01-01,soon,,\na,2,x,,,,\n,3,x,,,,\n,4,x,2024-01-01,,,\n")

    assert kept(wide) == [("a", "1", "sent", 1, None)]
    assert wide.fates() == {"anonymous": 2, "kept": 1, "quarantined": 2}
    assert [reason.split(";")[0] for reason in wide.quarantine()["reason"]] == [
        'occurred_at: "soon" is not a time',
        "no event has a time: sent, opened, bounced",
    ]


def test_rows_that_where_leaves_out_are_filtered_once(wide: Workbench) -> None:
    wide.reading = reading("message_events", columns=WIDE, events=EVENTS, where="m <> '2'")

    wide.rows_of(HEADER + "a,1,x,2024-01-01,,,\na,2,x,,,,\n")

    assert wide.fates() == {"filtered": 1, "kept": 1}


def test_a_later_export_repeats_what_was_known_and_adds_what_is_new(wide: Workbench) -> None:
    wide.rows_of(HEADER + "a,1,x,2024-01-01,,,\n", name="one.csv")
    wide.rows_of(HEADER + "a,1,x,2024-01-01,,2024-01-02,5.1.1\n", name="two.csv")
    wide.build("staging.message_events")

    made = wide.table("staging.message_events").sort("occurred_at")

    assert made.select("event", "occurred_at", "code").rows() == [
        ("sent", datetime.fromisoformat("2024-01-01"), None),
        ("bounced", datetime.fromisoformat("2024-01-02"), "5.1.1"),
    ]


def test_a_column_that_a_wide_file_lacks_is_named_by_its_key(wide: Workbench) -> None:
    wide.deliver("a.csv", "id,m,what,sent_at,bounced_at,why\n")

    for ask in (
        wide.take_in,
        lambda: check_source(wide.source, connect=wide.connect, landing=wide.folder / "landing"),
    ):
        with pytest.raises(SourceError) as caught:
            ask()
        assert "sources.message_events.events.opened: a.csv has no column 'opened_at'" in caught.value.problem


def test_another_set_of_events_is_another_reading(wide: Workbench) -> None:
    before = wide.source.reading_id
    wide.reading = reading("message_events", columns=WIDE, events=EVENTS[:2])

    assert wide.source.reading_id != before
