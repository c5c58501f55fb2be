"""`python -m benchmarks.uplift_worlds`: how much of what can be had each learner gets, on effects that are known.

Six kinds of effects: straight in two features; a U of one; a step where two features meet; the same for all in
log-odds; a line and a rare step; straight in log-odds. The figure: what contacting by the learner's order causes
beyond anybody at the same budgets, over what the true order would; mean over seeds, on fresh users.
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
from dagster_project.models.uplift.trials import Floats, Trial, trial_of_people

KINDS = ("straight", "U", "step", "even log-odds", "line and step", "log-odds")
SIZES = (10_000, 40_000)
SIZE, BASE = 0.05, -1.9
N_FRESH, FRESH_SEED = 60_000, 999


def world(kind: str, n: int, *, seed: int) -> tuple[Trial, Floats]:
    """(a trial of n users, the true effect of each)."""
    rng = np.random.default_rng(seed)
    x = np.column_stack(
        [rng.normal(size=(n, 3)), rng.lognormal(size=(n, 2)), rng.integers(0, 2, (n, 2)), rng.poisson(1, (n, 2))]
    )
    odds = BASE + 0.6 * x[:, 0] - 0.4 * x[:, 1] + 0.3 * x[:, 5] + 0.2 * np.log1p(x[:, 3])
    alone = _chance(odds)
    effects = {
        "straight": SIZE * (0.5 + 0.6 * x[:, 2] + 0.5 * (x[:, 6] - 0.5)),
        "U": SIZE * (x[:, 2] ** 2 - 0.5),
        "step": SIZE * (2 * ((x[:, 0] > 0) & (x[:, 5] > 0)) - 0.2),
        "even log-odds": _chance(odds + 8 * SIZE) - alone,
        "line and step": SIZE * (0.5 * x[:, 2] + (x[:, 7] > 1)),
        "log-odds": _chance(odds + 6 * SIZE * (x[:, 2] + 0.8 * (x[:, 6] - 0.5))) - alone,
    }
    effect = np.clip(effects[kind], -alone, 1 - alone)
    treated = rng.random(n) < 0.5
    outcome = rng.random(n) < alone + treated * effect
    return trial_of_people(x.astype(np.float32), treated, outcome, 0.5), effect


def _chance(odds: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-odds)))


@on_one_thread()
def share_had(kind: str, n: int, *, seeds: Sequence[int]) -> dict[str, tuple[float, float]]:
    """Learner → (share of what can be had, seconds a fit)."""
    fresh, effect = world(kind, N_FRESH, seed=FRESH_SEED)
    best, anybody = ranked_value(effect, effect), ranked_value(effect, np.zeros(N_FRESH))
    found: dict[str, list[tuple[float, float]]] = {one.name: [] for one in CANDIDATES}
    for seed in seeds:
        trial, _ = world(kind, n, seed=seed)
        for one in CANDIDATES:
            started = time.perf_counter()
            score = one.fit(trial, seed)
            seconds = time.perf_counter() - started
            had = (ranked_value(effect, score(fresh.x)) - anybody) / (best - anybody)
            found[one.name].append((had, seconds))
    return {name: tuple(map(float, np.mean(rows, axis=0))) for name, rows in found.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a table per size."""
    flags = argparse.ArgumentParser(prog="python -m benchmarks.uplift_worlds", description=__doc__)
    flags.add_argument("--seeds", type=int, default=5)
    asked = flags.parse_args(arguments)
    for n in SIZES:
        found = {kind: share_had(kind, n, seeds=range(asked.seeds)) for kind in KINDS}
        rows = []
        for one in CANDIDATES:
            had = [found[kind][one.name][0] for kind in KINDS]
            seconds = np.mean([found[kind][one.name][1] for kind in KINDS])
            rows.append((one.name, *(f"{share:.3f}" for share in had), f"{np.mean(had):.3f}", f"{seconds:.2f}"))
        print(f"## {n:,} users\n\n{table(('learner', *KINDS, 'mean', 's/fit'), rows)}\n", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
