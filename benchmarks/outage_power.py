"""`python -m benchmarks.outage_power`: how few due returns an outage of events may have and still be told from chance.

Returns are drawn as if their chances were known exactly, so what is missed here is missed by the lack of returns.
"""

import argparse
from collections.abc import Sequence
from datetime import date

import numpy as np
import polars as pl

from benchmarks.tables import table
from dagster_project.outages.flows import Grid
from dagster_project.outages.recorders import find_recorder_outages
from dagster_project.outages.scan import MIN_EXPECTED

ERROR = 0.01
"""Share of quiet nights that may be flagged; what is found is told for a year, so also of year-long logs."""

N_DAYS, OUTAGE_DAYS = 365, 4
PLATFORMS, VERSIONS = ("android", "ios", "web"), ("1.0", "2.0", "3.0")


def drawn_grid(due: float, *, seed: int, is_broken: bool = True) -> Grid:
    """A year of nine versions of three platforms with equal returns; of the last four days one version has none."""
    rng = np.random.default_rng(seed)
    cells = pl.DataFrame(
        {
            "platform": [name for name in PLATFORMS for _ in VERSIONS],
            "app_version": [f"{name}" for _ in PLATFORMS for name in VERSIONS],
            "country": [None] * 9,
        },
        schema_overrides={"country": pl.String},
    ).with_row_index("cell")
    expected = np.full((N_DAYS, cells.height), due / OUTAGE_DAYS)
    returns = rng.poisson(expected).astype(np.float64)
    if is_broken:
        returns[-OUTAGE_DAYS:, 0] = 0.0
    return Grid(date(2024, 1, 1), cells, returns, expected, returns)


def power(due: float, *, n_draws: int) -> float:
    """Share of drawn outages with so many due returns that are found, at their place."""
    found = [find_recorder_outages(drawn_grid(due, seed=seed)) for seed in range(n_draws)]
    return float(np.mean([any((o.platform, o.app_version) == ("android", "1.0") for o in one) for one in found]))


def quiet_years(due: float, *, n_draws: int) -> int:
    """Drawn years without an outage in which one is found."""
    drawn = (drawn_grid(due, seed=1000 + seed, is_broken=False) for seed in range(n_draws))
    return sum(bool(find_recorder_outages(grid)) for grid in drawn)


def best_possible(due: float, *, n_places: int) -> tuple[float, float, float]:
    """Chances that no return comes by chance where so many are due: on these days, in a year of the place, of all.

    No other test is stronger than this one, of a place that records nothing at all (Neyman and Pearson 1933). In a
    year, a gap that long may begin after every return, so of M returns there are M e^-due such gaps at the most.
    """
    a_year = due / OUTAGE_DAYS * N_DAYS
    chances = [float(np.exp(-due)) * windows for windows in (1.0, a_year, a_year * n_places)]
    return chances[0], min(chances[1], 1.0), min(chances[2], 1.0)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one line per number of due returns."""
    flags = argparse.ArgumentParser(prog="python -m benchmarks.outage_power", description=__doc__)
    flags.add_argument("--draws", type=int, default=24, help="worlds of each size (default: %(default)s)")
    asked = flags.parse_args(arguments)
    n_places = len(PLATFORMS) * (1 + len(VERSIONS))
    lines = []
    for due in (4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 25, 30):
        chances = best_possible(due, n_places=n_places)
        told = ["yes" if chance <= ERROR else f"no: {chance:.2g}" for chance in chances]
        lines.append([str(due), *told, f"{power(due, n_draws=asked.draws):.2f}"])
    print(table(["due returns", "place and days known", "place known", "neither known", "found by us"], lines))
    flagged = sum(quiet_years(due, n_draws=asked.draws) for due in (4, 12))
    print(f"\n{flagged} of {2 * asked.draws} drawn quiet years flagged")
    print(f"yes: a year of quiet logs has such a gap in at most {ERROR:.0%}. We ask for {MIN_EXPECTED:.0f} or more.")


if __name__ == "__main__":
    main()
