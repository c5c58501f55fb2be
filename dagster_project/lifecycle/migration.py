"""How users move between stages from one night to the next, and how long they stay in each."""

import polars as pl

from dagster_project.lifecycle.stages import STAGES

NOT_SEEN = "not_seen"


def migration_matrix(stages: pl.DataFrame) -> pl.DataFrame:
    """One row per move that happened: previous_stage, stage, n_users, share_of_previous; in stage order.

    `stages` is lifecycle.stages with previous_stage filled; users unseen the day before come from
    "not_seen", last. Staying is a move to the same stage, so shares of one previous stage add up to 1.
    Users who were erased since the day before are in neither.
    """
    order = {stage: position for position, stage in enumerate((*STAGES, NOT_SEEN))}
    counts = (
        stages.select(pl.col("previous_stage").fill_null(NOT_SEEN), "stage")
        .group_by("previous_stage", "stage")
        .agg(pl.len().cast(pl.Int64).alias("n_users"))
    )
    share = pl.col("n_users") / pl.col("n_users").sum().over("previous_stage")
    return counts.with_columns(share.alias("share_of_previous")).sort(
        pl.col("previous_stage").replace_strict(order), pl.col("stage").replace_strict(order)
    )


def stage_dwell(stages: pl.DataFrame) -> pl.DataFrame:
    """One row per stage, all fifteen in order: n_users, median_days_in_stage, p90_days_in_stage, left_share.

    The days are of stays that still go on, so they are shorter than whole stays. `left_share` is the share
    of the day before's members now elsewhere; null when there were none or nobody's previous stage is known.
    """
    staying = stages.group_by("stage").agg(
        pl.len().cast(pl.Int64).alias("n_users"),
        pl.col("days_in_stage").median().alias("median_days_in_stage"),
        pl.col("days_in_stage").quantile(0.9, interpolation="linear").alias("p90_days_in_stage"),
    )
    leaving = (
        stages.filter(pl.col("previous_stage").is_not_null())
        .group_by(pl.col("previous_stage").alias("former_stage"))
        .agg((pl.col("stage") != pl.col("previous_stage")).mean().alias("left_share"))
    )
    every_stage = pl.DataFrame({"stage": STAGES, "position": range(len(STAGES))})
    return (
        every_stage.join(staying, on="stage", how="left")
        .join(leaving, left_on="stage", right_on="former_stage", how="left")
        .sort("position")
        .select("stage", pl.col("n_users").fill_null(0), pl.exclude("stage", "n_users", "position"))
    )
