import hashlib
import tomllib
from datetime import date
from pathlib import Path

import duckdb
import polars as pl
import pytest

from dagster_project.errors import WinbackError
from dagster_project.simulate import SIMULATED_NOTICE, TABLE_SCHEMAS, World, WorldSpec, simulate_world, write_world


@pytest.fixture(scope="module")
def world() -> World:
    return simulate_world(WorldSpec(n_users=150, seed=4))


@pytest.fixture(scope="module")
def written(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_world(world, tmp_path_factory.mktemp("world"))


def hashes(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_same_world_gives_the_same_bytes(world: World, written: Path, tmp_path: Path) -> None:
    write_world(world, tmp_path)
    assert hashes(tmp_path) == hashes(written.parent)


def test_settings_map_every_table_to_files_that_are_there(written: Path) -> None:
    settings = tomllib.loads(written.read_text(encoding="utf-8"))
    assert list(settings["sources"]) == list(TABLE_SCHEMAS)
    for table, source in settings["sources"].items():
        assert list(written.parent.glob(source["path"])), table
        assert list(source["columns"]) == list(TABLE_SCHEMAS[table])


def test_settings_say_that_the_data_are_simulated(written: Path) -> None:
    settings = tomllib.loads(written.read_text(encoding="utf-8"))
    assert settings["notice"] == "Simulated data: no real person or company."
    assert settings["core_events"] == ["purchase", "view", "app_open"]
    assert settings["first_as_of"] == date(2025, 6, 10)
    assert sorted(settings["channels"]) == ["email", "push", "sms", "wechat"]


def test_settings_do_not_name_the_truth_as_a_source(written: Path) -> None:
    sources = tomllib.loads(written.read_text(encoding="utf-8"))["sources"]
    assert not any("truth" in source["path"] for source in sources.values())


def test_the_readme_begins_with_the_notice(written: Path) -> None:
    assert (written.parent / "README.txt").read_text(encoding="utf-8").startswith(SIMULATED_NOTICE)


def test_events_read_back_by_the_mapping_equal_the_simulated_ones(world: World, written: Path) -> None:
    source = tomllib.loads(written.read_text(encoding="utf-8"))["sources"]["events"]
    mapping = ", ".join(f"{sql} as {name}" for name, sql in source["columns"].items())
    con = duckdb.connect()
    con.execute("set TimeZone = 'UTC'")
    back = con.sql(
        f"select * replace (timezone('UTC', timezone($zone, occurred_at::timestamp)) as occurred_at)"
        f" from (select {mapping} from read_csv($files, all_varchar = true)) order by event_id",
        params={"files": str(written.parent / source["path"]), "zone": source["timezone"]},
    ).pl()
    expected = world.tables["events"]
    assert back["occurred_at"].to_list() == expected["occurred_at"].to_list()
    assert back["amount"].cast(pl.Float64).to_list() == expected["amount"].to_list()
    assert back["user_id"].to_list() == expected["user_id"].to_list()


def test_messages_read_back_as_many_as_simulated(world: World, written: Path) -> None:
    path = written.parent / "data/raw/message_events/message_events.ndjson.zst"
    count = duckdb.sql("select count(*) from read_json($f, format = 'newline_delimited')", params={"f": str(path)})
    assert count.fetchall() == [(world.tables["message_events"].height,)]


def test_a_smaller_world_leaves_no_file_of_the_one_before(tmp_path: Path) -> None:
    write_world(simulate_world(WorldSpec(n_users=30)), tmp_path)
    write_world(simulate_world(WorldSpec(n_users=30, n_days=60)), tmp_path)
    months = sorted(path.name for path in (tmp_path / "data/raw/events").iterdir())
    assert months == ["events_2024-01.csv.gz", "events_2024-02.csv.gz"]


def test_a_folder_with_data_of_somebody_else_is_refused(tmp_path: Path) -> None:
    mine = tmp_path / "data" / "raw" / "sales.csv"
    mine.parent.mkdir(parents=True)
    mine.write_text("user_id\n1\n", encoding="utf-8")
    with pytest.raises(WinbackError, match="does not say that it is simulated"):
        write_world(simulate_world(WorldSpec(n_users=5)), tmp_path)
    assert mine.read_text(encoding="utf-8") == "user_id\n1\n"
