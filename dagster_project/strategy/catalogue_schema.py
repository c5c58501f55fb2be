"""The JSON Schema of a strategy file, for editors.

`python -m dagster_project.strategy.catalogue_schema` writes it to `docs/`.
"""

import json
from pathlib import Path

from dagster_project.strategy.model import Strategy
from dagster_project.strategy.words import SLOTS

SCHEMA_PATH = Path(__file__).parents[2] / "docs" / "strategies.schema.json"


def schema_text() -> str:
    """The schema as it must stand in `docs/strategies.schema.json`; `x-slots` lists the template slots."""
    schema = Strategy.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["x-slots"] = {name: slot.says for name, slot in SLOTS.items()}
    return json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    SCHEMA_PATH.write_text(schema_text(), encoding="utf-8", newline="\n")
