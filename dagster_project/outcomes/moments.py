"""Sums, squares and cross products per arm and slice: all that a readout needs of a million users.

One pass per metric over the entries of one experiment, by counting; everything after it works on the sums.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from dagster_project.outcomes.coding import CodedEntries, Ints, coded_entries
from dagster_project.outcomes.vocabulary import ALL, CROSS, HORIZONS, METRICS, Metric

Floats = npt.NDArray[np.float64]
_BUCKETS = np.searchsorted(HORIZONS, np.arange(HORIZONS[-1]), side="right")  # a day's first horizon
N_HORIZONS = len(HORIZONS)
DENSE = 0.3  # share of users with an outcome
BASE = ("n", "w", "wx", "wxx", "ww", "wwx", "wwxx")
FEWEST_IN_CROSS = 30  # users of an arm, below which all dimensions crossed are not told apart
OUTCOME = ("n", "wy", "wyy", "wxy", "wwy", "wwyy", "wwxy")
"""`n` counts the users with an outcome that is not nought; w is the weight, x the covariate, y the outcome."""


@dataclass(frozen=True)
class Moments:
    """The sums of one experiment. `base[arm, slice, horizon]` and `of[metric][arm, slice, horizon]`.

    The last axes are BASE and OUTCOME. Of a mean of those who told, `own_base` holds the sums over those who did.
    `slices` has dimension and value in the order of the second axis. The covariate is less its mean.
    """

    arms: tuple[str, ...]
    slices: pl.DataFrame
    base: Floats
    of: Mapping[str, Floats]
    own_base: Mapping[str, Floats]
    is_adjusted: bool


@dataclass(frozen=True)
class _Cells:
    """Users by cell: a combination of arm and every dimension. `closed` counts the horizons that are over.

    `weight` is None where all weigh the same: then half of the sums equal the others and are not made.
    """

    cell: Ints
    closed: Ints
    weight: Floats | None
    covariate: Floats
    n_cells: int

    @cached_property
    def is_open(self) -> list[npt.NDArray[np.bool_] | None]:
        """Of each horizon the users whose days are not over; None where they are for everybody."""
        fewest = self.closed.min(initial=N_HORIZONS)
        return [None if fewest > k else self.closed <= k for k in range(N_HORIZONS)]


def take_moments(
    entries: pl.DataFrame,
    *,
    weight: Floats | None = None,
    covariate: Floats | None = None,
    metrics: Sequence[Metric] = METRICS,
    coded: CodedEntries | None = None,
    with_cross: bool = False,
) -> Moments:
    """The moments of one experiment's entries.

    `entries` need n_days_seen, the metrics' columns and what is not `coded` yet of arm and dimensions. `weight`:
    inverse propensities, or None for ones. `covariate`: known before entry, or None. A user counts at a horizon once
    all its days are over.
    """
    coded = coded or coded_entries(entries)
    arms, dimensions = coded.arm.values, tuple(coded.of)
    columns = [coded.arm, *coded.of.values()]
    codes, levels = [column.codes for column in columns], [column.values for column in columns]
    seen = entries["n_days_seen"].to_numpy()
    centred = np.zeros(entries.height) if covariate is None else covariate - covariate.mean()
    cell, cell_codes = _dense(codes, [len(names) for names in levels])
    cells = _Cells(
        cell=cell,
        closed=np.searchsorted(HORIZONS, seen, side="right"),
        weight=weight,
        covariate=centred,
        n_cells=len(cell_codes[0]),
    )
    counts = np.bincount(cell, minlength=cells.n_cells)
    slices, places = _slices(cell_codes, levels[1:], dimensions, counts=counts if with_cross else None)
    gather = _gather(cell_codes[0], places, n_arms=len(arms), n_slices=slices.height)
    of, own = {}, {}
    for metric in metrics:
        of[metric.name], own_base = _metric_sums(entries, cells, metric, gather)
        if own_base is not None:
            own[metric.name] = own_base
    is_adjusted = covariate is not None and bool(np.ptp(covariate) > 0)
    return Moments(arms, slices, _base_sums(cells, gather), of, own, is_adjusted)


@dataclass(frozen=True)
class _Gather:
    """Sums by cell, then by arm and slice: one sparse row of ones per arm and slice."""

    matrix: Any
    n_arms: int
    n_slices: int

    def sums(self, key: Ints, values: Sequence[Floats | None], *rest: int) -> Floats:
        """The values (None: ones) summed by key, by arm, slice, the `rest` of the key and, last, value.

        `key` counts cells first. The same array is summed once.
        """
        n_cells = self.matrix.shape[1]
        distinct = {id(value): value for value in values}
        made = {}
        for name, value in distinct.items():
            by_cell = np.bincount(key, weights=value, minlength=n_cells * prod(rest)).reshape(n_cells, -1)
            made[name] = np.asarray(self.matrix @ by_cell).reshape(self.n_arms, self.n_slices, *rest)
        return np.stack([made[id(value)] for value in values], axis=-1)


def _gather(arm: Ints, places: Sequence[Ints], *, n_arms: int, n_slices: int) -> _Gather:
    """`places`: the slice of each cell, or -1, one per dimension."""
    from scipy.sparse import csr_matrix

    cells = np.arange(len(arm))
    inside = [place >= 0 for place in places]
    rows = np.concatenate([(arm * n_slices + place)[keep] for place, keep in zip(places, inside, strict=True)])
    columns = np.concatenate([cells[keep] for keep in inside])
    ones = np.ones(len(rows))
    return _Gather(csr_matrix((ones, (rows, columns)), shape=(n_arms * n_slices, len(arm))), n_arms, n_slices)


def _dense(codes: Sequence[Ints], sizes: Sequence[int]) -> tuple[Ints, list[Ints]]:
    """Cells numbered from 0 without gaps, and of each cell the code of each column."""
    mixed = np.zeros(len(codes[0]), dtype=np.int64)
    for code, size in zip(codes, sizes, strict=True):
        mixed = mixed * size + code
    present, cell = _numbered(mixed, n_possible=prod(sizes))
    parts: list[Ints] = []
    for size in reversed(sizes):
        present, part = np.divmod(present, size)
        parts.append(part)
    return cell, parts[::-1]


def _numbered(values: Ints, *, n_possible: int) -> tuple[Ints, Ints]:
    """The distinct values, ascending, and the place of each value among them; by counting where that is cheap."""
    if n_possible > 10_000_000:
        present, place = np.unique(values, return_inverse=True)
        return present, place.ravel().astype(np.int64)
    present = np.flatnonzero(np.bincount(values, minlength=n_possible))
    places = np.zeros(n_possible, dtype=np.int64)
    places[present] = np.arange(len(present))
    return present, places[values]


def _slices(
    cell_codes: Sequence[Ints],
    levels: Sequence[tuple[str, ...]],
    dimensions: Sequence[str],
    *,
    counts: Ints | None,
) -> tuple[pl.DataFrame, list[Ints]]:
    """dimension, value of every slice; and for each dimension the slice of each cell.

    With the users per cell also the slices of all dimensions crossed that have enough in at least two arms; cells
    outside them have -1.
    """
    rows = [(ALL, ALL)]
    places = [np.zeros(len(cell_codes[0]), dtype=np.int64)]
    for name, names, code in zip(dimensions, levels, cell_codes[1:], strict=True):
        places.append(code + len(rows))
        rows += [(name, value) for value in names]
    if counts is not None:
        crossed, place = _dense(cell_codes[1:], [len(names) for names in levels])
        large = np.bincount(crossed, weights=counts >= FEWEST_IN_CROSS) >= 2
        number = np.where(large, large.cumsum() - 1 + len(rows), -1)
        places.append(number[crossed])
        kept = [[names[int(c)] for c in part[large]] for names, part in zip(levels, place, strict=True)]
        rows += [(CROSS, " · ".join(values)) for values in zip(*kept, strict=True)]
    return pl.DataFrame(rows, schema={"dimension": pl.String, "value": pl.String}, orient="row"), places


def _base_sums(cells: _Cells, gather: _Gather) -> Floats:
    """BASE of the users whose horizon is over."""
    n_closed = N_HORIZONS + 1
    key = cells.cell * n_closed + cells.closed
    table = gather.sums(key, _powers(cells, slice(None)), n_closed)
    # At horizon k those count who have seen more than k of the horizons.
    return np.asarray(table[:, :, ::-1].cumsum(axis=2)[:, :, ::-1][:, :, 1:])


def _powers(cells: _Cells, rows: Ints | slice) -> list[Floats | None]:
    """The values whose sums are BASE; None stands for ones."""
    x = cells.covariate[rows]
    if cells.weight is None:
        return [None, None, x, (square := x * x), None, x, square]
    w = cells.weight[rows]
    wx = w * x
    return [None, w, wx, wx * x, w * w, w * wx, wx * wx]


def _metric_sums(entries: pl.DataFrame, cells: _Cells, metric: Metric, gather: _Gather) -> tuple[Floats, Floats | None]:
    """OUTCOME, and of a mean BASE of those who told. Of a total only the sum is made, whatever the name."""
    if metric.kind == "after":
        return _after_sums(entries[metric.column(0)], cells, gather), None
    sums, own = [], []
    for k, days in enumerate(HORIZONS):
        values = entries[metric.column(days)]
        y = values.fill_null(0.0).to_numpy()
        if (is_open := cells.is_open[k]) is not None:
            y = np.where(is_open, 0.0, y)
        if metric.kind == "total":
            wy = y if cells.weight is None else cells.weight * y
            sums.append(gather.sums(cells.cell, [wy] * len(OUTCOME)))
            continue
        told = y != 0
        if metric.kind == "mean":
            told = values.is_not_null().to_numpy() & (cells.closed > k)
        elif np.count_nonzero(told) > DENSE * len(told):
            # To pick most of the users out costs more than to add noughts for the others.
            counted = told.astype(np.float64)
            sums.append(gather.sums(cells.cell, _with_outcome(cells, slice(None), y, counted)))
            continue
        rows = np.flatnonzero(told)
        sums.append(gather.sums(cells.cell[rows], _with_outcome(cells, rows, y[rows], None)))
        if metric.kind == "mean":
            own.append(gather.sums(cells.cell[rows], _powers(cells, rows)))
    return np.stack(sums, axis=2), np.stack(own, axis=2) if own else None


def _with_outcome(cells: _Cells, rows: Ints | slice, y: Floats, counted: Floats | None) -> list[Floats | None]:
    """The values whose sums are OUTCOME; `counted` is 1 for users with one, None where all have."""
    x = cells.covariate[rows]
    if cells.weight is None:
        plain = [y, y * y, x * y]
        return [counted, *plain, *plain]
    w = cells.weight[rows]
    wy = w * y
    return [counted, wy, wy * y, wy * x, w * wy, wy * wy, w * wy * x]


def _after_sums(after: pl.Series, cells: _Cells, gather: _Gather) -> Floats:
    """OUTCOME of what happened or did not, from the day on which it first did: one pass for all horizons."""
    days = after.fill_null(HORIZONS[-1]).to_numpy()
    happened = days < HORIZONS[-1]
    rows = np.flatnonzero(happened if cells.is_open[0] is None else happened & ~cells.is_open[0])
    bucket = _BUCKETS[days[rows]]
    n_closed = N_HORIZONS + 1
    key = (cells.cell[rows] * n_closed + cells.closed[rows]) * N_HORIZONS + bucket
    # y is 0 or 1, so its sums with the weights and the covariate are those of the users to whom it happened.
    n, w, wx, _, ww, wwx, _ = _powers(cells, rows)
    table = gather.sums(key, [n, w, w, wx, ww, ww, wwx], n_closed, N_HORIZONS).cumsum(axis=3)
    return np.stack([table[:, :, k + 1 :, k].sum(axis=2) for k in range(N_HORIZONS)], axis=2)
