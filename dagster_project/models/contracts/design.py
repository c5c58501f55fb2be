"""From a contract's attributes to the numbers that regressions read: levels, lines, curves, and gaps filled.

Everything is learnt from the training rows alone (`plan_terms`) and applied to any rows (`terms_matrix`).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

Floats = npt.NDArray[np.float64]

MISSING_WORDS = ("", "nan", "none", "null", "n/a")
UNKNOWN = "(unknown)"
OTHER = "(other)"
FEWEST_OF_LEVEL = 20  # rows; rarer values share one level
MOST_LEVELS = 20
FEWEST_VALUES_OF_CURVE = 20  # fewer distinct values carry a line, not a curve
KNOT_SHARES = (0.05, 0.35, 0.65, 0.95)  # Harrell 2001, four knots
SAME_COLUMN = 1 - 1e-9  # correlation at which two terms say the same
FEWEST_ENDS_OF_STRATUM = 20  # a baseline of its own needs as many


@dataclass(frozen=True)
class Term:
    """One column of the matrix. `kind`: level (is `value`), missing, line, or bend (a spline beyond the line).

    `fill` stands for an unknown number; lines and bends keep the units of the column.
    """

    name: str
    column: str
    kind: str
    value: str = ""
    fill: float = 0.0
    low: float = -np.inf
    high: float = np.inf
    knots: tuple[float, ...] = ()
    bend: int = 0
    known: tuple[str, ...] = ()


@dataclass(frozen=True)
class Strata:
    """Which rows share a baseline: `levels` of `column`, the first also taking every other value."""

    column: str
    levels: tuple[str, ...]

    def codes(self, rows: pl.DataFrame) -> npt.NDArray[np.int64]:
        """The index into `levels` of each row."""
        words = as_words(rows[self.column])
        number = {level: i for i, level in enumerate(self.levels)}
        return np.asarray([number.get(word, 0) for word in words], dtype=np.int64)


def as_numbers(column: pl.Series) -> Floats | None:
    """The column as floats with NaN for the unknown; null if it holds a word that is no number.

    A text column of figures with blanks (as CSV readers leave it) counts as numbers.
    """
    if column.dtype.is_numeric():
        values = column.cast(pl.Float64).fill_null(np.nan).to_numpy()
        return np.where(np.isfinite(values), values, np.nan)
    if column.dtype not in (pl.String, pl.Categorical):
        return None
    words = column.cast(pl.String).str.strip_chars()
    known = words.filter(~words.str.to_lowercase().is_in(MISSING_WORDS).fill_null(True))
    if known.is_empty() or known.cast(pl.Float64, strict=False).null_count():
        return None
    values = words.cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy()
    return np.where(np.isfinite(values), values, np.nan)


def as_words(column: pl.Series) -> list[str]:
    """The column as text, the unknown as "(unknown)"."""
    words = column.cast(pl.String).str.strip_chars()
    is_missing = words.str.to_lowercase().is_in(MISSING_WORDS).fill_null(True)
    return pl.select(pl.when(~is_missing).then(words).otherwise(pl.lit(UNKNOWN))).to_series().to_list()


def plan_terms(rows: pl.DataFrame, columns: tuple[str, ...], *, is_curved: bool) -> tuple[Term, ...]:
    """The terms of `columns`, learnt from `rows`: constant ones and repeats of another are left out.

    A number becomes a line, clipped to the 1st and 99th percentile, and with `is_curved` a restricted cubic spline
    of four knots; its gaps get the median and a marker. A word becomes one term per level but the commonest.
    """
    planned = [term for name in columns for term in _terms_of(rows, name, is_curved=is_curved)]
    matrix = terms_matrix(rows, tuple(planned))
    kept: list[int] = []
    for i in range(len(planned)):
        if matrix[:, i].std() > 1e-9 * (1 + abs(matrix[:, i].mean())) and not _repeats(matrix, i, kept):
            kept.append(i)
    return tuple(planned[i] for i in kept)


def terms_matrix(rows: pl.DataFrame, terms: tuple[Term, ...]) -> Floats:
    """One row per row, one column per term; always finite."""
    columns = [_values(rows, term) for term in terms]
    return np.column_stack(columns) if columns else np.zeros((rows.height, 0))


def plan_strata(rows: pl.DataFrame, column: str) -> Strata | None:
    """The levels of `column` that have 20 ends each; null if there are not two such groups.

    Rows of all other levels count with the commonest level, the first.
    """
    counted = (
        pl.DataFrame({"level": as_words(rows[column]), "event": rows["event"]})
        .group_by("level")
        .agg(n=pl.len(), ends=pl.col("event").sum())
        .sort(["n", "level"], descending=[True, False])
    )
    able = counted.filter(pl.col("ends") >= FEWEST_ENDS_OF_STRATUM)["level"].to_list()
    return Strata(column, tuple(able)) if len(able) > 1 else None


def restricted_cubic(values: Floats, knots: tuple[float, ...]) -> Floats:
    """Restricted cubic spline beyond its line, linear outside the knots; knots - 2 columns. Source: Harrell 2001."""
    x, last, before = np.asarray(values, dtype=np.float64)[:, None], knots[-1], knots[-2]
    inner = np.asarray(knots[:-2])[None, :]

    def cube(shifted: Floats) -> Floats:
        raised: Floats = np.maximum(shifted, 0) ** 3
        return raised

    bends = cube(x - inner) - cube(x - before) * (last - inner) / (last - before)
    bends = bends + cube(x - last) * (before - inner) / (last - before)
    scaled: Floats = bends / (last - knots[0]) ** 2
    return scaled


def spread_knots(values: Floats, shares: tuple[float, ...] = KNOT_SHARES) -> tuple[float, ...]:
    """The quantiles of `values` at `shares`, without repeats; empty if fewer than three are left."""
    knots = tuple(float(q) for q in np.unique(np.quantile(values, shares)))
    return knots if len(knots) >= 3 else ()


def _terms_of(rows: pl.DataFrame, name: str, *, is_curved: bool) -> list[Term]:
    numbers = as_numbers(rows[name])
    if numbers is None:
        return _levels(rows, name)
    known = numbers[np.isfinite(numbers)]
    if not known.size:
        return []
    low, high = (float(q) for q in np.quantile(known, [0.01, 0.99]))
    if low == high:  # an indicator that is rare: clipping would wipe it out
        low, high = float(known.min()), float(known.max())
    basis: dict[str, Any] = {"column": name, "fill": float(np.median(known)), "low": low, "high": high}
    terms = [Term(name, kind="line", **basis)]
    knots = spread_knots(known) if is_curved and len(np.unique(known)) >= FEWEST_VALUES_OF_CURVE else ()
    terms += [Term(f"{name} (bend {i + 1})", kind="bend", knots=knots, bend=i, **basis) for i in range(len(knots) - 2)]
    if known.size < rows.height:
        terms.append(Term(f"{name} is unknown", name, "missing"))
    return terms


def _levels(rows: pl.DataFrame, name: str) -> list[Term]:
    words = pl.Series("level", as_words(rows[name])).value_counts(sort=False)
    words = words.sort(["count", "level"], descending=[True, False])
    frequent = words.filter(pl.col("count") >= FEWEST_OF_LEVEL)["level"].head(MOST_LEVELS).to_list()
    known = tuple(frequent)
    terms = [Term(f"{name} = {level}", name, "level", level, known=known) for level in frequent[1:]]
    if len(frequent) < words.height:
        terms.append(Term(f"{name} = {OTHER}", name, "level", OTHER, known=known))
    return terms


def _values(rows: pl.DataFrame, term: Term) -> Floats:
    if term.kind == "level":
        known = set(term.known)
        words = (word if word in known else OTHER for word in as_words(rows[term.column]))
        return np.asarray([word == term.value for word in words], dtype=np.float64)
    numbers = as_numbers(rows[term.column])
    if numbers is None:  # a column that was all figures when learnt and now holds a word
        numbers = rows[term.column].cast(pl.String).cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy()
    if term.kind == "missing":
        return (~np.isfinite(numbers)).astype(np.float64)
    clipped = np.clip(np.where(np.isfinite(numbers), numbers, term.fill), term.low, term.high)
    return restricted_cubic(clipped, term.knots)[:, term.bend] if term.kind == "bend" else clipped


def _repeats(matrix: Floats, column: int, kept: list[int]) -> bool:
    if not kept:
        return False
    centred = matrix[:, [*kept, column]] - matrix[:, [*kept, column]].mean(axis=0)
    norms = np.linalg.norm(centred, axis=0)
    similar = centred[:, :-1].T @ centred[:, -1] / (norms[:-1] * norms[-1])
    return bool((np.abs(similar) > SAME_COLUMN).any())
