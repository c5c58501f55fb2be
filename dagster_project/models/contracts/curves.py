"""Curves without a model: the share still under contract (Kaplan-Meier), and who ended why by when (Aalen-Johansen)."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from dagster_project.intervals import NORMAL_975

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

CURVE_SCHEMA = pl.Schema(
    {
        "tenure": pl.Int64,
        "survival_share": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
        "n_at_risk": pl.Int64,
        "n_ended": pl.Int64,
    }
)
INCIDENCE_SCHEMA = pl.Schema({"cause": pl.String, "tenure": pl.Int64, "incidence_share": pl.Float64})


@dataclass(frozen=True)
class LifeTable:
    """Per unit of tenure 0, 1, …: contracts at risk just before it, and ends at it."""

    n_at_risk: Ints
    n_ended: Ints

    @property
    def hazard(self) -> Floats:
        """Share of those at risk that ended; 0 where nobody was."""
        return np.divide(self.n_ended, self.n_at_risk, out=np.zeros(len(self.n_ended)), where=self.n_at_risk > 0)

    @property
    def survival(self) -> Floats:
        """P(still under contract after each unit)."""
        shares: Floats = np.cumprod(1 - self.hazard, dtype=np.float64)
        return shares


def life_table(entry: Ints, duration: Ints, event: npt.NDArray[np.bool_]) -> LifeTable:
    """The table of spans observed in (entry, duration]; late entries join the risk set after their entry."""
    n = int(duration.max(initial=0)) + 1
    leaving = np.bincount(duration, minlength=n)
    joined = np.cumsum(np.bincount(entry, minlength=n)[:n])
    before = np.concatenate([[0], joined[:-1]]) - np.concatenate([[0], np.cumsum(leaving)[:-1]])
    return LifeTable(before.astype(np.int64), np.bincount(duration[event], minlength=n).astype(np.int64))


def kaplan_meier(spans: pl.DataFrame) -> pl.DataFrame:
    """Share of contracts still running by tenure, one row per unit from 0 to the longest observed.

    `low`, `high`: 95 % ends (exponential Greenwood); the point itself where the formula has none. Estimand: survival
    of contracts in general, as long as censoring and late entry tell nothing of the end.
    """
    if spans.is_empty():
        return CURVE_SCHEMA.to_frame()
    table = life_table(*arrays(spans))
    low, high = _greenwood(table)
    return pl.DataFrame(
        {
            "tenure": np.arange(len(table.n_ended)),
            "survival_share": table.survival,
            "low": low,
            "high": high,
            "n_at_risk": table.n_at_risk,
            "n_ended": table.n_ended,
        },
        schema=CURVE_SCHEMA,
    )


def cumulative_incidence(spans: pl.DataFrame) -> pl.DataFrame:
    """P(ended for `cause` by `tenure`), one row per cause and unit; the causes add to 1 - Kaplan-Meier.

    `spans` needs `cause` (null unless `event`). Source: Aalen and Johansen 1978.
    """
    if spans.is_empty():
        return INCIDENCE_SCHEMA.to_frame()
    table = life_table(*arrays(spans))
    before = np.concatenate([[1.0], table.survival[:-1]])
    duration, cause = spans["duration"].to_numpy(), spans["cause"]
    frames = [INCIDENCE_SCHEMA.to_frame()]
    for name in sorted(cause.drop_nulls().unique()):
        ends = np.bincount(duration[cause.eq_missing(name).to_numpy()], minlength=len(before))
        share = np.divide(ends, table.n_at_risk, out=np.zeros(len(before)), where=table.n_at_risk > 0)
        columns = {"tenure": np.arange(len(before)), "incidence_share": np.cumsum(before * share)}
        frames.append(pl.DataFrame({"cause": [name] * len(before), **columns}, schema=INCIDENCE_SCHEMA))
    return pl.concat(frames)


def arrays(spans: pl.DataFrame) -> tuple[Ints, Ints, npt.NDArray[np.bool_]]:
    """Entry, duration and event of the spans."""
    return spans["entry"].to_numpy(), spans["duration"].to_numpy(), spans["event"].to_numpy()


def _greenwood(table: LifeTable) -> tuple[Floats, Floats]:
    survival = table.survival
    left = table.n_at_risk - table.n_ended
    terms = np.divide(
        table.n_ended, table.n_at_risk * left, out=np.zeros(len(left)), where=(table.n_at_risk > 0) & (left > 0)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        half = NORMAL_975 * np.sqrt(np.cumsum(terms)) / np.log(survival)
        bounds = [np.exp(-np.exp(np.log(-np.log(survival)) + sign * half)) for sign in (-1, 1)]
    low, high = (np.where(np.isfinite(bound), bound, survival) for bound in bounds)
    return np.minimum(low, high), np.maximum(low, high)
