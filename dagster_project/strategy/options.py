"""What each strategy would earn with each user on each channel: every option priced, none chosen."""

from collections.abc import Sequence
from datetime import date
from statistics import NormalDist

import numpy as np
import polars as pl

from dagster_project.strategy.attention import ATTENTION
from dagster_project.strategy.catalogue import Catalogue, Strategy
from dagster_project.strategy.eligibility import fits, open_channels
from dagster_project.strategy.lift import HIGH, Floats, LiftBelief, uplift
from dagster_project.strategy.priors import (
    CONTENT,
    REASON,
    Beliefs,
    content_fit,
    part_fits,
    reason_fit,
)
from dagster_project.strategy.rules import DecisionRules

_SCHEMA = {
    "user_sk": pl.Int64,
    "strategy_id": pl.String,
    "channel": pl.String,
    "fallback_channel": pl.String,
    "uplift": pl.Float64,
    "uplift_low": pl.Float64,
    "uplift_high": pl.Float64,
    "uplift_cautious": pl.Float64,
    "evidence_grade": pl.String,
    "attention": pl.Float64,
    "fit_content": pl.Float64,
    "fit_reason": pl.Float64,
    "max_touches": pl.Int32,
    "expected_cost": pl.Float64,
    "expected_harm": pl.Float64,
    "expected_profit": pl.Float64,
}
SCORES = pl.Schema(
    {
        "user_sk": pl.Int64(),
        "strategy_id": pl.String(),
        "uplift": pl.Float64(),
        "uplift_low": pl.Float64(),
        "uplift_high": pl.Float64(),
    }
)
_FIT = "fit."


def price_options(
    cases: pl.DataFrame,
    *,
    catalogue: Catalogue,
    rules: DecisionRules,
    as_of: date,
    attention: pl.DataFrame | None = None,
    scores: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """One row per user × fitting strategy × open channel, sorted by user, strategy, channel.

    `uplift` is the rise in P(return within the horizon) that the contact is expected to cause by `rules.beliefs`, of
    which `evidence_grade` says what they rest on; eight tenths of the belief lie in `uplift_low` to `uplift_high`.
    A contact must pay by `uplift_cautious`, the `rules.caution` quantile: of many uncertain options the best looks
    better than it is.

    What a contact changes is scaled by `attention` (see `attention.attention`; 1 where nothing is known of it): a
    message that is not read changes nothing. `scores` (SCORES) are uplifts by a model that has learned from a
    strategy's own experiment; they take the place of the belief. `max_touches` is the dose of the strategy, half of it
    for users with no gap of their own: thin data gets less pressure.

    expected_profit = uplift_cautious × value × margin − expected_cost − expected_harm. `expected_cost`: all touches
    of the dose, and the offer for all who redeem it, unaided returns included. `expected_harm`: P(opt-out, removal of
    the app or complaint) × what the way to the user is worth. Not to be read as a measurement.

    `cases` come from `cases_of`; users in an excluded stage, under deliberate silence or without `p_return` have
    no options. `fatigue_probability` (of one message), `categories` and p_<reason> count where they are known.
    """
    considered = cases.filter(
        pl.col("is_triggered") & pl.col("silenced_by").is_null() & pl.col("p_return").is_not_null()
    )
    heed = ATTENTION.to_frame() if attention is None else attention
    told = SCORES.to_frame() if scores is None else scores
    priced = [_priced(considered, strategy, rules, as_of, heed, told) for strategy in catalogue.sending]
    return pl.concat([pl.DataFrame(schema=_SCHEMA), *priced]).sort("user_sk", "strategy_id", "channel")


def best_options(options: pl.DataFrame) -> pl.DataFrame:
    """Per user the option of highest `expected_profit` (ties: strategy_id, channel), and `n_options`."""
    counts = options.group_by("user_sk").agg(pl.len().cast(pl.Int32).alias("n_options"))
    return (
        options.sort("user_sk", "expected_profit", "strategy_id", "channel", descending=[False, True, False, False])
        .unique(subset="user_sk", keep="first", maintain_order=True)
        .join(counts, on="user_sk", how="left", maintain_order="left")
    )


def _priced(
    considered: pl.DataFrame,
    strategy: Strategy,
    rules: DecisionRules,
    as_of: date,
    heed: pl.DataFrame,
    scores: pl.DataFrame,
) -> pl.DataFrame:
    """The options of one strategy, on each of its channels."""
    # Only what follows is taken along: a copy of every fact for every strategy would be most of the night's memory.
    fitting = considered.filter(fits(strategy, as_of=as_of)).select(
        "user_sk",
        "p_return",
        "law",
        pl.col("^rule[.].*$"),
        *(one.name.prefix(_FIT) for one in fits_of_parts(strategy, rules.beliefs, columns=considered.columns)),
        *_stakes(considered, strategy, rules),
    )
    made, told = [pl.DataFrame(schema=_SCHEMA)], scores.filter(pl.col("strategy_id") == strategy.id)
    for channel, (is_open, fallback) in open_channels(strategy, rules=rules).items():
        own = heed.filter(pl.col("channel") == channel).select("user_sk", "attention")
        reached = fitting.filter(is_open).with_columns(fallback.alias("fallback_channel"))
        reached = reached.join(own, on="user_sk", how="left", maintain_order="left").with_columns(
            pl.col("attention").fill_null(1.0)
        )
        belief = rules.beliefs.of(strategy, channel=channel, by_kind=True)
        lifted = _with_scores(_with_uplift(reached, belief, rules.caution), told, rules.caution)
        made.append(_with_profit(lifted, strategy, channel, rules))
    return pl.concat(made)


def fits_of_parts(strategy: Strategy, beliefs: Beliefs, *, columns: Sequence[str]) -> list[pl.Expr]:
    """How far each part of the belief on the strategy counts for each user, by the parts' names.

    PARTS, then the deviations of kinds of users: what `Beliefs.of` with `by_kind` has on each channel, in its order.
    `columns`: those at hand.
    """
    known = frozenset(columns)
    content = content_fit(strategy.content, categories="categories") if "categories" in known else pl.lit(0.0)
    reason = reason_fit(beliefs.priors.reason_fits(strategy.id), columns=known)
    return part_fits(beliefs.parts_by_kind(strategy), content=content, reason=reason, columns=known)


def _stakes(cases: pl.DataFrame, strategy: Strategy, rules: DecisionRules) -> list[pl.Expr]:
    """What a return is worth, and the chance that the messages of the dose cost us the way to the user."""
    known = pl.col("fatigue_probability") if "fatigue_probability" in cases.columns else pl.lit(None, dtype=pl.Float64)
    spared = 1 - known.fill_null(rules.harm_if_unknown).clip(0, 1)
    touches = _touches(strategy.dose.max_touches, is_known="n_gaps" in cases.columns)
    return [rules.worth.alias("worth"), touches.alias("max_touches"), (1 - spared.pow(touches)).alias("harm")]


def _touches(dose: int, *, is_known: bool) -> pl.Expr:
    """The dose; half of it, and at least one, for a user of whom not one gap between active days is known."""
    if not is_known:
        return pl.lit(dose, dtype=pl.Int32)
    return pl.when(pl.col("n_gaps") == 0).then(max(1, dose // 2)).otherwise(dose).cast(pl.Int32)


def _with_uplift(users: pl.DataFrame, belief: LiftBelief, caution: float) -> pl.DataFrame:
    fits_of: Floats = np.column_stack([users[_FIT + part].to_numpy() for part in belief.parts])
    found = uplift(users["p_return"].to_numpy(), fits_of, belief=belief, caution=caution)
    return users.with_columns(
        pl.Series("uplift", found.mean) * pl.col("attention"),
        pl.Series("uplift_low", found.low) * pl.col("attention"),
        pl.Series("uplift_high", found.high) * pl.col("attention"),
        pl.Series("uplift_cautious", found.cautious) * pl.col("attention"),
        pl.lit(belief.grade).alias("evidence_grade"),
    )


def _with_scores(users: pl.DataFrame, told: pl.DataFrame, caution: float) -> pl.DataFrame:
    """The users, with the uplift of a model of their own experiment where one has been shown to tell users apart.

    Such a model has seen who reads the messages, so that heed of the channel does not scale it once more.
    """
    if told.is_empty():
        return users
    ends = ("uplift", "uplift_low", "uplift_high")
    known = told.select("user_sk", *(pl.col(name).alias(f"{name}.told") for name in ends))
    spread = (pl.col("uplift_high.told") - pl.col("uplift_low.told")) / (2 * NormalDist().inv_cdf(HIGH))
    cautious = pl.col("uplift.told") + NormalDist().inv_cdf(caution) * spread
    is_told = pl.col("uplift.told").is_not_null()
    return (
        users.join(known, on="user_sk", how="left", maintain_order="left")
        .with_columns(
            pl.coalesce(cautious, "uplift_cautious").alias("uplift_cautious"),
            *(pl.coalesce(f"{name}.told", name).alias(name) for name in ends),
            pl.when(is_told).then(pl.lit("randomised")).otherwise("evidence_grade").alias("evidence_grade"),
            pl.when(is_told).then(1.0).otherwise("attention").alias("attention"),
        )
        .drop([f"{name}.told" for name in ends])
    )


def _with_profit(users: pl.DataFrame, strategy: Strategy, channel: str, rules: DecisionRules) -> pl.DataFrame:
    offer = strategy.offer
    redeemed = offer.redeem_share * (pl.col("p_return") + pl.col("uplift"))
    touches = rules.channels[channel].cost * pl.col("max_touches")
    gained = pl.col("uplift_cautious") * pl.col("worth")
    return (
        users.with_columns(
            pl.lit(strategy.id).alias("strategy_id"),
            pl.lit(channel).alias("channel"),
            pl.col(_FIT + CONTENT).alias("fit_content"),
            pl.col(_FIT + REASON).alias("fit_reason"),
            (touches + offer.cost * redeemed).alias("expected_cost"),
            (pl.col("harm") * pl.col("worth") * rules.reach_worth_share).alias("expected_harm"),
        )
        .with_columns((gained - pl.col("expected_cost") - pl.col("expected_harm")).alias("expected_profit"))
        .select(list(_SCHEMA))
    )
