"""`python -m benchmarks.allocation`: dual prices against the linear programme and greedy lists, in one run.

The market is drawn from a seed: twelve options on four channels, log-normal values, a budget and four capacities. HiGHS
solves the linear programme exactly; greedy takes pairs by profit, or each user's best, while they fit.
"""

import argparse
import resource
import sys
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from dagster_project.strategy.dual_prices import NOBODY, Resource, allocate

Floats = npt.NDArray[np.float64]
T = TypeVar("T")
Market = tuple[Floats, list[Resource]]

N_OPTIONS, N_CHANNELS = 12, 4
BAR_OF_LP, BAR_OF_BOUND, BAR_SECONDS, BAR_MB = 0.9995, 0.998, 30.0, 4096.0
TOUCH_COSTS = np.array([0.002, 0.05, 0.3, 1.0])
CAPACITY_SHARES = (0.3, 0.2, 0.08, 0.03)


def draw_market(n_users: int, *, seed: int) -> Market:
    """Profits (users × options, -inf where not allowed) and what is scarce."""
    rng = np.random.default_rng(seed)
    channel = np.arange(N_OPTIONS) % N_CHANNELS
    value = rng.lognormal(3, 1, n_users)[:, None]
    uplift = rng.normal(0.03, 0.03, (n_users, N_OPTIONS)) + rng.normal(0, 0.01, (1, N_OPTIONS))
    offers = (rng.random((1, N_OPTIONS)) < 0.4) * rng.uniform(0, 3, (n_users, N_OPTIONS))
    cost = TOUCH_COSTS[channel][None, :] + offers
    profit = value * np.clip(uplift, -0.02, 0.3) - cost
    profit[rng.random(profit.shape) < 0.2] = -np.inf
    resources = [Resource("budget", cost, 0.05 * n_users)]
    resources += [
        Resource(f"channel {c}", (channel == c).astype(np.float64), n_users * share)
        for c, share in enumerate(CAPACITY_SHARES)
    ]
    return profit, resources


def linear_programme(profit: Floats, resources: Sequence[Resource]) -> float:
    """The exact optimum of the relaxation, by HiGHS."""
    from scipy import sparse
    from scipy.optimize import linprog

    users, options = np.nonzero(profit > 0)
    pairs = np.arange(len(users))
    rows = [sparse.csr_matrix((np.ones(len(users)), (users, pairs)), shape=(len(profit), len(users)))]
    limits = [np.ones(len(profit))]
    for one in resources:
        rows.append(sparse.csr_matrix(np.broadcast_to(np.atleast_2d(one.use), profit.shape)[users, options][None, :]))
        limits.append(np.array([one.limit]))
    found = linprog(
        -profit[users, options],
        A_ub=sparse.vstack(rows),
        b_ub=np.concatenate(limits),
        bounds=(0, 1),
        method="highs",
    )
    return float(-found.fun)


def greedy(profit: Floats, resources: Sequence[Resource], *, best_only: bool) -> float:
    """Pairs by profit while they fit: every pair, or each user's best alone."""
    allowed = profit > 0
    if best_only:
        allowed &= profit == profit.max(axis=1, keepdims=True)
    users, options = np.nonzero(allowed)
    order = np.argsort(-profit[users, options], kind="stable")
    uses = np.stack([np.broadcast_to(np.atleast_2d(one.use), profit.shape) for one in resources])
    left, done, total = np.array([one.limit for one in resources]), np.zeros(len(profit), dtype=bool), 0.0
    for user, option in zip(users[order], options[order], strict=True):
        use = uses[:, user, option]
        if not done[user] and (use <= left).all():
            done[user], total = True, total + profit[user, option]
            left = left - use
    return total


def breaches(profit: Floats, resources: Sequence[Resource], choice: npt.NDArray[np.int64]) -> int:
    """How many limits the choices break."""
    users = np.flatnonzero(choice != NOBODY)
    used = [
        np.broadcast_to(np.atleast_2d(one.use), profit.shape)[users, choice[users]].sum() <= one.limit + 1e-6
        for one in resources
    ]
    return len(used) - int(np.sum(used))


def timed(work: Callable[[], T]) -> tuple[T, float, float]:
    """(answer, wall seconds, CPU seconds)."""
    wall, cpu = time.perf_counter(), time.process_time()
    return work(), time.perf_counter() - wall, time.process_time() - cpu


def main(arguments: Sequence[str] | None = None) -> int:
    """Print both sizes and whether the bars hold; 1 if one does not."""
    flags = argparse.ArgumentParser(prog="python -m benchmarks.allocation", description=__doc__)
    flags.add_argument("--users", type=int, default=20_000, help="against the linear programme (default: %(default)s)")
    flags.add_argument("--many", type=int, default=1_000_000, help="against the bound alone (default: %(default)s)")
    flags.add_argument("--seed", type=int, default=1)
    asked = flags.parse_args(arguments)
    return 0 if all([exact(asked.users, seed=asked.seed), large(asked.many, seed=asked.seed)]) else 1


def exact(n_users: int, *, seed: int) -> bool:
    """Dual prices, greedy lists and the linear programme on one market."""
    profit, resources = draw_market(n_users, seed=seed)
    found, wall, cpu = timed(lambda: allocate(profit, resources))
    optimum, lp_wall, _ = timed(lambda: linear_programme(profit, resources))
    share = found.total / optimum
    print(f"{n_users:,} users × {N_OPTIONS} options, linear programme = 1 ({lp_wall:.1f} s)")
    print(
        f"  dual prices and repair   {share:.6f}  {wall:.1f} s wall, {cpu:.1f} s CPU, bound {found.bound / optimum:.6f}"
    )
    print(f"  greedy, all pairs        {greedy(profit, resources, best_only=False) / optimum:.3f}")
    print(f"  greedy, best per user    {greedy(profit, resources, best_only=True) / optimum:.3f}")
    return told(share >= BAR_OF_LP and not breaches(profit, resources, found.choice), f"at least {BAR_OF_LP} of it")


def large(n_users: int, *, seed: int) -> bool:
    """Dual prices on a market too large for the linear programme."""
    profit, resources = draw_market(n_users, seed=seed)
    found, wall, cpu = timed(lambda: allocate(profit, resources))
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    broken = breaches(profit, resources, found.choice)
    share = found.total / found.bound
    print(f"{n_users:,} users × {N_OPTIONS} options")
    print(f"  {share:.6f} of the bound, {broken} limits broken")
    print(f"  {wall:.1f} s wall, {cpu:.1f} s CPU, peak {peak_mb:,.0f} MB")
    holds = share >= BAR_OF_BOUND and not broken and cpu <= BAR_SECONDS and peak_mb <= BAR_MB
    return told(holds, f"at least {BAR_OF_BOUND} of the bound within {BAR_SECONDS:.0f} s and {BAR_MB:,.0f} MB")


def told(holds: bool, bar: str) -> bool:
    """Whether the bar holds, printed."""
    print(f"  {'met   ' if holds else 'MISSED'}  {bar}")
    return holds


if __name__ == "__main__":
    sys.exit(main())
