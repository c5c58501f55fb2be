"""How long a return lasts, and what it is worth. `returns` makes the rows; `survival` holds the way there.

The clock runs from the return to the last active day before the user is churned again. That day is only known one
threshold later, which is different for every user: a spell is followed up to a threshold before the night.
"""

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from dagster_project.errors import WinbackError
from dagster_project.models.returns import SHORTEST_GAP_ON_RECORD_DAYS
from dagster_project.models.survival import COX_SCHEMA
from dagster_project.models.value import ValueModel, numbers

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]

FEWEST_RETURNS = 20  # below it even one curve for all is ± .2
FEWEST_RETURNS_FOR_COX = 100
FEWEST_RELAPSES_FOR_COX = 40  # ten for each covariate
FEWEST_OF_EACH_OFFER = 30
RIDGE = 0.01  # bounds a covariate that separates; four covariates and few relapses want some
LARGEST_LOG_RISK = 3.0  # e³: nobody's hazard is more than twenty times another's by extrapolation
YEAR_DAYS = 365
COVARIATES: tuple[tuple[str, str], ...] = (
    ("log_absence", "absence_days"),
    ("log_active_days_before", "n_active_days_before"),
    ("log_returns_before", "n_returns_before"),
)
OFFER = "came_by_offer"


@dataclass(frozen=True)
class RelapseModel:
    """Hazard of falling silent for good after a return: `kind` is cox, kaplan_meier or refused (`note` says why).

    `cumulative_hazard[d]`: that the last active day is before day d after the return, for a user of
    mean covariates (index 0 = 0.0, never falling); empty when refused. `coefs`: covariate → (log
    hazard ratio, mean). `summary`: as the Cox table of returns; hr above 1 = sooner lost again. Rows
    are returns, and a user may have several, so the intervals are a little too narrow.
    """

    kind: str
    cumulative_hazard: Floats
    coefs: dict[str, tuple[float, float]]
    summary: pl.DataFrame
    note: str | None

    def relapse_probability(self, returned: pl.DataFrame, *, horizon_days: int) -> pl.Series:
        """P(churned again within the next 2H) per row of users who are back and have not relapsed.

        `returned`: churn_threshold_days, the covariates, and `days_since_return` (absent or null = 0,
        the day of the return, where it is the chance of a relapse within 2H after it). 0 for who
        cannot be silent beyond the threshold by then. All null if refused.
        """
        if self.kind == "refused":
            return pl.Series("relapse_probability", [None] * returned.height, dtype=pl.Float64)
        since = np.maximum(numbers(returned, "days_since_return", fill=0), 0)
        threshold = _whole_threshold(returned)
        ahead = self._hazard(since + 2 * horizon_days - threshold) - self._hazard(since - threshold)
        return pl.Series("relapse_probability", -np.expm1(-np.maximum(ahead, 0) * self._risk(returned)))

    def days_engaged(self, returned: pl.DataFrame, *, within_days: int) -> Floats:
        """Expected days, of the `within_days` after a return, until the last active day of the spell; per row."""
        risk, total = self._risk(returned), np.zeros(returned.height)
        for day in range(0, within_days, 7):
            width = min(7, within_days - day)
            total += width * np.exp(-self._hazard(np.array([day + width / 2])) * risk)
        return total

    def _risk(self, returned: pl.DataFrame) -> Floats:
        logs = np.zeros(returned.height)
        design = _design(returned)
        for name, (coef, mean) in self.coefs.items():
            known = numbers(design, name, fill=mean)
            logs += coef * (known - mean)
        return np.asarray(np.exp(np.clip(logs, -LARGEST_LOG_RISK, LARGEST_LOG_RISK)))

    def _hazard(self, days: Floats) -> Floats:
        """The cumulative hazard at any day, 0 before the return; past the follow-up at its average pace."""
        last = len(self.cumulative_hazard) - 1
        seen = np.interp(np.maximum(days, 0), np.arange(last + 1), self.cumulative_hazard)
        return np.asarray(seen + np.maximum(days - last, 0) * self.cumulative_hazard[-1] / max(last, 1))


def fit_relapse(returns: pl.DataFrame) -> RelapseModel:
    """The relapse hazard from past returns (`returns.RETURN_SCHEMA`).

    Estimand: time from a return to the last active day before being churned again, among users who
    returned, by whatever way. Returns less than a threshold old tell nothing yet and are left out.
    Cox with ties by Efron on the logs of absence, active days and returns before, and on
    `came_by_offer` where it is known for 30 returns of each kind (unknown = their mean): an
    association, not what the offer does. Kaplan-Meier of all with fewer than 100 returns or 40
    relapses; refused with fewer than 20 returns or no relapse.
    Raises WinbackError: a negative spell.
    """
    n_negative = returns.filter(pl.col("spell_days") < 0).height
    if n_negative:
        raise WinbackError(f"{n_negative} returns lie after the day they are seen from", fix="build them at one as_of")
    engaged = returns["spell_days"].cast(pl.Float64).to_numpy() - _whole_threshold(returns)
    told = returns.with_columns(pl.Series("engaged_days", engaged)).filter(pl.col("engaged_days") > 0)
    n_relapses = int(told["relapsed"].sum())
    seen = f"{told.height} returns older than a churn threshold and {n_relapses} relapses were seen"
    if told.height < FEWEST_RETURNS or n_relapses == 0:
        note = f"Only {seen}: no relapse probability is given (at least {FEWEST_RETURNS} returns are needed)."
        return RelapseModel("refused", np.empty(0), {}, COX_SCHEMA.to_frame(), note)
    if told.height < FEWEST_RETURNS_FOR_COX or n_relapses < FEWEST_RELAPSES_FOR_COX:
        return _kaplan_meier(told, why=f"Only {seen}")
    design = _design(told.sort("user_id", "returned_on"))
    names = [name for name, _ in COVARIATES if design[name].drop_nulls().n_unique() > 1]
    names += [OFFER] if _tells_of_offers(told) else []
    return _cox(design, names, told=told) if names else _kaplan_meier(told, why="All returns are alike")


def second_lifetime_value(
    features: pl.DataFrame, *, worth: ValueModel, relapse: RelapseModel, within_days: int = YEAR_DAYS
) -> pl.Series:
    """Money to expect in the `within_days` from a return on, per row, relapse included; ≥ 0. Null if refused.

    The day of the return, and further active days at the user's pace for as long as the return is
    expected to last. The pace λ is that of a Poisson count whose mean, given that it is not zero, is
    the user's `active_days` in H; the money of a day that of `value_if_returned`. `features` are user
    features with the covariates of a return tonight: see `relapse_covariates`.
    """
    if relapse.kind == "refused":
        return pl.Series("second_lifetime_value", [None] * features.height, dtype=pl.Float64)
    days, value = worth.forecast(features)
    per_day = value / days
    engaged = relapse.days_engaged(features, within_days=within_days)
    return pl.Series("second_lifetime_value", per_day * (1 + np.minimum(_pace(days) / worth.horizon_days, 1) * engaged))


def relapse_covariates(features: pl.DataFrame, *, n_returns: pl.Expr | None = None) -> pl.DataFrame:
    """User features with the covariates that a return tonight would have: the silence as absence, no offer known."""
    before = pl.lit(0) if n_returns is None else n_returns
    return features.with_columns(
        absence_days="silence_days",
        n_active_days_before="n_active_days",
        n_returns_before=before,
        came_by_offer=pl.lit(None, dtype=pl.Boolean),
    )


def _pace(mean_if_any: Floats) -> Floats:
    """L with L / (1 - e^-L) = mean: solved by Lambert's W; 0 at a mean of 1."""
    from scipy.special import lambertw

    mean = np.maximum(mean_if_any, 1.0 + 1e-9)  # at 1 itself the argument rounds to beyond the branch point: NaN
    return np.asarray(np.maximum(mean + np.real(lambertw(-mean * np.exp(-mean))), 0.0))


def _whole_threshold(rows: pl.DataFrame) -> Floats:
    """Days of silence that are not yet churn; an unknown threshold is the median of the known ones."""
    days = numbers(rows, "churn_threshold_days", fill=np.nan)
    known = days[np.isfinite(days)]
    usual = float(np.median(known)) if len(known) else 0.0
    filled = np.where(np.isfinite(days), days, usual)
    return np.asarray(np.maximum(np.floor(filled), SHORTEST_GAP_ON_RECORD_DAYS - 1))


def _design(rows: pl.DataFrame) -> pl.DataFrame:
    logs = {name: np.log1p(np.maximum(numbers(rows, source, fill=np.nan), 0)) for name, source in COVARIATES}
    offer = rows[OFFER].cast(pl.Float64) if OFFER in rows.columns else pl.Series([None] * rows.height, dtype=pl.Float64)
    spell = [pl.col(c) for c in ("engaged_days", "relapsed") if c in rows.columns]
    return pl.DataFrame(logs, schema=dict.fromkeys(logs, pl.Float64), nan_to_null=True).with_columns(
        offer.alias(OFFER), *rows.select(spell).get_columns()
    )


def _tells_of_offers(returns: pl.DataFrame) -> bool:
    n_with, n_without = (int((returns[OFFER] == kind).sum()) for kind in (True, False))
    return min(n_with, n_without) >= FEWEST_OF_EACH_OFFER


def _kaplan_meier(told: pl.DataFrame, *, why: str) -> RelapseModel:
    from lifelines import KaplanMeierFitter

    fitter = KaplanMeierFitter().fit(told["engaged_days"].to_numpy(), told["relapsed"].to_numpy())
    survival = np.maximum(_by_day(fitter.survival_function_), 1e-6)
    note = f"{why}: everyone who is back gets the one curve of all."
    return RelapseModel("kaplan_meier", np.abs(np.log(survival)), {}, COX_SCHEMA.to_frame(), note)


def _cox(design: pl.DataFrame, names: list[str], *, told: pl.DataFrame) -> RelapseModel:
    from lifelines import CoxPHFitter
    from lifelines.exceptions import ConvergenceError

    means = {name: float(design[name].mean() or 0.0) for name in names}  # type: ignore[arg-type]
    filled = design.with_columns(pl.col(name).fill_null(mean) for name, mean in means.items())
    fitter: Any = CoxPHFitter(penalizer=RIDGE)
    table = filled.select(*names, "engaged_days", "relapsed").to_pandas()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its advice on conditioning; what matters is checked below
            fitter.fit(table, duration_col="engaged_days", event_col="relapsed")
    except ConvergenceError:
        return _kaplan_meier(told, why="The Cox model did not converge")
    summary = _summary(fitter.summary)
    if not summary.select(pl.col("coef").is_finite().all()).item():
        return _kaplan_meier(told, why="The Cox model did not converge")
    coefs = {row["covariate"]: (row["coef"], means[row["covariate"]]) for row in summary.iter_rows(named=True)}
    return RelapseModel("cox", _by_day(fitter.baseline_cumulative_hazard_), coefs, summary, None)


def _by_day(steps: "pd.DataFrame") -> Floats:
    """A right-continuous step table at every whole day from 0 to its last."""
    at, values = steps.index.to_numpy(dtype=float), steps.to_numpy(dtype=float)[:, 0]
    days = np.arange(int(at[-1]) + 1)
    place = np.searchsorted(at, days, side="right") - 1
    before_first = 1.0 if "KM" in str(steps.columns[0]) else 0.0
    return np.where(place < 0, before_first, values[np.maximum(place, 0)])


def _summary(summary: "pd.DataFrame") -> pl.DataFrame:
    sources = ("coef", "exp(coef)", "exp(coef) lower 95%", "exp(coef) upper 95%", "p")
    values = dict(
        zip(("coef", "hr", "low", "high", "p"), (summary[s].to_numpy(dtype=float) for s in sources), strict=True)
    )
    return pl.DataFrame({"covariate": [str(name) for name in summary.index], **values}, schema=COX_SCHEMA).sort(
        "covariate"
    )
