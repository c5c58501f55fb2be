"""Fixtures that tests of several packages share."""

import os
from collections.abc import Generator
from pathlib import Path

import pytest
from workbench import Workbench

REPOSITORY = Path(__file__).parent.parent


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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A skip is a failure for the kinds of test that WINBACK_REQUIRE names: there, nothing may be left untested."""
    report = yield
    required = set(os.environ.get("WINBACK_REQUIRE", "").split(",")) & {mark.name for mark in item.iter_markers()}
    if report.skipped and required:
        report.outcome = "failed"
        report.longrepr = f"WINBACK_REQUIRE={','.join(sorted(required))}, but it was skipped: {report.longrepr}"
    return report
