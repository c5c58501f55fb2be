"""What a user reads when the settings are wrong: each problem with file, key and value, each with its fix."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagster_project.errors import SettingsError
from dagster_project.settings.faults import FAULT_TYPE, suggest
from dagster_project.toml_lines import line_of

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

_LONGEST_VALUE = 80
_NO_ARTICLE = ("one of", "true or false")
_PHRASES = {
    "missing": "required key is missing",
    "extra_forbidden": "unknown key",
    "too_short": "is empty",
    "string_too_short": "is empty",
    "string_pattern_mismatch": "is not in the form that this key needs",
    "finite_number": "must be a finite number",
}


def settings_error(error: "ValidationError", *, path: Path, text: str) -> SettingsError:
    """Return one error that tells all problems of the file's text, each with its line, and how to mend each."""
    # Here, since only a failing load pays for building the schema.
    from dagster_project.settings.schema import settings_schema

    schema = settings_schema()
    problems, fixes = [], []
    for details in error.errors(include_url=False):
        where = tuple(str(part) for part in details["loc"])
        at = line_of(text, tuple(part for part in details["loc"] if part != "[key]"))
        place = f"{path}:{at}" if at else str(path)
        problems.append(f"{place}: {dotted(where)}{_shown(details)}: {_problem(details, where, schema=schema)}")
        fixes.append(f"{dotted(where)}: {_fix(details, where, schema=schema)}")
    return SettingsError("\n".join(problems), fix="\n       ".join(fixes))


def dotted(where: Sequence[str]) -> str:
    """Return the key as TOML writes it, with quotes where a part is not a bare word."""
    parts = [part for part in where if part != "[key]"]
    return ".".join(part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else f'"{part}"' for part in parts)


def _shown(details: "ErrorDetails") -> str:
    from dagster_project.settings.schema import as_toml

    value = details["input"]
    if details["type"] == "missing" or value is None or isinstance(value, Mapping) or "[key]" in details["loc"]:
        return ""
    text = " ".join(as_toml(value).split("\n"))
    return f" = {text if len(text) <= _LONGEST_VALUE else text[:_LONGEST_VALUE] + '…'}"


def _problem(details: "ErrorDetails", where: Sequence[str], *, schema: Mapping[str, Any]) -> str:
    from dagster_project.settings.schema import kind_of

    if details["type"] == FAULT_TYPE:
        return str(details["ctx"]["problem"])
    if "[key]" in details["loc"]:
        return "is not a valid name"
    if details["type"] in _PHRASES:
        return _PHRASES[details["type"]]
    kind = kind_of(_nearest(where, schema=schema))
    return f"must be {kind}" if kind.startswith(_NO_ARTICLE) else f"must be a {kind}"


def _fix(details: "ErrorDetails", where: Sequence[str], *, schema: Mapping[str, Any]) -> str:
    from dagster_project.settings.schema import as_toml, member, node_at

    if details["type"] == FAULT_TYPE:
        return str(details["ctx"]["fix"])
    if "[key]" in where:
        return "write small letters, digits and _, a letter first"
    if details["type"] == "extra_forbidden":
        parent = node_at(where[:-1], schema=schema) or {}
        return suggest(where[-1], parent.get("properties", ()))
    node = _nearest(where, schema=schema)
    if (node.get("properties") or member(node)) and not node.get("examples"):
        return _section_fix(tuple(where), node, schema=schema)
    if "description" not in node:  # a value of a mapping: what it means stands with the mapping
        return _fix(details, where[:-1], schema=schema)
    example = (node.get("examples") or [node.get("default")])[0]
    meaning = node["description"].removesuffix(".")
    return f"write e.g. {where[-1]} = {as_toml(example)} ({meaning})"


def _nearest(where: Sequence[str], *, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of the key, or of the innermost section or list around it that the schema knows."""
    from dagster_project.settings.schema import node_at

    lengths = range(len(where), -1, -1)
    return next(found for n in lengths if (found := node_at(where[:n], schema=schema)) is not None)


def _section_fix(where: tuple[str, ...], node: Mapping[str, Any], *, schema: Mapping[str, Any]) -> str:
    """Say which section to write, down to the first one that holds values."""
    from dagster_project.settings.schema import member, resolve

    below = member(node)
    if below is not None:
        return _section_fix((*where, "NAME"), resolve(below, schema=schema), schema=schema)
    required = node.get("required", ())
    if len(required) == 1:
        only = resolve(node["properties"][required[0]], schema=schema)
        if only.get("properties"):
            return _section_fix((*where, required[0]), only, schema=schema)
    keys = f"the keys {', '.join(required)}" if required else f"keys of {', '.join(node['properties'])}"
    return f"write a section [{dotted(where)}] with {keys}"
