"""A whole night on Online Retail, stage by stage, against one bare DuckDB scan of the same file."""

import re
import statistics
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.measure import REPOSITORY, run_child
from benchmarks.tables import Section, table

AS_OF = "2011-12-09"
FILE = Path("online_retail") / "online_retail.parquet"
SCAN = "select count(*), sum(Quantity * UnitPrice) from read_parquet($path)"
STAGES = (
    "import",
    "start",
    "take in",
    "staging",
    "intermediate",
    "marts",
    "lifecycle",
    "models",
    "reach",
    "strategy",
    "cohorts",
    "files",
    "warehouse",
    "end",
)
RENAMED = {"ingest": "take in", "reports__night_files": "files", "reports__warehouse": "warehouse"}


def measure_night(real_data: Path) -> Section:
    """The table of one night's stages."""
    file = real_data / FILE
    scan = run_child("bare_scan", path=str(file), query=SCAN)
    scan_s = statistics.median(scan.answer)
    with tempfile.TemporaryDirectory() as folder:
        settings = settings_of_online_retail(real_data, Path(folder))
        done = run_child("night", settings=str(settings), as_of=AS_OF)
    stages = by_stage(done.answer)
    rows = [cost_row(stage, stages[stage], scan_s) for stage in STAGES if stage in stages]
    # what the kernel tells at the end starts from the last reset of the peak, hence the highest of the stages
    peak_mb = max(done.cost.peak_mb, *(stage["peak_mb"] for stage in stages.values()))
    whole = {"wall_s": done.cost.wall_s, "cpu_s": done.cost.cpu_s, "peak_mb": peak_mb}
    process = {"wall_s": scan.cost.wall_s, "cpu_s": scan.cost.cpu_s, "peak_mb": scan.cost.peak_mb}
    alone = {"wall_s": scan_s, "cpu_s": None, "peak_mb": None}
    rows += [
        cost_row("**whole process**", whole, scan_s),
        cost_row("bare scan: process", process, scan_s),
        cost_row("bare scan: query alone, median", alone, scan_s),
    ]
    return Section(
        title="A whole night on Online Retail (541,909 rows)",
        text="From the file to the report in one process, on an empty data folder. `import` is everything before "
        "Dagster makes the run, `start` what it writes down before the first step. "
        f"The bare scan is `{SCAN.replace('$path', '…')}` on the same file in the same run.",
        table=table(("stage", "wall s", "CPU s", "peak MB", "× scan query"), rows),
        said=f"whole night ÷ bare scan, process by process: {done.cost.wall_s / scan.cost.wall_s:.0f} × in wall time, "
        f"{done.cost.cpu_s / scan.cost.cpu_s:.0f} × in CPU time, "
        f"{peak_mb / scan.cost.peak_mb:.1f} × in memory.",
    )


def settings_of_online_retail(real_data: Path, folder: Path) -> Path:
    """The example's settings, copied, with data and reports under `folder`."""
    text = (REPOSITORY / "data" / "examples" / "online_retail.toml").read_text(encoding="utf-8")
    text = text.replace("../../../shared/data/", f"{real_data.resolve()}/")
    text = re.sub(r'^(data|reports) = ".*"$', r'\1 = "\1"', text, flags=re.MULTILINE)
    path = folder / "online_retail.toml"
    path.write_text(text, encoding="utf-8")
    return path


def by_stage(laps: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """The laps of the steps added up by stage; the peak is the highest of them."""
    stages: dict[str, dict[str, float]] = {}
    for lap in laps:
        step = lap["step"]
        name = RENAMED.get(step) or RENAMED.get(step.split("__")[0]) or step.split("__")[0]
        known = stages.setdefault(name, {"wall_s": 0.0, "cpu_s": 0.0, "peak_mb": 0.0})
        known["wall_s"] += lap["wall_s"]
        known["cpu_s"] += lap["cpu_s"]
        known["peak_mb"] = max(known["peak_mb"], lap["peak_mb"])
    return stages


def cost_row(name: str, cost: dict[str, Any], scan_s: float) -> tuple[str, ...]:
    """One line of the table."""
    cpu, peak = cost["cpu_s"], cost["peak_mb"]
    return (
        name,
        f"{cost['wall_s']:.3f}" if cost["wall_s"] < 1 else f"{cost['wall_s']:.1f}",
        "" if cpu is None else f"{cpu:.2f}",
        "" if peak is None else f"{peak:.0f}",
        f"{cost['wall_s'] / scan_s:,.0f}",
    )
