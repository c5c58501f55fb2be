"""Return curves of the lapsed: Kaplan-Meier by stage to look at, a Cox model for one clock of all of them.

How *many* come back is `p_return`'s matter (activity, calibration); the days of each user are `timing`'s.
A spell is one user lapsed at a past cutoff: `duration_days` (whole days to the first core event after
it, or to the last day seen) and `returned` (False = censored: had not come back by the last day seen).
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from dagster_project.errors import WinbackError

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]

FEWEST_RETURNS = 20  # ten per covariate is the usual advice; for three, seven will do
RIDGE = 0.001  # bounds a covariate that separates the returns; moves a plain one by a thousandth
COVARIATES: tuple[tuple[str, str], ...] = (
    ("log_silence", "silence_days"),
    ("log_active_days", "n_active_days"),
    ("log_usual_gap", "usual_gap_days"),
)
ALL_STAGES = "all"

CURVE_SCHEMA = pl.Schema(
    {
        "stage": pl.String,
        "day": pl.Int64,
        "p_returned": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
        "n_at_risk": pl.Int64,
    }
)
COX_SCHEMA = pl.Schema(
    {
        "covariate": pl.String,
        "coef": pl.Float64,
        "hr": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
        "p": pl.Float64,
    }
)


@dataclass(frozen=True)
class ReturnClock:
    """When the lapsed come back, if they do.

    `cumulative_hazard[d]` is that of day d (index 0 = the cutoff, 0.0) for a user of mean covariates,
    non-decreasing. `summary`: one row per Cox covariate, hazard ratio `hr` per unit of the natural
    log (above 1 = sooner back) with its 95 % ends `low`, `high` and `p`; empty when `kind` is
    "kaplan_meier", whose `note` says why.
    """

    kind: str
    summary: pl.DataFrame
    cumulative_hazard: Floats
    note: str | None


def kaplan_meier_curves(spells: pl.DataFrame, *, days: tuple[int, ...], by: str = "stage") -> pl.DataFrame:
    """Share returned by each day: Kaplan-Meier per value of `by`, and over everyone as "all".

    One row per `stage` × `day` up to the group's longest follow-up (later days are not claimed),
    "all" first. `low`, `high`: 95 % ends from the exponential Greenwood formula. `n_at_risk`: spells
    neither returned nor censored before that day. Estimand: unaided return among such users, as long
    as censoring tells nothing (here it is the end of the log, so it does not).
    """
    _check_spells(spells)
    if spells.is_empty():
        return CURVE_SCHEMA.to_frame()
    groups = [(ALL_STAGES, spells)]
    groups += [(name, spells.filter(pl.col(by) == name)) for name in sorted(spells[by].drop_nulls().unique())]
    curves = [_kaplan_meier(group, name=str(name), days=days) for name, group in groups]
    return pl.concat([CURVE_SCHEMA.to_frame(), *curves])


def fit_cox(spells: pl.DataFrame, *, horizon_days: int) -> ReturnClock:
    """Cox proportional hazards on log silence, log active days and log usual gap, ties by Efron.

    `spells` needs the raw silence_days, n_active_days and usual_gap_days at the spell's cutoff.
    Falls back to the Kaplan-Meier hazard of all, saying so in `note`, with fewer than 20 returns, no
    covariate that varies, or no convergence. The hazard is carried to `horizon_days` at its average
    pace where the follow-up is shorter; with no return at all it is a steady one.
    Source: Cox 1972; the fit is lifelines'.
    """
    _check_spells(spells)
    n_returns = int(spells["returned"].sum())
    if n_returns < FEWEST_RETURNS:
        why = f"Only {n_returns} returns were seen, a Cox model needs {FEWEST_RETURNS}"
        return _kaplan_meier_clock(spells, horizon_days=horizon_days, why=why)
    design = _with_covariates(spells)
    covariates = [name for name, _ in COVARIATES if design[name].n_unique() > 1]
    if not covariates:
        return _kaplan_meier_clock(spells, horizon_days=horizon_days, why="No covariate varies between users")
    return _cox_clock(design, covariates, horizon_days=horizon_days)


def _kaplan_meier(spells: pl.DataFrame, *, name: str, days: tuple[int, ...]) -> pl.DataFrame:
    from lifelines import KaplanMeierFitter

    duration = spells["duration_days"].cast(pl.Int64).to_numpy()
    fitter = KaplanMeierFitter().fit(duration, spells["returned"].to_numpy())
    kept = np.array([day for day in sorted(set(days)) if day <= duration.max()], dtype=np.int64)
    survival = _step_values(fitter.survival_function_, kept)[:, 0]
    bounds = _step_values(fitter.confidence_interval_, kept)
    returned = 1 - survival
    # lifelines gives no bound where nobody or everybody has returned: the point itself stands there
    low, high = (np.where(np.isnan(b), returned, 1 - b) for b in (bounds[:, 1], bounds[:, 0]))
    n_at_risk = (duration[None, :] >= kept[:, None]).sum(axis=1)
    columns = {"day": kept, "p_returned": returned, "low": low, "high": high, "n_at_risk": n_at_risk}
    return pl.DataFrame({"stage": [name] * len(kept), **columns}, schema=CURVE_SCHEMA)


def _step_values(steps: "pd.DataFrame", days: npt.NDArray[np.int64]) -> Floats:
    """The values of a right-continuous step table at `days`, one column per column of the table."""
    at = np.searchsorted(steps.index.to_numpy(dtype=float), days, side="right") - 1
    return steps.to_numpy(dtype=float)[np.maximum(at, 0)]


def _kaplan_meier_clock(spells: pl.DataFrame, *, horizon_days: int, why: str) -> ReturnClock:
    days = tuple(range(int(spells["duration_days"].max() or 0) + 1))  # type: ignore[arg-type]
    curve = kaplan_meier_curves(spells, days=days).filter(pl.col("stage") == ALL_STAGES)
    survival = np.maximum(1 - curve["p_returned"].to_numpy(), 1e-9)
    note = f"{why}: the timing of returns follows the one curve of all lapsed users."
    hazard = _carried_to(-np.log(survival), horizon_days=horizon_days)
    return ReturnClock("kaplan_meier", COX_SCHEMA.to_frame(), hazard, note)


def _cox_clock(design: pl.DataFrame, covariates: list[str], *, horizon_days: int) -> ReturnClock:
    from lifelines import CoxPHFitter
    from lifelines.exceptions import ConvergenceError

    fitter = CoxPHFitter(penalizer=RIDGE)
    table = design.select(*covariates, "duration_days", "returned").to_pandas()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its advice on conditioning; what matters is checked below
            fitter.fit(table, duration_col="duration_days", event_col="returned")
        summary = _cox_summary(fitter.summary)
    except ConvergenceError:
        return _kaplan_meier_clock(design, horizon_days=horizon_days, why="The Cox model did not converge")
    if not summary.select(pl.all_horizontal(pl.col("coef", "hr").is_finite().all())).item():
        return _kaplan_meier_clock(design, horizon_days=horizon_days, why="The Cox model did not converge")
    days = np.arange(int(table["duration_days"].max()) + 1)
    hazard = _step_values(fitter.baseline_cumulative_hazard_, days)[:, 0]
    hazard[days < fitter.baseline_cumulative_hazard_.index[0]] = 0.0
    return ReturnClock("cox", summary, _carried_to(hazard, horizon_days=horizon_days), None)


def _cox_summary(summary: "pd.DataFrame") -> pl.DataFrame:
    columns: Mapping[str, str] = {
        "coef": "coef",
        "hr": "exp(coef)",
        "low": "exp(coef) lower 95%",
        "high": "exp(coef) upper 95%",
        "p": "p",
    }
    values = {name: summary[source].to_numpy(dtype=float) for name, source in columns.items()}
    return pl.DataFrame({"covariate": [str(name) for name in summary.index], **values}, schema=COX_SCHEMA)


def _carried_to(hazard: Floats, *, horizon_days: int) -> Floats:
    """The cumulative hazard to H at least, at its average pace; a steady one where nobody returned."""
    followed = len(hazard) - 1
    n_days = max(followed, horizon_days)
    reached_by_horizon = hazard[min(followed, horizon_days)] if followed > 0 else 0.0
    if reached_by_horizon <= 0:
        return np.arange(n_days + 1) / horizon_days
    beyond = hazard[-1] * np.arange(followed + 1, n_days + 1) / followed
    return np.concatenate([hazard, beyond])


def _with_covariates(spells: pl.DataFrame) -> pl.DataFrame:
    # log(1 + x), not log(x): a silence of no days is a real value
    return spells.sort("user_id").with_columns(
        (pl.col(source).cast(pl.Float64).fill_null(strategy="mean").fill_null(1) + 1).log().alias(name)
        for name, source in COVARIATES
    )


def _check_spells(spells: pl.DataFrame) -> None:
    n_negative = spells.filter(pl.col("duration_days") < 0).height
    if n_negative:
        raise WinbackError(
            f"{n_negative} return spells last less than no day",
            fix="count duration_days from the spell's cutoff forwards",
        )
