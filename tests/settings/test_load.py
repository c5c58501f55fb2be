import os
import subprocess
import sys
from datetime import date, time
from pathlib import Path

import pytest

from dagster_project.errors import SettingsError
from dagster_project.settings import find_settings, load_settings

EVERY_KEY = """
horizon_days = 60
core_events = ["purchase", "visit"]
timezone = "Europe/London"
currency = "GBP"
first_as_of = 2011-06-01
seed = 11

[paths]
data = "store"
reports = "/srv/reports"

[quality]
max_quarantine_share = 0.01
earliest_on = 2009-01-01
latest_on = "2012-01-01"

[churn]
calendar_days = 120
primary = "data_driven"
max_return_share = 0.2

[holdout]
control_share = 0.2
explore_share = 0
salt = "spring"

[budget]
per_night = 250
max_contacts = 5000

[value]
margin_share = 0.3
value_per_active_day = 0.5

[channels.push]
cost = 0.0001
capacity = 20000
hours = "10:00-21:30"

[caps]
max_touches_per_week = 2
min_days_between = 14

[compliance]
pack = "eu"

[models]
max_cutoffs = 4
max_training_rows = 1000

[schedule]
at = "03:30"

[strategies]
disabled = ["discount"]

[engine]
threads = 2
memory_limit = "2GB"

[sources.events]
path = ["raw/*.csv.gz", "s3://bucket/events/*.csv"]
columns = { user_id = "CustomerID", occurred_at = "InvoiceDate", event_type = "'purchase'", amount = "Price" }
where = "CustomerID is not null"
timezone = "Asia/Shanghai"
delimiter = ";"
encoding = "gb18030"
null_values = ["", "NA"]

[sources.users]
path = "users.txt"
format = "csv"
delimiter = "whitespace"
header = false
names = ["id", "town"]
columns = { user_id = "id", home_town = "town" }
"""


def test_a_file_with_only_an_events_source_is_enough(load, minimal, tmp_path):
    settings = load(minimal)
    assert dict(settings.sources.events.columns) == {
        "user_id": "id",
        "occurred_at": "at",
        "event_type": "'visit'",
    }
    assert list(settings.sources.tables) == ["events"]
    assert settings.horizon_days is None
    assert settings.core_events is None
    assert (settings.timezone, settings.currency, settings.seed) == ("UTC", "EUR", 7)
    assert {name: channel.cost for name, channel in settings.channels.items()} == {"email": 0.002}
    assert (settings.holdout.control_share, settings.holdout.explore_share) == (0.10, 0.05)
    assert (settings.caps.max_touches_per_week, settings.caps.min_days_between) == (3, 7)
    assert settings.data_dir == tmp_path / "data"
    assert settings.reports_dir == tmp_path / "reports"


def test_every_key_of_the_design_is_read(load, tmp_path):
    settings = load(EVERY_KEY)
    assert settings.core_events == ("purchase", "visit")
    assert settings.first_as_of == date(2011, 6, 1)
    assert settings.quality.latest_on == date(2012, 1, 1)
    assert settings.data_dir == tmp_path / "store"
    assert settings.reports_dir == Path("/srv/reports")
    assert settings.budget.per_night == 250.0
    push = settings.channels["push"]
    assert (push.opens_at, push.closes_at, push.capacity) == (time(10), time(21, 30), 20000)
    assert settings.schedule.clock == time(3, 30)
    assert settings.strategies.disabled == ("discount",)
    assert list(settings.sources.tables) == ["events", "users"]
    assert settings.sources.users.names == ("id", "town")


def test_local_source_paths_start_at_the_settings_file_and_uris_stay(load, tmp_path):
    settings = load(EVERY_KEY)
    assert settings.source_paths("events") == (f"{tmp_path}/raw/*.csv.gz", "s3://bucket/events/*.csv")
    assert settings.source_paths("links") == ()


def test_a_relative_settings_path_gives_absolute_folders(load, minimal, tmp_path, monkeypatch):
    load(minimal)
    monkeypatch.chdir(tmp_path)
    assert load_settings(Path("winback.toml")).data_dir == tmp_path / "data"


def test_a_byte_order_mark_is_no_trouble(minimal, tmp_path):
    path = tmp_path / "winback.toml"
    path.write_bytes(b"\xef\xbb\xbf" + minimal.encode())
    assert load_settings(path).seed == 7


def test_a_missing_file_is_told_with_the_way_to_write_one(tmp_path):
    with pytest.raises(SettingsError, match="there is no such settings file") as caught:
        load_settings(tmp_path / "winback.toml")
    assert "winback init" in caught.value.fix


def test_a_folder_is_not_a_settings_file(tmp_path):
    with pytest.raises(SettingsError, match="is a folder") as caught:
        load_settings(tmp_path)
    assert str(tmp_path / "winback.toml") in caught.value.fix


@pytest.mark.parametrize("text", ["", "\n", "# nothing yet\n"])
def test_an_empty_file_is_told_what_the_smallest_one_holds(refused, text):
    problems, fixes = refused(text)
    assert problems == ["winback.toml: the settings file is empty"]
    assert "[sources.events]" in fixes[0]


def test_text_that_is_not_utf_8_is_told_with_its_line(tmp_path):
    path = tmp_path / "winback.toml"
    path.write_bytes('seed = 7\ncurrency = "£"\n'.encode("latin-1"))
    with pytest.raises(SettingsError, match="line 2 is not UTF-8") as caught:
        load_settings(path)
    assert caught.value.fix == "save the file with the encoding UTF-8"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("seed = = 7", "at line 1, column 8"),
        ("seed = 7\nseed = 8\npaths = 1", "line 2"),
        ("[paths\n", "line 1"),
        ("a = " + "[" * 5000, "not valid TOML"),
    ],
)
def test_broken_toml_is_told_with_its_line(refused, text, told):
    problems, _ = refused(text)
    assert problems[0].startswith("winback.toml: not valid TOML: ")
    assert told in problems[0]


def test_a_file_that_may_not_be_read_is_told(tmp_path):
    path = tmp_path / "file" / "winback.toml"
    (tmp_path / "file").write_text("a file where a folder should be")
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings(path)


def test_settings_are_found_in_a_folder_above(load, minimal, tmp_path):
    load(minimal)
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    assert find_settings(deep) == tmp_path / "winback.toml"


def test_settings_that_are_nowhere_are_told(tmp_path):
    with pytest.raises(SettingsError, match=r"no winback\.toml in .* or above it"):
        find_settings(tmp_path)


def test_importing_the_package_leaves_heavy_libraries_out():
    heavy = "{'sqlglot', 'duckdb', 'polars'}"
    code = f"import sys, dagster_project.settings; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.stdout.strip() == "[]"
