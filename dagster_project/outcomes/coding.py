"""The arms and dimensions of one experiment's entries as numbers, by which a million users are counted in a moment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from dagster_project.outcomes.vocabulary import DIMENSIONS, NOT_NOTED

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Coded:
    """One column: `codes` are places in `values`, which are sorted. What is null is NOT_NOTED."""

    values: tuple[str, ...]
    codes: Ints

    def counts(self, beside: "Coded") -> Ints:
        """How many entries have each value (rows) and each of another column's (columns)."""
        shape = len(self.values), len(beside.values)
        both = self.codes * shape[1] + beside.codes
        return np.bincount(both, minlength=shape[0] * shape[1]).reshape(shape)


@dataclass(frozen=True)
class CodedEntries:
    """The arm and, by name, each dimension asked for."""

    arm: Coded
    of: Mapping[str, Coded]


def coded_entries(entries: pl.DataFrame, dimensions: Sequence[str] = DIMENSIONS) -> CodedEntries:
    """Of `entries` their arm and dimensions, row by row."""
    return CodedEntries(coded(entries["arm"]), {name: coded(entries[name]) for name in dimensions})


def coded(column: pl.Series) -> Coded:
    """A column of words as numbers."""
    words = column.cast(pl.String).fill_null(NOT_NOTED)
    values = tuple(sorted(words.unique()))
    return Coded(values, words.cast(pl.Enum(values)).to_physical().to_numpy().astype(np.int64))
