"""The settings for editors and readers: a JSON Schema and a table of every key.

`python -m dagster_project.settings.schema` writes both into docs/; a test keeps them in step.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dagster_project.settings.model import Settings
from dagster_project.settings.tables import ATTRIBUTE_NAME, CANONICAL, MESSAGE_EVENTS, UNPIVOTED, CanonicalTable

SCHEMA_FILE = "settings.schema.json"
TABLE_FILE = "settings.md"

_PLACEHOLDERS = {"channels": "name", "sources": "table", "export.destinations": "name"}


def settings_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of winback.toml, with the columns of each canonical table."""
    schema = Settings.model_json_schema()
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "winback.toml",
        "description": "Settings of winback.",
    }
    tables = schema["$defs"]["Sources"]["properties"]
    for name, table in CANONICAL.items():
        tables[name] = {
            "$ref": "#/$defs/Source",
            "description": tables[name]["description"],
            "properties": {"columns": _columns_schema(table)},
        }
    messages = tables["message_events"]
    messages["properties"]["events"] = _events_schema()
    required = messages["properties"]["columns"]["required"]
    messages["properties"]["columns"]["required"] = [name for name in required if name not in UNPIVOTED]
    return schema


def _events_schema() -> dict[str, Any]:
    times = {
        name: {"type": "string", "description": "SQL expression of type timestamp; null: it did not happen."}
        for name in MESSAGE_EVENTS
    }
    return {"type": "object", "properties": times, "additionalProperties": False, "minProperties": 1}


def _columns_schema(table: CanonicalTable) -> dict[str, Any]:
    columns = {
        column.name: {"type": "string", "description": f"SQL expression of type {column.type}."}
        for column in table.columns.values()
    }
    closed: dict[str, Any] = {"additionalProperties": False}
    attributes: dict[str, Any] = {"propertyNames": {"pattern": f"^{ATTRIBUTE_NAME.pattern}$"}}
    extra = attributes if table.takes_attributes else closed
    return {"type": "object", "properties": columns, "required": list(table.required), **extra}


def resolve(node: Mapping[str, Any], *, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema node with its reference followed and the "or unset" alternative taken out."""
    flat = dict(node)
    if "$ref" in flat:
        target = schema["$defs"][flat.pop("$ref").rsplit("/", 1)[-1]]
        properties = {**target.get("properties", {}), **flat.get("properties", {})}
        flat = {**target, **flat, "properties": properties}
    options = [option for option in flat.get("anyOf", ()) if option.get("type") != "null"]
    if len(options) == 1:
        del flat["anyOf"]
        flat = {**resolve(options[0], schema=schema), **flat}
    return flat


def node_at(where: Sequence[str], *, schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the resolved schema node of a key, or None where the schema knows no such key."""
    node = resolve(schema, schema=schema)
    for part in where:
        below = node.get("properties", {}).get(part) or member(node)
        if below is None:
            return None
        node = resolve(below, schema=schema)
    return node


def member(node: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the schema of the values under names that the user makes up, if the node takes such names."""
    options = [*node.get("patternProperties", {}).values(), node.get("additionalProperties")]
    return next((option for option in options if isinstance(option, dict)), None)


def kind_of(node: Mapping[str, Any]) -> str:
    """Return in words which values a schema node takes."""
    if "enum" in node:
        return "one of " + ", ".join(map(as_toml, node["enum"]))
    if "anyOf" in node:
        return " or ".join(kind_of(option) for option in node["anyOf"])
    kind = str(node.get("type", "value"))
    if kind == "array":
        return "list of texts"
    if node.get("format") == "date":
        return "date"
    words = {"integer": "whole number", "boolean": "true or false", "object": "section", "string": "text"}
    return f"{words.get(kind, kind)}{_limits(node)}"


def _limits(node: Mapping[str, Any]) -> str:
    low, high = node.get("minimum"), node.get("maximum")
    if low is not None and high is not None:
        return f" from {low:g} to {high:.10g}"
    parts = {
        "minimum": "at least",
        "maximum": "at most",
        "exclusiveMinimum": "above",
        "exclusiveMaximum": "below",
    }
    found = [f"{words} {node[key]:g}" for key, words in parts.items() if key in node]
    return f" {' and '.join(found)}" if found else ""


def as_toml(value: object) -> str:
    """Return a value as one would write it in the settings file."""
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{key} = {as_toml(below)}' for key, below in value.items())} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(as_toml, value))}]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str | bool) else str(value)


def settings_table() -> str:
    """Return the Markdown page that lists every key with its type, default and meaning."""
    schema = settings_schema()
    lines = [
        "# Settings",
        "",
        "Every key of `winback.toml`. Written by `python -m dagster_project.settings.schema`; do not edit.",
        "One `[sources.events]` section is enough; all else has a default.",
        "Relative paths start at the folder of the settings file.",
        "",
        "| key | takes | default | meaning |",
        "|---|---|---|---|",
        *_rows(resolve(schema, schema=schema), prefix="", schema=schema),
        "",
        "## Columns of the canonical tables",
        "",
        "`sources.<table>.columns` maps these. Required ones are **bold**.",
        "Where attributes are taken, any further name becomes a feature and a breakdown.",
        "",
        "| table | columns | attributes |",
        "|---|---|---|",
        *(_table_row(table) for table in CANONICAL.values()),
        "",
        "Of assignments, the attributes `stage`, `reason`, `value_tier`, `template_id`, `p_return`, `uplift`,",
        "`value_if_returned` and `expected_cost` say what was known at entry, and `outcome_at` when the outcome came",
        "([outcomes.md](outcomes.md)).",
        "",
        "`message_events.code` is the provider's own word: the reason of a failure, and of an open that it was by",
        "proxy. The latter rests on words in `code` alone (a text with prefetch, machine_open, machine open or privacy",
        "protection, or the word true or mpp): map the provider's flag there. Without it only opens in haste or in",
        "bursts are a machine's.",
        "",
    ]
    return "\n".join(lines)


def _rows(node: Mapping[str, Any], *, prefix: str, schema: Mapping[str, Any]) -> Iterator[str]:
    required = node.get("required", ())
    for key, below in node["properties"].items():
        child = resolve(below, schema=schema)
        name = f"{prefix}{key}"
        if name in _PLACEHOLDERS:
            inner = member(child) or schema["$defs"]["Source"]
            yield from _rows(resolve(inner, schema=schema), prefix=f"{name}.<{_PLACEHOLDERS[name]}>.", schema=schema)
        elif child.get("properties"):
            yield from _rows(child, prefix=f"{name}.", schema=schema)
        else:
            yield _row(name, child, is_required=key in required)


def _row(name: str, node: Mapping[str, Any], *, is_required: bool) -> str:
    default = node.get("default")
    unset = "**required**" if is_required else "unset"
    shown = unset if default is None else f"`{_default_text(default, node)}`"
    return f"| `{name}` | {kind_of(node)} | {shown} | {node['description']} |"


def _default_text(default: object, node: Mapping[str, Any]) -> str:
    return str(default) if node.get("format") == "date" else as_toml(default)


def _table_row(table: CanonicalTable) -> str:
    columns = (
        f"{f'**{column.name}**' if column.is_required else column.name} ({column.type})"
        for column in table.columns.values()
    )
    return f"| {table.name} | {', '.join(columns)} | {'yes' if table.takes_attributes else 'no'} |"


def schema_text() -> str:
    """Return the JSON Schema as the text of its file."""
    return json.dumps(settings_schema(), indent=2, ensure_ascii=False) + "\n"


def write_docs(folder: Path) -> tuple[Path, Path]:
    """Write the schema and the table of keys into a folder; return their paths."""
    schema, table = folder / SCHEMA_FILE, folder / TABLE_FILE
    schema.write_text(schema_text(), encoding="utf-8", newline="\n")
    table.write_text(settings_table(), encoding="utf-8", newline="\n")
    return schema, table


if __name__ == "__main__":
    write_docs(Path(__file__).parents[2] / "docs")
