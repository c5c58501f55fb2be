"""Equal depth of offers: within a stage nobody is offered a deeper discount than another because of a prediction.

Why: PIPL Art. 24 forbids unreasonable differential treatment in prices by automated decisions; where no law asks for
it, `strategies.equal_offers` can. Which laws ask stands in the packs of `compliance`.
"""

import polars as pl

from dagster_project.strategy.catalogue import Catalogue
from dagster_project.strategy.rules import DecisionRules


def equal_depths(
    options: pl.DataFrame, cases: pl.DataFrame, *, catalogue: Catalogue, rules: DecisionRules
) -> pl.DataFrame:
    """The options, those with an offer of another depth than their stage's left out; order kept.

    Depth is what an offer costs; offers of different kinds (discount, points, trial) are not compared. Of several
    depths of a kind in a stage the one stays whose options are worth the most in all (ties: the smaller), counting
    each user's best. `cases` give `stage` and `needs_equal_offers` per `user_sk`; users who need no equal offers keep
    all of theirs, unless `rules.equal_offers_for_all`.
    """
    offers = pl.DataFrame(
        [(one.id, one.offer.kind, one.offer.cost) for one in catalogue.sending if one.offer.kind != "none"],
        schema={"strategy_id": pl.String, "kind": pl.String, "depth": pl.Float64},
        orient="row",
    )
    if offers.select("kind", "depth").n_unique() == offers["kind"].n_unique():
        return options  # one depth a kind: nothing to choose between
    is_bound = pl.col("needs_equal_offers").fill_null(value=False) | rules.equal_offers_for_all
    bound = cases.filter(is_bound).select("user_sk", "stage")
    offered = options.join(offers, on="strategy_id", how="inner").join(bound, on="user_sk", how="inner")
    best = offered.group_by("user_sk", "stage", "kind", "depth").agg(pl.col("expected_profit").max().clip(0))
    chosen = (
        best.group_by("stage", "kind", "depth")
        .agg(pl.col("expected_profit").sort().sum().alias("worth"))
        .sort("stage", "kind", "worth", "depth", descending=[False, False, True, False])
        .unique(subset=["stage", "kind"], keep="first", maintain_order=True)
    )
    unequal = offered.join(chosen, on=["stage", "kind", "depth"], how="anti").select(
        "user_sk", "strategy_id", "channel"
    )
    return options.join(unequal, on=["user_sk", "strategy_id", "channel"], how="anti", maintain_order="left")
