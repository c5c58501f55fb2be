"""From a fitted model to p_churn of whoever has a running contract, split by the way it would end."""

import numpy as np
import polars as pl

from dagster_project.models.contracts.causes import CauseModel
from dagster_project.models.contracts.design import Floats
from dagster_project.models.contracts.models import SurvivalModel

N_STEPS = 4  # of the horizon; the causes' shares move slowly within it
LEAST, MOST = 1e-6, 1 - 1e-6  # nobody is certain to stay or to go

CAUSE_SCORE_SCHEMA = pl.Schema({"user_sk": pl.Int64, "user_id": pl.String, "cause": pl.String, "p_churn": pl.Float64})


def running_contracts(spans: pl.DataFrame) -> pl.DataFrame:
    """The spans that run at as_of, with `duration` their contract's tenure so far."""
    return spans.filter("is_running", "is_last").sort("user_id", "contract_on", "entry", maintain_order=True)


def churn_probabilities(model: SurvivalModel, running: pl.DataFrame, *, horizon: float) -> Floats:
    """P(end within `horizon` units | running at its tenure) of each row, in `N_STEPS` steps that add up to it."""
    tenure = running["duration"].cast(pl.Float64).to_numpy()
    edges = tenure[:, None] + np.linspace(0, horizon, N_STEPS + 1)[None, :]
    if not running.height:
        return np.zeros((0, N_STEPS))
    hazard = model.cumulative_hazard(running, edges)
    survival = np.exp(-np.maximum(np.maximum.accumulate(hazard, axis=1) - hazard[:, :1], 0))
    steps: Floats = -np.diff(survival, axis=1)
    return steps


def constant_steps(running: pl.DataFrame, *, rate: float, horizon: float) -> Floats:
    """The same for everyone, from a rate of ends per unit of tenure."""
    survival = np.exp(-rate * np.linspace(0, horizon, N_STEPS + 1))
    return np.broadcast_to(-np.diff(survival), (running.height, N_STEPS)).copy()


def score_users(running: pl.DataFrame, steps: Floats) -> pl.DataFrame:
    """One row per user with a running contract, by user_id: P(at least one ends), taking ends as independent."""
    p = np.clip(steps.sum(axis=1), LEAST, MOST)
    scored = running.select("user_sk", "user_id").with_columns(log_stay=pl.Series(np.log1p(-p), dtype=pl.Float64))
    users = scored.group_by("user_sk", "user_id").agg(stay=pl.col("log_stay").sort().sum(), n_contracts=pl.len())
    return users.select(
        pl.col("user_sk").cast(pl.Int64),
        "user_id",
        p_churn=(1 - pl.col("stay").exp()).clip(LEAST, MOST),
        n_contracts=pl.col("n_contracts").cast(pl.Int64),
    ).sort("user_id")


def score_causes(running: pl.DataFrame, steps: Floats, *, model: CauseModel, horizon: float) -> pl.DataFrame:
    """One row per user and cause, by user_id: P(a contract ends within the horizon, for that cause).

    The causes of a user add to the user's `p_churn`; with several contracts each is drawn down in proportion.
    """
    tenure = running["duration"].cast(pl.Float64).to_numpy()
    split = np.zeros((running.height, len(model.causes)))
    for i in range(N_STEPS if running.height else 0):
        middle = tenure + horizon * (i + 0.5) / N_STEPS
        split += steps[:, [i]] * model.shares(running, middle)
    totals = score_users(running, steps).select("user_id", total="p_churn")
    wide = running.select("user_sk", "user_id").hstack(
        [pl.Series(cause, split[:, i], dtype=pl.Float64) for i, cause in enumerate(model.causes)]
    )
    long = wide.unpivot(index=["user_sk", "user_id"], variable_name="cause", value_name="p")
    summed = long.group_by("user_sk", "user_id", "cause").agg(pl.col("p").sort().sum())
    share = pl.col("p") / pl.col("p").sum().over("user_id")
    return (
        summed.sort("user_id", "cause")
        .join(totals, on="user_id", validate="m:1", maintain_order="left")
        .select(
            pl.col("user_sk").cast(pl.Int64),
            "user_id",
            "cause",
            p_churn=pl.when(share.is_finite()).then(share * pl.col("total")).otherwise(0.0),
        )
        .sort("user_id", "cause")
    )
