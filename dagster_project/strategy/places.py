"""Who gets a place of the night: the market, the arms, the gates in rank order, and what becomes of each user.

Prices are the market's, draws the holdout's; here they meet. What an option is worth is decided in `options`.
"""

from datetime import date
from math import ceil

import polars as pl

from dagster_project.strategy.allocation import gates
from dagster_project.strategy.catalogue import Catalogue
from dagster_project.strategy.eligibility import is_ours
from dagster_project.strategy.exploring import drawn_by_chance, explore_chances
from dagster_project.strategy.holdout import CONTROL, EXPLORE, hash_draws, own_controls
from dagster_project.strategy.market import Market, clear_market, night_limits, with_room_for_draws
from dagster_project.strategy.rules import DecisionRules

EXPORT, HOLD, WAIT, SUPPRESS = "exported", "holdout", "waiting", "suppressed"
AWAITS_APPROVAL = "strategy.awaits_approval"
OTHER_ACCOUNT = "person.other_account"


def with_few_who_are_here(passed: pl.DataFrame, *, rules: DecisionRules) -> pl.DataFrame:
    """Those who may have a place, of users who are still here only the most profitable; order kept.

    They may take `rules.early_warning_share` of the night's contacts, for a win-back night is for those who left: the
    chance of the others to stay is large, so that the same lift promises more there, and most of it is an opinion.
    """
    here = passed.filter(~pl.col("is_churned") & ~is_ours())
    n_places = passed.height if rules.max_contacts is None else min(rules.max_contacts, passed.height)
    most = ceil(rules.early_warning_share * n_places)
    if here.height <= most:
        return passed
    beyond = here.sort("expected_profit", "user_id", descending=[True, False]).slice(most)["user_sk"]
    return passed.filter(~pl.col("user_sk").is_in(beyond.implode()))


def with_one_account_each(passed: pl.DataFrame) -> pl.DataFrame:
    """Those who may have a place, of several accounts of one person only the most profitable; order kept."""
    person = pl.col("person_key").replace("", None)
    ranked = passed.sort("expected_profit", "user_id", descending=[True, False])
    best = ranked.filter(person.is_null() | person.is_first_distinct()).select("user_sk")
    return passed.join(best, on="user_sk", how="semi", maintain_order="left")


def clear_night(options: pl.DataFrame, passed: pl.DataFrame, *, drawn: pl.DataFrame, rules: DecisionRules) -> Market:
    """The night's market, with room for the held out, who use nothing up, and for what exploring costs.

    `passed`: those who may have a place, with `arm`; `drawn`: the explorers' options.
    """
    scale = passed.height / max(passed.filter(pl.col("arm") != CONTROL).height, 1)
    limits = {name: limit * scale for name, limit in night_limits(rules).items()}
    market = clear_market(options, passed, limits=limits)
    served = market.chosen.filter("is_allocated").join(passed.select("user_sk", "arm"), on="user_sk", how="left")
    explorers = served.filter(pl.col("arm") == EXPLORE).sort("user_id")
    if explorers.is_empty():
        return market
    theirs = drawn.join(explorers.select("user_sk"), on="user_sk", how="semi")
    return clear_market(options, passed, limits=with_room_for_draws(limits, chosen=explorers, drawn=theirs))


def with_choice(cases: pl.DataFrame, market: Market) -> pl.DataFrame:
    """The cases, those in the market with the option that is theirs at its prices instead of their best."""
    theirs = market.chosen.drop("user_id").with_columns(pl.lit(value=True).alias("is_in_market"))
    swapped = [name for name in theirs.columns if name in cases.columns and name != "user_sk"]
    joined = cases.join(theirs, on="user_sk", how="left", suffix=".theirs", maintain_order="left")
    in_market = pl.when("is_in_market")
    return joined.with_columns(
        in_market.then(pl.col(f"{name}.theirs")).otherwise(pl.col(name)).alias(name) for name in swapped
    ).select(cases.columns)


def contenders(
    cases: pl.DataFrame, market: Market, *, drawn: pl.DataFrame, rules: DecisionRules, earlier: pl.DataFrame
) -> pl.DataFrame:
    """Those in the market, best first, with the channel, strategy and cost to come, and who uses up nothing of it.

    `earlier`: the arms in which users began their strategies' own experiments (`holdout.ARMS`).
    """
    who = cases.select("user_sk", "arm", "person_key")
    arms = market.chosen.join(who, on="user_sk", how="left", maintain_order="left")
    drawn = drawn.select("user_sk", pl.col("strategy_id", "channel", "expected_cost").name.suffix(".drawn"))
    own = own_controls(arms, salt=rules.salt, shares=rules.hands.control_shares, earlier=earlier)
    contending = arms.with_columns(own.alias("own_arm")).join(drawn, on="user_sk", how="left", maintain_order="left")
    to_come = [pl.coalesce(f"{name}.drawn", name).alias(name) for name in ("strategy_id", "channel", "expected_cost")]
    return (
        contending.select("user_sk", "arm", "own_arm", *to_come)
        .with_columns(
            pl.col("strategy_id").is_in(sorted(rules.hands.waiting)).alias("waits"),
        )
        .with_columns(
            (
                (pl.col("arm") == CONTROL) | (pl.col("own_arm") == CONTROL).fill_null(value=False) | pl.col("waits")
            ).alias("is_held_out")
        )
    )


def explored(
    cases: pl.DataFrame, options: pl.DataFrame, *, catalogue: Catalogue, rules: DecisionRules, as_of: date
) -> pl.DataFrame:
    """The option drawn for each explorer of `cases`, by Thompson's rule, with its `chance`."""
    explorers = cases.filter(pl.col("arm") == EXPLORE)
    theirs = options.join(explorers.select("user_sk"), on="user_sk", how="semi")
    seed = f"{rules.salt}/explore/{as_of}"
    chances = explore_chances(theirs, explorers, catalogue=catalogue, rules=rules, seed=seed)
    # A stream of its own: the draw that made the arm must not also choose the strategy.
    draws = hash_draws(explorers["user_id"], salt=seed).alias("draw")
    return drawn_by_chance(chances, explorers.select("user_sk").with_columns(draws))


def with_outcome(cases: pl.DataFrame, contending: pl.DataFrame, rules: DecisionRules) -> pl.DataFrame:
    """The cases with `outcome` (EXPORT, HOLD, WAIT or SUPPRESS), the `gate` that stopped them, `gate_channel`,
    `is_held_out` (who uses up nothing of the night) and `own_arm`: theirs in the experiment of their strategy, if it
    has one. `is_other_account` of the cases is the gate of those who make way for another account of theirs.
    """
    gated = contending.select(
        "user_sk",
        "own_arm",
        "waits",
        "is_held_out",
        gates(contending, rules=rules),
        pl.col("channel").alias("gate_channel"),
        pl.lit(value=True).alias("contends"),
    )
    outcome = (
        pl.when(pl.col("contends").is_null() | pl.col("gate").is_not_null())
        .then(pl.lit(SUPPRESS))
        .when("waits")
        .then(pl.lit(WAIT))
        .when((pl.col("arm") == CONTROL) | (pl.col("own_arm") == CONTROL).fill_null(value=False))
        .then(pl.lit(HOLD))
        .otherwise(pl.lit(EXPORT))
    )
    waiting = pl.when(pl.col("waits") & pl.col("gate").is_null()).then(pl.lit(AWAITS_APPROVAL))
    other = pl.when("is_other_account").then(pl.lit(OTHER_ACCOUNT))
    return cases.join(gated, on="user_sk", how="left", maintain_order="left").with_columns(
        outcome.alias("outcome"), pl.coalesce("gate", waiting, other).alias("gate")
    )
