"""Fixtures that tests of several packages share."""

import os
import shutil
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from workbench import Workbench

# A busy machine is slow, not wrong: no test fails for its time.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

REPOSITORY = Path(__file__).parent.parent
CHROMIUM_ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture
def workbench(tmp_path: Path) -> Workbench:
    return Workbench(tmp_path)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of the real data sets, of which none may be committed."""
    folder = Path(os.environ.get("WINBACK_REAL_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"REAL DATA NOT TESTED: there is no folder {folder}; set WINBACK_REAL_DATA to where it lies")
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's Chromium without a window, for one module: while it is open its event loop is in Dagster's way."""
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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A skip is a failure for the kinds of test that WINBACK_REQUIRE names: there, nothing may be left untested."""
    report = yield
    required = set(os.environ.get("WINBACK_REQUIRE", "").split(",")) & {mark.name for mark in item.iter_markers()}
    if report.skipped and required:
        report.outcome = "failed"
        report.longrepr = f"WINBACK_REQUIRE={','.join(sorted(required))}, but it was skipped: {report.longrepr}"
    return report
