"""A ridge regression that shrinks each group of columns as far as the rows themselves advise."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dagster_project.models.uplift.trials import Floats, Ints

ROWS_PER_PASS = 4_096  # so many rows by fifty columns stay in the cache
ROUNDS = 10
LEAST_SIZE = 1e-4  # of a group's weights, as a share of the error of one: nothing is left of it below
ROUNDING = 1e-10  # of a column's mean square: a variance below is none
Columns = Callable[[slice], Floats]


@dataclass(frozen=True)
class WeightedSum:
    """A weighted sum of columns and a constant."""

    weights: Floats
    constant: float

    def __call__(self, columns: Floats) -> Floats:
        """The fitted value of each row."""
        return np.asarray(columns @ self.weights + self.constant)


def relevant_line(columns: Columns, target: Floats, *, groups: Ints, weights: Floats) -> WeightedSum:
    """The line through weighed rows, each group of columns (0, 1, …) shrunken by how large its weights seem to be.

    Weights are believed to be normal around nought, with one variance per group; the variances are those under which
    the target is likeliest (MacKay 1992, automatic relevance determination), first one for all groups, then apart.
    All of the target's variance counts as noise: of effects that differ between users next to none is seen in one row.
    Everything comes from one product of the columns with themselves, summed over passes; `columns` gives them by rows.
    """
    products = _products(columns, target, weights / weights.mean())
    mean = products[0, 1:]
    apart = products[1:, 1:] - np.outer(mean, mean)
    square, variance = np.diag(products)[1:-1], np.diag(apart)[:-1]
    is_constant = variance <= ROUNDING * square
    scale = np.sqrt(np.where(is_constant, 1.0, variance))
    noise = max(float(apart[-1, -1]), np.finfo(float).eps) / len(target)
    known, towards = apart[:-1, :-1] / np.outer(scale, scale) / noise, apart[:-1, -1] / scale / noise
    found = np.where(is_constant, 0.0, _likeliest(known, towards, groups, one=noise) / scale)
    return WeightedSum(found, float(mean[-1] - mean[:-1] @ found))


def _products(columns: Columns, target: Floats, weights: Floats) -> Floats:
    """The mean over rows of (1, columns, target) times the same."""
    n, total, root = len(target), 0.0, np.sqrt(weights)
    for start in range(0, n, ROWS_PER_PASS):
        rows = slice(start, start + ROWS_PER_PASS)
        wide = np.column_stack([np.ones(len(target[rows])), columns(rows), target[rows]]) * root[rows, None]
        total = total + wide.T @ wide
    return np.asarray(total / n)


def _likeliest(known: Floats, towards: Floats, groups: Ints, *, one: float) -> Floats:
    """The weights after ROUNDS for one variance and ROUNDS for one per group; `one`: the squared error of a weight."""
    variance = np.full(len(groups), one)
    for group in (np.zeros_like(groups), groups):
        for _ in range(ROUNDS):
            doubt = np.linalg.inv(known + np.diag(1 / variance))
            weight = doubt @ towards
            n_told = np.maximum(np.bincount(group, 1 - np.diag(doubt) / variance), np.finfo(float).eps)
            likelier = (np.bincount(group, weight**2) / n_told)[group]
            variance = np.maximum(np.sqrt(variance * likelier), LEAST_SIZE * one)  # half of the way: whole steps swing
    return np.asarray(np.linalg.inv(known + np.diag(1 / variance)) @ towards)
