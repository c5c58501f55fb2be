"""Which of its options an explorer gets: Thompson sampling, with chances that are known exactly.

Who explores is drawn in `holdout`. Thompson 1933: choose an option as often as it is likely to be the best.
"""

from hashlib import sha256

import numpy as np
import polars as pl

from dagster_project.strategy.catalogue import Catalogue, Strategy
from dagster_project.strategy.lift import Floats, log_odds, rise
from dagster_project.strategy.options import fits_of_parts
from dagster_project.strategy.priors import FACETS, Beliefs
from dagster_project.strategy.rules import DecisionRules

N_DRAWS = 128
EVEN_SHARE = 0.2  # of every explorer's chances, what is spread evenly: no option is ever given up unseen
BLOCK_ROWS = 20_000  # options times draws held at once: 20 MB
KEYS = ["user_sk", "strategy_id", "channel"]


def explore_chances(
    options: pl.DataFrame,
    cases: pl.DataFrame,
    *,
    catalogue: Catalogue,
    rules: DecisionRules,
    seed: str,
    n_draws: int = N_DRAWS,
    even_share: float = EVEN_SHARE,
) -> pl.DataFrame:
    """The options with `chance`, by which an explorer gets each: above zero, of sum 1 per user. Sorted by KEYS.

    `options` are those of the explorers, as `price_options` prices them; `cases` (one row per user) hold what they
    were priced by. The lifts of all strategies are drawn `n_draws` times from `rules.beliefs`; `chance` is the share
    of draws in which the option would earn the most, its costs and harm counted, mixed with `even_share` of equal
    chances. The draws depend on `seed` and the strategy alone, so that a rerun and any order of rows give the same
    chances; and since the option is chosen by these very shares, they are its propensities exactly, not estimates.
    """
    priced = _with_facts(options, cases, rules).sort(KEYS)
    thetas = {one.id: _draws(one, rules.beliefs, seed=seed, n_draws=n_draws) for one in catalogue.sending}
    chances = [np.empty(0)]
    for block in _whole_users(priced):
        profit = np.empty((block.height, n_draws))
        places = block.with_row_index("place").partition_by("strategy_id", "channel", as_dict=True)
        for (strategy_id, channel), rows in sorted(places.items()):
            strategy = catalogue.by_id[str(strategy_id)]
            profit[rows["place"].to_numpy()] = _drawn_profit(
                rows, strategy, str(channel), rules.beliefs, thetas[strategy.id]
            )
        chances.append(_shares_of_best(block["user_sk"].to_numpy(), profit))
    n_options = pl.len().over("user_sk")
    best = pl.Series("chance", np.concatenate(chances))
    return priced.select(options.columns).with_columns(
        (best * (1 - even_share) + even_share / n_options).alias("chance")
    )


def drawn_by_chance(options: pl.DataFrame, draws: pl.DataFrame) -> pl.DataFrame:
    """Per user of `draws` (`user_sk`, `draw` in [0, 1)) one of their options, each with its `chance`."""
    upper = pl.col("chance").cum_sum().over("user_sk")
    return (
        options.join(draws, on="user_sk", how="inner")
        .sort(KEYS)
        # The last takes what rounding has left below 1.
        .filter((pl.col("draw") < upper) | (pl.int_range(pl.len()).over("user_sk") == pl.len().over("user_sk") - 1))
        .unique(subset="user_sk", keep="first", maintain_order=True)
        .drop("draw")
    )


def _with_facts(options: pl.DataFrame, cases: pl.DataFrame, rules: DecisionRules) -> pl.DataFrame:
    kinds = [name for name in FACETS if name in cases.columns]
    reasons = [name for name in cases.columns if name.startswith("p_") and name != "p_return"]
    categories = [name for name in ("categories",) if name in cases.columns]
    facts = cases.select("user_sk", "p_return", rules.worth.alias("worth"), *kinds, *reasons, *categories)
    return options.join(facts, on="user_sk", how="left")


def _draws(strategy: Strategy, beliefs: Beliefs, *, seed: str, n_draws: int) -> Floats:
    """Draws of all parts of the joint belief on a strategy: draws × parts."""
    digest = sha256(f"{seed}\0{strategy.id}".encode()).digest()
    return beliefs.joint(strategy).belief.draws(n_draws, seed=int.from_bytes(digest[:8], "big"))


def _drawn_profit(rows: pl.DataFrame, strategy: Strategy, channel: str, beliefs: Beliefs, thetas: Floats) -> Floats:
    """What each option would earn by each draw: rows × draws."""
    kept = beliefs.parts_by_kind(strategy)
    fits = [one.name.prefix("fit.") for one in fits_of_parts(strategy, beliefs, columns=rows.columns)]
    parts = rows.select(*(pl.lit(0).alias("row"), *fits)).drop("row").to_numpy()
    loadings = beliefs.loadings(strategy, channel=channel, kept=kept)
    lifts = parts @ (loadings @ thetas.T)
    rises = rise(log_odds(rows["p_return"].to_numpy())[:, None], lifts) * rows["attention"].to_numpy()[:, None]
    redeemed = strategy.offer.cost * strategy.offer.redeem_share
    fixed = (rows["expected_cost"] + rows["expected_harm"] - redeemed * rows["uplift"]).to_numpy()
    return np.asarray(rises * (rows["worth"].to_numpy()[:, None] - redeemed) - fixed[:, None])


def _whole_users(priced: pl.DataFrame) -> list[pl.DataFrame]:
    """The options in blocks of BLOCK_ROWS or a little more, no user in two of them."""
    if priced.is_empty():
        return []
    block = (pl.int_range(pl.len()) // BLOCK_ROWS).first().over("user_sk")
    return priced.with_columns(block.alias("block")).partition_by("block", maintain_order=True, include_key=False)


def _shares_of_best(users: Floats, profit: Floats) -> Floats:
    """Per option the share of draws in which it earns the most of its user's; equal ones share. Users are adjacent."""
    starts = np.flatnonzero(np.r_[True, users[1:] != users[:-1]])
    of_user = np.repeat(np.arange(len(starts)), np.diff(np.r_[starts, len(users)]))
    is_best = profit == np.maximum.reduceat(profit, starts, axis=0)[of_user]
    return np.asarray((is_best / np.add.reduceat(is_best, starts, axis=0)[of_user]).mean(axis=1))
