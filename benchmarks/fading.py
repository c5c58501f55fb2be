"""`python -m benchmarks.fading`: after how many days an outcome should count half, in worlds whose lifts move.

Two years of weekly outcomes of six strategies: two keep their lift, two wander (a random walk of 0.05 log-odds a month
to 0.10), two break: at a random week the lift jumps to another. The figure is the root mean squared error of the lift
that is believed against the true one of the next week, in log-odds, at every tenth week of the second year.
"""

import argparse
import sys
from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from benchmarks.tables import table
from dagster_project.strategy.catalogue import Catalogue, load_catalogue
from dagster_project.strategy.learning import OUTCOMES, beliefs_from
from dagster_project.strategy.priors import load_priors

Floats = npt.NDArray[np.float64]

HALF_LIVES_DAYS = (30.0, 60.0, 90.0, 120.0, 180.0, 270.0, 365.0, 730.0, 1e6)
MOTIONS = ("steady", "steady", "walking", "walking", "breaking", "breaking")
N_WEEKS, FIRST_JUDGED, JUDGED_EVERY = 104, 52, 10
FIRST_ON = date(2024, 1, 1)


def lifts(rng: np.random.Generator, motion: str) -> Floats:
    """The true lift in each week."""
    first = rng.normal(0.2, 0.2)
    if motion == "walking":
        return np.asarray(first + np.cumsum(rng.normal(0, rng.uniform(0.05, 0.10) / np.sqrt(4.3), N_WEEKS)))
    path = np.full(N_WEEKS, first)
    if motion == "breaking":
        path[rng.integers(26, N_WEEKS - 10) :] = rng.normal(0.0, 0.2)
    return path


def outcomes(rng: np.random.Generator, paths: dict[str, Floats], *, n_weekly: int) -> pl.DataFrame:
    """`n_weekly` users of each strategy in each week, a tenth of them held out."""
    frames = []
    for name, path in paths.items():
        n = n_weekly * N_WEEKS
        week, p = np.repeat(np.arange(N_WEEKS), n_weekly), rng.beta(2, 12, n)
        treated = rng.random(n) < 0.9
        odds = np.log(p / (1 - p)) + treated * path[week]
        frame = {
            "strategy_id": [name] * n,
            "channel": ["email"] * n,
            "experiment_id": ["global_holdout"] * n,
            "assigned_on": [FIRST_ON + timedelta(weeks=int(one)) for one in week],
            "p_return": p,
            "is_treated": treated,
            "is_return": rng.random(n) < 1 / (1 + np.exp(-odds)),
            "propensity": np.where(treated, 0.9, 0.1),
            "is_randomised": [True] * n,
        }
        frames.append(pl.DataFrame({one: frame.get(one, [None] * n) for one in OUTCOMES}, schema=OUTCOMES))
    return pl.concat(frames)


def errors(seed: int, *, n_weekly: int) -> dict[tuple[float, str], list[float]]:
    """Squared errors of one world, by half-life and motion."""
    rng, priors, shipped = np.random.default_rng([seed, 7]), load_priors(), load_catalogue()
    catalogue = Catalogue(strategies=shipped.sending[: len(MOTIONS)])
    motions = dict(zip([one.id for one in catalogue.sending], MOTIONS, strict=True))
    paths = {name: lifts(rng, motion) for name, motion in motions.items()}
    known = outcomes(rng, paths, n_weekly=n_weekly)
    found: dict[tuple[float, str], list[float]] = {}
    for half_life_days in HALF_LIVES_DAYS:
        for week in range(FIRST_JUDGED, N_WEEKS, JUDGED_EVERY):
            as_of = FIRST_ON + timedelta(weeks=week - 1)
            beliefs = beliefs_from(priors, known, catalogue=catalogue, as_of=as_of, half_life_days=half_life_days)
            for one in catalogue.sending:
                belief = beliefs.of(one, channel="email")
                error = belief.mean(np.asarray([1.0, 0.0, 0.0])) - paths[one.id][week]
                found.setdefault((half_life_days, motions[one.id]), []).append(float(error**2))
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the errors by half-life. There is no bar: the figure is what the setting was chosen by."""
    flags = argparse.ArgumentParser(prog="python -m benchmarks.fading", description=__doc__)
    flags.add_argument("--seeds", type=int, default=6, help="how many (default: %(default)s)")
    flags.add_argument("--first", type=int, default=100, help="the first seed (default: %(default)s)")
    flags.add_argument("--weekly", type=int, default=150, help="users a strategy and week (default: %(default)s)")
    asked = flags.parse_args(arguments)
    every: dict[tuple[float, str], list[float]] = {}
    for seed in range(asked.first, asked.first + asked.seeds):
        for key, values in errors(seed, n_weekly=asked.weekly).items():
            every.setdefault(key, []).extend(values)
    kinds = sorted(set(MOTIONS))
    rows = []
    for half_life_days in HALF_LIVES_DAYS:
        of_kind = [every[half_life_days, kind] for kind in kinds]
        figures = [*of_kind, [value for values in of_kind for value in values]]
        rows.append((f"{half_life_days:,.0f}", *(f"{np.sqrt(np.mean(values)):.3f}" for values in figures)))
    print(table(("half-life, days", *kinds, "all"), rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
