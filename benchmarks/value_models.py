"""`python -m benchmarks.value_models`: what users spend, on two public logs, beside the references in the same run.

A log is cut at a past day, the night's own SQL and models see it up to that day, and the expected value that they
give is held against the money of the horizon after it.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from time import process_time

import polars as pl

from benchmarks.bars import Verdict, level_verdict, ranking_verdict, show_verdicts
from benchmarks.measure import REPOSITORY
from benchmarks.return_models import Cell, project_of
from benchmarks.tables import table
from dagster_project.defs.models import (
    FEATURES,
    OUTCOMES,
    USERS,
    make_return_spells,
    make_training_snapshots,
    stages_at,
)
from dagster_project.models.features import shared_features
from dagster_project.models.night import ModelSpec, fit_night
from dagster_project.models.relapse import fit_relapse
from dagster_project.models.returns import past_returns
from dagster_project.models.snapshots import labelled_snapshot, with_lapse
from dagster_project.models.value import fit_value
from dagster_project.models.value_table import SHIPPED, compare_values

TOTALS = (0.73, 1.15)  # predicted over actual: the range of the models of METHODS whose totals are least wrong
CELLS = (
    (Cell("cdnow", date(1997, 9, 30), 91, ()), 0.682),
    (Cell("cdnow", date(1997, 12, 31), 91, ()), 0.682),
    (Cell("online_retail", date(2011, 9, 10), 90, ()), 0.770),
)
FIGURES = ("n", "predicted_over_actual", "normalised_gini", "mae")


def main() -> int:
    """Run every cell and print its table and bars. The exit code is 1 if a bar is missed or a log is absent."""
    real_data = Path(os.environ.get("WINBACK_REAL_DATA", REPOSITORY.parent / "shared" / "data"))
    if not real_data.is_dir():
        print(f"NOT MEASURED: {real_data} is not there; set WINBACK_REAL_DATA", file=sys.stderr)
        return 1
    is_met = []
    wanted = set(sys.argv[1:])
    for cell, least_gini in CELLS:
        if wanted and cell.example not in wanted:
            continue
        with tempfile.TemporaryDirectory() as folder:
            is_met.append(measure(cell, least_gini, real_data=real_data, folder=Path(folder)))
    return 0 if all(is_met) else 1


def measure(cell: Cell, least_gini: float, *, real_data: Path, folder: Path) -> bool:
    """Print one cell; whether the shipped forecast meets both bars and is not ranked behind a reference."""
    spec = ModelSpec(as_of=cell.as_of, horizon_days=cell.horizon_days)
    project = project_of(cell, real_data=real_data, folder=folder)
    stages = stages_at(project, cell.as_of, horizon_days=cell.horizon_days)
    now = with_lapse(project.at(FEATURES, as_of=cell.as_of), stages).sort("user_id")
    training = make_training_snapshots(project, cell.as_of)
    night = fit_night(training, now, stages, make_return_spells(project, cell.as_of), spec=spec)
    closed_on = cell.as_of + timedelta(days=cell.horizon_days)
    came = project.compute(OUTCOMES, as_of=closed_on, window_days=cell.horizon_days)
    test = labelled_snapshot(now, came, cutoff=cell.as_of).sort("user_id")
    watch = process_time()
    worth = fit_value(
        shared_features(training, now).sort("cutoff", "user_id"),
        now,
        horizon_days=cell.horizon_days,
        value_per_active_day=spec.value_per_active_day,
    )
    seconds = process_time() - watch
    scores = night.scores.drop_nulls("p_active").sort("user_id")
    compared = compare_values(test, scores["p_active"].to_numpy(), model=worth)
    print(f"\n## {cell.example}, {cell.as_of}, {cell.horizon_days} days: fitted in {seconds:.0f} CPU s\n")
    print(table_of(compared))
    shipped = worth.value_if_returned(now) * scores["p_active"].to_numpy()
    assert abs(shipped.sum() / scores["expected_value"].sum() - 1) < 1e-9, "the night ships another forecast"
    returns = past_returns(project.at(USERS, as_of=cell.as_of), stages, as_of=cell.as_of)
    relapse = fit_relapse(returns)
    print(f"\nrelapse: {relapse.kind}, {returns.height} returns. {relapse.note or ''}\n")
    return show_verdicts(verdicts_of(compared, least_gini=least_gini))


def table_of(compared: pl.DataFrame) -> str:
    """Every forecast and population, one line each."""
    rows = [
        (row["population"], row["candidate"], f"{row['n']:,}", *(f"{row[figure]:.3f}" for figure in FIGURES[1:]))
        for row in compared.sort("population", maintain_order=True).iter_rows(named=True)
    ]
    return table(("population", "forecast", *FIGURES), rows)


def verdicts_of(compared: pl.DataFrame, *, least_gini: float) -> Iterator[Verdict]:
    """Order and total of the shipped forecast."""
    everybody = {row["candidate"]: row for row in compared.filter(population="all").iter_rows(named=True)}
    ginis = {name: row["normalised_gini"] for name, row in everybody.items()}
    totals = {name: row["predicted_over_actual"] for name, row in everybody.items()}
    rivals = {name: gini for name, gini in ginis.items() if name != SHIPPED}
    yield level_verdict("all: normalised gini", ginis[SHIPPED], low=least_gini)
    yield ranking_verdict("all: normalised gini beside references", ginis[SHIPPED], rivals=rivals)
    yield level_verdict("all: predicted over actual total", totals[SHIPPED], low=TOTALS[0], high=TOTALS[1])


if __name__ == "__main__":
    sys.exit(main())
