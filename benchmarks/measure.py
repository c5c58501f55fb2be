"""Seconds and memory of a piece of work in a process of its own.

Linux keeps the peak of a process over an exec, so whoever starts a child must itself be small: nothing heavy is
imported here.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
RSS_UNIT_BYTES = 1 if sys.platform == "darwin" else 1024
CLEAR_PEAK = Path("/proc/self/clear_refs")  # Linux only, as the next two
STATUS = Path("/proc/self/status")
IO = Path("/proc/self/io")


@dataclass(frozen=True)
class Cost:
    """What a stage, or a whole process, took. `peak_mb` is the largest resident memory during it."""

    wall_s: float
    cpu_s: float
    peak_mb: float


@dataclass(frozen=True)
class Finished:
    """A child that ended well: its cost as the kernel tells it, and what it had to say."""

    cost: Cost
    answer: Any


class ChildFailedError(RuntimeError):
    """A measured process ended badly. Its own words stand above."""


def run_child(task: str, **arguments: Any) -> Finished:
    """Run a task of `benchmarks.tasks` in a new process.

    Raises:
        ChildFailedError: it did not end well.
    """
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        asked = [sys.executable, "-m", "benchmarks.tasks", task, json.dumps(arguments, default=str), str(answer)]
        started = time.perf_counter()
        child = subprocess.Popen(asked, cwd=REPOSITORY, stdin=subprocess.DEVNULL)
        _, status, used = os.wait4(child.pid, 0)
        wall_s = time.perf_counter() - started
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            raise ChildFailedError(f"{task} ended with code {child.returncode}")
        cost = Cost(wall_s, used.ru_utime + used.ru_stime, used.ru_maxrss * RSS_UNIT_BYTES / 1e6)
        return Finished(cost, json.loads(answer.read_text(encoding="utf-8")))


class Stopwatch:
    """Splits the time of this process into laps: wall, CPU (all threads), peak memory, bytes read."""

    def __init__(self) -> None:
        self._start()

    def lap(self) -> dict[str, float]:
        """What was used since the last lap, and a new lap begun."""
        wall, cpu, read = time.perf_counter(), time.process_time(), bytes_read()
        spent = asdict(Cost(wall - self._wall, cpu - self._cpu, peak_mb()))
        spent["read_mb"] = (read - self._read) / 1e6
        self._start()
        return spent

    def _start(self) -> None:
        if CLEAR_PEAK.exists():
            CLEAR_PEAK.write_text("5", encoding="ascii")  # proc(5): resets the peak to what is resident now
        self._wall, self._cpu, self._read = time.perf_counter(), time.process_time(), bytes_read()


def peak_mb() -> float:
    """The largest resident memory since it was last reset; since the start where that cannot be done."""
    if STATUS.exists():
        (line,) = [line for line in STATUS.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM")]
        return int(line.split()[1]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_UNIT_BYTES / 1e6


def bytes_read() -> int:
    """Bytes that this process has asked files for, cached or not; 0 where the system does not tell."""
    if not IO.exists():
        return 0
    return int(IO.read_text(encoding="ascii").splitlines()[0].split()[1])
