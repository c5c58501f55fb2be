"""What each strategy would earn with each user: every option priced, none chosen."""

from datetime import date

import polars as pl

from dagster_project.strategy.catalogue import Catalogue, Strategy
from dagster_project.strategy.eligibility import fits, open_channels
from dagster_project.strategy.rules import DecisionRules

_SCHEMA = {
    "user_sk": pl.Int64,
    "strategy_id": pl.String,
    "channel": pl.String,
    "fallback_channel": pl.String,
    "uplift": pl.Float64,
    "uplift_low": pl.Float64,
    "uplift_high": pl.Float64,
    "evidence_grade": pl.String,
    "expected_cost": pl.Float64,
    "expected_profit": pl.Float64,
}

# A probability of 0 or 1 has no log-odds; beyond this no estimate of ours means anything.
_P_FLOOR = 1e-6


def price_options(cases: pl.DataFrame, *, catalogue: Catalogue, rules: DecisionRules, as_of: date) -> pl.DataFrame:
    """One row per user × fitting strategy, on its first open channel, sorted by user, strategy.

    `uplift` is sigma(logit p_return + tau) - p_return: the rise in P(return within the horizon) that the
    contact is *believed* to cause; tau is the catalogue's prior, so `evidence_grade` is `prior` and
    the bounds are those of tau alone. `expected_profit` is uplift x value x margin less `expected_cost`:
    all touches of the dose, and the offer for all who redeem it, unaided returns included. Not to be read
    as a measurement.

    `cases` come from `churned_cases`; users in an excluded stage, under deliberate silence or without
    `p_return` have no options.
    """
    considered = cases.filter(
        pl.col("is_triggered") & pl.col("silenced_by").is_null() & pl.col("p_return").is_not_null()
    )
    priced = [_priced(considered, strategy, rules, as_of) for strategy in catalogue.sending]
    return pl.concat([pl.DataFrame(schema=_SCHEMA), *priced]).sort("user_sk", "strategy_id")


def best_options(options: pl.DataFrame) -> pl.DataFrame:
    """Per user the option of highest `expected_profit` (ties: strategy_id, channel), and `n_options`."""
    counts = options.group_by("user_sk").agg(pl.len().cast(pl.Int32).alias("n_options"))
    return (
        options.sort("user_sk", "expected_profit", "strategy_id", "channel", descending=[False, True, False, False])
        .unique(subset="user_sk", keep="first", maintain_order=True)
        .join(counts, on="user_sk", how="left", maintain_order="left")
    )


def drawn_options(options: pl.DataFrame, draws: pl.DataFrame) -> pl.DataFrame:
    """Per user of `draws` (`user_sk`, `draw` in [0, 1)) one of their options, each equally likely."""
    place = pl.int_range(pl.len()).over("user_sk")
    chosen = (pl.col("draw") * pl.len().over("user_sk")).floor().cast(pl.Int64)
    return (
        options.join(draws, on="user_sk", how="inner")
        .sort("user_sk", "strategy_id", "channel")
        .filter(place == chosen)
        .drop("draw")
    )


def _priced(considered: pl.DataFrame, strategy: Strategy, rules: DecisionRules, as_of: date) -> pl.DataFrame:
    channel, fallback = open_channels(strategy, rules=rules)
    costs = {name: channel_rules.cost for name, channel_rules in rules.channels.items()}
    prior, offer, dose = strategy.prior, strategy.offer, strategy.dose
    touch_cost = pl.col("channel").replace_strict(costs, default=None, return_dtype=pl.Float64)
    redeemed = offer.redeem_share * (pl.col("p_return") + pl.col("uplift"))
    value = pl.col("value_if_returned").fill_null(rules.value_if_unknown) * rules.margin_share
    return (
        considered.filter(fits(strategy, as_of=as_of))
        .select(
            "user_sk",
            pl.lit(strategy.id).alias("strategy_id"),
            channel.alias("channel"),
            fallback.alias("fallback_channel"),
            "p_return",
            "value_if_returned",
        )
        .filter(pl.col("channel").is_not_null())
        .with_columns(
            _uplift(prior.tau).alias("uplift"),
            _uplift(prior.tau_low).alias("uplift_low"),
            _uplift(prior.tau_high).alias("uplift_high"),
            pl.lit("prior").alias("evidence_grade"),
        )
        .with_columns((touch_cost * dose.max_touches + offer.cost * redeemed).alias("expected_cost"))
        .with_columns((pl.col("uplift") * value - pl.col("expected_cost")).alias("expected_profit"))
        .select(list(_SCHEMA))
    )


def _uplift(tau: float) -> pl.Expr:
    if tau == 0:
        return pl.lit(0.0)  # exactly: rounding noise must not make a profit of a message that does nothing
    p = pl.col("p_return").clip(_P_FLOOR, 1 - _P_FLOOR)
    log_odds = (p / (1 - p)).log() + tau
    return 1 / (1 + (-log_odds).exp()) - p
