"""Two textbook survival models as candidates: Cox and a Weibull accelerated failure time, on days to the next event."""

import warnings
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from dagster_project.models.activity import (
    CandidateError,
    FitSetup,
    Probabilities,
    bounded,
    has_both_classes,
    outcomes,
    smoothed_rate,
)
from dagster_project.models.features import sample_rows
from dagster_project.models.hazard import with_follow_up

if TYPE_CHECKING:
    import pandas as pd

COVARIATES = ("silence_days", "tenure_days", "n_active_days", "n_active_days_90d", "mean_gap_days")
MAX_ROWS = 50_000  # a handful of coefficients is known to a hundredth long before
RIDGE = 0.001  # bounds a covariate that separates the outcomes


class DurationModel:
    """P(next core event within H) from `lifelines`' CoxPHFitter or WeibullAFTFitter, censored at H.

    Whole days (ties by Efron); covariates are log(1 + x), unknown ones their training median.
    """

    def __init__(self, setup: FitSetup, *, fitter: str) -> None:
        self._setup, self._fitter_name = setup, fitter

    def fit(self, training: pl.DataFrame) -> Self:
        """Raises CandidateError: a duration is not positive, or the fit does not converge."""
        outcome = outcomes(training)
        self._rate = smoothed_rate(outcome)
        self._fitter: Any = None
        rows = sample_rows(training, max_rows=MAX_ROWS, seed=self._setup.seed)
        logs = _logs(rows, tuple(name for name in COVARIATES if name in rows.columns))
        self._columns = tuple(name for name in logs.columns if logs[name].drop_nulls().n_unique() > 1)
        self._medians = {name: float(np.median(logs[name].drop_nulls().to_numpy())) for name in self._columns}
        if self._columns and has_both_classes(outcome):
            self._fitter = self._fitted(self._design(rows), _durations(rows, horizon_days=self._setup.horizon_days))
        return self

    def predict(self, features: pl.DataFrame) -> Probabilities:
        """1 - S(H) of each row."""
        if self._fitter is None or features.is_empty():
            return np.full(features.height, self._rate)
        survival = self._fitter.predict_survival_function(self._design(features), times=[self._setup.horizon_days])
        returned = 1 - survival.to_numpy(dtype=float)[0]
        if not np.isfinite(returned).all():
            raise CandidateError(f"{self._fitter_name} gave no number to some users", fix="look at their features")
        return bounded(returned)

    def _design(self, frame: pl.DataFrame) -> "pd.DataFrame":
        logs = _logs(frame, self._columns)
        return logs.with_columns(pl.col(name).fill_null(self._medians[name]) for name in self._columns).to_pandas()

    def _fitted(self, design: "pd.DataFrame", durations: tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]) -> Any:
        import lifelines
        from lifelines.exceptions import ConvergenceError

        design["duration_days"], design["came"] = durations
        fitter = getattr(lifelines, self._fitter_name)(penalizer=RIDGE)
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")  # its advice on conditioning; a fit that failed raises
                return fitter.fit(design, duration_col="duration_days", event_col="came")
        except (ConvergenceError, ValueError, TypeError, np.linalg.LinAlgError) as error:
            problem = f"{self._fitter_name} did not converge"
            raise CandidateError(problem, fix="nothing: the other candidates stand without it") from error


def _durations(rows: pl.DataFrame, *, horizon_days: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    days = with_follow_up(rows, horizon_days=horizon_days)["next_active_in_days"].to_numpy()
    if (days <= 0).any():
        raise CandidateError(
            f"{int((days <= 0).sum())} rows have their next core event on or before the cutoff",
            fix="count next_active_in_days from the day after the cutoff",
        )
    return np.minimum(days, horizon_days), days <= horizon_days


def _logs(frame: pl.DataFrame, columns: tuple[str, ...]) -> pl.DataFrame:
    value = pl.col(columns).cast(pl.Float64)
    return frame.select(pl.when(value.is_finite()).then((value.clip(lower_bound=0) + 1).log()))
