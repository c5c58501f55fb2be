"""Differences in rows: one per slice, metric and horizon, with intervals, corrected p and a verdict."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from dagster_project.intervals import NORMAL_975
from dagster_project.outcomes.comparison import Compared
from dagster_project.outcomes.corrections import benjamini_hochberg, holm
from dagster_project.outcomes.effects import Effects
from dagster_project.outcomes.looks import ALPHA, WAITING, p_after_looks, sequence_width
from dagster_project.outcomes.moments import Moments
from dagster_project.outcomes.verdicts import BETTER, FEWEST_TO_JUDGE, OPEN, WORSE
from dagster_project.outcomes.vocabulary import (
    ALL,
    CROSS,
    DRAWN_DIMENSIONS,
    EXPLORE,
    HORIZONS,
    NOT_NOTED,
    RETURNED,
    TREAT,
    Metric,
)

READOUTS = pl.Schema(
    {
        "experiment_id": pl.String(),
        "arm": pl.String(),
        "baseline": pl.String(),
        "dimension": pl.String(),
        "value": pl.String(),
        "metric": pl.String(),
        "horizon_days": pl.Int64(),
        "n_treated": pl.Int64(),
        "n_control": pl.Int64(),
        "treated_mean": pl.Float64(),
        "control_mean": pl.Float64(),
        "difference": pl.Float64(),
        "error": pl.Float64(),
        "low": pl.Float64(),
        "high": pl.Float64(),
        "method": pl.String(),
        "fixed_low": pl.Float64(),
        "fixed_high": pl.Float64(),
        "sequence_low": pl.Float64(),
        "sequence_high": pl.Float64(),
        "p_fixed": pl.Float64(),
        "p_looks": pl.Float64(),
        "p_adjusted": pl.Float64(),
        "is_primary": pl.Boolean(),
        "verdict": pl.String(),
    }
)


def difference_rows(
    experiment_id: str, one: Compared, moments: Moments, *, metrics: Sequence[Metric], decision_days: int
) -> pl.DataFrame:
    """The differences of one arm with their intervals, for `judged`: every slice, metric and horizon that tells."""
    # A part of which nothing was noted is no part.
    named = (pl.col("dimension") != CROSS) & (pl.col("value") != NOT_NOTED)
    slices = moments.slices.with_row_index("place").filter(named)
    if one.arm == EXPLORE:
        slices = slices.filter(~pl.col("dimension").is_in(DRAWN_DIMENSIONS))
    place = slices["place"].to_numpy()
    n_cells = len(place) * len(HORIZONS)
    frames = []
    for metric in metrics:
        effects = one.effects(moments, metric)
        values = {name: getattr(effects, name)[place].ravel() for name in Effects.__dataclass_fields__}
        frames.append(
            pl.DataFrame(
                {
                    "dimension": np.repeat(slices["dimension"].to_numpy(), len(HORIZONS)),
                    "value": np.repeat(slices["value"].to_numpy(), len(HORIZONS)),
                    "metric": [metric.name] * n_cells,
                    "horizon_days": np.tile(HORIZONS, len(place)),
                    **values,
                    "bound": np.tile(one.bound, len(place)),
                    "width": np.tile(sequence_width(one.fraction), len(place)),
                    "method": np.tile(one.method, len(place)),
                    "sign": np.full(n_cells, 1.0 if metric.is_good else -1.0),
                }
            )
        )
    told = pl.concat(frames).with_columns(
        pl.lit(experiment_id).alias("experiment_id"),
        pl.lit(one.arm).alias("arm"),
        pl.lit(one.baseline).alias("baseline"),
    )
    return _with_intervals(_large_enough(told), decision_days)


def _large_enough(rows: pl.DataFrame) -> pl.DataFrame:
    fewest = pl.min_horizontal("n_treated", "n_control")
    needed = pl.when(pl.col("dimension") == ALL).then(2).otherwise(FEWEST_TO_JUDGE)
    return rows.filter((fewest >= needed) & pl.col("error").is_not_nan())


def _with_intervals(rows: pl.DataFrame, decision_days: int) -> pl.DataFrame:
    from scipy.special import ndtr

    error, difference = rows["error"].to_numpy(), rows["difference"].to_numpy()
    z = np.divide(difference, error, out=np.zeros(len(error)), where=error > 0)
    finite = pl.col("bound").is_finite()
    around = {
        "low": pl.when(finite).then(pl.col("difference") - pl.col("bound") * pl.col("error")),
        "high": pl.when(finite).then(pl.col("difference") + pl.col("bound") * pl.col("error")),
        "fixed_low": pl.col("difference") - NORMAL_975 * pl.col("error"),
        "fixed_high": pl.col("difference") + NORMAL_975 * pl.col("error"),
        "sequence_low": pl.col("difference") - pl.col("width") * pl.col("error"),
        "sequence_high": pl.col("difference") + pl.col("width") * pl.col("error"),
    }
    is_primary = (
        (pl.col("dimension") == ALL) & (pl.col("metric") == RETURNED.name) & (pl.col("horizon_days") == decision_days)
    )
    return rows.rename({"treated": "treated_mean", "control": "control_mean"}).with_columns(
        *(made.alias(name) for name, made in around.items()),
        pl.Series("p_fixed", 2 * ndtr(-np.abs(z))),
        pl.Series("p_looks", p_after_looks(z, rows["bound"].to_numpy())),
        is_primary.alias("is_primary"),
    )


def judged(rows: pl.DataFrame) -> pl.DataFrame:
    """The readouts of one experiment with their verdicts.

    Benjamini-Hochberg over all its arms, slices, metrics and horizons, gains and harms alike. The one comparison that
    was named beforehand, returns of all at the horizon of decision, is not among them: it is corrected for looks only,
    and, where several arms are each compared so, for their number (Holm); the night's own arm treat stands alone.
    Of an arm with fewer than FEWEST_TO_JUDGE users nothing is sure.
    """
    if rows.is_empty():
        return READOUTS.to_frame()
    p = rows["p_looks"].to_numpy().copy()
    primary = rows["is_primary"].to_numpy()
    # What befell nobody is no comparison, and takes nothing from the others.
    of_nobody = (rows["treated_mean"] == 0).to_numpy() & (rows["control_mean"] == 0).to_numpy()
    adjusted = benjamini_hochberg(np.where(primary | of_nobody, np.nan, p))
    adjusted[of_nobody] = 1
    alone = primary & (rows["arm"] == TREAT).to_numpy()
    adjusted[alone] = p[alone]
    adjusted[primary & ~alone] = holm(p[primary & ~alone])
    real = pl.Series("p_adjusted", adjusted)
    gained = pl.col("sign") * pl.col("difference") > 0
    verdict = (
        pl.when(pl.col("method") == WAITING)
        .then(pl.lit(WAITING))
        .when((pl.col("p_adjusted") >= ALPHA) | (pl.min_horizontal("n_treated", "n_control") < FEWEST_TO_JUDGE))
        .then(pl.lit(OPEN))
        .otherwise(pl.when(gained).then(pl.lit(BETTER)).otherwise(pl.lit(WORSE)))
    )
    order = ["experiment_id", "arm", "baseline", "dimension", "value", "metric", "horizon_days"]
    judged = rows.with_columns(real).with_columns(verdict.alias("verdict"))
    return judged.select(list(READOUTS)).cast(READOUTS).sort(order)
