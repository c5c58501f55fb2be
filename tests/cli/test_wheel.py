"""The package as a wheel holds it: without the files of the repository around it."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ASK = """
from dagster_project.definitions import defs
from dagster_project.lake.sql_model import load_models, sql_root
from dagster_project.strategy.catalogue import load_catalogue
import dagster_project
print(dagster_project.__file__)
print(sql_root())
print(len(list(defs().resolve_all_asset_specs())) > len(load_models()) > 0, len(load_catalogue().strategies) > 0)
"""


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """What the build copies to where it copies it, by pyproject.toml."""
    built = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]["targets"]
    for package in built["wheel"]["packages"]:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    for source, target in built["wheel"]["force-include"].items():
        shutil.copytree(ROOT / source, tmp_path / target)
    return tmp_path


def test_an_installed_package_needs_nothing_of_the_repository(installed: Path) -> None:
    asked = subprocess.run(
        [sys.executable, "-c", ASK], cwd=installed, env={**os.environ}, capture_output=True, text=True, check=False
    )

    assert asked.returncode == 0, asked.stderr
    package = installed / "dagster_project"
    assert asked.stdout.splitlines() == [str(package / "__init__.py"), str(package / "sql"), "True True"]
    assert asked.stderr == ""
    assert (package / "reports" / "report.html.j2").is_file()
