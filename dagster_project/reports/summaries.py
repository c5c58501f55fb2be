"""Frames made small before they are drawn: counts, bins, quantiles. One row per mark of a picture.

A page for a million users must not hold a million points, so pictures start from these.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import polars as pl

from dagster_project.lifecycle import PHASE_OF_STAGE
from dagster_project.reports.palette import FIRST_SEEN, in_lifecycle_order

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_BINS = 30
MAX_CURVE_POINTS = 100
MAX_ACTIVITY_DAYS = 180
BIN_WIDTHS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0)


def count_stages(stages: pl.DataFrame) -> pl.DataFrame:
    """stage, phase, n_users, share: every stage of the life in order, those without users too."""
    counts = dict(stages.group_by("stage").len().iter_rows())
    phases = {
        **PHASE_OF_STAGE,
        **dict(stages.select("stage", "phase").unique().sort("stage", "phase").iter_rows()),
    }
    order = in_lifecycle_order(set(PHASE_OF_STAGE) | set(counts))
    return pl.DataFrame(
        {
            "stage": order,
            "phase": [phases[stage] for stage in order],
            "n_users": [counts.get(stage, 0) for stage in order],
        },
        schema={"stage": pl.String, "phase": pl.String, "n_users": pl.Int64},
    ).with_columns(share=pl.col("n_users") / max(stages.height, 1))


def count_moves(migration: pl.DataFrame) -> pl.DataFrame:
    """Moves in lifecycle order, with is_stay; a null previous_stage becomes "first seen"."""
    moves = migration.filter(pl.col("n_users") > 0).with_columns(pl.col("previous_stage").fill_null(FIRST_SEEN))
    names = set(moves["previous_stage"]) | set(moves["stage"])
    rank = {name: place for place, name in enumerate([FIRST_SEEN, *in_lifecycle_order(names - {FIRST_SEEN})])}
    return (
        moves.select("previous_stage", "stage", "n_users", "share_of_previous")
        .with_columns(is_stay=pl.col("previous_stage") == pl.col("stage"))
        .sort(
            pl.col("previous_stage").replace_strict(rank, return_dtype=pl.Int64),
            pl.col("stage").replace_strict(rank, return_dtype=pl.Int64),
        )
    )


def bin_by_stage(users: pl.DataFrame, column: str) -> tuple[pl.DataFrame, float]:
    """stage, bin_start, n_users, and the width of the bins; what is past the 99th percentile is in the last.

    Null and not finite values are left out. The width is a round number that gives at most MAX_BINS bins.
    """
    values = users.select("stage", pl.col(column).cast(pl.Float64)).filter(pl.col(column).is_finite())
    if values.is_empty():
        return pl.DataFrame(schema={"stage": pl.String, "bin_start": pl.Float64, "n_users": pl.Int64}), 0.0
    low = float(values.select(pl.col(column).min()).item())
    high = float(values.select(pl.col(column).quantile(0.99, interpolation="higher")).item())
    width = next((width for width in BIN_WIDTHS if (high - low) / width < MAX_BINS - 1), BIN_WIDTHS[-1])
    last = math.floor(high / width)
    binned = values.select("stage", place=(pl.col(column) / width).floor().clip(upper_bound=last))
    counts = binned.group_by("stage", "place").agg(n_users=pl.len().cast(pl.Int64)).sort("stage", "place")
    return counts.select("stage", (pl.col("place") * width).round(4).alias("bin_start"), "n_users"), width


def silence_quantiles(stages: pl.DataFrame) -> pl.DataFrame:
    """stage, n_users, p10, p50, p90 of days_silent in lifecycle order; null days are left out."""
    spread = (
        stages.filter(pl.col("days_silent").is_not_null())
        .group_by("stage")
        .agg(
            n_users=pl.len(),
            p10=pl.col("days_silent").quantile(0.1, interpolation="nearest"),
            p50=pl.col("days_silent").quantile(0.5, interpolation="nearest"),
            p90=pl.col("days_silent").quantile(0.9, interpolation="nearest"),
        )
    )
    return _in_order(spread)


def latest_activity(daily: pl.DataFrame) -> pl.DataFrame:
    """The last 180 rows by active_on."""
    return daily.filter(pl.col("active_on").is_not_null()).sort("active_on").tail(MAX_ACTIVITY_DAYS)


def thin_curves(curves: pl.DataFrame) -> pl.DataFrame:
    """At most MAX_CURVE_POINTS rows per stage, its first and last day among them, by stage and day."""
    usable = curves.filter(pl.col("p_returned").is_finite() & pl.col("day").is_not_null()).sort("stage", "day")
    thinned = [_thin(group) for group in usable.partition_by("stage", maintain_order=True)]
    return _in_order(pl.concat(thinned), "day") if thinned else usable


def winning_rows(evaluations: pl.DataFrame) -> pl.DataFrame:
    """The rows marked as winner, those of the lapsed first: they are whom the product writes to."""
    winners = evaluations.filter(pl.col("is_winner").fill_null(False))
    others = [not is_about_lapsed(population) for population in winners["population"]]
    return winners.with_columns(_other=pl.Series(others, dtype=pl.Boolean)).sort("_other", "population", "candidate")


def is_about_lapsed(population: str | None) -> bool:
    """Whether an evaluation was made on the lapsed (by the population's name)."""
    return population is not None and ("lapsed" in population or "churned" in population)


def baseline_name(candidates: Sequence[str]) -> str | None:
    """The recency baseline among the candidates, if it was fitted."""
    return next((name for name in sorted(candidates) if "recency" in name), None)


def bins_to_compare(reliability: pl.DataFrame, evaluations: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """Bins of the winner and the recency baseline on the winner's population, and both names, winner first.

    Without a winner the baseline stands alone, on the first population by name. Empty if there is neither.
    """
    winners = winning_rows(evaluations)
    baseline = baseline_name(reliability["candidate"].unique().to_list())
    candidates = [*winners["candidate"].head(1), *([baseline] if baseline else [])]
    candidates = list(dict.fromkeys(candidates))
    drawable = reliability.filter(
        pl.col("candidate").is_in(candidates),
        pl.col("mean_predicted").is_finite(),
        pl.col("observed").is_finite(),
    )
    population = winners["population"][0] if winners.height else drawable["population"].min()
    bins = drawable.filter(pl.col("population").eq_missing(pl.lit(population)))
    present = set(bins["candidate"])
    return bins, [candidate for candidate in candidates if candidate in present]


def _thin(curve: pl.DataFrame) -> pl.DataFrame:
    if curve.height <= MAX_CURVE_POINTS:
        return curve
    last = curve.height - 1
    return curve[[round(step * last / (MAX_CURVE_POINTS - 1)) for step in range(MAX_CURVE_POINTS)]]


def _in_order(frame: pl.DataFrame, *then: str) -> pl.DataFrame:
    rank = {stage: place for place, stage in enumerate(in_lifecycle_order(set(frame["stage"])))}
    if not rank:
        return frame
    return frame.sort(pl.col("stage").replace_strict(rank, return_dtype=pl.Int64), *then)
