"""Who gets which option when budget and channels are scarce: prices for what is scarce, then repair.

Each user takes at most one option. Without limits everybody would take their best; a price on each limited resource
makes the sum of those choices fit. The prices are the Lagrange multipliers of the linear programme (dual
decomposition), so they are what one more unit of a resource would earn, and the dual value bounds from above what any
allocation could earn.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dagster_project.errors import WinbackError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

NOBODY = -1  # the choice of a user who gets nothing
BLOCK_ROWS = 200_000  # rows of users × options held twice at once: 40 MB at twelve options
SAMPLE_ROWS = 20_000  # prices found on a sample are within a thousandth of those of all
TOLERANCE = 2e-5  # of the bound, where the search of prices stops
MOST_CUTS = 200
MOST_FILLS = 20_000


@dataclass(frozen=True)
class Resource:
    """Something scarce. `use`: options, or users × options; every entry ≥ 0. `limit` ≥ 0, in the same unit."""

    name: str
    use: Floats
    limit: float


@dataclass(frozen=True)
class Allocation:
    """`choice`: per user the option's column, or -1. `prices`: per resource what one more unit of it would earn.

    `total` is the profit of the choices, `bound` what no allocation can exceed; `used` is per resource.
    """

    choice: Ints
    prices: Floats
    used: Floats
    total: float
    bound: float

    @property
    def gap(self) -> float:
        """Share of the bound that was not reached: at most this much is lost. 0 where nothing could be earned."""
        return 1 - self.total / self.bound if self.bound > 0 else 0.0


def allocate(profit: Floats, resources: Sequence[Resource] = ()) -> Allocation:
    """The choices of greatest total profit that fit every limit, nearly.

    `profit`: users × options, in money; -inf where the user may not have the option. An option at or below zero is
    never chosen. Feasible always; `gap` says how far from the bound at most. The order of rows breaks ties,
    so let it be one that means nothing, such as that of hashes.
    Raises WinbackError: a profit is NaN or +inf, a use or a limit is negative or not finite.
    """
    _require_sane(profit, resources)
    if not profit.size:
        return Allocation(np.full(len(profit), NOBODY), np.zeros(len(resources)), np.zeros(len(resources)), 0.0, 0.0)
    market = _Market(profit, resources)
    prices, bound = market.search()
    choice = market.repaired(market.choices(prices), prices)
    choice = market.filled(choice, prices)
    used, total = market.used(choice), market.total(choice)
    return Allocation(choice, prices / market.scale, used, total, max(bound, total))


class _Market:
    """The options with resources in shares of their limits, so that all prices are sums of money."""

    def __init__(self, profit: Floats, resources: Sequence[Resource]) -> None:
        self.profit = profit
        self.scale = np.asarray([one.limit if one.limit > 0 else 1.0 for one in resources])
        self.limits = np.asarray([one.limit for one in resources])
        self.shares = np.where(self.limits > 0, 1.0, 0.0)
        self.uses = [np.atleast_2d(one.use) for one in resources]

    def search(self) -> tuple[Floats, float]:
        """(prices per whole limit, upper bound): cutting planes on a sample first, then on everybody."""
        if not self.uses:
            return np.zeros(0), self.total(self.choices(np.zeros(0)))
        n = len(self.profit)
        start = np.zeros(len(self.uses))
        if n > 2 * SAMPLE_ROWS:
            rows = np.random.default_rng(n).choice(n, SAMPLE_ROWS, replace=False)
            small = self._sampled(rows)
            start = small._cut_planes(start, radius=None)[0] * (n / SAMPLE_ROWS)
            return self._cut_planes(start, radius=0.02)
        return self._cut_planes(start, radius=None)

    def _sampled(self, rows: Ints) -> "_Market":
        small = _Market(self.profit[rows], [])
        small.uses = [use if len(use) == 1 else use[rows] for use in self.uses]
        small.limits = self.limits * len(rows) / len(self.profit)
        small.scale = np.where(self.limits > 0, small.limits, 1.0)
        small.shares = self.shares
        return small

    def _cut_planes(self, start: Floats, *, radius: float | None) -> tuple[Floats, float]:
        """Kelley's method within a box around the best prices so far: each cut is the dual's tangent at some prices.

        `radius`: half the box's first width, as a share of the dual value; null for no box.
        """
        value, slope = self.dual(start)
        best, lowest = start, value
        cuts = [(value, slope, start)]
        reach = np.inf if radius is None else radius * max(value, 1e-12)
        for _ in range(MOST_CUTS):
            trial, below = self._cheapest(cuts, best, reach=reach, most=max(value, lowest))
            value, slope = self.dual(trial)
            cuts.append((value, slope, trial))
            if value < lowest:
                best, lowest = trial, value
            elif np.isfinite(reach):
                reach /= 2
            if lowest - below <= TOLERANCE * max(abs(lowest), 1e-12):
                at_edge = np.isfinite(reach) and bool(np.any(np.abs(trial - best) >= reach * (1 - 1e-9)))
                if not at_edge:
                    break
                reach *= 4
        return best, lowest

    def _cheapest(
        self, cuts: list[tuple[float, Floats, Floats]], best: Floats, *, reach: float, most: float
    ) -> tuple[Floats, float]:
        """(prices, value) at the lowest point of the cuts' upper envelope within the box."""
        from scipy.optimize import linprog

        slopes = np.asarray([slope for _, slope, _ in cuts])
        offsets = np.asarray([value - slope @ at for value, slope, at in cuts])
        n = len(best)
        low = np.maximum(best - reach, 0.0)
        high = np.minimum(best + reach, np.where(self.limits > 0, most, np.inf))
        bounds = [(float(a), None if not np.isfinite(b) else float(max(b, a))) for a, b in zip(low, high, strict=True)]
        found = linprog(
            c=np.append(np.zeros(n), 1.0),
            A_ub=np.column_stack([slopes, -np.ones(len(cuts))]),
            b_ub=-offsets,
            bounds=[*bounds, (None, None)],
            method="highs",
        )
        if found.x is None:  # an unbounded or failed master: stay where we are
            return best, -np.inf
        return np.asarray(found.x[:-1]), float(found.x[-1])

    def dual(self, prices: Floats) -> tuple[float, Floats]:
        """(sum of the users' best gains after prices, plus the price of all limits; its slope)."""
        gain, used = 0.0, np.zeros(len(self.uses))
        for rows in self._blocks():
            reduced = self.reduced(rows, prices)
            column = reduced.argmax(axis=1)
            best = reduced[np.arange(len(column)), column]
            takes = best > 0
            gain += float(best[takes].sum())
            used += self._used_by(rows, np.where(takes, column, NOBODY))
        return gain + float(prices @ self.shares), self.shares - used / self.scale

    def choices(self, prices: Floats) -> Ints:
        """Each user's best option after prices."""
        choice = np.full(len(self.profit), NOBODY)
        for rows in self._blocks():
            reduced = self.reduced(rows, prices)
            column = reduced.argmax(axis=1)
            takes = reduced[np.arange(len(column)), column] > 0
            choice[rows] = np.where(takes, column, NOBODY)
        return choice

    def reduced(self, rows: slice | Ints, prices: Floats) -> Floats:
        """Profit after prices of some users' options; what is not profitable by itself is never taken."""
        profit = self.profit[rows]
        reduced = np.where(profit > 0, profit, -np.inf)
        for use, price, scale in zip(self.uses, prices, self.scale, strict=True):
            if price:
                reduced = reduced - (price / scale) * (use if len(use) == 1 else use[rows])
        return reduced

    def repaired(self, choice: Ints, prices: Floats) -> Ints:
        """The choices with those moved or dropped, cheapest first, that overfill a resource."""
        choice = choice.copy()
        for attempt in range(2 * len(self.uses) + 2):
            over = np.flatnonzero(self.used(choice) > self.limits * (1 + 1e-12) + 1e-9)
            if not len(over):
                return choice
            self._relieve(int(over[0]), choice, prices, may_move=attempt < len(self.uses))
        for resource in range(len(self.uses)):
            self._relieve(resource, choice, prices, may_move=False)
        return choice

    def _relieve(self, resource: int, choice: Ints, prices: Floats, *, may_move: bool) -> None:
        taken = self._of_choice(resource, choice)
        excess = taken.sum() - self.limits[resource]
        users = np.flatnonzero(taken > 0)
        if excess <= 0 or not len(users):
            return
        reduced = self.reduced(users, prices)
        kept = reduced[np.arange(len(users)), choice[users]]
        other, gain = np.full(len(users), NOBODY), np.zeros(len(users))
        if may_move:
            use = self.uses[resource] if len(self.uses[resource]) == 1 else self.uses[resource][users]
            spared = np.where(use > 0, -np.inf, reduced)
            column = spared.argmax(axis=1)
            best = spared[np.arange(len(users)), column]
            other, gain = np.where(best > 0, column, NOBODY), np.maximum(best, 0.0)
        loss = (kept - gain) / taken[users]
        order = np.lexsort((users, loss))
        freed = np.cumsum(taken[users][order])
        n_moved = min(int(np.searchsorted(freed, excess - 1e-12)) + 1, len(users))
        moved = order[:n_moved]
        choice[users[moved]] = other[moved]

    def filled(self, choice: Ints, prices: Floats) -> Ints:
        """The choices with what is left over given to those who lose least by the prices."""
        choice, left = choice.copy(), self.limits - self.used(choice)
        if not self.uses:
            return choice
        for user, column in self._wishes(choice, prices):
            change = self._use_of(user, column) - self._use_of(user, int(choice[user]))
            now = self.profit[user, choice[user]] if choice[user] != NOBODY else 0.0
            if self.profit[user, column] > now and np.all(change <= left):
                choice[user] = column
                left -= change
        return choice

    def _wishes(self, choice: Ints, prices: Floats) -> list[tuple[int, int]]:
        """(user, option) pairs that would earn more than the choice, least lost by the prices first."""
        found: list[tuple[Floats, Ints, Ints]] = []
        for rows in self._blocks():
            profit, reduced = self.profit[rows], self.reduced(rows, prices)
            has = choice[rows] != NOBODY
            place = np.where(has, choice[rows], 0)
            at = np.arange(len(place))
            now, now_reduced = np.where(has, profit[at, place], 0.0), np.where(has, reduced[at, place], 0.0)
            user, column = np.nonzero(profit > now[:, None])
            lost = now_reduced[user] - reduced[user, column]
            nearest = np.argsort(lost, kind="stable")[:MOST_FILLS]
            found.append((lost[nearest], user[nearest] + rows.start, column[nearest]))
        lost, users, columns = (np.concatenate(parts) for parts in zip(*found, strict=True))
        order = np.lexsort((columns, users, lost))[:MOST_FILLS]
        return list(zip(users[order].tolist(), columns[order].tolist(), strict=True))

    def used(self, choice: Ints) -> Floats:
        """Per resource, in its own unit."""
        return np.asarray([self._of_choice(k, choice).sum() for k in range(len(self.uses))])

    def total(self, choice: Ints) -> float:
        """Profit of the choices."""
        users = np.flatnonzero(choice != NOBODY)
        return float(self.profit[users, choice[users]].sum())

    def _used_by(self, rows: slice, choice: Ints) -> Floats:
        users = np.flatnonzero(choice != NOBODY)
        column = choice[users]
        return np.asarray([(use[0][column] if len(use) == 1 else use[rows][users, column]).sum() for use in self.uses])

    def _of_choice(self, resource: int, choice: Ints) -> Floats:
        use, taken = self.uses[resource], np.zeros(len(choice))
        users = np.flatnonzero(choice != NOBODY)
        taken[users] = use[0][choice[users]] if len(use) == 1 else use[users, choice[users]]
        return taken

    def _use_of(self, user: int, column: int) -> Floats:
        if column == NOBODY:
            return np.zeros(len(self.uses))
        return np.asarray([use[0, column] if len(use) == 1 else use[user, column] for use in self.uses])

    def _blocks(self) -> list[slice]:
        n = len(self.profit)
        return [slice(first, min(first + BLOCK_ROWS, n)) for first in range(0, n, BLOCK_ROWS)]


def _require_sane(profit: Floats, resources: Sequence[Resource]) -> None:
    if np.isnan(profit).any() or np.isposinf(profit).any():
        raise WinbackError("a profit is NaN or infinite", fix="price every option, with -inf where it is not allowed")
    for one in resources:
        if not np.isfinite(one.limit) or one.limit < 0:
            raise WinbackError(f"{one.name} is limited to {one.limit}", fix="give a limit of zero or more")
        if not np.isfinite(one.use).all() or (one.use < 0).any():
            raise WinbackError(f"a use of {one.name} is negative or not finite", fix="give costs of zero or more")
