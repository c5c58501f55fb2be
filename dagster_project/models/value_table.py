"""The forecast of value beside what plainer ones would have said of the same users, in one table."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import polars as pl

from dagster_project.models import metrics
from dagster_project.models.value import ValueModel, actual_outcomes, numbers

Floats = npt.NDArray[np.float64]

SHIPPED = "shipped"
PRIOR_DAYS = 4.0  # weight of the population's mean in the shrunk mean of the reference

VALUE_COMPARISON_SCHEMA = pl.Schema(
    {
        "candidate": pl.String,
        "population": pl.String,
        "n": pl.Int64,
        "predicted_total": pl.Float64,
        "actual_total": pl.Float64,
        "predicted_over_actual": pl.Float64,
        "normalised_gini": pl.Float64,
        "mae": pl.Float64,
    }
)


def compare_values(test: pl.DataFrame, p_active: Floats, *, model: ValueModel) -> pl.DataFrame:
    """One row per candidate and population (all, lapsed): value forecast of a horizon against what came.

    Candidates: `shipped` (p_active × value_if_returned), `mbg_nbd_gamma_gamma` (no outcome learnt),
    `shrunk_mean` (past pace × own spend drawn to the mean by four days), `history_total` (all that was
    ever spent: an order, not a forecast). MAE in currency. The lapsed are left out where there are none. `model`
    must have been fitted on nothing later than `test`'s cutoff.
    """
    ordered = test.with_columns(pl.Series("p_active", p_active)).sort("user_id")
    actual = actual_outcomes(ordered, model=model)[1]
    lapsed = ordered["is_lapsed"].fill_null(False).to_numpy()
    populations = {"all": np.ones(len(actual), dtype=np.bool_), "lapsed": lapsed}
    rows = [
        _row(candidate, population, actual=actual[mask], predicted=predicted[mask])
        for candidate, predicted in forecasts(ordered, model=model).items()
        for population, mask in populations.items()
        if mask.any()
    ]
    return pl.DataFrame(rows, schema=VALUE_COMPARISON_SCHEMA)


def forecasts(rows: pl.DataFrame, *, model: ValueModel) -> Mapping[str, Floats]:
    """Expected value of each row by each candidate; `rows` are user features with `p_active`."""
    days = np.maximum(numbers(rows, "n_active_days", fill=0), 0)
    tenure = np.maximum(numbers(rows, "tenure_days", fill=0), 1)
    default = model.value_per_active_day * days
    total = np.maximum(numbers(rows, "amount_total", fill=0) if model.has_amounts else default, 0)
    mean = total.sum() / max(days.sum(), 1.0)
    per_day = (total + PRIOR_DAYS * mean) / (days + PRIOR_DAYS)
    return {
        SHIPPED: rows["p_active"].to_numpy() * model.value_if_returned(rows),
        "mbg_nbd_gamma_gamma": model.counts_alone(rows)[1],
        "shrunk_mean": days / (tenure + model.horizon_days) * model.horizon_days * per_day,
        "history_total": total,
    }


def _row(candidate: str, population: str, *, actual: Floats, predicted: Floats) -> dict[str, str | int | float | None]:
    total = float(actual.sum())
    return {
        "candidate": candidate,
        "population": population,
        "n": len(actual),
        "predicted_total": float(predicted.sum()),
        "actual_total": total,
        "predicted_over_actual": float(predicted.sum()) / total if total > 0 else None,
        "normalised_gini": metrics.normalised_gini(actual, predicted),
        "mae": float(np.abs(predicted - actual).mean()),
    }
