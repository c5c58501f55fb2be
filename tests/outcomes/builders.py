"""Literal assignments and entries for the tests of this package."""

from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import polars as pl

from dagster_project.outcomes.counting import OUTCOMES
from dagster_project.outcomes.entries import ENTRIES, Assignments, assignment_rows
from dagster_project.outcomes.faults import FAULTS
from dagster_project.outcomes.readout import ReadoutRules, Readouts, read_experiments

NIGHT = date(2024, 6, 1)
NO_FAULT = FAULTS.to_frame()


def rows(*given: dict[str, Any]) -> Assignments:
    """Assignments that name only what matters: a sound import of one experiment else."""
    plain = {"experiment_id": "e", "arm": "treat", "assigned_on": date(2024, 3, 1), "propensity": 0.5}
    plain |= {"origin": "imported"}
    return assignment_rows(pl.DataFrame([{**plain, **row} for row in given], infer_schema_length=None))


def entries(n: int, **columns: Any) -> pl.DataFrame:
    """Entries of one experiment, all of whose days are over; a column is one value for all or one each."""
    whole = pl.Schema({**ENTRIES, **OUTCOMES})
    plain: dict[str, Any] = {
        "experiment_id": "e",
        "arm": "treat",
        "assigned_on": date(2023, 1, 1),
        "origin": "imported",
        "n_days_seen": 500,
        "n_active_days_before": 0,
    }
    made = pl.DataFrame({"user_id": [f"u{i:05d}" for i in range(n)]})
    for name, value in {**plain, **columns}.items():
        column = pl.lit(value) if not hasattr(value, "__len__") or isinstance(value, str) else pl.Series(value)
        made = made.with_columns(column.alias(name))
    absent = [pl.lit(None, dtype=kind).alias(name) for name, kind in whole.items() if name not in made.columns]
    return made.with_columns(absent).select(list(whole)).cast(whole)


def at(day: int, hour: int = 12) -> datetime:
    return datetime(2024, 3, day, hour, tzinfo=UTC)


def read(frame: pl.DataFrame, faults: pl.DataFrame = NO_FAULT, *, days: int = 28) -> Readouts:
    return read_experiments(frame, faults, rules=ReadoutRules(decision_days=days, margin_share=1.0))


def sound(n: int = 8_000, *, lift: float = 0.1, seed: int = 1, **columns: Any) -> pl.DataFrame:
    """Half treated, a tenth of the others come back, `lift` more of the treated."""
    rng = np.random.default_rng(seed)
    treated = rng.random(n) < 0.5
    back = rng.random(n) < 0.1 + lift * treated
    return entries(
        n,
        **{
            "arm": np.where(treated, "treat", "control"),
            "propensity": 0.5,
            "returned_after": [5 if b else None for b in back],
            **columns,
        },
    )


def only(frame: pl.DataFrame, **wanted: Any) -> dict[str, Any]:
    return frame.filter(*(pl.col(name) == value for name, value in wanted.items())).row(0, named=True)


def decision(frame: pl.DataFrame, **faults: Any) -> str:
    return str(read(frame, **faults).experiments["decision"][0])
