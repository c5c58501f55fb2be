"""Sums, squares and cross products per arm and slice: all that a readout needs of a million users.

One pass per metric over the entries of one experiment, by counting; everything after it works on the sums.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from dagster_project.outcomes.vocabulary import ALL, CROSS, DIMENSIONS, HORIZONS, METRICS, NOT_NOTED, Metric

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

N_HORIZONS = len(HORIZONS)
BASE = ("n", "w", "wx", "wxx", "ww", "wwx", "wwxx")
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
    is_weighted: bool
    is_adjusted: bool


@dataclass(frozen=True)
class _Cells:
    """Users by cell: a combination of arm and every dimension. `closed` counts the horizons that are over."""

    cell: Ints
    closed: Ints
    weight: Floats
    covariate: Floats
    n_cells: int
    is_weighted: bool


def take_moments(
    entries: pl.DataFrame,
    *,
    weight: Floats | None = None,
    covariate: Floats | None = None,
    metrics: Sequence[Metric] = METRICS,
    dimensions: Sequence[str] = DIMENSIONS,
    with_cross: bool = False,
) -> Moments:
    """The moments of one experiment's entries.

    `entries` need arm, n_days_seen, the dimensions and the metrics' columns. `weight`: inverse propensities, or None
    for ones. `covariate`: known before entry, or None. A user counts at a horizon once all its days are over.
    """
    arms = tuple(sorted(entries["arm"].unique()))
    codes, levels = _codes(entries, [("arm", arms), *((name, None) for name in dimensions)])
    seen = entries["n_days_seen"].to_numpy()
    centred = np.zeros(entries.height) if covariate is None else covariate - covariate.mean()
    cell, cell_codes = _dense(codes, [len(names) for names in levels])
    cells = _Cells(
        cell=cell,
        closed=np.searchsorted(HORIZONS, seen, side="right"),
        weight=np.ones(entries.height) if weight is None else weight,
        covariate=centred,
        n_cells=len(cell_codes[0]),
        is_weighted=weight is not None,
    )
    slices, place = _slices(cell_codes, levels[1:], dimensions, with_cross=with_cross)
    gather = _Gather(arm=cell_codes[0], places=place, n_arms=len(arms), n_slices=slices.height)
    of, own = {}, {}
    for metric in metrics:
        sums, own_base = _metric_sums(entries, cells, metric)
        of[metric.name] = gather(sums)
        if own_base is not None:
            own[metric.name] = gather(own_base)
    is_adjusted = covariate is not None and bool(np.ptp(covariate) > 0)
    return Moments(arms, slices, gather(_base_sums(cells)), of, own, cells.is_weighted, is_adjusted)


@dataclass(frozen=True)
class _Gather:
    """Adds cells up to arms and slices."""

    arm: Ints
    places: tuple[Ints, ...]
    n_arms: int
    n_slices: int

    def __call__(self, sums: Floats) -> Floats:
        total = np.zeros((self.n_arms, self.n_slices, *sums.shape[1:]))
        for place in self.places:
            np.add.at(total, (self.arm, place), sums)
        return total


def _codes(
    entries: pl.DataFrame, wanted: Sequence[tuple[str, tuple[str, ...] | None]]
) -> tuple[list[Ints], list[tuple[str, ...]]]:
    codes, levels = [], []
    for name, known in wanted:
        values = entries[name].cast(pl.String).fill_null(NOT_NOTED)
        names = known or tuple(sorted(values.unique()))
        codes.append(values.cast(pl.Enum(names)).to_physical().cast(pl.Int64).to_numpy())
        levels.append(names)
    return codes, levels


def _dense(codes: Sequence[Ints], sizes: Sequence[int]) -> tuple[Ints, list[Ints]]:
    """Cells numbered from 0 without gaps, and of each cell the code of each column."""
    mixed = np.zeros(len(codes[0]), dtype=np.int64)
    for code, size in zip(codes, sizes, strict=True):
        mixed = mixed * size + code
    present, cell = np.unique(mixed, return_inverse=True)
    parts: list[Ints] = []
    for size in reversed(sizes):
        present, part = np.divmod(present, size)
        parts.append(part)
    return cell.astype(np.int64), parts[::-1]


def _slices(
    cell_codes: Sequence[Ints], levels: Sequence[tuple[str, ...]], dimensions: Sequence[str], *, with_cross: bool
) -> tuple[pl.DataFrame, tuple[Ints, ...]]:
    """dimension, value of every slice; and for each dimension the slice of each cell."""
    rows = [(ALL, ALL)]
    places = [np.zeros(len(cell_codes[0]), dtype=np.int64)]
    for name, names, code in zip(dimensions, levels, cell_codes[1:], strict=True):
        places.append(code + len(rows))
        rows += [(name, value) for value in names]
    if with_cross:
        combined = np.stack(cell_codes[1:], axis=1)
        found, place = np.unique(combined, axis=0, return_inverse=True)
        places.append(place.ravel().astype(np.int64) + len(rows))
        named = [" · ".join(names[int(c)] for names, c in zip(levels, line, strict=True)) for line in found]
        rows += [(CROSS, value) for value in named]
    return pl.DataFrame(rows, schema={"dimension": pl.String, "value": pl.String}, orient="row"), tuple(places)


def _base_sums(cells: _Cells) -> Floats:
    """Per cell and horizon, BASE of the users whose horizon is over."""
    return _over_closed(cells, np.arange(len(cells.cell)), _powers(cells, slice(None)))


def _powers(cells: _Cells, rows: npt.NDArray[np.int64] | slice) -> list[Floats]:
    """The values whose sums are BASE."""
    w, x = cells.weight[rows], cells.covariate[rows]
    wx = w * x
    plain = [np.ones(len(w)), w, wx, wx * x]
    return [*plain, w * w, w * wx, wx * wx] if cells.is_weighted else [*plain, *plain[1:]]


def _over_closed(cells: _Cells, rows: Ints, values: Sequence[Floats]) -> Floats:
    n_closed = N_HORIZONS + 1
    key = cells.cell[rows] * n_closed + cells.closed[rows]
    shape = (cells.n_cells, n_closed)
    summed = [np.bincount(key, weights=v, minlength=shape[0] * n_closed).reshape(shape) for v in _distinct(values)]
    table = np.stack([summed[i] for i in _distinct_places(values)], axis=-1)
    # At horizon k those count who have seen more than k of the horizons.
    return np.asarray(table[:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:])


def _distinct(values: Sequence[Floats]) -> list[Floats]:
    return list({id(value): value for value in values}.values())


def _distinct_places(values: Sequence[Floats]) -> list[int]:
    order = {id(value): place for place, value in enumerate(_distinct(values))}
    return [order[id(value)] for value in values]


def _metric_sums(entries: pl.DataFrame, cells: _Cells, metric: Metric) -> tuple[Floats, Floats | None]:
    if metric.kind == "after":
        return _after_sums(entries[metric.column(0)], cells), None
    sums = np.zeros((cells.n_cells, N_HORIZONS, len(OUTCOME)))
    own = np.zeros((cells.n_cells, N_HORIZONS, len(BASE))) if metric.kind == "mean" else None
    for k, days in enumerate(HORIZONS):
        values = entries[metric.column(days)]
        told = values.is_not_null() if metric.kind == "mean" else values.fill_null(0) != 0
        rows = np.flatnonzero(told.to_numpy() & (cells.closed > k))
        y = values.to_numpy()[rows].astype(np.float64)
        sums[:, k] = _at_cells(cells, rows, _with_outcome(cells, rows, y))
        if own is not None:
            own[:, k] = _at_cells(cells, rows, _powers(cells, rows))
    return sums, own


def _with_outcome(cells: _Cells, rows: Ints, y: Floats) -> list[Floats]:
    """The values whose sums are OUTCOME."""
    w, x = cells.weight[rows], cells.covariate[rows]
    wy = w * y
    plain = [wy, wy * y, wy * x]
    return [np.ones(len(y)), *plain, *([w * wy, wy * wy, w * wy * x] if cells.is_weighted else plain)]


def _at_cells(cells: _Cells, rows: Ints, values: Sequence[Floats]) -> Floats:
    key = cells.cell[rows]
    summed = [np.bincount(key, weights=value, minlength=cells.n_cells) for value in _distinct(values)]
    return np.stack([summed[i] for i in _distinct_places(values)], axis=-1)


def _after_sums(after: pl.Series, cells: _Cells) -> Floats:
    """OUTCOME of what happened or did not, from the day on which it first did: one pass for all horizons."""
    happened = np.flatnonzero(after.is_not_null().to_numpy() & (cells.closed > 0))
    bucket = np.searchsorted(HORIZONS, after.gather(happened).to_numpy(), side="right")
    known = bucket < N_HORIZONS
    rows, bucket = happened[known], bucket[known]
    w, x = cells.weight[rows], cells.covariate[rows]
    # y is 0 or 1, so y² is y
    values = [np.ones(len(rows)), w, w, w * x]
    values = [*values, w * w, w * w, w * w * x] if cells.is_weighted else [*values, *values[1:]]
    n_closed = N_HORIZONS + 1
    key = (cells.cell[rows] * n_closed + cells.closed[rows]) * N_HORIZONS + bucket
    shape = (cells.n_cells, n_closed, N_HORIZONS)
    distinct = _distinct(values)
    summed = [np.bincount(key, weights=v, minlength=int(np.prod(shape))).reshape(shape) for v in distinct]
    by_horizon = [
        np.stack([np.cumsum(one, axis=2)[:, k + 1 :, k].sum(axis=1) for k in range(N_HORIZONS)], axis=1)
        for one in summed
    ]
    return np.stack([by_horizon[i] for i in _distinct_places(values)], axis=-1)
