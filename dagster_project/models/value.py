"""How much a user does and spends if active in the next horizon. Whether they are is `activity`'s matter.

Counts are `purchases`' (MBG/NBD), money is `spend`'s (Gamma-Gamma), what both miss is `correction`'s.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from dagster_project.models import metrics
from dagster_project.models.btyd import Btyd
from dagster_project.models.correction import Correction, Evidence, fit_correction
from dagster_project.models.cutoffs import newest_cutoff
from dagster_project.models.features import LARGEST_VALUE, evenly_drawn, sample_rows, shared_features
from dagster_project.models.purchases import days_if_active, expected_days, fit_purchases
from dagster_project.models.spend import Spend, fit_spend
from dagster_project.models.threads import on_one_thread

Floats = npt.NDArray[np.float64]

SEED = 20260101
MOST_ROWS = 300_000
MOST_SPENDERS = 50_000  # users to fit Gamma-Gamma to: three parameters want no more
MOST_DAILY_SPEND = 1e12  # of any currency; beyond it an amount is a fault in the data and counts as unknown

VALUE_EVALUATION_SCHEMA = pl.Schema(
    {
        "measure": pl.String,
        "n": pl.Int64,
        "predicted_total": pl.Float64,
        "actual_total": pl.Float64,
        "predicted_over_actual": pl.Float64,
        "normalised_gini": pl.Float64,
    }
)


@dataclass(frozen=True)
class ValueModel:
    """Active days and money in a horizon of `horizon_days`, both *given* that the user is active.

    `spend` is null where the log holds no amounts: an active day is then worth `value_per_active_day`.
    Rows are scored one by one, so that any number of them can be scored in batches.
    """

    horizon_days: int
    purchases: Btyd
    spend: Spend | None
    days_correction: Correction
    value_correction: Correction
    value_per_active_day: float

    @property
    def has_amounts(self) -> bool:
        """Whether values are money that the log has seen."""
        return self.spend is not None

    def active_days(self, features: pl.DataFrame) -> Floats:
        """E[active days in the next H | active], from 1 to H, per row."""
        return self.forecast(features)[0]

    def value_if_returned(self, features: pl.DataFrame) -> Floats:
        """E[amount in the next H | active] per row, finite and ≥ 0; × p_active it is the value to expect."""
        return self.forecast(features)[1]

    def forecast(self, features: pl.DataFrame) -> tuple[Floats, Floats]:
        """(active_days, value_if_returned) at the cost of one pass over the counts."""
        drafted = days_if_active(self.purchases, features, horizon_days=self.horizon_days)
        corrected = drafted * self.days_correction.factor(features, [drafted])
        days = np.clip(corrected, 1.0, float(self.horizon_days))
        if self.spend is None:
            return days, days * self.value_per_active_day
        bases = [drafted, self.per_active_day(features)]
        return days, np.asarray(np.prod(bases, axis=0) * self.value_correction.factor(features, bases))

    def counts_alone(self, features: pl.DataFrame) -> tuple[Floats, Floats]:
        """(days, value) that MBG/NBD × Gamma-Gamma expect by themselves, activity included: a reference."""
        days = expected_days(self.purchases, features, horizon_days=self.horizon_days)
        return days, days * self.per_active_day(features)

    def per_active_day(self, features: pl.DataFrame) -> Floats:
        """The amount (or set value) of one active day of each user, before any correction."""
        if self.spend is None:
            return np.full(features.height, self.value_per_active_day)
        return self.spend.per_active_day(*_own_spend(features))


@on_one_thread()
def fit_value(
    training: pl.DataFrame, features_now: pl.DataFrame, *, horizon_days: int, value_per_active_day: float
) -> ValueModel:
    """The value model: population parameters from the newest records, corrections from closed windows.

    `features_now` (outcomes in it are never read) gives MBG/NBD and Gamma-Gamma their parameters; of
    several cutoffs only the newest counts. Each cutoff of `training` is forecast by the parameters of
    its own rows, and its active users' outcomes teach the corrections. Without `training` (or in an
    empty one) nothing is corrected.
    """
    now = features_now
    if "cutoff" in now.columns and now.height:
        now = now.filter(pl.col("cutoff") == newest_cutoff(now))
    has_amounts = bool(np.isfinite(_own_spend(now if now.height else training)[0]).any())
    purchases = fit_purchases(now)
    spend = _fit_spend(now) if has_amounts else None
    past = sample_rows(shared_features(training, now), max_rows=MOST_ROWS, seed=SEED) if training.height else training
    days, value = _evidence(past, horizon_days=horizon_days, has_amounts=has_amounts)
    return ValueModel(
        horizon_days=horizon_days,
        purchases=purchases,
        spend=spend,
        days_correction=fit_correction(days, horizon_days=horizon_days, seed=SEED),
        value_correction=fit_correction(value, horizon_days=horizon_days, seed=SEED),
        value_per_active_day=max(value_per_active_day, 0.0),
    )


def evaluate_value(test: pl.DataFrame, p_active: Floats, *, model: ValueModel) -> pl.DataFrame:
    """One row for events and one for value: predicted against actual total, and the order's Gini.

    `model` must have been fitted on the rows that `split_out_of_time` leaves to learn from.
    """
    actual_days, actual_value = actual_outcomes(test, model=model)
    days, value = model.forecast(test)
    rows = [
        _totals("events", actual_days, p_active * days),
        _totals("value", actual_value, p_active * value),
    ]
    return pl.DataFrame(rows, schema=VALUE_EVALUATION_SCHEMA)


def actual_outcomes(test: pl.DataFrame, *, model: ValueModel) -> tuple[Floats, Floats]:
    """(active days, value) that came, per row of `test`; refunds may take a value below zero."""
    days = numbers(test, "n_active_days_next", fill=0)
    return days, numbers(test, "amount_next", fill=0) if model.has_amounts else days * model.value_per_active_day


def numbers(frame: pl.DataFrame, column: str, *, fill: float) -> Floats:
    """A column as floats, with `fill` for what is absent, null, not finite or absurdly large."""
    if column not in frame.columns:
        return np.full(frame.height, fill)
    value = pl.col(column).cast(pl.Float64)
    known: Floats = (
        frame.select(pl.when(value.abs() < LARGEST_VALUE).then(value).otherwise(fill)).to_series().to_numpy()
    )
    return known


def _totals(measure: str, actual: Floats, predicted: Floats) -> dict[str, str | int | float | None]:
    total = float(actual.sum())
    return {
        "measure": measure,
        "n": len(actual),
        "predicted_total": float(predicted.sum()),
        "actual_total": total,
        "predicted_over_actual": float(predicted.sum()) / total if total > 0 else None,
        "normalised_gini": metrics.normalised_gini(actual, predicted),
    }


def _evidence(training: pl.DataFrame, *, horizon_days: int, has_amounts: bool) -> tuple[Evidence, Evidence]:
    """(of days, of value): the active rows of past cutoffs with what the uncorrected model said of each."""
    rows, days, spends = [training.clear()], [np.empty(0)], [np.empty(0)]
    for _, snapshot in training.group_by("cutoff", maintain_order=True) if training.height else ():
        purchases, active = fit_purchases(snapshot), snapshot.filter("is_active")
        rows.append(active)
        days.append(days_if_active(purchases, active, horizon_days=horizon_days))
        if has_amounts:
            spends.append(_fit_spend(snapshot).per_active_day(*_own_spend(active)))
    seen, expected = pl.concat(rows), np.concatenate(days)
    came = Evidence(seen, [expected], numbers(seen, "n_active_days_next", fill=1))
    if not has_amounts or "amount_next" not in seen.columns or seen["amount_next"].null_count() == seen.height:
        return came, Evidence(seen.clear(), [np.empty(0)], np.empty(0))
    return came, Evidence(seen, [expected, np.concatenate(spends)], numbers(seen, "amount_next", fill=0))


def _fit_spend(users: pl.DataFrame) -> Spend:
    return fit_spend(*_own_spend(evenly_drawn(users, max_users=MOST_SPENDERS)))


def _own_spend(features: pl.DataFrame) -> tuple[Floats, Floats]:
    own = numbers(features, "amount_per_active_day", fill=np.nan)
    own = np.where(np.abs(own) < MOST_DAILY_SPEND, own, np.nan)
    return own, np.maximum(numbers(features, "n_active_days", fill=0), 0)
