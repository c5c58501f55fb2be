"""Finding and reading winback.toml. What it may hold is `model`'s; how problems are told is `problems`'."""

import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dagster_project.errors import SettingsError
from dagster_project.settings.model import Settings
from dagster_project.settings.problems import settings_error

SETTINGS_FILE = "winback.toml"

_SMALLEST = (
    "write at least a [sources.events] section with path and columns"
    " = { user_id = ..., occurred_at = ..., event_type = ... }; `winback init DIR` writes an example"
)


def load_settings(path: Path) -> Settings:
    """Return the settings that a file holds, checked; relative paths in it start at its own folder.

    Raises `SettingsError`: the file is missing, a folder, unreadable, not UTF-8, empty or not TOML; or it has
    unknown keys, wrong types or impossible values, all of which the one error names.
    """
    text = _text(path)
    document = _parsed(text, path=path)
    if not document:
        raise SettingsError(f"{path}: the settings file is empty", fix=_SMALLEST)
    if "root" in document:
        raise SettingsError(f"{path}: root: unknown key", fix="drop root: it is the folder of this file")
    try:
        return Settings.model_validate({**document, "root": path.parent.resolve()})
    except ValidationError as error:
        raise settings_error(error, path=path, text=text) from error


def find_settings(start: Path) -> Path:
    """Return the nearest winback.toml, in `start` or a folder above it.

    Raises `SettingsError` if there is none.
    """
    folder = start.resolve()
    for candidate in (folder, *folder.parents):
        if (candidate / SETTINGS_FILE).is_file():
            return candidate / SETTINGS_FILE
    raise SettingsError(
        f"no {SETTINGS_FILE} in {folder} or above it",
        fix="go to its folder, name it with --config, or write one with `winback init DIR`",
    )


def _text(path: Path) -> str:
    try:
        # Some Windows editors put a byte order mark in front, which TOML does not know.
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        fix = "name another file with --config, or write one with `winback init DIR`"
        raise SettingsError(f"{path}: there is no such settings file", fix=fix) from error
    except IsADirectoryError as error:
        fix = f"name the file in it, e.g. {path / SETTINGS_FILE}"
        raise SettingsError(f"{path}: is a folder, not a settings file", fix=fix) from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        problem = f"{path}: line {line} is not UTF-8 text"
        raise SettingsError(problem, fix="save the file with the encoding UTF-8") from error
    except OSError as error:
        problem = f"{path}: cannot be read ({error.strerror})"
        raise SettingsError(problem, fix="check the path and its permissions") from error


def _parsed(text: str, *, path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        problem = f"{path}: not valid TOML: {error}"
        fix = "mend the line named; texts need quotes, a key stands once per section"
        raise SettingsError(problem, fix=fix) from error
