"""The command as a newcomer meets it: what it prints, where its files are, how it says no."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.conftest import Winback
from dagster_project.settings.load import SETTINGS_FILE

HEAVY = [
    "dagster",
    "duckdb",
    "jinja2",
    "lifelines",
    "numpy",
    "pandas",
    "plotly",
    "polars",
    "pyarrow",
    "rich",
    "sklearn",
]
EVENTS = "user_id,occurred_at,event_type\n" + "".join(
    f"user {n % 8},2024-{1 + n % 3:02d}-{1 + 3 * n % 28:02d} 10:00:00,visit\n" for n in range(60)
)
SETTINGS = """\
[sources.events]
path = "events.csv"
columns = { user_id = "user_id", occurred_at = "occurred_at", event_type = "event_type" }
"""


@pytest.fixture(scope="module")
def demo(winback: Winback, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder that `winback demo` made, and what it printed."""
    folder = tmp_path_factory.mktemp("demo") / "company"
    answer = winback("demo", "--dir", folder, "--users", 150)
    assert answer.code == 0, answer.err
    return folder, answer.out


def small(folder: Path, *, events: str | None = EVENTS, settings: str = SETTINGS) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    if events is not None:
        (folder / "events.csv").write_text(events, encoding="utf-8")
    path = folder / SETTINGS_FILE
    path.write_text(settings, encoding="utf-8")
    return path


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["demo", "-h"], ["--version"]])
def test_help_answers_without_loading_anything_heavy(arguments: list[str]) -> None:
    ask = (
        "import sys\nfrom dagster_project.cli import main\n"
        f"try: main({arguments!r}, prog_name='winback')\n"
        f"except SystemExit as end: print(sorted(set({HEAVY!r}) & set(sys.modules)), end.code)"
    )

    told = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)

    assert told.stdout.splitlines()[-1] == "[] 0"
    assert "winback" in told.stdout


def test_help_names_every_command() -> None:
    from dagster_project.cli import main

    assert {"check", "demo", "init", "report", "run", "ui"} <= set(main.commands)
    assert all(command.help for command in main.commands.values())


def test_the_demo_ends_with_where_its_files_are(demo: tuple[Path, str]) -> None:
    folder, out = demo
    paths = [Path(word) for line in out.splitlines()[1:] for word in line.split() if word.startswith(str(folder))]

    assert "simulated data: no real person or company" in out
    assert out.splitlines()[-1] == f"open the graph:  winback ui --config {folder / SETTINGS_FILE}"
    named = {path.relative_to(folder).as_posix() for path in paths}
    night = "reports/2025-06-23"
    assert named == {
        "winback.toml",
        f"{night}/cohorts.csv",
        f"{night}/cohorts",
        f"{night}/holdout.csv",
        f"{night}/suppressed.csv",
        f"{night}/decisions.parquet",
        f"{night}/users.parquet",
        f"{night}/metrics.json",
        f"{night}/report.html",
        f"{night}/data_dictionary.csv",
        f"{night}/manifest.json",
        "data/warehouse.duckdb",
    }
    assert all(path.exists() for path in paths)


def test_the_demo_can_be_made_again(winback: Winback, demo: tuple[Path, str]) -> None:
    folder, out = demo
    manifest = folder / "reports" / "2025-06-23" / "manifest.json"
    before = manifest.read_bytes()

    again = winback("demo", "--dir", folder, "--users", 150)

    assert again.code == 0
    assert manifest.read_bytes() == before
    shown = [line for line in out.splitlines() if line.startswith("  /")]
    assert [line for line in again.out.splitlines() if line.startswith("  /")] == shown


def test_the_report_is_found_and_can_be_made_one_file(winback: Winback, demo: tuple[Path, str]) -> None:
    settings, night = demo[0] / SETTINGS_FILE, demo[0] / "reports" / "2025-06-23"

    assert winback("report", "--config", settings).out == f"{night / 'report.html'}\n"
    alone = winback("report", "--config", settings, "--as-of", "2025-06-23", "--standalone").out.strip()
    assert alone == str(demo[0] / "reports" / "report-2025-06-23.html")
    assert Path(alone).stat().st_size > 4_000_000
    missing = winback("report", "--config", settings, "--as-of", "2025-06-20")
    assert (missing.code, missing.err) == (
        1,
        "error: there is no report of 2025-06-20\n  fix: winback run --as-of 2025-06-20\n",
    )


def test_a_night_before_the_calendar_is_refused_before_anything_runs(winback: Winback, demo: tuple[Path, str]) -> None:
    told = winback("run", "--config", demo[0] / SETTINGS_FILE, "--as-of", "2025-06-09")

    assert told.code == 1
    assert told.err == (
        "error: 2025-06-09 is before 2025-06-10, the first night of the calendar\n"
        "  fix: write first_as_of = 2025-06-09 into the settings, or choose a later night\n"
    )
    assert told.out == ""


def test_the_demo_leaves_other_peoples_data_alone(winback: Winback, tmp_path: Path) -> None:
    (tmp_path / "data" / "raw").mkdir(parents=True)
    (tmp_path / "data" / "raw" / "mine.csv").write_text("a\n1\n", encoding="utf-8")

    told = winback("demo", "--dir", tmp_path, "--users", 50)

    assert told.code == 1
    assert "does not say that it is simulated" in told.err
    assert (tmp_path / "data" / "raw" / "mine.csv").read_text(encoding="utf-8") == "a\n1\n"
    assert not (tmp_path / SETTINGS_FILE).exists()


def test_from_an_empty_folder_to_a_night(winback: Winback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "mine"
    made = winback("init", folder)
    assert (made.code, made.out.splitlines()[0]) == (0, f"wrote {folder / SETTINGS_FILE}")
    (folder / "data" / "raw" / "events" / "first.csv").write_text(EVENTS, encoding="utf-8")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)

    ran = winback("run", "--config", "../mine/winback.toml")

    assert ran.code == 0, ran.err
    assert f"{folder}/reports/2024-03-25/cohorts.csv" in ran.out
    assert sorted(path.name for path in folder.iterdir()) == ["data", "reports", "winback.toml"]
    assert list(elsewhere.iterdir()) == []
    manifest = json.loads((folder / "reports" / "2024-03-25" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["files"]["users.parquet"]["n_rows"] == 8


def test_a_backtest_draws_its_nights_and_writes_no_ledger(winback: Winback, tmp_path: Path) -> None:
    settings = small(tmp_path)
    dates = ("--from", "2024-03-01", "--to", "2024-03-25", "--every", "24")

    told = winback("backtest", "--config", settings, *dates)

    page = tmp_path / "reports" / "backtest" / "index.html"
    assert told.code == 0, told.err
    assert told.out.splitlines()[-1] == f"{page}  how each model did, night by night"
    assert "every one of them lacked the history" in page.read_text(encoding="utf-8")
    assert not (tmp_path / "data" / "lake" / "strategy" / "assignments").exists()
    assert sorted(path.name for path in (tmp_path / "reports").glob("2024-*")) == ["2024-03-01", "2024-03-25"]


def test_a_backtest_that_ends_before_it_begins_is_refused(winback: Winback, tmp_path: Path) -> None:
    told = winback("backtest", "--config", small(tmp_path), "--from", "2024-03-02", "--to", "2024-03-01")

    assert told.code == 1
    assert "swap --from and --to" in told.err


def test_init_does_not_overwrite(winback: Winback, tmp_path: Path) -> None:
    settings = small(tmp_path)

    told = winback("init", tmp_path)

    assert (told.code, told.err) == (
        1,
        f"error: {settings} exists\n  fix: edit that file, or name another folder\n",
    )
    assert settings.read_text(encoding="utf-8") == SETTINGS


BAD: dict[str, tuple[str | None, str, list[str], str, str]] = {
    "no events file": (None, SETTINGS, [], "sources.events.path: no file matches", "correct the path"),
    "an empty file": ("", SETTINGS, [], "events.csv is empty (0 bytes)", "deliver the file again"),
    "only a header": (
        "user_id,occurred_at,event_type\n",
        SETTINGS,
        [],
        "no row of it is an event of a known user",
        "deliver a file with events",
    ),
    "a column that is not there": (
        EVENTS.replace("occurred_at", "when", 1),
        SETTINGS,
        [],
        "events.csv has no column 'occurred_at'; it has user_id, when, event_type",
        "deliver a file with that column",
    ),
    "text in place of a time": (
        "user_id,occurred_at,event_type\na,yesterday,visit\n",
        SETTINGS,
        [],
        '1 of 1 rows are bad (100.0%, allowed 5.0%); the first is events.csv row 2: occurred_at: "yesterday" is not',
        "raise quality.max_quarantine_share",
    ),
    "a night of long ago": (
        EVENTS,
        SETTINGS,
        ["--as-of", "1980-01-01"],
        "as_of 1980-01-01 is before the first event, which is of 2024-01-01",
        "choose a night from 2024-01-01 on",
    ),
    "an unknown key": (EVENTS, "nonsense = 3\n" + SETTINGS, [], "nonsense = 3: unknown key", "write one of"),
    "broken settings": (EVENTS, "[sources", [], "winback.toml", ""),
}


@pytest.mark.parametrize("case", list(BAD))
def test_bad_input_is_told_in_one_message(winback: Winback, tmp_path: Path, case: str) -> None:
    events, settings, arguments, problem, fix = BAD[case]
    path = small(tmp_path, events=events, settings=settings)

    told = winback("run", "--config", path, *arguments)

    assert told.code == 1
    assert told.err.startswith("error: ") and told.err.count("error: ") == 1
    assert problem in told.err.splitlines()[0]
    assert len(told.err.splitlines()) == 2 and told.err.splitlines()[1].startswith("  fix: ")
    assert fix in told.err.splitlines()[1]
    assert not (tmp_path / "reports").exists()


@pytest.mark.parametrize("days_ahead", [0, 400])
def test_a_night_that_is_not_over_is_refused(winback: Winback, tmp_path: Path, days_ahead: int) -> None:
    asked = datetime.now(UTC).date() + timedelta(days=days_ahead)

    told = winback("run", "--config", small(tmp_path), "--as-of", asked)

    assert (told.code, told.err.splitlines()[0]) == (1, f"error: {asked} is not over in UTC")


def test_without_settings_the_command_says_how_to_get_them(
    winback: Winback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    told = winback("run")

    assert told.code == 1
    assert "winback init" in told.err and len(told.err.splitlines()) == 2
    missing = winback("run", "--config", tmp_path / "no.toml")
    assert missing.code == 1
    assert str(tmp_path / "no.toml") in missing.err


def test_an_unknown_option_is_a_usage_error() -> None:
    from dagster_project.cli import main

    assert CliRunner().invoke(main, ["run", "--as-of", "tomorrow"]).exit_code == 2
