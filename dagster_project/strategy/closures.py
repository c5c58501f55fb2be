"""Which channels of a case are closed, by which rule, and what that says of the user's reach."""

from collections.abc import Mapping
from datetime import date

import polars as pl

from dagster_project.reach.contact_points import RULE_ORDER
from dagster_project.strategy.evidence import OF_REACH, column_of
from dagster_project.strategy.rules import ChannelRules, DecisionRules
from dagster_project.strategy.timing import without_hours

DEAD = "reach.dead"


def with_channels(
    cases: pl.DataFrame, contact_points: pl.DataFrame, *, rules: DecisionRules, as_of: date
) -> pl.DataFrame:
    """`cases` with `rule.<channel>` per configured channel (null: open), the strongest block, and the facts of reach.

    `block_rule`, `block_citation`, `block_until` are of the strongest rule that closes a channel. A channel on which
    no hour is allowed is closed by `hours.none`. The order of the rows stays.
    """
    contact_points = _with_hours(contact_points, cases, rules, as_of)
    for channel in rules.channels:
        cases = _join_channel(cases, contact_points, channel)
    closed = strongest_blocks(contact_points, channels=rules.channels)
    return _with_reach_facts(cases, contact_points).join(closed, on="user_sk", how="left", maintain_order="left")


def strongest_blocks(contact_points: pl.DataFrame, *, channels: Mapping[str, ChannelRules]) -> pl.DataFrame:
    """Per user with a closed channel: the strongest rule that closes one, in the order of `RULE_ORDER`."""
    strength = {rule_id: place for place, rule_id in enumerate(RULE_ORDER)}
    rule = pl.col("rule_id")
    return (
        contact_points.filter(rule.is_not_null() & pl.col("channel").is_in(list(channels)))
        .with_columns(rule.replace_strict(strength, default=len(strength), return_dtype=pl.Int8).alias("place"))
        .sort("user_sk", "place", "rule_id", "channel")
        .unique(subset="user_sk", keep="first", maintain_order=True)
        .select(
            "user_sk",
            rule.alias("block_rule"),
            pl.col("citation").alias("block_citation"),
            pl.col("until").alias("block_until"),
        )
    )


def _with_hours(contact_points: pl.DataFrame, cases: pl.DataFrame, rules: DecisionRules, as_of: date) -> pl.DataFrame:
    """The contact points, with a row of `hours.none` for each channel of a case that has no hour left."""
    where = cases.select("user_sk", "timezone", "country")
    known = contact_points.select("user_sk", "channel", "rule_id", *_own_hours(contact_points))
    for channel in rules.channels:
        own = known.filter(pl.col("channel") == channel).drop("channel")
        points = where.join(own, on="user_sk", how="left").filter(pl.col("rule_id").is_null())
        shut = without_hours(points.with_columns(pl.lit(channel).alias("channel")), rules=rules, as_of=as_of)
        if not shut.is_empty():
            found = shut.select("user_sk", "channel", pl.lit("hours.none").alias("rule_id"), "citation")
            others = contact_points.join(found, on=["user_sk", "channel"], how="anti")
            contact_points = pl.concat([others, found], how="diagonal")
    return contact_points


def _own_hours(contact_points: pl.DataFrame) -> list[pl.Expr]:
    return [
        pl.col(name) if name in contact_points.columns else pl.lit(None, dtype=pl.Int32).alias(name)
        for name in ("quiet_start", "quiet_end")
    ]


def _join_channel(cases: pl.DataFrame, contact_points: pl.DataFrame, channel: str) -> pl.DataFrame:
    points = contact_points.filter(pl.col("channel") == channel).select(
        "user_sk", pl.col("rule_id").alias(f"rule.{channel}")
    )
    return cases.join(points, on="user_sk", how="left", maintain_order="left", validate="m:1")


def _with_reach_facts(cases: pl.DataFrame, contact_points: pl.DataFrame) -> pl.DataFrame:
    """The facts of reach, whatever the candidates say of them."""
    rules = [pl.col(name) for name in cases.columns if name.startswith("rule.")]
    dead = contact_points.filter(pl.col("rule_id") == DEAD).select("user_sk").unique()
    flagged = dead.with_columns(pl.lit(value=True).alias("is_dead"))
    only_dead = pl.all_horizontal([rule == DEAD for rule in rules]) if rules else pl.lit(value=False)
    facts = {
        "dead_channel": pl.col("is_dead").fill_null(value=False),
        "only_dead_channels": only_dead.fill_null(value=False),
        "silenced_by_outage": pl.col("is_measurement_gap"),
        "unreached": pl.col("is_unreached"),
    }
    return (
        cases.join(flagged, on="user_sk", how="left", maintain_order="left")
        .with_columns(facts[fact].alias(column_of(fact)) for fact in OF_REACH)
        .drop("is_dead")
    )
