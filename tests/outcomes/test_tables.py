"""What the tables say of themselves is what the functions make."""

import pytest

from dagster_project.lake.table_doc import TableDoc
from dagster_project.outcomes import tables
from dagster_project.outcomes.balance import BALANCE
from dagster_project.outcomes.differences import READOUTS
from dagster_project.outcomes.money import MONEY
from dagster_project.outcomes.power import POWER_SCHEMA
from dagster_project.outcomes.second_life import SECOND_LIFE
from dagster_project.outcomes.verdicts import DECISIONS, EXPERIMENTS
from outcomes.builders import entries


@pytest.mark.parametrize(
    ("doc", "columns"),
    [
        (tables.EXPERIMENTS, [*EXPERIMENTS, "decided_on"]),
        (tables.DECISIONS, list(DECISIONS)),
        (tables.BALANCE, list(BALANCE)),
        (tables.READOUTS, list(READOUTS)),
        (tables.MONEY, list(MONEY)),
        (tables.SECOND_LIFE, list(SECOND_LIFE)),
        (tables.POWER, list(POWER_SCHEMA)),
        (tables.ENTRIES, [*entries(1).drop("user_sk").columns, "is_randomised"]),
    ],
)
def test_every_column_is_documented_in_its_order(doc: TableDoc, columns: list[str]) -> None:
    assert list(doc.columns) == list(dict.fromkeys(columns))
