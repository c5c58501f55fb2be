from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dagster_project.settings.schema import (
    SCHEMA_FILE,
    TABLE_FILE,
    as_toml,
    kind_of,
    node_at,
    schema_text,
    settings_schema,
    settings_table,
)

DOCS = Path(__file__).parents[2] / "docs"
REWRITE = "run `python -m dagster_project.settings.schema`"


def _properties(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for section, definition in [("", schema), *schema["$defs"].items()]:
        for key, node in definition.get("properties", {}).items():
            yield f"{section}.{key}", node


def test_the_schema_in_docs_is_that_of_the_code():
    assert (DOCS / SCHEMA_FILE).read_text(encoding="utf-8") == schema_text(), REWRITE


def test_the_table_in_docs_is_that_of_the_code():
    assert (DOCS / TABLE_FILE).read_text(encoding="utf-8") == settings_table(), REWRITE


def test_every_key_has_a_description():
    schema = settings_schema()
    sections = {"paths", "quality", "churn", "holdout", "budget", "value", "caps", "compliance"}
    sections |= {"models", "schedule", "strategies", "engine", "export"}  # described where they are defined
    undescribed = {name for name, node in _properties(schema) if not node.get("description")}
    assert undescribed <= {f".{section}" for section in sections}
    assert all("description" in definition for definition in schema["$defs"].values())


def test_what_the_loader_sets_is_not_for_the_user_to_write():
    schema = settings_schema()
    assert "root" not in schema["properties"]
    assert "table" not in schema["$defs"]["Source"]["properties"]


def test_every_table_names_its_own_columns():
    schema = settings_schema()
    events = node_at(("sources", "events", "columns"), schema=schema)
    users = node_at(("sources", "users", "columns"), schema=schema)
    assert events["required"] == ["user_id", "occurred_at", "event_type"]
    assert events["additionalProperties"] is False
    assert users["propertyNames"] == {"pattern": "^[a-z][a-z0-9_]*$"}


def test_a_channel_of_any_name_is_found():
    schema = settings_schema()
    assert kind_of(node_at(("channels", "sms", "cost"), schema=schema)) == "number at least 0"
    assert node_at(("channels", "sms", "price"), schema=schema) is None


def test_values_are_shown_as_toml_writes_them():
    assert as_toml({"a": [1, 2.5, "x"], "b": True}) == '{ a = [1, 2.5, "x"], b = true }'
