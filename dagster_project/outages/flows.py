"""Returns per day and place, and how many there should have been by how long users had been silent."""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

PLACE = ("platform", "app_version", "country")
# Beyond a quarter of silence returns are so rare that they tell nothing of one week.
LONGEST_SILENCE_DAYS = 90
# Finer than this a place has too few users for any statement; what is left over is put together.
MAX_VERSIONS, MAX_COUNTRIES = 60, 30


@dataclass(frozen=True)
class Grid:
    """Days × cells; a cell is a platform, version and country on which users were last seen.

    `returns`: users last seen in the cell who came that day, wherever they came. `due`: as many as would have
    come if every cell were alike, by days of silence and the gap before. `active`: users recorded in the cell that day.
    """

    first_on: date
    cells: pl.DataFrame
    returns: Floats
    due: Floats
    active: Floats

    @property
    def n_days(self) -> int:
        """Days from the first to the night."""
        return int(self.returns.shape[0])

    def day(self, position: int) -> date:
        """The date of a row."""
        return self.first_on + timedelta(days=position)


def count_flows(flows: pl.DataFrame, *, as_of: date) -> Grid | None:
    """The grid of marts.return_flows as of `as_of`; None if there is none.

    A user is awaited from the day after an active day to the next one, at most LONGEST_SILENCE_DAYS. The daily
    chance of coming is that of all users with the same silence and the same kind of gap before: the
    Nelson-Aalen increments of the pooled log. Expected returns are then the compensator of the counting process
    of each cell, and observed − expected the one-sample log-rank statistic (Breslow 1975; Aalen 1978).
    """
    if flows.is_empty():
        return None
    first_on: date = flows.select(pl.col("dt").min()).item()
    placed = _placed(flows)
    cells = placed.select(PLACE).unique().sort(PLACE, nulls_last=True).with_row_index("cell")
    rows = placed.join(cells, on=PLACE, how="left", nulls_equal=True)
    n_days = (as_of - first_on).days + 1
    start = (rows["dt"] - first_on).dt.total_days().to_numpy().astype(np.int64)
    end = (rows["next_on"] - first_on).dt.total_days().fill_null(n_days).to_numpy().astype(np.int64)
    weight = rows["n_users"].to_numpy().astype(np.float64)
    cell = rows["cell"].to_numpy().astype(np.int64)
    kinds, kind = np.unique(rows["previous_gap"].to_numpy(), return_inverse=True)
    spells = _Spells(start, end, weight, cell, kind.astype(np.int64), n_kinds=len(kinds))
    returns, due = _returns_and_due(spells, n_days=n_days, n_cells=cells.height)
    active = np.bincount(start * cells.height + cell, weights=weight, minlength=n_days * cells.height)
    return Grid(first_on, cells, returns, due, active.astype(np.float64).reshape(n_days, cells.height))


@dataclass(frozen=True)
class _Spells:
    start: Ints
    end: Ints
    weight: Floats
    cell: Ints
    kind: Ints
    n_kinds: int


def _placed(flows: pl.DataFrame) -> pl.DataFrame:
    """Flows by place, rare versions and countries put together as null."""
    kept = flows.with_columns(_common(flows, ("platform", "app_version"), MAX_VERSIONS, "app_version"))
    kept = kept.with_columns(_common(kept, ("country",), MAX_COUNTRIES, "country"))
    return kept.group_by("dt", *PLACE, "previous_gap", "next_on").agg(pl.col("n_users").sum()).sort(pl.all())


def _common(flows: pl.DataFrame, key: tuple[str, ...], most: int, column: str) -> pl.Expr:
    sizes = flows.group_by(key).agg(pl.col("n_users").sum()).sort(["n_users", *key], descending=True, nulls_last=True)
    common = sizes.head(most).select(pl.struct(key).alias("key"))["key"]
    return pl.when(pl.struct(key).is_in(common.implode(), nulls_equal=True)).then(pl.col(column)).alias(column)


def _returns_and_due(spells: _Spells, *, n_days: int, n_cells: int) -> tuple[Floats, Floats]:
    returns, due = np.zeros(n_days * n_cells), np.zeros(n_days * n_cells)
    length = spells.end - spells.start
    for silence in range(1, min(LONGEST_SILENCE_DAYS, n_days - 1) + 1):
        awaited = (length >= silence) & (spells.start + silence < n_days)
        came = awaited & (length == silence)
        at = (spells.start + silence) * n_cells + spells.cell
        n_awaited = np.bincount(spells.kind[awaited], spells.weight[awaited], minlength=spells.n_kinds)
        n_came = np.bincount(spells.kind[came], spells.weight[came], minlength=spells.n_kinds)
        chance = n_came / np.maximum(n_awaited, 1.0)
        returns += np.bincount(at[came], spells.weight[came], minlength=returns.size)
        due += np.bincount(at[awaited], (spells.weight * chance[spells.kind])[awaited], minlength=due.size)
    return returns.reshape(n_days, n_cells), due.reshape(n_days, n_cells)
