"""Who may be considered at all: churned users, their open channels, and the triggers that fit them."""

from collections.abc import Mapping
from datetime import date, timedelta

import polars as pl

from dagster_project.reach.contact_points import RULE_ORDER
from dagster_project.reasons.vocabulary import REASONS
from dagster_project.strategy.catalogue import Catalogue, Strategy
from dagster_project.strategy.rules import ChannelRules, DecisionRules
from dagster_project.strategy.timing import without_hours

# Only these, lest fifty columns of a user be copied by every join on the way.
_FACTS = ["user_sk", "user_id", "stage", "days_silent", "churned_on", "p_return", "value_if_returned"]
_OPTIONAL_FACTS = ("timezone", "country", "person_key")
# Said of some users by tables that need not be there; `options` takes what it finds.
PRICED_BY = ("fatigue_probability", "categories", *(f"p_{reason}" for reason in REASONS))


def churned_cases(
    candidates: pl.DataFrame,
    contact_points: pl.DataFrame,
    *,
    catalogue: Catalogue,
    rules: DecisionRules,
    as_of: date,
) -> pl.DataFrame:
    """The churned of `candidates`, sorted by `user_id`, with what stands in the way of a message.

    Beside the facts that a decision needs: `law` (the packs that bind the user), `needs_equal_offers`,
    `is_measurement_gap` (silenced by an outage of ours; such users are here whatever their stage), `rule.<channel>`
    per configured channel (the rule that closes it; null = open), `silenced_by` (strategy of deliberate silence that
    fits, first by id), `is_triggered` (some sending strategy fits), and of the strongest rule `block_rule`,
    `block_citation`, `block_until`. A channel on which no hour is allowed is closed by `hours.none`.
    """
    churned = candidates.with_columns(_gap(candidates)).filter(pl.col("is_churned") | pl.col("is_measurement_gap"))
    priced_by = [name for name in PRICED_BY if name in candidates.columns]
    facts = churned.select(*_FACTS, *priced_by, "is_measurement_gap", *_optional_facts(candidates))
    cases = facts.sort("user_id")
    cases = _bound(cases, rules)
    contact_points = _with_hours(contact_points, cases, rules, as_of)
    for channel in rules.channels:
        cases = _join_channel(cases, contact_points, channel)
    closed = strongest_blocks(contact_points, channels=rules.channels)
    considered = pl.col("stage").is_in(sorted(rules.excluded_stages)).not_() & ~pl.col("is_measurement_gap")
    return cases.join(closed, on="user_sk", how="left", maintain_order="left").with_columns(
        _silenced_by(catalogue, as_of).alias("silenced_by"),
        (considered & _any_of([fits(one, as_of=as_of) for one in catalogue.sending])).alias("is_triggered"),
    )


def fits(strategy: Strategy, *, as_of: date) -> pl.Expr:
    """True where the strategy's trigger holds at `as_of`. An unknown value fails the bound that asks.

    Where law forbids that an offer hangs on a prediction, a strategy that picks by one without an equal basis fits
    nobody: the user gets what everybody of the stage can get.
    """
    trigger = strategy.trigger
    bounds = [
        pl.col("stage").is_in(list(trigger.stages)),
        *_between("days_silent", trigger.min_days_silent, trigger.max_days_silent),
        *_between("value_if_returned", trigger.min_value_if_returned, None),
        *_between("p_return", trigger.min_p_return, trigger.max_p_return),
    ]
    if strategy.is_unequal:
        bounds.append(~pl.col("needs_equal_offers"))
    if strategy.timing.days_after_churn:
        latest = as_of - timedelta(days=strategy.timing.days_after_churn)
        bounds.append(pl.col("churned_on") <= latest)
    return pl.all_horizontal(bounds).fill_null(value=False)


def open_channels(strategy: Strategy, *, rules: DecisionRules) -> dict[str, tuple[pl.Expr, pl.Expr]]:
    """Per configured channel of the strategy, in its order: whether it is open for the user, and the fallback.

    The fallback is the first other channel of the strategy that is open, or null. A channel for which the strategy's
    words may not be used under the user's law is not open.
    """
    usable = {
        channel: _if_open(channel, rules.closed_content.get((strategy.id, channel), frozenset()))
        for channel in strategy.channels
        if channel in rules.channels
    }
    return {
        channel: (
            is_open.is_not_null(),
            pl.coalesce([pl.lit(None, dtype=pl.String), *(e for other, e in usable.items() if other != channel)]),
        )
        for channel, is_open in usable.items()
    }


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


def _optional_facts(candidates: pl.DataFrame) -> list[pl.Expr]:
    return [
        pl.col(name) if name in candidates.columns else pl.lit(None, dtype=pl.String).alias(name)
        for name in _OPTIONAL_FACTS
    ]


def _gap(candidates: pl.DataFrame) -> pl.Expr:
    known = "is_measurement_gap" in candidates.columns
    flag = pl.col("is_measurement_gap").fill_null(value=False) if known else pl.lit(value=False)
    return flag.alias("is_measurement_gap")


def _bound(cases: pl.DataFrame, rules: DecisionRules) -> pl.DataFrame:
    laws = rules.book.laws(cases["country"])
    bound = pl.DataFrame(
        [(country, law.key, law.needs_equal_offers) for country, law in laws.items()],
        schema={"country": pl.String, "law": pl.String, "needs_equal_offers": pl.Boolean},
        orient="row",
    )
    return cases.join(bound, on="country", how="left", nulls_equal=True, maintain_order="left")


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


def _silenced_by(catalogue: Catalogue, as_of: date) -> pl.Expr:
    choices = [pl.when(fits(one, as_of=as_of)).then(pl.lit(one.id)) for one in catalogue.silent]
    return pl.coalesce(choices) if choices else pl.lit(None, dtype=pl.String)


def _if_open(channel: str, closed_laws: frozenset[str]) -> pl.Expr:
    is_open = pl.col(f"rule.{channel}").is_null() & ~pl.col("law").is_in(sorted(closed_laws))
    return pl.when(is_open).then(pl.lit(channel))


def _between(column: str, low: float | None, high: float | None) -> list[pl.Expr]:
    bounds = []
    if low is not None:
        bounds.append(pl.col(column) >= low)
    if high is not None:
        bounds.append(pl.col(column) <= high)
    return bounds


def _any_of(conditions: list[pl.Expr]) -> pl.Expr:
    return pl.any_horizontal(conditions) if conditions else pl.lit(value=False)
