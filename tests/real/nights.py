"""Whole nights on the example settings: run by the command in a process of its own, and what they left behind."""

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

EXAMPLES = Path(__file__).parents[2] / "data" / "examples"
# A child is charged with the memory of the process that started it (Linux keeps the maximum over an exec), so a
# small process stands between the tests and the command.
MEASURED = """\
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
print("peak", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""
COMMAND = "from dagster_project.cli import main; main()"
RSS_UNIT_BYTES = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True)
class Night:
    """A night that was run: where its files are, what the command said, how much memory it took at most."""

    settings: Path
    folder: Path
    said: str
    peak_bytes: int

    @cached_property
    def metrics(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "metrics.json").read_text(encoding="utf-8"))
        return found

    @cached_property
    def users(self) -> pl.DataFrame:
        return pl.read_parquet(self.folder / "users.parquet")

    def listed(self, name: str) -> pl.DataFrame:
        return pl.read_csv(self.folder / name, infer_schema_length=None, schema_overrides={"user_id": pl.String})

    def bytes_by_file(self) -> dict[str, bytes]:
        files = sorted(path for path in self.folder.rglob("*") if path.is_file())
        return {path.relative_to(self.folder).as_posix(): path.read_bytes() for path in files}


def settings_of(example: str, *, real_data: Path, folder: Path) -> Path:
    """An example's settings, copied, with its data and reports under `folder`."""
    text = (EXAMPLES / f"{example}.toml").read_text(encoding="utf-8")
    text = text.replace("../../../shared/data/", f"{real_data.resolve()}/")
    text = re.sub(r"^data = .*$", 'data = "data"', text, flags=re.MULTILINE)
    text = re.sub(r"^reports = .*$", 'reports = "reports"', text, flags=re.MULTILINE)
    path = folder / f"{example}.toml"
    path.write_text(text, encoding="utf-8")
    return path


def run(settings: Path) -> Night:
    """Run the newest night of a settings file to its end."""
    asked = [sys.executable, "-c", MEASURED, sys.executable, "-c", COMMAND, "run", "--config", str(settings)]
    done = subprocess.run(asked, cwd=settings.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    peak = int(re.findall(r"^peak (\d+)$", done.stdout, re.MULTILINE)[-1])
    (folder,) = [path for path in (settings.parent / "reports").glob("????-??-??") if path.is_dir()]
    return Night(settings=settings, folder=folder, said=done.stdout, peak_bytes=peak * RSS_UNIT_BYTES)
