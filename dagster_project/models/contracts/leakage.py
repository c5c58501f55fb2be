"""Covariates that encode the outcome or the clock: found, named and refused before any model sees them.

A total that is price × tenure, a sign-up year, a field that only the ended rows fill: each makes a model look
superb (Telco's concordance .975 instead of .865) and worthless, since no running contract has that knowledge.
"""

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import numpy.typing as npt
import polars as pl

from dagster_project.models.contracts.design import MISSING_WORDS, Floats, as_numbers, plan_terms, terms_matrix
from dagster_project.models.contracts.durations import SPAN_COLUMNS
from dagster_project.models.contracts.ranking import concordance
from dagster_project.models.contracts.regressions import cox_risk

CLOCK_CORRELATION = 0.8  # |Spearman| with tenure; Telco's honest MonthlyCharges reaches .48, TotalCharges .97
PAIR_CORRELATION = 0.9  # of a ratio or product: many pairs are tried, so more is asked for
FEWEST_ROWS = 20  # of each kind; below it a rank correlation of .8 comes by chance
CHANCE = 1e-6  # that honest fillings would fall on ended (or running) contracts alone
FILLED_SHARE = 0.05
CONCORDANCE_JUMP = 0.05
# An honest strong covariate may also bring .05 (Telco's Contract: .038); none known brings a model this near to 1.
IMPLAUSIBLE_CONCORDANCE = 0.93
MOST_ROWS = 5_000  # a screen needs no more, and its cost grows with columns × rows
MOST_LEVELS = 50

Finding = tuple[str, str, float, str]
Marks = npt.NDArray[np.bool_]

REFUSED_SCHEMA = pl.Schema({"column": pl.String, "kind": pl.String, "figure": pl.Float64, "reason": pl.String})


def refused_covariates(spans: pl.DataFrame, *, seed: int) -> pl.DataFrame:
    """One row per column of `spans` that must not be a covariate: `column`, `kind`, `figure`, `reason` in words.

    `kind` is "clock" (`figure`: Spearman with tenure), "outcome" (share filled where it is filled), "jump"
    (concordance gained) or "unusable" (dates, lists, names that hardly repeat). In this order: a column alone, ratio
    and product of two numeric columns, concordance with all the others. Of a ratio the numerator is refused (a total ÷
    a price counts the units), of a product whichever column follows tenure more.
    Not a proof of honesty: a noisy copy of tenure below the thresholds passes.
    """
    rows = _sampled(spans, seed=seed)
    found = [row for name in covariates_of(spans) if (row := _alone(rows, name))]
    honest = [name for name in covariates_of(spans) if name not in {row[0] for row in found}]
    found += _pairs(rows, honest)
    honest = [name for name in honest if name not in {row[0] for row in found}]
    found += _jumps(rows, honest)
    return pl.DataFrame(found, schema=REFUSED_SCHEMA, orient="row").sort("column")


def covariates_of(spans: pl.DataFrame) -> list[str]:
    """The columns that are neither keys, dates nor outcome, in alphabetical order."""
    return sorted(set(spans.columns) - {*SPAN_COLUMNS, "cause"})


def _alone(rows: pl.DataFrame, name: str) -> Finding | None:
    column = rows[name]
    if not (column.dtype.is_numeric() or column.dtype in (pl.String, pl.Categorical, pl.Boolean, pl.Null)):
        return name, "unusable", float("nan"), f"{name} is of type {column.dtype}, neither a number nor a word"
    numbers = as_numbers(column)
    if numbers is None and column.n_unique() > max(MOST_LEVELS, rows.height // 20):
        return name, "unusable", float(column.n_unique()), f"{name} hardly repeats a value: it names contracts"
    if column.dtype.is_numeric() or numbers is not None:
        values = column.cast(pl.Float64).to_numpy() if numbers is None else numbers
        figure = _clock_correlation(rows, values)
        if abs(figure) >= CLOCK_CORRELATION:
            return name, "clock", figure, f"{name} follows the time under contract (Spearman {figure:.2f})"
    return _filling(rows, name)


def _filling(rows: pl.DataFrame, name: str) -> Finding | None:
    """Filled, or other than its usual value, on one side of the outcome only."""
    ended = rows["event"].to_numpy()
    if min(ended.sum(), (~ended).sum()) < FEWEST_ROWS:
        return None
    filled = ~_is_empty(rows[name])
    words = rows[name].cast(pl.String).fill_null("")
    usual = words.filter(pl.Series(~ended)).mode().sort().first()
    for mark, says in ((filled, "is filled"), (words.ne(usual).to_numpy() & filled, f"is other than {usual!r}")):
        if _only(mark, ended):
            return name, "outcome", float(mark[ended].mean()), f"{name} {says} only on contracts that ended"
    if _only(filled, ~ended):
        return name, "outcome", float(filled[~ended].mean()), f"{name} is filled only on contracts that still run"
    return None


def _only(mark: Marks, side: Marks) -> bool:
    """Whether `mark` is found on `side` alone, and too often for chance."""
    if mark[~side].any() or mark[side].mean() < FILLED_SHARE:
        return False
    return bool(mark.sum() * np.log(side.mean()) < np.log(CHANCE))


def _is_empty(column: pl.Series) -> Marks:
    if column.dtype.is_float():
        return (column.is_null() | column.is_nan().fill_null(True)).to_numpy()
    words = column.cast(pl.String).str.strip_chars().str.to_lowercase()
    return (words.is_null() | words.is_in(MISSING_WORDS).fill_null(True)).to_numpy()


def _pairs(rows: pl.DataFrame, names: list[str]) -> list[Finding]:
    numeric = {name: values for name in names if (values := as_numbers(rows[name])) is not None}
    numeric = {name: values for name, values in numeric.items() if len(np.unique(values[np.isfinite(values)])) > 2}
    own = {name: abs(_clock_correlation(rows, values)) for name, values in numeric.items()}
    worst: dict[str, Finding] = {}
    for first, second in combinations(sorted(numeric), 2):
        for culprit, wording, figure in _suspects(rows, numeric, first, second, own=own):
            if culprit not in worst or abs(figure) > abs(worst[culprit][2]):
                reason = f"{wording} follows the time under contract (Spearman {figure:.2f})"
                worst[culprit] = culprit, "clock", figure, reason
    return list(worst.values())


def _suspects(
    rows: pl.DataFrame, numeric: dict[str, Floats], first: str, second: str, *, own: dict[str, float]
) -> Iterator[tuple[str, str, float]]:
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio, product = numeric[first] / numeric[second], numeric[first] * numeric[second]
    figure = _clock_correlation(rows, ratio)
    if abs(figure) >= max(PAIR_CORRELATION, own[first], own[second]):
        top, bottom = (first, second) if figure > 0 else (second, first)
        yield top, f"{top} ÷ {bottom}", abs(figure)
    figure = _clock_correlation(rows, product)
    if abs(figure) >= max(PAIR_CORRELATION, own[first], own[second]):
        yield max((first, second), key=lambda name: own[name]), f"{first} × {second}", figure


def _clock_correlation(rows: pl.DataFrame, values: Floats) -> float:
    """The Spearman correlation with tenure of largest size: over all, the ended, the running. 0 without variation."""
    tenure, ended = rows["duration"].to_numpy(), rows["event"].to_numpy()
    figures = [0.0]
    for side in (np.ones(len(ended), dtype=np.bool_), ended, ~ended):
        kept = side & np.isfinite(values)
        if kept.sum() >= FEWEST_ROWS:
            ranks = pl.DataFrame({"a": values[kept], "b": tenure[kept]})
            figure = ranks.select(pl.corr("a", "b", method="spearman")).item()
            figures.append(figure if figure is not None and np.isfinite(figure) else 0.0)
    return max(figures, key=abs)


def _jumps(rows: pl.DataFrame, names: list[str]) -> list[Finding]:
    with_all = _fitted_concordance(rows, names)
    if with_all < IMPLAUSIBLE_CONCORDANCE:
        return []
    found: list[Finding] = []
    for name in names:
        jump = with_all - _fitted_concordance(rows, [other for other in names if other != name])
        if jump > CONCORDANCE_JUMP:
            reason = f"{name} lifts the concordance by {jump:.2f} to {with_all:.2f}, more than foresight can"
            found.append((name, "jump", jump, reason))
    return found


def _fitted_concordance(rows: pl.DataFrame, names: list[str]) -> float:
    terms = plan_terms(rows, tuple(names), is_curved=False)
    if not terms or rows["event"].sum() < FEWEST_ROWS:
        return 0.5
    risk = cox_risk(rows, terms_matrix(rows, terms))
    return concordance(rows["entry"].to_numpy(), rows["duration"].to_numpy(), rows["event"].to_numpy(), risk)


def _sampled(spans: pl.DataFrame, *, seed: int) -> pl.DataFrame:
    last = spans.filter(pl.col("is_last"), pl.col("duration") > pl.col("entry"))
    return last.sample(MOST_ROWS, seed=seed) if last.height > MOST_ROWS else last
