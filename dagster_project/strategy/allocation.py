"""Who still fits into the night: budget, number of contacts and channel capacity, in rank order."""

from collections.abc import Mapping

import polars as pl

from dagster_project.strategy.rules import ChannelRules, DecisionRules


def gates(contenders: pl.DataFrame, *, rules: DecisionRules) -> pl.Series:
    """The rule that stops each row (`capacity.channel`, `budget.night`), or null for those who fit.

    `contenders` are in rank order, with `channel`, `expected_cost` and `is_held_out`. The first that does not
    fit ends the list (of the channel, or of the night), so a cheaper, less worthy one never slips past. Those
    held out use up nothing but stand before the same gates at their rank: otherwise the control group would
    hold users whom the treated group was too poor to reach, and the two could not be compared.
    """
    weight = pl.col("is_held_out").not_().cast(pl.Int64)
    capacity = pl.col("channel").replace_strict(_capacities(rules.channels), default=None, return_dtype=pl.Int64)
    taken = weight.cum_sum().over("channel") - weight
    ranked = contenders.with_columns((taken + 1 <= capacity).fill_null(value=True).alias("has_capacity"))
    counted = weight * pl.col("has_capacity").cast(pl.Int64)
    cost = pl.col("expected_cost")
    spent = (cost * counted).cum_sum() - cost * counted
    has_budget = _within(spent + cost, rules.budget_per_night) & _within(
        counted.cum_sum() - counted + 1, rules.max_contacts
    )
    return ranked.select(
        pl.when(pl.col("has_capacity").not_())
        .then(pl.lit("capacity.channel"))
        .when(has_budget.not_())
        .then(pl.lit("budget.night"))
        .alias("gate")
    )["gate"]


def _capacities(channels: Mapping[str, ChannelRules]) -> dict[str, int | None]:
    return {name: channel.capacity for name, channel in channels.items()}


def _within(used: pl.Expr, limit: float | None) -> pl.Expr:
    return pl.lit(value=True) if limit is None else used <= limit
