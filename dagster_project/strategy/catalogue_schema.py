"""The JSON Schema of a strategy file, for editors, and the tables of its page.

`python -m dagster_project.strategy.catalogue_schema` writes both to `docs/`.
"""

import json
from pathlib import Path

from dagster_project.strategy.catalogue_docs import PAGE, with_tables
from dagster_project.strategy.evidence import EVIDENCE
from dagster_project.strategy.forms import known_channels
from dagster_project.strategy.model import Strategy
from dagster_project.strategy.occasions import known_occasions
from dagster_project.strategy.words import SLOTS

SCHEMA_PATH = Path(__file__).parents[2] / "docs" / "strategies.schema.json"


def schema_text() -> str:
    """The schema as it must stand in `docs/strategies.schema.json`.

    `x-slots`, `x-evidence`, `x-occasions` and `x-forms` (by channel) list what templates and triggers may name.
    """
    schema = Strategy.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["x-slots"] = {name: slot.says for name, slot in SLOTS.items()}
    schema["x-evidence"] = dict(EVIDENCE)
    schema["x-occasions"] = sorted(known_occasions())
    schema["x-forms"] = {name: list(channel.forms) for name, channel in known_channels().items()}
    return json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    SCHEMA_PATH.write_text(schema_text(), encoding="utf-8", newline="\n")
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")
