"""`python -m benchmarks.uplift_worlds`: how much of what can be had each learner gets, on effects that are known.

Sixteen kinds of effects; `_effects` has them all. The figure: what contacting by the learner's order causes beyond
anybody at the same budgets, over what the true order would; mean over seeds, on fresh users. `of them at 30 %` is the
same at that budget alone, mean over kinds.
"""

import argparse
import sys
import time
from collections.abc import Sequence

import numpy as np

from benchmarks.tables import table
from dagster_project.models.threads import on_one_thread
from dagster_project.models.uplift.gains import ranked_value
from dagster_project.models.uplift.learners import CANDIDATES
from dagster_project.models.uplift.metrics import places
from dagster_project.models.uplift.trials import Floats, Trial, trial_of_people

KINDS = (
    "straight",
    "U",
    "step where two features meet",
    "even log-odds",
    "line and rare step",
    "log-odds",
    "hump at middling odds",
    "lines that cross",
    "rare outcome, log-odds",
    "log-odds and line",
    "sleeping dogs",
    "outcome of bends and a product",
    "24 features",
    "8 of 10 contacted, log-odds",
    "nearly flat",
    "decay",
)
SIZES = (10_000, 40_000)
SIZE, BASE = 0.05, -1.9
N_FRESH, FRESH_SEED = 60_000, 999
BUDGET = 0.3


def world(kind: str, n: int, *, seed: int) -> tuple[Trial, Floats]:
    """(a trial of n users, the true effect of each)."""
    rng = np.random.default_rng(seed)
    x = np.column_stack(
        [rng.normal(size=(n, 3)), rng.lognormal(size=(n, 2)), rng.integers(0, 2, (n, 2)), rng.poisson(1, (n, 2))]
    )
    if kind == "24 features":
        others = rng.normal(size=(n, 15))
        others[:, :5] += 0.7 * x[:, :1]
        others[:, 5:8] += 0.7 * x[:, 2:3]
        x = np.column_stack([x, others])
    odds = BASE + 0.6 * x[:, 0] - 0.4 * x[:, 1] + 0.3 * x[:, 5] + 0.2 * np.log1p(x[:, 3])
    if kind == "rare outcome, log-odds":
        odds = odds - 1.6
    if kind == "outcome of bends and a product":
        odds = BASE + 0.5 * (x[:, 0] ** 2 - 1) + 0.7 * x[:, 1] * x[:, 2] - 0.3 * x[:, 6]
    share = 0.8 if kind == "8 of 10 contacted, log-odds" else 0.5
    alone = _chance(odds)
    effect = np.clip(_effects(kind, x, odds), -alone, 1 - alone)
    treated = rng.random(n) < share
    outcome = rng.random(n) < alone + treated * effect
    return trial_of_people(x.astype(np.float32), treated, outcome, share), effect


def _effects(kind: str, x: Floats, odds: Floats) -> Floats:
    def raised(by: Floats | float) -> Floats:
        return np.asarray(_chance(odds + by) - _chance(odds))

    by_kind = {
        "straight": lambda: SIZE * (0.5 + 0.6 * x[:, 2] + 0.5 * (x[:, 6] - 0.5)),
        "U": lambda: SIZE * (x[:, 2] ** 2 - 0.5),
        "step where two features meet": lambda: SIZE * (2 * ((x[:, 0] > 0) & (x[:, 5] > 0)) - 0.2),
        "even log-odds": lambda: raised(0.4),
        "line and rare step": lambda: SIZE * (0.5 * x[:, 2] + (x[:, 7] > 1)),
        "log-odds": lambda: raised(0.3 * (x[:, 2] + 0.8 * (x[:, 6] - 0.5))),
        "hump at middling odds": lambda: SIZE * (1.6 * np.exp(-(((odds + 1.5) / 0.5) ** 2)) - 0.2),
        "lines that cross": lambda: SIZE * (0.3 + 1.8 * np.sign(x[:, 2]) * (x[:, 6] - 0.5)),
        "rare outcome, log-odds": lambda: raised(0.35 + 0.35 * x[:, 2]),
        "log-odds and line": lambda: 0.5 * raised(0.4) + SIZE * 0.35 * x[:, 2],
        "sleeping dogs": lambda: raised(0.5) - SIZE * 1.6 * (np.log1p(x[:, 4]) < 0.45),
        "outcome of bends and a product": lambda: SIZE * (0.4 + 0.6 * x[:, 2] + 0.4 * x[:, 5]),
        "24 features": lambda: SIZE * (0.4 + 0.45 * x[:, 2] + 0.3 * x[:, 12] + 0.4 * (x[:, 6] - 0.5)),
        "8 of 10 contacted, log-odds": lambda: raised(0.3 * x[:, 1] + 0.4 * (x[:, 6] - 0.3)),
        "nearly flat": lambda: SIZE * (0.6 + 0.15 * x[:, 2]),
        "decay": lambda: SIZE * (2.2 * np.exp(-1.2 * x[:, 3]) - 0.4 + 0.3 * x[:, 5]),
    }
    return np.asarray(by_kind[kind]())


def _chance(odds: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-odds)))


def caused_at_budget(effect: Floats, score: Floats) -> float:
    """What contacting the BUDGET best-scored causes beyond as many of anybody, per user."""
    best = np.argsort(places(score), kind="stable")[: int(BUDGET * len(score))]
    return float(effect[best].sum() / len(score) - BUDGET * effect.mean())


@on_one_thread()
def shares_had(kind: str, n: int, *, seeds: Sequence[int]) -> dict[str, Floats]:
    """Learner → (share of what can be had, the same at BUDGET, seconds a fit)."""
    fresh, effect = world(kind, N_FRESH, seed=FRESH_SEED)
    best, anybody = ranked_value(effect, effect), ranked_value(effect, np.zeros(N_FRESH))
    found: dict[str, list[tuple[float, float, float]]] = {one.name: [] for one in CANDIDATES}
    for seed in seeds:
        trial, _ = world(kind, n, seed=seed)
        for one in CANDIDATES:
            started = time.perf_counter()
            model = one.fit(trial, seed)
            seconds = time.perf_counter() - started
            score = model(fresh.x)
            had = (ranked_value(effect, score) - anybody) / (best - anybody)
            at_budget = caused_at_budget(effect, score) / caused_at_budget(effect, effect)
            found[one.name].append((had, at_budget, seconds))
    return {name: np.mean(rows, axis=0) for name, rows in found.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a table per size."""
    flags = argparse.ArgumentParser(prog="python -m benchmarks.uplift_worlds", description=__doc__)
    flags.add_argument("--seeds", type=int, default=5)
    asked = flags.parse_args(arguments)
    names = [one.name for one in CANDIDATES]
    for n in SIZES:
        found = {kind: shares_had(kind, n, seeds=range(asked.seeds)) for kind in KINDS}
        had = np.array([[found[kind][name] for name in names] for kind in KINDS])
        mean = had.mean(axis=0)
        rows = [(kind, *(f"{share:.3f}" for share in had[i, :, 0])) for i, kind in enumerate(KINDS)]
        rows.append(("mean", *(f"{share:.3f}" for share in mean[:, 0])))
        rows.append((f"of them at {BUDGET:.0%}", *(f"{share:.3f}" for share in mean[:, 1])))
        rows.append(("s/fit", *(f"{seconds:.3f}" for seconds in mean[:, 2])))
        print(f"## {n:,} users\n\n{table(('kind', *names), rows)}\n", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
