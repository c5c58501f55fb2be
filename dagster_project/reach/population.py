"""Trust of everybody together: by week, by channel and reason of failure, and how far messages get."""

import numpy as np
import polars as pl

from dagster_project.intervals import wilson_interval
from dagster_project.reach.trust import DECIMALS, trust_of_weeks

ALL_CHANNELS = "all"
FUNNEL = ("sent", "delivered", "opened", "clicked", "stayed")

TRUST_WEEKS_SCHEMA = pl.Schema(
    {
        "week_start": pl.Date,
        "week_end": pl.Date,
        "n_users": pl.Int64,
        "n_sent": pl.Int64,
        "trust_index": pl.Float64,
        "attention": pl.Float64,
        "permission": pl.Float64,
        "delivery": pl.Float64,
        "conduct": pl.Float64,
        "opt_out_share": pl.Float64,
        "opt_out_low": pl.Float64,
        "opt_out_high": pl.Float64,
        "complaint_share": pl.Float64,
    }
)
DELIVERY_SCHEMA = pl.Schema(
    {
        "channel": pl.String,
        "platform": pl.String,
        "failure_class": pl.String,
        "n_messages": pl.Int64,
        "n_sent": pl.Int64,
        "share": pl.Float64,
        "share_low": pl.Float64,
        "share_high": pl.Float64,
    }
)
FUNNEL_SCHEMA = pl.Schema(
    {
        "channel": pl.String,
        "step": pl.String,
        "step_index": pl.Int32,
        "n_messages": pl.Int64,
        "share_of_sent": pl.Float64,
        "share_of_previous": pl.Float64,
        "previous_low": pl.Float64,
        "previous_high": pl.Float64,
    }
)


def trust_weeks(weeks: pl.DataFrame) -> pl.DataFrame:
    """One row per week, oldest first: the population's index, its parts, opt-outs and complaints per message sent.

    `weeks`: marts.message_weeks; only the rows of all channels are read.
    """
    of_all = weeks.filter(pl.col("channel") == ALL_CHANNELS)
    if of_all.is_empty():
        return TRUST_WEEKS_SCHEMA.to_frame()
    made = trust_of_weeks(of_all)
    sent = pl.col("n_sent") > 0
    outs = pl.min_horizontal(pl.col("n_unsubscribed") + pl.col("n_complained"), pl.col("n_sent"))
    counts = made.select(outs.alias("outs"), "n_sent")
    low, high = wilson_interval(counts["outs"].to_numpy(), counts["n_sent"].to_numpy())
    return (
        made.with_columns(
            pl.when(sent).then(outs / pl.col("n_sent")).alias("opt_out_share"),
            pl.when(sent).then(pl.Series(low)).alias("opt_out_low"),
            pl.when(sent).then(pl.Series(high)).alias("opt_out_high"),
            pl.when(sent).then((pl.col("n_complained") / pl.col("n_sent")).clip(0, 1)).alias("complaint_share"),
        )
        .select(TRUST_WEEKS_SCHEMA.names())
        .cast(TRUST_WEEKS_SCHEMA)
        .with_columns(pl.col(pl.Float64).round(DECIMALS))
        .sort("week_start")
    )


def delivery_outcomes(outcomes: pl.DataFrame) -> pl.DataFrame:
    """One row per channel, platform and failure_class (null: arrived): messages of 180 days, share of those sent.

    `outcomes`: marts.message_outcomes with failure_class. Intervals: Wilson, 95 %, as if messages were independent.
    """
    place = ["channel", "platform"]
    counted = outcomes.group_by(*place, "failure_class").agg(pl.col("n_sent").sum().alias("n_messages"))
    of_place = outcomes.group_by(place).agg(pl.col("n_sent").sum())
    joined = counted.join(of_place, on=place, how="inner")
    low, high = wilson_interval(joined["n_messages"].to_numpy(), joined["n_sent"].to_numpy())
    return (
        joined.with_columns(
            (pl.col("n_messages") / pl.col("n_sent")).alias("share"),
            pl.Series("share_low", low),
            pl.Series("share_high", high),
        )
        .select(DELIVERY_SCHEMA.names())
        .cast(DELIVERY_SCHEMA)
        .sort(*place, "failure_class", nulls_last=False)
    )


def trust_funnel(outcomes: pl.DataFrame) -> pl.DataFrame:
    """One row per channel (and `all`) and step of FUNNEL, of messages a whole horizon old: how many got so far.

    stayed: clicked, and active on a later day within the horizon: with the click, not because of it.
    """
    closed = outcomes.filter(pl.col("is_closed"))
    if closed.is_empty():
        return FUNNEL_SCHEMA.to_frame()
    columns = ["n_sent", "n_arrived", "n_opened", "n_clicked", "n_stayed"]
    by_channel = pl.concat([closed, closed.with_columns(channel=pl.lit(ALL_CHANNELS))]).group_by("channel")
    steps = (
        by_channel.agg(pl.col(columns).sum())
        .rename(dict(zip(columns, FUNNEL, strict=True)))
        .unpivot(FUNNEL, index="channel", variable_name="step", value_name="n_messages")
        .with_columns(
            pl.col("step").replace_strict(FUNNEL, list(range(len(FUNNEL))), return_dtype=pl.Int32).alias("step_index")
        )
        .sort("channel", "step_index")
        .with_columns(
            pl.col("n_messages").first().over("channel").alias("n_first"),
            pl.col("n_messages").shift(1).over("channel").alias("n_previous"),
        )
    )
    n_previous = steps["n_previous"].fill_null(0).to_numpy()
    low, high = wilson_interval(np.minimum(steps["n_messages"].to_numpy(), n_previous), n_previous)
    known = pl.col("n_previous") > 0
    return (
        steps.with_columns(
            (pl.col("n_messages") / pl.col("n_first")).alias("share_of_sent"),
            pl.when(known).then(pl.col("n_messages") / pl.col("n_previous")).alias("share_of_previous"),
            pl.when(known).then(pl.Series(low)).alias("previous_low"),
            pl.when(known).then(pl.Series(high)).alias("previous_high"),
        )
        .select(FUNNEL_SCHEMA.names())
        .cast(FUNNEL_SCHEMA)
    )
