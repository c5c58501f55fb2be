"""One company whose night was run once, for all tests that only look at it or copy it; a browser."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from reports.conftest import CHROMIUM_ARGS

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


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """For one module only: while it is open its event loop is in the way of Dagster's."""
    executable = shutil.which("chromium")
    if executable is None:
        pytest.skip("NOT LOOKED AT: no `chromium` on this machine, so no page was opened (apt-get install chromium)")
    api = pytest.importorskip(
        "playwright.sync_api", reason="NOT LOOKED AT: playwright is not installed (pip install playwright)"
    )
    with api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=executable, args=CHROMIUM_ARGS)
        yield chromium
        chromium.close()


@pytest.fixture
def copied(past: Company, tmp_path: Path) -> Company:
    return past.copy(tmp_path / "copy")
