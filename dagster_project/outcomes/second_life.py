"""How long those who came back stayed, by arm: Kaplan-Meier curves of the second life."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from dagster_project.outcomes.vocabulary import LONGEST

DAYS = (0, 7, 14, 28, 60, 90, 120, 150)
SECOND_LIFE = pl.Schema(
    {
        "experiment_id": pl.String(),
        "arm": pl.String(),
        "day": pl.Int64(),
        "n_returned": pl.Int64(),
        "n_at_risk": pl.Int64(),
        "p_still_here": pl.Float64(),
        "low": pl.Float64(),
        "high": pl.Float64(),
    }
)


def second_lives(entries: pl.DataFrame, *, broken: Sequence[str] = ()) -> pl.DataFrame:
    """SECOND_LIFE of every experiment and arm with a return, sorted; nothing of `broken` experiments.

    A life begins with the return within 180 days of entry and ends on the first day of a silence beyond the churn
    threshold; who has not left by the last day seen is censored there. Estimand: staying, among those who came back.
    Arms differ in who came back, so a difference here is no effect of contact: `relapsed` of the readout is one.
    """
    needed = entries.select("experiment_id", "arm", "n_days_seen", "returned_after", "relapsed_after")
    back = needed.filter(
        pl.col("returned_after").is_not_null() & ~pl.col("experiment_id").is_in(list(broken))
    ).with_columns(
        (pl.col("relapsed_after") - pl.col("returned_after")).alias("left_after"),
        (pl.min_horizontal("n_days_seen", pl.lit(LONGEST)) - 1 - pl.col("returned_after")).alias("seen_for"),
    )
    lives = back.select(
        "experiment_id",
        "arm",
        pl.coalesce("left_after", "seen_for").clip(0).alias("days"),
        pl.col("left_after").is_not_null().alias("has_left"),
    )
    # Lives are counted by their days: a few hundred rows tell the same curve as a million lives.
    counted = lives.group_by("experiment_id", "arm", "days", "has_left").agg(pl.len().alias("n"))
    parts = counted.sort("days", "has_left").partition_by("experiment_id", "arm", as_dict=True)
    curves = [_curve(str(experiment), str(arm), parts[(experiment, arm)]) for experiment, arm in sorted(parts)]
    return pl.concat([SECOND_LIFE.to_frame(), *curves])


def _curve(experiment_id: str, arm: str, lives: pl.DataFrame) -> pl.DataFrame:
    from lifelines import KaplanMeierFitter

    durations, n = lives["days"].to_numpy(), lives["n"].to_numpy().astype(np.int64)
    fitter = KaplanMeierFitter().fit(durations, lives["has_left"].to_numpy(), weights=n)
    days = np.array([day for day in DAYS if day <= durations.max()], dtype=np.int64)
    at = np.maximum(np.searchsorted(fitter.survival_function_.index.to_numpy(dtype=float), days, side="right") - 1, 0)
    here = fitter.survival_function_.to_numpy(dtype=float)[at, 0]
    bounds = fitter.confidence_interval_.to_numpy(dtype=float)[at]
    # lifelines gives no bound where nobody or everybody has left: the point itself stands there
    low, high = (np.where(np.isnan(bounds[:, side]), here, bounds[:, side]) for side in (0, 1))
    return pl.DataFrame(
        {
            "experiment_id": [experiment_id] * len(days),
            "arm": [arm] * len(days),
            "day": days,
            "n_returned": [int(n.sum())] * len(days),
            "n_at_risk": (n * (durations[None, :] >= days[:, None])).sum(axis=1),
            "p_still_here": here,
            "low": low,
            "high": high,
        },
        schema=SECOND_LIFE,
    )
