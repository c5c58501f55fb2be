"""What must never be combined: exclusions in both directions, circles among them, and who makes way for whom."""

from collections.abc import Mapping
from datetime import date
from graphlib import CycleError, TopologicalSorter

import polars as pl

from dagster_project.strategy.model import Catalogue, Strategy


def conflicts(catalogue: Catalogue) -> Mapping[str, frozenset[str]]:
    """Per strategy of the catalogue the ids that must not go to the same user, whichever of the two came first.

    An exclusion is written on one side and holds on both. Ids that are not in the catalogue are kept: a strategy that
    was switched off may still stand in the ledger.
    """
    named = {strategy.id: set(strategy.never_with) for strategy in catalogue.strategies}
    both = {key: set(others) for key, others in named.items()}
    for key, others in named.items():
        for other in others:
            both.setdefault(other, set()).add(key)
    return {key: frozenset(both[key]) for key in sorted(both)}


def compatible_options(
    options: pl.DataFrame, contacts: pl.DataFrame, *, catalogue: Catalogue, since: date
) -> pl.DataFrame:
    """The options of no strategy that must never be combined with one that the user got `since`; order kept.

    `contacts`: user_sk, contact_on, strategy_id of earlier nights.
    """
    pairs = pl.DataFrame(
        [(had, one) for one, others in conflicts(catalogue).items() for had in sorted(others)],
        schema={"had": pl.String, "strategy_id": pl.String},
        orient="row",
    )
    lately = contacts.filter(pl.col("contact_on") >= since).select("user_sk", pl.col("strategy_id").alias("had"))
    barred = lately.unique().join(pairs, on="had", how="inner").select("user_sk", "strategy_id")
    return options.join(barred, on=["user_sk", "strategy_id"], how="anti", maintain_order="left")


def circles(never_with: Mapping[str, tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
    """Every circle of exclusions, one by one until none is left, each with its ids in alphabetical order."""
    left, found = dict(never_with), []
    while True:
        try:
            TopologicalSorter(left).prepare()
        except CycleError as error:
            circle = tuple(sorted(set(error.args[1])))
            found.append(circle)
            left = {key: others for key, others in left.items() if key not in circle}
        else:
            return tuple(found)


def by_precedence(strategies: tuple[Strategy, ...]) -> tuple[Strategy, ...]:
    """The strategies, each behind those it makes way for; of those that could come next, the first by id."""
    left = {strategy.id: strategy for strategy in sorted(strategies, key=lambda one: one.id)}
    ordered = []
    while left:
        # Without circles, which loading refuses, one that waits for nobody is always left.
        first = next(one for one in left.values() if not any(other in left for other in one.never_with))
        ordered.append(left.pop(first.id))
    return tuple(ordered)
