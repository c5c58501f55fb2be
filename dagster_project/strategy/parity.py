"""Equal offers: within a stage everybody who fits an offer gets it, as deep as the others, or nobody does.

Why: PIPL Art. 24 forbids unreasonable differential treatment in prices by automated decisions; where no law asks for
it, `strategies.equal_offers` can. Which laws ask stands in the packs of `compliance`.
"""

import polars as pl

from dagster_project.strategy.catalogue import Catalogue
from dagster_project.strategy.rules import DecisionRules

_LEVEL = ["kind", "depth"]


def equal_offers(
    options: pl.DataFrame, cases: pl.DataFrame, *, catalogue: Catalogue, rules: DecisionRules
) -> pl.DataFrame:
    """The options, those left out that would make a difference of offer within a stage; order kept.

    A level is a kind of offer (none, discount, points, trial) and its depth, what it costs. Of each stage one level
    stays: who fits it has no option of another, and who does not has those without an offer. It is the level whose
    options are worth the most in all, counting each user's best (ties: the smaller depth, then the kind by name).
    `cases` give `stage` and `needs_equal_offers` per `user_sk`; users who need no equal offers keep all of theirs,
    unless `rules.equal_offers_for_all`.
    """
    offers = pl.DataFrame(
        [(one.id, one.offer.kind, one.offer.cost) for one in catalogue.sending if one.has_offer],
        schema={"strategy_id": pl.String, "kind": pl.String, "depth": pl.Float64},
        orient="row",
    )
    is_bound = pl.col("needs_equal_offers").fill_null(value=False) | rules.equal_offers_for_all
    bound = cases.filter(is_bound).select("user_sk", "stage")
    level = (pl.col("kind").fill_null("none"), pl.col("depth").fill_null(0.0))
    theirs = options.join(offers, on="strategy_id", how="left").join(bound, on="user_sk", how="inner")
    theirs = theirs.with_columns(level)
    best = theirs.group_by("user_sk", "stage", *_LEVEL).agg(pl.col("expected_profit").max().clip(0))
    chosen = _worth_most(best)
    fitting = best.join(chosen, on=["stage", *_LEVEL], how="semi").select("user_sk", pl.lit(value=True).alias("fits"))
    stays = (pl.col("kind") == pl.col("kind_chosen")) & (pl.col("depth") == pl.col("depth_chosen"))
    falls_back = (pl.col("kind") == "none") & pl.col("fits").is_null()
    unequal = (
        theirs.join(chosen, on="stage", how="left", suffix="_chosen")
        .join(fitting, on="user_sk", how="left")
        .filter(~(stays | falls_back))
        .select("user_sk", "strategy_id", "channel")
    )
    return options.join(unequal, on=["user_sk", "strategy_id", "channel"], how="anti", maintain_order="left")


def _worth_most(best: pl.DataFrame) -> pl.DataFrame:
    """stage, kind, depth: of each stage the level that earns most. `best`: each user's best profit at each level."""
    levels = best.select("stage", *_LEVEL).unique()
    without = best.filter(pl.col("kind") == "none").select("user_sk", pl.col("expected_profit").alias("without"))
    everybody = best.select("user_sk", "stage").unique().join(levels, on="stage", how="inner")
    earned = everybody.join(best, on=["user_sk", "stage", *_LEVEL], how="left").join(without, on="user_sk", how="left")
    worth = pl.coalesce("expected_profit", "without", pl.lit(0.0)).sort().sum().alias("worth")
    return (
        earned.group_by("stage", *_LEVEL)
        .agg(worth)
        .sort("stage", "worth", "depth", "kind", descending=[False, True, False, False])
        .unique(subset="stage", keep="first", maintain_order=True)
        .select("stage", *_LEVEL)
    )
