"""From the posterior of the chosen reason to a confidence that is right as often as it says."""

import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FILE = Path(__file__).parent / "confidence.toml"
WAYS = ("strong", "likely", "earlier", "posterior", "unknown")
"""How a reason was decided: strong evidence at this leaving, the same where it is but a chance, strong evidence at an
earlier leaving, the posterior, or not at all."""
FEWEST_PER_KNOT = 60
# No evidence of this kind is certain, however often a simulated world agrees with it.
MOST_CONFIDENT = 0.99

Floats = NDArray[np.float64]
Knots = Mapping[str, Sequence[tuple[float, float]]]


@cache
def load_knots(path: Path = FILE) -> Knots:
    """The map that ships, by way: (posterior, confidence) rising."""
    return {way: [(x, y) for x, y in knots] for way, knots in tomllib.loads(path.read_text())["knots"].items()}


def confidences(posterior: Floats, way: Sequence[str], *, knots: Knots) -> Floats:
    """Per user, the confidence in a reason that has this posterior and was decided this way; beyond the knots flat."""
    ways = np.asarray(way)
    made = np.empty_like(posterior)
    for name in WAYS:
        x, y = np.asarray(knots[name], dtype=np.float64).T
        made = np.where(ways == name, np.minimum(np.interp(posterior, x, y), MOST_CONFIDENT), made)
    return made


def fit_knots(posterior: Floats, way: Sequence[str], is_right: NDArray[np.bool_]) -> Knots:
    """Knots by isotonic regression of right on posterior within each way, pooled to bins of 60 users or more.

    For simulated truth only: no real log says which reason was right. A way with too few users gets one flat knot at
    its share of right, shrunk to the mean posterior with the weight of ten users.
    """
    ways = np.asarray(way)
    return {name: _knots_of(posterior[ways == name], is_right[ways == name]) for name in WAYS}


def _knots_of(posterior: Floats, is_right: NDArray[np.bool_]) -> list[tuple[float, float]]:
    if posterior.size == 0:
        return [(0.0, 0.0), (1.0, 1.0)]
    order = np.argsort(posterior, kind="stable")
    bins = np.array_split(order, max(1, min(8, posterior.size // FEWEST_PER_KNOT)))
    points = [_point(posterior[rows], is_right[rows]) for rows in bins]
    return _rising(points)


def _point(posterior: Floats, is_right: NDArray[np.bool_]) -> tuple[float, float, int]:
    mean = float(posterior.mean())
    return mean, (float(is_right.sum()) + 10 * mean) / (is_right.size + 10), is_right.size


def _rising(points: list[tuple[float, float, int]]) -> list[tuple[float, float]]:
    """Pool adjacent violators (Ayer et al. 1955)."""
    pooled: list[tuple[float, float, int]] = []
    for x, y, n in points:
        pooled.append((x, y, n))
        while len(pooled) > 1 and pooled[-2][1] > pooled[-1][1]:
            (x1, y1, n1), (x2, y2, n2) = pooled[-2:]
            n = n1 + n2
            pooled[-2:] = [((x1 * n1 + x2 * n2) / n, (y1 * n1 + y2 * n2) / n, n)]
    return [(round(x, 4), round(y, 4)) for x, y, _ in pooled]
