"""Who still fits into the night: budget, number of contacts, channel capacity and strategies' caps, in rank order."""

from collections.abc import Mapping

import polars as pl

from dagster_project.strategy.rules import DecisionRules

CAPACITY, CAP, BUDGET = "capacity.channel", "strategy.capped", "budget.night"


def gates(contenders: pl.DataFrame, *, rules: DecisionRules) -> pl.Series:
    """The rule that stops each row (`capacity.channel`, `strategy.capped`, `budget.night`), or null for those who fit.

    `contenders` are in rank order, with `channel`, `strategy_id`, `expected_cost` and `is_held_out`. The first that
    does not fit ends the list (of the channel, of the strategy, or of the night), so a cheaper, less worthy one never
    slips past. Those held out use up nothing but stand before the same gates at their rank: otherwise the control
    group would hold users whom the treated group was too poor to reach, and the two could not be compared.
    """
    capacities = {
        name: one.nightly_capacity for name, one in rules.channels.items() if one.nightly_capacity is not None
    }
    weight = pl.col("is_held_out").not_().cast(pl.Int64)
    ranked = contenders.with_columns(
        _has_room("channel", capacities, weight).alias("has_capacity"),
    )
    weight = weight * pl.col("has_capacity").cast(pl.Int64)
    ranked = ranked.with_columns(_has_room("strategy_id", rules.hands.max_contacts, weight).alias("is_uncapped"))
    counted = weight * pl.col("is_uncapped").cast(pl.Int64)
    cost = pl.col("expected_cost")
    spent = (cost * counted).cum_sum() - cost * counted
    has_budget = _within(spent + cost, rules.budget_per_night) & _within(
        counted.cum_sum() - counted + 1, rules.max_contacts
    )
    return ranked.select(
        pl.when(pl.col("has_capacity").not_())
        .then(pl.lit(CAPACITY))
        .when(pl.col("is_uncapped").not_())
        .then(pl.lit(CAP))
        .when(has_budget.not_())
        .then(pl.lit(BUDGET))
        .alias("gate")
    )["gate"]


def _has_room(column: str, limits: Mapping[str, int], weight: pl.Expr) -> pl.Expr:
    """Whether one more of the row's channel or strategy fits; true where it has no limit."""
    limit = pl.col(column).replace_strict(dict(limits), default=None, return_dtype=pl.Int64)
    taken = weight.cum_sum().over(column) - weight
    return (taken + 1 <= limit).fill_null(value=True)


def _within(used: pl.Expr, limit: float | None) -> pl.Expr:
    return pl.lit(value=True) if limit is None else used <= limit
