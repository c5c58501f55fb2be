"""`python -m benchmarks.strategy_worlds`: what a night earns in worlds whose truth is kept apart, against an oracle.

Per seed one firm (`benchmarks.strategy_world`) and one night under a budget and channel capacities. The profit of a
list is what it brings in truth: expected returns caused × value − messages − offers for all who redeem − harm. The
oracle knows the true lift, cost and harm of every option and allocates by `dual_prices.allocate` under the same
limits. It knows no more of a user than the night does: nobody can know which of two alike users would answer. The
plain lists walk the users by their rank (least likely to return, last seen, most valuable, at random) and
give each the strategy of which its author promises most, on its first channel with room, while the money lasts.

All work on the same users: a tenth is held out for everybody alike. The engine alone also gives a twentieth to the
explore arm, whose options are drawn; what that costs counts against it. The bars are on the money of all seeds
together; the mean share per seed stands beside them. A share of a firm that can hardly earn anything means little.
"""

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from benchmarks.bars import Verdict, show_verdicts
from benchmarks.strategy_world import (
    AS_OF,
    HARSH,
    KEYS,
    USUAL,
    Nature,
    Night,
    World,
    draw_night,
    draw_world,
    experiment,
)
from benchmarks.tables import table
from dagster_project.strategy.assignment import decide
from dagster_project.strategy.dual_prices import NOBODY, Resource, allocate
from dagster_project.strategy.holdout import assign_arms
from dagster_project.strategy.learning import beliefs_from
from dagster_project.strategy.market import BUDGET, CHANNEL, night_limits
from dagster_project.strategy.priors import Beliefs

Floats = npt.NDArray[np.float64]

SEEDS = range(20)
N_USERS, N_TESTED = 4_000, 20_000
BAR_TAUGHT, BAR_PRIORS = 0.85, 0.60
PLAIN = ("risk first", "recency first", "value first", "random")


NATURES = {"usual": USUAL, "harsh": HARSH}


@dataclass(frozen=True)
class Earned:
    """The true profit of one night by every way of choosing."""

    oracle: float
    priors: float
    taught: float
    plain: Mapping[str, float]


def measure(seed: int, *, nature: Nature = USUAL) -> Earned:
    """One seed."""
    world = draw_world(seed, n_users=N_USERS, nature=nature)
    night = draw_night(world, n_users=N_USERS, stream=0)
    tested = experiment(world, n_users=N_TESTED, stream=1000)
    taught = beliefs_from(world.rules.beliefs.priors, tested, catalogue=world.catalogue, as_of=AS_OF)
    free = reachable(world, night)
    return Earned(
        oracle=oracle(world, free),
        priors=engine(world, night, world.rules.beliefs),
        taught=engine(world, night, taught),
        plain={name: plain_list(world, free, night, name) for name in PLAIN},
    )


def engine(world: World, night: Night, beliefs: Beliefs) -> float:
    """True profit of the product's own night."""
    made = decide(
        night.candidates,
        night.contact_points,
        catalogue=world.catalogue,
        rules=replace(world.rules, beliefs=beliefs),
        as_of=AS_OF,
    )
    return profit_of(made.exported, night)


def profit_of(contacts: pl.DataFrame, night: Night) -> float:
    """What the contacts bring in truth."""
    known = contacts.select(KEYS).join(night.options, on=KEYS, how="left")
    return float(known["true_profit"].sum())


def reachable(world: World, night: Night) -> pl.DataFrame:
    """The options of everybody who is not held out."""
    arms = assign_arms(
        night.candidates,
        salt=world.rules.salt,
        control_share=world.rules.control_share,
        explore_share=world.rules.explore_share,
    )
    return night.options.join(arms.filter(pl.col("arm") != "control").select("user_sk"), on="user_sk", how="semi").sort(
        KEYS
    )


def oracle(world: World, options: pl.DataFrame) -> float:
    """The most that the limits allow, nearly, to one who knows the truth."""
    columns = options.select("strategy_id", "channel").unique().sort("strategy_id", "channel").with_row_index("column")
    users = options.select("user_sk").unique().sort("user_sk").with_row_index("row")
    placed = options.join(columns, on=["strategy_id", "channel"], how="left").join(users, on="user_sk", how="left")
    row, column = placed["row"].to_numpy(), placed["column"].to_numpy()
    profit = np.full((users.height, columns.height), -np.inf)
    cost = np.zeros(profit.shape)
    profit[row, column], cost[row, column] = placed["true_profit"].to_numpy(), placed["true_cost"].to_numpy()
    resources = []
    for name, limit in night_limits(world.rules).items():
        of_channel = (columns["channel"] == name.removeprefix(CHANNEL)).cast(pl.Float64).to_numpy()
        resources.append(Resource(name, cost if name == BUDGET else of_channel, limit))
    choice = allocate(profit, resources).choice
    chosen = np.flatnonzero(choice != NOBODY)
    return float(profit[chosen, choice[chosen]].sum())


def plain_list(world: World, options: pl.DataFrame, night: Night, name: str) -> float:
    """True profit of a list by one rank, each user with the strategy that is promised most, while money lasts."""
    promised = {one.id: one.prior.tau for one in world.catalogue.sending}
    first = {(one.id, channel): place for one in world.catalogue.sending for place, channel in enumerate(one.channels)}
    users = night.candidates.sort("user_sk")
    order = users.with_columns(_rank(name, users, world.seed).alias("rank")).select("user_sk", "rank")
    walked = (
        options.join(order, on="user_sk", how="left")
        .with_columns(
            pl.col("strategy_id").replace_strict(promised, return_dtype=pl.Float64).alias("promise"),
            pl.struct("strategy_id", "channel")
            .map_elements(lambda key: first[key["strategy_id"], key["channel"]], return_dtype=pl.Int64)
            .alias("place"),
        )
        .sort("rank", "user_sk", "promise", "strategy_id", "place", descending=[False, False, True, False, False])
    )
    left = night_limits(world.rules)
    served: set[int] = set()
    total = 0.0
    for user, channel, cost, profit in walked.select("user_sk", "channel", "true_cost", "true_profit").iter_rows():
        if user in served or left[BUDGET] < cost or left.get(CHANNEL + channel, 1.0) < 1:
            continue
        served.add(user)
        left[BUDGET] -= cost
        if CHANNEL + channel in left:
            left[CHANNEL + channel] -= 1
        total += profit
    return total


def _rank(name: str, users: pl.DataFrame, seed: int) -> pl.Expr | pl.Series:
    if name == "random":
        return pl.Series(np.random.default_rng([seed, 4]).random(users.height))
    by = {"risk first": "p_return", "recency first": "days_silent", "value first": "value_if_returned"}[name]
    return -pl.col(by) if name == "value first" else pl.col(by)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print every seed and the bars; 1 if one is missed."""
    flags = argparse.ArgumentParser(prog="python -m benchmarks.strategy_worlds", description=__doc__)
    flags.add_argument("--seeds", type=int, default=len(SEEDS), help="how many (default: %(default)s)")
    flags.add_argument("--first", type=int, default=SEEDS[0], help="the first seed (default: %(default)s)")
    flags.add_argument("--nature", choices=sorted(NATURES), default="usual", help="default: %(default)s")
    asked = flags.parse_args(arguments)
    started = time.perf_counter()
    seeds = range(asked.first, asked.first + asked.seeds)
    found = {seed: measure(seed, nature=NATURES[asked.nature]) for seed in seeds}
    rows = [
        (
            str(seed),
            f"{one.oracle:,.0f}",
            *(f"{earned / one.oracle:.3f}" for earned in (one.priors, one.taught, *one.plain.values())),
        )
        for seed, one in found.items()
    ]
    print(table(("seed", "oracle", "priors alone", "after a test", *PLAIN), rows), end="\n\n")
    print(f"{time.perf_counter() - started:.0f} s, {asked.nature} worlds; shares of the oracle", end="\n\n")
    return 0 if show_verdicts(verdicts(list(found.values()))) else 1


def verdicts(found: Sequence[Earned]) -> list[Verdict]:
    """The bars."""
    all_oracles = sum(one.oracle for one in found)
    best = max(PLAIN, key=lambda name: sum(one.plain[name] for one in found))
    reference = f"{best} {sum(one.plain[best] for one in found) / all_oracles:.3f}"
    taught = sum(one.taught for one in found) / all_oracles
    priors = sum(one.priors for one in found) / all_oracles
    above = {name: sum(one.taught > one.plain[name] for one in found) for name in PLAIN}
    least = min(PLAIN, key=lambda name: above[name])
    above_by_priors = sum(one.priors > max(one.plain.values()) for one in found)
    return [
        Verdict(
            f"profit after {N_TESTED:,} outcomes, of the oracle's",
            taught,
            BAR_TAUGHT,
            reference=reference,
            is_met=taught >= BAR_TAUGHT,
        ),
        Verdict(
            "profit from priors alone, of the oracle's",
            priors,
            BAR_PRIORS,
            reference=reference,
            is_met=priors >= BAR_PRIORS,
        ),
        Verdict(
            "seeds above every plain list, after outcomes",
            above[least],
            len(found),
            reference=f"closest: {least}",
            is_met=above[least] == len(found),
        ),
        Verdict("seeds above every plain list, priors alone", above_by_priors),
        Verdict("mean share per seed, after outcomes", float(np.mean([one.taught / one.oracle for one in found]))),
        Verdict("mean share per seed, priors alone", float(np.mean([one.priors / one.oracle for one in found]))),
    ]


if __name__ == "__main__":
    sys.exit(main())
