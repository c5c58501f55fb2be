"""What must never be combined: exclusions in both directions, circles among them, and who makes way for whom."""

from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter

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
