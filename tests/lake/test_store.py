"""Partitions: visible all at once, by what the index says."""

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from dagster_project.errors import LakeError
from dagster_project.lake.store import Lake, Partition, day_keys, fingerprint

FRAME = pl.DataFrame({"a": [1, 2]})


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path)


def test_a_written_partition_is_read_back_in_its_own_order(lake: Lake) -> None:
    lake.write("marts.users", FRAME.reverse(), key="2024-01-01", fingerprint="f")

    assert lake.read("marts.users", key="2024-01-01")["a"].to_list() == [2, 1]
    assert lake.index("marts.users") == {"2024-01-01": Partition(rows=2, fingerprint="f")}


def test_a_file_that_a_killed_run_left_behind_is_invisible(lake: Lake) -> None:
    lake.put("marts.users", FRAME, key="2024-01-01")

    assert lake.index("marts.users") == {}
    assert lake.paths("marts.users") == []
    with pytest.raises(LakeError, match=r"table marts\.users has no partition 2024-01-01"):
        lake.read("marts.users", key="2024-01-01")


def test_a_commit_adds_drops_and_keeps(lake: Lake) -> None:
    for key in ("2024-01-02", "2024-01-01", "2024-01-03"):
        lake.write("staging.events", FRAME, key=key, fingerprint=key)

    lake.commit("staging.events", {"2024-01-02": Partition(5, "new")}, dropped=["2024-01-01", "unknown"])

    assert lake.index("staging.events") == {
        "2024-01-02": Partition(5, "new"),
        "2024-01-03": Partition(2, "2024-01-03"),
    }
    assert not lake.path("staging.events", "2024-01-01").exists()


def test_paths_are_those_of_known_partitions_in_their_order(lake: Lake) -> None:
    for key in ("b", "a", "c"):
        lake.write("marts.users", FRAME, key=key, fingerprint=key)

    assert [Path(path).stem for path in lake.paths("marts.users", ["c", "unknown", "a"])] == ["a", "c"]


def test_a_broken_index_is_named_with_the_folder_to_delete(lake: Lake) -> None:
    lake.write("marts.users", FRAME, fingerprint="f")
    (lake.folder("marts.users") / "_index.json").write_text("{")

    with pytest.raises(LakeError, match=r"delete .*marts/users and run again"):
        lake.index("marts.users")


def test_days_are_picked_from_after_one_through_another() -> None:
    keys = ["2024-01-03", "2024-01-01", "2024-01-02"]

    assert day_keys(keys) == sorted(keys)
    assert day_keys(keys, through=date(2024, 1, 2)) == ["2024-01-01", "2024-01-02"]
    assert day_keys(keys, through=date(2024, 1, 2), after=date(2024, 1, 1)) == ["2024-01-02"]


def test_equal_parts_have_equal_fingerprints_and_others_not() -> None:
    assert fingerprint({"a": 1, "b": date(2024, 1, 1)}) == fingerprint({"b": date(2024, 1, 1), "a": 1})
    assert len({fingerprint("ab"), fingerprint("a", "b"), fingerprint(["a", "b"]), fingerprint()}) == 4


def test_writers_side_by_side_lose_nothing(lake: Lake) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: lake.commit("marts.users", {f"{n:02}": Partition(n, str(n))}), range(40)))

    assert len(lake.index("marts.users")) == 40
