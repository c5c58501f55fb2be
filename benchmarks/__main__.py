"""`python -m benchmarks`: run them, print their tables, and keep them in docs/benchmarks.md only if told to."""

import argparse
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from benchmarks.incremental import LogSize, measure_increments
from benchmarks.measure import REPOSITORY
from benchmarks.scale import measure_scale
from benchmarks.tables import Section
from benchmarks.whole_night import FILE, measure_night

PAGE = REPOSITORY / "docs" / "benchmarks.md"
INTRODUCTION = """\
# What a night costs

Written by `python -m benchmarks --write`; `make bench` prints the same without writing. Every measurement is a process
of its own. CPU seconds are of all threads; peak MB is the largest resident memory during a stage, taken from the
kernel. Seconds move by a fifth from run to run on a shared machine: compare the ratios, and what stands in one table.
"""
COSTS = ("night", "increments", "scale")
BARS = {
    "returns": "return_models",
    "values": "value_models",
    "contracts": "contract_models",
    "lifts": "cold_start",
    "uplift": "uplift_models",
    "readouts": "readouts",
    "worlds": "strategy_worlds",
    "loop": "closed_loop",
}
BENCHMARKS = (*COSTS, *BARS)
LIBRARIES = ("duckdb", "polars", "dagster", "scikit-learn")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks that were asked for. The exit code is 1 if one could not be run or a bar was missed."""
    flags = parser()
    asked = flags.parse_args(arguments)
    if unknown := sorted(set(asked.which) - set(BENCHMARKS)):
        flags.error(f"there is no benchmark {unknown[0]!r}: name one of {', '.join(BENCHMARKS)}")
    if asked.write and not set(COSTS) <= set(asked.which):
        flags.error(f"--write wants {', '.join(COSTS)}, for the page holds all of them")
    sections: list[Section] = []
    is_whole = True
    if "night" in asked.which:
        if (asked.real_data / FILE).exists():
            sections.append(shown(measure_night(asked.real_data)))
        else:
            is_whole = False
            print(f"NOT MEASURED: {asked.real_data / FILE} is not there; set WINBACK_REAL_DATA", file=sys.stderr)
    if "increments" in asked.which:
        sections.append(shown(measure_increments(LogSize(asked.users, asked.events, asked.days))))
    if "scale" in asked.which:
        sections.append(shown(measure_scale(asked.scored_users)[0]))
    if asked.write and is_whole:
        PAGE.write_text(page(sections), encoding="utf-8", newline="\n")
        print(f"wrote {PAGE.relative_to(REPOSITORY)}")
    met = [are_bars_met(BARS[name], real_data=asked.real_data) for name in BARS if name in asked.which]
    return 0 if is_whole and all(met) else 1


def are_bars_met(module: str, *, real_data: Path) -> bool:
    """Run a script of models in a process of its own, which prints each bar; whether all are met."""
    environment = os.environ | {"WINBACK_REAL_DATA": str(real_data)}
    command = [sys.executable, "-m", f"benchmarks.{module}"]
    return subprocess.run(command, cwd=REPOSITORY, env=environment, check=False).returncode == 0


def parser() -> argparse.ArgumentParser:
    """The flags."""
    flags = argparse.ArgumentParser(
        prog="python -m benchmarks", description="What a night costs, and the bars of its models."
    )
    flags.add_argument("which", nargs="*", default=BENCHMARKS, help=f"of {', '.join(BENCHMARKS)}; all if none is named")
    flags.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    flags.add_argument("--users", type=int, default=50_000, help="of the simulated log (default: %(default)s)")
    flags.add_argument("--events", type=int, default=2_000_000, help="of the simulated log (default: %(default)s)")
    flags.add_argument("--days", type=int, default=365, help="of the simulated log (default: %(default)s)")
    flags.add_argument(
        "--scored-users", type=int, default=10_000_000, help="users of the benchmark scale (default: %(default)s)"
    )
    default = os.environ.get("WINBACK_REAL_DATA", REPOSITORY.parent / "shared" / "data")
    flags.add_argument(
        "--real-data", type=Path, default=Path(default), help="folder of the real sets (default: WINBACK_REAL_DATA)"
    )
    return flags


def shown(section: Section) -> Section:
    """The section, printed as soon as it is known."""
    print(section.markdown, flush=True)
    return section


def page(sections: Sequence[Section]) -> str:
    """The whole page."""
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    machine = f"Measured on {os.cpu_count()} cores, Python {platform.python_version()}, {libraries}.\n"
    return "\n".join([INTRODUCTION, machine, *(section.markdown for section in sections)])


if __name__ == "__main__":
    sys.exit(main())
