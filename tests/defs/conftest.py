"""One company whose night was run once, for all tests that only look at it or copy it."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from defs.worlds import NIGHT, Company, definitions, known_until, world, write


@pytest.fixture(scope="session", autouse=True)
def loaded_without_settings() -> dg.Definitions:
    return definitions()


@pytest.fixture(autouse=True)
def restored_environment() -> Iterator[None]:
    """The command names its settings and its home to Dagster by the environment."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@dataclass(frozen=True)
class Run:
    company: Company
    events: str


@pytest.fixture(scope="session")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    company = write(known_until(world(), NIGHT), tmp_path_factory.mktemp("company") / "past")
    with dg.DagsterInstance.ephemeral() as instance:
        result = company.run(NIGHT, instance=instance)
        records = instance.all_logs(result.run_id)
    return Run(company, "\n".join(dg.serialize_value(record) for record in records))


@pytest.fixture(scope="session")
def past(first_run: Run) -> Company:
    """A company that knows nothing later than the night, which was run. Copy it to change it."""
    return first_run.company


@pytest.fixture
def copied(past: Company, tmp_path: Path) -> Company:
    return past.copy(tmp_path / "copy")
