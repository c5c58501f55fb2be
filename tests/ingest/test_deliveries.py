"""What a night costs: only new contents are read, and only their days are made again."""

from datetime import date
from pathlib import Path

import pytest
from workbench import EVENT_COLUMNS, Workbench, reading

from dagster_project.errors import LakeError
from dagster_project.ingest.ledger import Delivery, Ledger, read_ledger
from dagster_project.ingest.take_in import ledger_path

A = "id,at\na,2024-01-01\na,2024-01-02\nb,2024-01-02\n"
B = "id,at\nb,2024-01-05\nc,2024-01-06\n"


def users_by_day(workbench: Workbench) -> list[tuple[str, str]]:
    workbench.build("staging.events")
    return sorted((str(day), user) for day, user in workbench.table("staging.events").select("dt", "user_id").rows())


def test_a_second_run_without_new_files_reads_and_writes_nothing(workbench: Workbench) -> None:
    workbench.deliver("a.csv", A)
    assert workbench.take_in().new_files == ("a.csv",)
    assert workbench.build_past()["staging.events"].written == ("2024-01-01", "2024-01-02")
    files = {path: path.stat().st_mtime_ns for path in workbench.lake.root.rglob("*.parquet")}
    ledger = ledger_path(workbench.lake).stat().st_mtime_ns

    assert workbench.take_in().new_files == ()
    assert {built.written for built in workbench.build_past().values()} == {()}
    assert {path: path.stat().st_mtime_ns for path in workbench.lake.root.rglob("*.parquet")} == files
    assert ledger_path(workbench.lake).stat().st_mtime_ns == ledger


def test_a_late_file_makes_only_its_own_days_again(workbench: Workbench) -> None:
    workbench.deliver("a.csv", A)
    workbench.deliver("b.csv", B)
    workbench.take_in()
    workbench.build_past()

    workbench.deliver("late.csv", "id,at\nz,2024-01-02\n")
    assert workbench.take_in().new_files == ("late.csv",)

    assert {table: built.written for table, built in workbench.build_past().items()} == {
        "staging.events": ("2024-01-02",),
        "intermediate.user_days": ("2024-01-02",),
    }


def test_a_content_under_another_name_is_not_read_again_and_not_hashed_again(workbench: Workbench) -> None:
    workbench.deliver("a.csv", A)
    workbench.take_in()
    workbench.build_past()
    workbench.deliver("again.csv", A)

    assert workbench.take_in().new_files == ()
    assert workbench.build_past()["staging.events"].written == ()
    assert [d.name for d in read_ledger(ledger_path(workbench.lake)).deliveries] == ["a.csv", "again.csv"]
    assert workbench.fates() == {"kept": 3}


def test_a_growing_file_replaces_its_older_version(workbench: Workbench) -> None:
    workbench.deliver("a.csv", A)
    workbench.take_in()
    workbench.deliver("a.csv", A + "c,2024-01-03\n")
    workbench.take_in()

    assert workbench.fates() == {"kept": 4}
    assert workbench.build("staging.events").written == ("2024-01-01", "2024-01-02", "2024-01-03")


def test_a_corrected_file_takes_its_wrong_rows_back_and_drops_their_day(workbench: Workbench) -> None:
    workbench.deliver("a.csv", A + "wrong,2024-02-01\n")
    workbench.take_in()
    workbench.build_past()
    workbench.deliver("a.csv", A)
    workbench.take_in()

    assert workbench.build("staging.events").dropped == ("2024-02-01",)
    assert users_by_day(workbench) == [("2024-01-01", "a"), ("2024-01-02", "a"), ("2024-01-02", "b")]


def test_a_delta_under_the_same_name_adds(workbench: Workbench) -> None:
    workbench.deliver("events.csv", A)
    workbench.take_in()
    workbench.deliver("events.csv", B)
    workbench.take_in()

    assert workbench.fates() == {"kept": 5}


def test_a_file_that_turns_back_to_an_older_version_counts_as_that(workbench: Workbench) -> None:
    for content in (A, A + "c,2024-01-03\n", A):
        workbench.deliver("events.csv", content)
        workbench.take_in()

    assert users_by_day(workbench) == [("2024-01-01", "a"), ("2024-01-02", "a"), ("2024-01-02", "b")]


def test_a_content_counts_while_any_of_its_names_holds_it(workbench: Workbench) -> None:
    workbench.deliver("x.csv", A + "wrong,2024-02-01\n")
    workbench.deliver("y.csv", A + "wrong,2024-02-01\n")
    workbench.take_in()

    workbench.deliver("x.csv", A)
    workbench.take_in()
    assert ("2024-02-01", "wrong") in users_by_day(workbench)

    workbench.deliver("y.csv", A)
    workbench.take_in()
    assert ("2024-02-01", "wrong") not in users_by_day(workbench)


def test_a_profile_that_turns_back_is_the_newest_again(workbench: Workbench) -> None:
    workbench.reading = reading("users", columns={"user_id": "id", "country": "country"})
    for country in ("AT", "CH", "AT"):
        workbench.deliver("users.csv", f"id,country\na,{country}\n")
        workbench.take_in()
    workbench.build("staging.users")

    assert workbench.table("staging.users")["country"].to_list() == ["AT"]


def test_an_event_id_counts_once_on_its_earliest_day(workbench: Workbench) -> None:
    workbench.reading = reading(columns={**EVENT_COLUMNS, "event_id": "key"})
    workbench.deliver("b.csv", "id,at,key\na,2024-01-05,k1\na,2024-01-05,k2\na,2024-01-05,\n")
    workbench.take_in()
    workbench.build_past()
    workbench.deliver("a.csv", "id,at,key\na,2024-01-03,k1\na,2024-01-03 12:00,k1\n")
    workbench.take_in()

    assert workbench.build("staging.events").written == ("2024-01-03", "2024-01-05")
    assert workbench.table("staging.events").select("dt", "event_id").sort("dt", "event_id").rows() == [
        (date(2024, 1, 3), "k1"),
        (date(2024, 1, 5), None),
        (date(2024, 1, 5), "k2"),
    ]


def test_an_event_comes_back_when_its_earlier_copy_is_corrected_away(workbench: Workbench) -> None:
    workbench.reading = reading(columns={**EVENT_COLUMNS, "event_id": "key"})
    workbench.deliver("a.csv", "id,at,key\na,2024-01-01,k1\na,2024-01-01,k2\n")
    workbench.deliver("b.csv", "id,at,key\na,2024-01-05,k1\n")
    workbench.take_in()
    assert users_by_day(workbench) == [("2024-01-01", "a"), ("2024-01-01", "a")]

    workbench.deliver("a.csv", "id,at,key\na,2024-01-01,k2\n")
    workbench.take_in()

    assert users_by_day(workbench) == [("2024-01-01", "a"), ("2024-01-05", "a")]


def test_repeats_follow_the_reading_when_settings_change_and_change_back(workbench: Workbench) -> None:
    utc = reading(columns={**EVENT_COLUMNS, "event_id": "key"})
    workbench.reading = utc
    workbench.deliver("a.csv", "id,at,key\na,2024-01-01 23:30,k1\na,2024-01-02 00:30,k1\n")
    for zone in ("UTC", "Asia/Tokyo", "UTC"):
        workbench.reading = reading(columns=utc.columns, business_zone=zone)
        workbench.take_in()
        assert len(users_by_day(workbench)) == 1


def test_changed_expressions_read_every_file_anew(workbench: Workbench) -> None:
    workbench.deliver("a.csv", A)
    workbench.take_in()
    workbench.reading = reading(columns={**EVENT_COLUMNS, "event_type": "'order'"})

    assert workbench.take_in().new_files == ("a.csv",)
    assert workbench.kept()["event_type"].to_list() == ["order"] * 3


def test_one_user_and_one_event_are_enough(workbench: Workbench) -> None:
    workbench.rows_of("id,at\na,2024-01-01\n")
    workbench.build_past()
    workbench.build("intermediate.user_states", as_of=date(2023, 12, 31))
    workbench.build("intermediate.user_states", as_of=date(2024, 1, 1))

    assert workbench.table("intermediate.user_states", as_of=date(2023, 12, 31)).is_empty()
    assert workbench.table("intermediate.user_states", as_of=date(2024, 1, 1))["n_active_days"].to_list() == [1]


def delivery(name: str, sha256: str, number: int, *, is_replaced: bool = False) -> Delivery:
    return Delivery("events", name, sha256, "reading1", number, 1, 1, 1, None, None, is_replaced)


def test_a_ledger_counts_each_content_once_until_all_its_names_are_replaced() -> None:
    first, copy, other = delivery("x", "s1", 1), delivery("y", "s1", 1), delivery("z", "s2", 2)
    ledger = Ledger((first, copy, other))

    assert [d.sha256 for d in ledger.active("events", "reading1")] == ["s1", "s2"]
    assert [d.sha256 for d in ledger.without([first]).active("events", "reading1")] == ["s1", "s2"]
    assert [d.sha256 for d in ledger.without([first, copy]).active("events", "reading1")] == ["s2"]
    assert ledger.without([first, copy]).of_content("events", "reading1", "s1") is None
    assert ledger.active("events", "another reading") == ()
    assert ledger.by_name("events", "reading1", "y") == copy
    assert (ledger.next_number, Ledger().next_number) == (3, 1)


@pytest.mark.parametrize("text", ["", "{", '{"a": 1}', '[{"source": "events"}]', "[1]"])
def test_a_broken_ledger_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "ledger.json"
    path.write_text(text)

    with pytest.raises(LakeError, match=r"ledger\.json is not a ledger"):
        read_ledger(path)
