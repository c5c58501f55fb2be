"""Reading one folder of strategy files: what is wrong in them, with file and line, and what is right."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dagster_project.errors import CatalogueError
from dagster_project.strategy.model import Strategy
from dagster_project.strategy.words import LOCALES, MISFIT
from dagster_project.toml_lines import KeyPath, line_of


@dataclass(frozen=True, order=True)
class StrategyFault:
    """Something wrong with a strategy. `place` is file and line; `sits_out`: the whole of it is not used."""

    strategy_id: str
    place: str
    problem: str
    fix: str
    sits_out: bool = True

    @property
    def sentence(self) -> str:
        """Where, and what."""
        return f"{self.place}: {self.problem}"


@dataclass(frozen=True, kw_only=True)
class StrategyFile:
    """One file: its strategy, or None and the faults why not. `strategy_id` of a broken one is what it says it is."""

    path: Path
    text: str
    strategy_id: str
    strategy: Strategy | None = None
    faults: tuple[StrategyFault, ...] = field(default=())

    def fault(self, key: str, problem: str, *, fix: str, at: KeyPath | None = None) -> StrategyFault:
        """A fault of this file at a key, whose line is looked up; `at`: the key where `key` is not a plain name."""
        return StrategyFault(self.strategy_id, placed(self.path, self.text, at or (key,)), f"{key}: {problem}", fix)


def read_folder(folder: Path) -> Mapping[str, StrategyFile]:
    """Every `*.toml` of a folder by strategy id. An id used again counts as a fault of the later file.

    Raises:
        CatalogueError: the folder has no such file.
    """
    paths = sorted(folder.glob("*.toml"))
    if not paths:
        raise CatalogueError(f"{folder}: no strategy files (*.toml)", fix="name a folder that holds some")
    found: dict[str, StrategyFile] = {}
    for path in paths:
        file = read_file(path)
        if file.strategy_id in found:
            first = found[file.strategy_id].path.name
            said = f"'{file.strategy_id}' is already used in {first}"
            fault = file.fault("id", said, fix="give each strategy its own id")
            found[f"{file.strategy_id} ({path.name})"] = StrategyFile(
                path=path, text=file.text, strategy_id=file.strategy_id, faults=(fault,)
            )
        else:
            found[file.strategy_id] = file
    return found


def read_file(path: Path) -> StrategyFile:
    """A file as a strategy, or as everything that is wrong with it."""
    try:
        text = path.read_text(encoding="utf-8")
        content = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        fault = StrategyFault(path.stem, path.name, f"not readable as TOML: {error}", "mend the file's syntax")
        return StrategyFile(path=path, text="", strategy_id=path.stem, faults=(fault,))
    said = content.get("id")
    strategy_id = said if isinstance(said, str) else path.stem
    try:
        strategy = Strategy.model_validate(content)
    except ValidationError as error:
        faults = tuple(_as_fault(strategy_id, path, text, details) for details in _own_errors(error))
        return StrategyFile(path=path, text=text, strategy_id=strategy_id, faults=faults)
    return StrategyFile(path=path, text=text, strategy_id=strategy_id, strategy=strategy)


def placed(path: Path, text: str, at: KeyPath) -> str:
    """File and line of a key."""
    line = line_of(text, at)
    return path.name if line is None else f"{path.name}:{line}"


def _own_errors(error: ValidationError) -> list[Any]:
    """The errors, without those of a list that is too short only because what stood in it was refused."""
    errors: list[Any] = list(error.errors(include_url=False))
    within = {one["loc"][:-1] for one in errors}
    return [one for one in errors if not (one["type"] == "too_short" and one["loc"] in within)]


def _as_fault(strategy_id: str, path: Path, text: str, details: Any) -> StrategyFault:
    where: KeyPath = details["loc"]
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in where).lstrip(".") or "strategy"
    at = (*where, *details["ctx"]["at"]) if details["type"] == MISFIT else where
    problem, fix = _told(key, details)
    return StrategyFault(strategy_id, placed(path, text, at), f"{key}: {problem}", fix)


def _told(key: str, details: Any) -> tuple[str, str]:
    """What is wrong, and what to do."""
    match details["type"]:
        case "extra_forbidden":
            return "unknown key", "remove it or correct its spelling"
        case "missing":
            what = "missing locale" if key.rsplit(".", 1)[-1] in LOCALES else "missing key"
            return what, f"add {key} to the file"
    said = details["msg"].removeprefix("Value error, ")
    value = details["input"] if isinstance(details["input"], str | int | float) else None
    shown = f" (got {value!r})" if value is not None else ""
    return f"{said}{shown}", f"correct {key}; see docs/strategies.schema.json"
