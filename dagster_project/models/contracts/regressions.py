"""Continuous-time models behind one face: Kaplan-Meier, Cox (plain, stratified), Weibull and log-normal AFT.

Each answers with a cumulative hazard for a row and a tenure, so that P(end in (t, t + h] | running at t) is
1 - exp(H(t) - H(t + h)). The fits are lifelines'; predictions are taken from its parameters, since its own stratified
predictions come back ordered by stratum (METHODS).
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from dagster_project.errors import WinbackError
from dagster_project.models.contracts.curves import arrays, life_table
from dagster_project.models.contracts.design import Floats, Strata, Term, plan_strata, plan_terms, terms_matrix

if TYPE_CHECKING:
    import pandas as pd

PLAIN_RIDGE = 0.001  # bounds a covariate that separates the ends; moves a plain one by a thousandth
CROSSED_RIDGE = 0.01  # three times the terms; .001 and .01 differ by .0003 of concordance on Telco
AFT_RIDGE = 0.001
TAIL_SHARE = 0.2  # beyond the longest tenure the hazard goes on at the pace of the last fifth
LARGEST_EXPONENT = 30.0


class ModelFitError(WinbackError):
    """A candidate model found no estimate; the others go on without it."""


@dataclass(frozen=True)
class Baseline:
    """A cumulative hazard per unit of tenure, index = tenure, and the pace at which it goes on past its end."""

    hazard: Floats
    pace: float

    def at(self, tenure: Floats) -> Floats:
        """The cumulative hazard at `tenure`, linear between units."""
        last = len(self.hazard) - 1
        inside = np.interp(np.minimum(tenure, last), np.arange(last + 1), self.hazard)
        grown: Floats = inside + self.pace * np.maximum(tenure - last, 0)
        return grown


@dataclass(frozen=True)
class KaplanMeierModel:
    """Everyone has the one curve of all."""

    baseline: Baseline

    def cumulative_hazard(self, rows: pl.DataFrame, tenure: Floats) -> Floats:
        """Of each row at each of its tenures (rows × tenures)."""
        return self.baseline.at(np.broadcast_to(tenure, (rows.height, tenure.shape[1])))


@dataclass(frozen=True)
class CoxModel:
    """Baselines by stratum (one if there are none) × exp of the covariates; `summary` in the units of the columns."""

    terms: tuple[Term, ...]
    strata: Strata | None
    coefficients: Floats
    centre: Floats
    baselines: tuple[Baseline, ...]
    fitter: Any

    def cumulative_hazard(self, rows: pl.DataFrame, tenure: Floats) -> Floats:
        """Of each row at each of its tenures (rows × tenures)."""
        matrix = crossed_matrix(rows, self.terms, self.strata) - self.centre
        factor = np.exp(np.clip(matrix @ self.coefficients, -LARGEST_EXPONENT, LARGEST_EXPONENT))
        wanted = np.broadcast_to(tenure, (rows.height, tenure.shape[1]))
        codes = self.strata.codes(rows) if self.strata else np.zeros(rows.height, dtype=np.int64)
        hazard = np.empty(wanted.shape)
        for code, baseline in enumerate(self.baselines):
            hazard[codes == code] = baseline.at(wanted[codes == code])
        return hazard * factor[:, None]


@dataclass(frozen=True)
class AftModel:
    """Time itself stretched by the covariates: Weibull or log-normal."""

    kind: str
    terms: tuple[Term, ...]
    location: Floats
    intercept: float
    log_shape: float

    def cumulative_hazard(self, rows: pl.DataFrame, tenure: Floats) -> Floats:
        """Of each row at each of its tenures (rows × tenures)."""
        from scipy.stats import norm

        log_scale = terms_matrix(rows, self.terms) @ self.location + self.intercept
        with np.errstate(divide="ignore"):
            shifted = np.log(np.maximum(tenure, 0)) - log_scale[:, None]
        if self.kind == "weibull_aft":
            hazard: Floats = np.exp(np.minimum(shifted * np.exp(self.log_shape), LARGEST_EXPONENT))
            return hazard
        survived: Floats = -norm.logsf(shifted / np.exp(self.log_shape))
        return survived


def fit_kaplan_meier(rows: pl.DataFrame) -> KaplanMeierModel:
    """The one curve of all `rows`."""
    hazard = np.cumsum(-np.log(np.maximum(1 - life_table(*arrays(rows)).hazard, 1e-3)))
    return KaplanMeierModel(_carried_on(hazard))


def fit_cox(rows: pl.DataFrame, columns: tuple[str, ...], *, strata_by: str | None = None) -> CoxModel:
    """Cox proportional hazards, ties by Efron, a small ridge.

    Plain: lines and levels only, so that each hazard ratio can be read (above 1 = sooner end). With `strata_by`: a
    baseline per level that has 20 ends, numbers as curves, and every effect its own in each stratum.
    Raises ModelFitError: no covariate varies, no two strata, no convergence. Source: Cox 1972.
    """
    strata = plan_strata(rows, strata_by) if strata_by else None
    if strata_by and strata is None:
        raise ModelFitError(
            f"{strata_by} has no two levels with 20 ends each", fix="no stratified model for these data"
        )
    terms = unstratified(plan_terms(rows, columns, is_curved=strata is not None), strata)
    matrix = crossed_matrix(rows, terms, strata)
    codes = strata.codes(rows) if strata else None
    fitter = _fitted_cox(rows, matrix, codes=codes, ridge=CROSSED_RIDGE if strata else PLAIN_RIDGE)
    coefficients = fitter.params_.to_numpy(dtype=float)
    # lifelines' baseline is that of the mean row
    centre = matrix.mean(axis=0)
    longest = int(rows["duration"].max())  # type: ignore[arg-type]
    baselines = tuple(_cox_baselines(fitter, longest=longest, n_strata=len(strata.levels) if strata else 1))
    return CoxModel(terms, strata, coefficients, centre, baselines, fitter)


def fit_aft(rows: pl.DataFrame, columns: tuple[str, ...], *, kind: str) -> AftModel:
    """Accelerated failure time: `kind` is "weibull_aft" or "lognormal_aft". Raises ModelFitError."""
    from lifelines import LogNormalAFTFitter, WeibullAFTFitter

    terms = plan_terms(rows, columns, is_curved=False)
    scale_name, shape_name = ("lambda_", "rho_") if kind == "weibull_aft" else ("mu_", "sigma_")
    fitter = (WeibullAFTFitter if kind == "weibull_aft" else LogNormalAFTFitter)(penalizer=AFT_RIDGE)
    matrix = terms_matrix(rows, terms)
    # standardised, or lifelines' optimiser loses itself between units of 1 and of 1,000
    mean, spread = matrix.mean(axis=0), matrix.std(axis=0)
    with _quiet(kind):
        fitter.fit(
            _table(rows, (matrix - mean) / spread),
            duration_col="duration",
            event_col="event",
            entry_col="entry" if _has_late_entry(rows) else None,
        )
    params = fitter.params_[scale_name]
    # by name: lifelines sorts its coefficients
    location = params[[f"x{i}" for i in range(matrix.shape[1])]].to_numpy(dtype=float) / spread
    intercept = float(params["Intercept"]) - float(mean @ location)
    log_shape = float(fitter.params_[shape_name]["Intercept"])
    return AftModel(kind, terms, location, intercept, log_shape)


def cox_risk(rows: pl.DataFrame, matrix: Floats) -> Floats:
    """The linear predictor of a plain Cox model on the very rows it was fitted to; zeros if it cannot be fitted."""
    try:
        fitter = _fitted_cox(rows, matrix, codes=None, ridge=PLAIN_RIDGE)
    except ModelFitError:
        return np.zeros(rows.height)
    risk: Floats = (matrix - matrix.mean(axis=0)) @ fitter.params_.to_numpy(dtype=float)
    return risk


def crossed_matrix(rows: pl.DataFrame, terms: tuple[Term, ...], strata: Strata | None) -> Floats:
    """The terms, and for every stratum but the first the terms again, zero elsewhere."""
    matrix = terms_matrix(rows, terms)
    if strata is None:
        return matrix
    codes = strata.codes(rows)
    blocks = [matrix * (codes == code)[:, None] for code in range(1, len(strata.levels))]
    return np.column_stack([matrix, *blocks])


def unstratified(terms: tuple[Term, ...], strata: Strata | None) -> tuple[Term, ...]:
    """The terms without those that the strata already tell apart."""
    if strata is None:
        return terms
    return tuple(t for t in terms if not (t.column == strata.column and t.kind == "level" and t.value in strata.levels))


def _fitted_cox(rows: pl.DataFrame, matrix: Floats, *, codes: Any, ridge: float) -> Any:
    from lifelines import CoxPHFitter

    if not matrix.shape[1]:
        raise ModelFitError("no covariate varies between contracts", fix="no Cox model for these data")
    table = _table(rows, matrix)
    if codes is not None:
        table["stratum"] = codes
    fitter = CoxPHFitter(penalizer=ridge)
    with _quiet("cox"):
        fitter.fit(
            table,
            duration_col="duration",
            event_col="event",
            entry_col="entry" if _has_late_entry(rows) else None,
            strata=["stratum"] if codes is not None else None,
        )
    if not np.isfinite(fitter.params_.to_numpy(dtype=float)).all():
        raise ModelFitError("cox found no finite estimate", fix="look for covariates that separate the ends")
    return fitter


def _table(rows: pl.DataFrame, matrix: Floats) -> "pd.DataFrame":
    import pandas as pd

    table = pd.DataFrame(matrix, columns=[f"x{i}" for i in range(matrix.shape[1])])
    table["duration"], table["event"] = rows["duration"].to_numpy(), rows["event"].to_numpy()
    if _has_late_entry(rows):
        table["entry"] = rows["entry"].to_numpy()
    return table


def _has_late_entry(rows: pl.DataFrame) -> bool:
    return bool((rows["entry"] > 0).any())


@contextmanager
def _quiet(kind: str) -> Iterator[None]:
    """No advice on conditioning, and one error for all the ways in which lifelines and its linear algebra give up."""
    from lifelines.exceptions import ConvergenceError, StatError

    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            yield
    except (ConvergenceError, StatError, np.linalg.LinAlgError, ValueError, OverflowError) as error:
        raise ModelFitError(f"{kind} did not converge", fix="the other models go on without it") from error


def _cox_baselines(fitter: Any, *, longest: int, n_strata: int) -> Iterator[Baseline]:
    steps = fitter.baseline_cumulative_hazard_
    times = steps.index.to_numpy(dtype=float)
    for code in range(n_strata):
        column = steps[code] if n_strata > 1 else steps.iloc[:, 0]
        values = column.ffill().fillna(0).to_numpy(dtype=float)
        at = np.searchsorted(times, np.arange(longest + 1), side="right") - 1
        yield _carried_on(np.where(at >= 0, values[np.maximum(at, 0)], 0.0))


def _carried_on(hazard: Floats) -> Baseline:
    last = len(hazard) - 1
    since = int(last * (1 - TAIL_SHARE))
    pace = (hazard[last] - hazard[since]) / max(1, last - since)
    return Baseline(hazard, float(pace) if pace > 0 else float(hazard[last]) / max(1, last))


def log_hazard_fit(rows: pl.DataFrame, matrix: Floats, *, at: float) -> Floats:
    """P(ended by `at` | entry) of each row under a Cox model on `matrix`, fitted to these very rows."""
    fitter = _fitted_cox(rows, matrix, codes=None, ridge=1e-6)
    longest = max(int(rows["duration"].max()), int(at) + 1)  # type: ignore[arg-type]
    (baseline,) = _cox_baselines(fitter, longest=longest, n_strata=1)
    factor = (matrix - matrix.mean(axis=0)) @ fitter.params_.to_numpy(dtype=float)
    since = baseline.at(np.asarray(at)) - baseline.at(rows["entry"].cast(pl.Float64).to_numpy())
    ended: Floats = -np.expm1(-since * np.exp(np.clip(factor, -LARGEST_EXPONENT, LARGEST_EXPONENT)))
    return ended
