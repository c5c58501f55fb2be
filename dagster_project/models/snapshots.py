"""Past days as the models see them: features of a cutoff, what came after it, and spells of silence."""

from datetime import date

import polars as pl

OUTCOME_SCHEMA = pl.Schema(
    {
        "cutoff": pl.Date(),
        "is_lapsed": pl.Boolean(),
        "is_active": pl.Boolean(),
        "n_active_days_next": pl.Int32(),
        "amount_next": pl.Float64(),
        "next_active_in_days": pl.Int32(),
        "follow_up_days": pl.Int32(),
    }
)
SPELL_SCHEMA = pl.Schema(
    {
        "user_sk": pl.Int64(),
        "user_id": pl.String(),
        "stage": pl.String(),
        "duration_days": pl.Int64(),
        "returned": pl.Boolean(),
        "silence_days": pl.Int64(),
        "n_active_days": pl.Int64(),
        "usual_gap_days": pl.Float64(),
    }
)


def with_lapse(features: pl.DataFrame, stages: pl.DataFrame) -> pl.DataFrame:
    """marts.user_features of a day with `is_lapsed`: churned on that day, by that day's yardsticks."""
    lapsed = stages.select("user_sk", pl.col("is_churned").alias("is_lapsed"))
    return features.join(lapsed, on="user_sk", how="left", maintain_order="left")


def labelled_snapshot(
    features: pl.DataFrame,
    outcomes: pl.DataFrame,
    *,
    cutoff: date,
    later: pl.DataFrame | None = None,
    follow_up_days: int | None = None,
) -> pl.DataFrame:
    """The features of a cutoff with what came of each user in the window after it, sorted by user_id.

    `outcomes` is marts.user_outcomes of the day on which the window closed: users without a row in it had no core
    event. `amount_next` is null for all where the log holds no amounts, and 0 for the inactive otherwise.
    `next_active_in_days` counts from the cutoff to the first core event after it, null if none was seen. With
    `later` (user_sk, first_active_on: the same over the longer window of `follow_up_days`, up to the night) it looks
    beyond the window; without, it is that of `outcomes`, and `follow_up_days` null stands for one horizon.
    """
    has_amounts = outcomes["amount"].is_not_null().any()
    amount = pl.col("amount").fill_null(0.0) if has_amounts else pl.lit(None, dtype=pl.Float64)
    first = (outcomes if later is None else later).select("user_sk", "first_active_on")
    joined = features.join(
        outcomes.select("user_sk", pl.col("n_active_days").alias("n_active_days_next"), "amount"),
        on="user_sk",
        how="left",
    ).join(first, on="user_sk", how="left")
    return (
        joined.with_columns(
            pl.lit(cutoff).alias("cutoff"),
            pl.col("n_active_days_next").is_not_null().alias("is_active"),
            pl.col("n_active_days_next").fill_null(0).cast(pl.Int32),
            amount.alias("amount_next"),
            (pl.col("first_active_on") - pl.lit(cutoff)).dt.total_days().cast(pl.Int32).alias("next_active_in_days"),
            pl.lit(follow_up_days, dtype=pl.Int32).alias("follow_up_days"),
        )
        .select(*[name for name in features.columns if name != "is_lapsed"], *OUTCOME_SCHEMA.names())
        .sort("user_id")
    )


def return_spells(
    stages: pl.DataFrame, features: pl.DataFrame, outcomes: pl.DataFrame, *, cutoff: date, as_of: date
) -> pl.DataFrame:
    """The users churned at a past cutoff, and how many days later the first core event came, if it came.

    `stages` and `features` are of the cutoff; `outcomes` is marts.user_outcomes of `as_of` over the whole window
    (cutoff, as_of]. Not returned = censored at `as_of`. Sorted by user_id.
    """
    follow_up = (as_of - cutoff).days
    since = (pl.col("first_active_on") - pl.lit(cutoff)).dt.total_days()
    return (
        stages.filter("is_churned")
        .select("user_sk", "user_id", "stage", "usual_gap_days")
        .join(features.select("user_sk", "silence_days", "n_active_days"), on="user_sk", how="inner")
        .join(outcomes.select("user_sk", "first_active_on"), on="user_sk", how="left")
        .with_columns(
            since.fill_null(follow_up).cast(pl.Int64).alias("duration_days"),
            pl.col("first_active_on").is_not_null().alias("returned"),
        )
        .select(SPELL_SCHEMA.names())
        .cast(SPELL_SCHEMA)
        .sort("user_id")
    )
