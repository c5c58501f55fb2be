"""A settings file on disk, written from the text that a test holds."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from dagster_project.errors import SettingsError
from dagster_project.settings import Settings, load_settings

MINIMAL = """
[sources.events]
path = "events.csv"
columns = { user_id = "id", occurred_at = "at", event_type = "'visit'" }
"""


@pytest.fixture
def minimal() -> str:
    return MINIMAL


@pytest.fixture
def load(tmp_path: Path) -> Callable[[str], Settings]:
    def write_and_load(text: str) -> Settings:
        path = tmp_path / "winback.toml"
        path.write_text(text, encoding="utf-8")
        return load_settings(path)

    return write_and_load


@pytest.fixture
def refused(load: Callable[[str], Settings], tmp_path: Path) -> Callable[[str], tuple[list[str], list[str]]]:
    """Return the problems and the fixes, one a line, without the folder of the test and the numbers of lines."""

    def problems_of(text: str) -> tuple[list[str], list[str]]:
        with pytest.raises(SettingsError) as caught:
            load(text)
        told = caught.value.problem.replace(f"{tmp_path}/", "").splitlines()
        problems = [re.sub(r"^winback[.]toml:[0-9]+: ", "winback.toml: ", line) for line in told]
        return problems, [line.strip() for line in caught.value.fix.splitlines()]

    return problems_of
