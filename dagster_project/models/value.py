"""How much a user does and spends if active in the next horizon. Whether they are is `activity`'s matter.

Both parts draw a user's own record to the population's, as far as drawing forecasts best.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from dagster_project.models import metrics

Floats = npt.NDArray[np.float64]

WINSOR_QUANTILE = 0.99  # one wholesale order must not set what everyone is worth
PACE_STRENGTHS_H = (
    0.5,
    1.0,
    2.0,
    4.0,
    8.0,
    32.0,
    1e6,
)  # prior weight in horizons of observation; last = no own pace
SPEND_STRENGTHS = (1.0, 2.0, 4.0, 8.0, 16.0, 64.0, 1e6)  # prior weight in active days; last = no own spend
LEVEL_BOUNDS = (1 / 3, 3.0)  # METHODS: corrections are capped, an uncapped one once over-forecast elevenfold
FEWEST_FOR_OWN_LEVEL = 50

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

    `pace`: population's active days per day after the first; `level`: correction of the personal
    forecast, by (others, lapsed); `spend`: population's amount per active day (null-free; in the
    settings' currency, or the settings' value of an active day where the log holds no amounts).
    """

    horizon_days: int
    pace: float
    pace_strength_days: float
    level: tuple[float, float]
    most_days: float
    spend: float
    spend_strength: float
    largest_spend: float
    spend_level: float
    has_amounts: bool

    def active_days(self, features: pl.DataFrame) -> Floats:
        """E[active days in the next H | active], from 1 to the winsorised most, per row."""
        personal = _personal_days(features, pace=self.pace, strength=self.pace_strength_days, days=self.horizon_days)
        return np.clip(personal * _by_lapse(features, self.level), 1.0, self.most_days)

    def value_if_returned(self, features: pl.DataFrame) -> Floats:
        """E[amount in the next H | active] per row: expected active days × expected amount of one; ≥ 0."""
        if not self.has_amounts:
            return self.active_days(features) * self.spend
        own = np.clip(_number(features, "amount_per_active_day", fill=self.spend), 0, self.largest_spend)
        spend = _drawn(own, _number(features, "n_active_days", fill=0), self.spend, self.spend_strength)
        return self.active_days(features) * spend * self.spend_level


def fit_value(
    training: pl.DataFrame, features_now: pl.DataFrame, *, horizon_days: int, value_per_active_day: float
) -> ValueModel:
    """The value model from closed windows (`training`), or from tonight's records where there are none.

    Pace: a Gamma-Poisson posterior mean (active days after the first over days known) taken as that
    of a Poisson count which is not zero; its prior weight the one of PACE_STRENGTHS_H with the least
    squared error on users who were active; scaled to the right mean, for lapsed and others apart.
    Spend: the mean of own and population's amount per active day, weighted as in Gamma-Gamma
    (Fader & Hardie 2005), its weight chosen likewise. Amounts per day and next-window days are
    winsorised at their .99 quantile; `spend_level` then restores the observed total.
    """
    records = training if training.height else features_now
    active = training.filter("is_active").sort("cutoff", "user_id")
    pace = _population_pace(records, horizon_days=horizon_days)
    strength, level, most = _fit_pace(active, pace=pace, horizon_days=horizon_days)
    spend, spend_strength, largest = _fit_spend(active, records, fallback=value_per_active_day)
    has_amounts = largest > 0
    draft = ValueModel(
        horizon_days=horizon_days,
        pace=pace,
        pace_strength_days=strength,
        level=level,
        most_days=most,
        spend=spend,
        spend_strength=spend_strength,
        largest_spend=largest,
        spend_level=1.0,
        has_amounts=has_amounts,
    )
    return _with_spend_level(draft, active) if has_amounts else draft


def evaluate_value(test: pl.DataFrame, p_active: Floats, *, model: ValueModel) -> pl.DataFrame:
    """One row for events and one for value: predicted against actual total, and the order's Gini.

    `model` must have been fitted on the rows that `split_out_of_time` leaves to learn from.
    """
    actual_days = _number(test, "n_active_days_next", fill=0)
    actual_value = _number(test, "amount_next", fill=0) if model.has_amounts else actual_days * model.spend
    rows = [
        _totals("events", actual_days, p_active * model.active_days(test)),
        _totals("value", actual_value, p_active * model.value_if_returned(test)),
    ]
    return pl.DataFrame(rows, schema=VALUE_EVALUATION_SCHEMA)


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


def _population_pace(records: pl.DataFrame, *, horizon_days: int) -> float:
    repeats = np.maximum(_number(records, "n_active_days", fill=1) - 1, 0).sum()
    days = np.maximum(_number(records, "tenure_days", fill=0), 0).sum()
    return float((repeats + 1) / (days + horizon_days))  # one day in a horizon, when nothing is known


def _fit_pace(active: pl.DataFrame, *, pace: float, horizon_days: int) -> tuple[float, tuple[float, float], float]:
    """(prior weight in days, (level of others, level of lapsed), most active days of a window)."""
    if active.is_empty():
        return horizon_days * PACE_STRENGTHS_H[-1], (1.0, 1.0), float(horizon_days)
    actual = _number(active, "n_active_days_next", fill=1)
    most = max(1.0, float(np.quantile(actual, WINSOR_QUANTILE)))
    actual = np.minimum(actual, most)

    def levelled(strength: float) -> Floats:
        personal = _personal_days(active, pace=pace, strength=strength, days=horizon_days)
        return personal * float(actual.sum() / personal.sum())

    strength = _least_error([h * horizon_days for h in PACE_STRENGTHS_H], forecast=levelled, actual=actual)
    personal = _personal_days(active, pace=pace, strength=strength, days=horizon_days)
    return strength, _levels(active, personal=personal, actual=actual), most


def _levels(active: pl.DataFrame, *, personal: Floats, actual: Floats) -> tuple[float, float]:
    lapsed = active["is_lapsed"].fill_null(False).to_numpy()
    groups = (~lapsed, lapsed)
    kept = [group if group.sum() >= FEWEST_FOR_OWN_LEVEL else np.ones_like(group) for group in groups]
    first, second = (_bounded_ratio(actual[group].sum(), personal[group].sum()) for group in kept)
    return first, second


def _fit_spend(active: pl.DataFrame, records: pl.DataFrame, *, fallback: float) -> tuple[float, float, float]:
    """(population's amount per active day, prior weight in days, largest believed); largest 0: none."""
    own_amounts = _known(records, "amount_per_active_day")
    next_amounts = _known(active, "amount_next")
    if not len(own_amounts):
        return max(fallback, 0.0), SPEND_STRENGTHS[-1], 0.0
    largest = float(np.quantile(np.maximum(own_amounts, 0), WINSOR_QUANTILE))
    if largest <= 0:
        return max(fallback, 0.0), SPEND_STRENGTHS[-1], 0.0
    if not len(next_amounts):
        return float(np.clip(own_amounts, 0, largest).mean()), SPEND_STRENGTHS[2], largest
    paid = active.filter(pl.col("amount_next").is_not_null())
    n_days = np.maximum(_number(paid, "n_active_days_next", fill=1), 1)
    actual = np.clip(_number(paid, "amount_next", fill=0) / n_days, 0, largest)
    spend = float(np.average(actual, weights=n_days))
    own = np.clip(_number(paid, "amount_per_active_day", fill=spend), 0, largest)
    seen = _number(paid, "n_active_days", fill=0)
    strength = _least_error(
        list(SPEND_STRENGTHS), forecast=lambda weight: _drawn(own, seen, spend, weight), actual=actual
    )
    return spend, strength, largest


def _with_spend_level(draft: ValueModel, active: pl.DataFrame) -> ValueModel:
    actual = float(_number(active, "amount_next", fill=0).sum()) if active.height else 0.0
    predicted = float(draft.value_if_returned(active).sum()) if active.height else 0.0
    return replace(draft, spend_level=_bounded_ratio(actual, predicted) if actual > 0 else 1.0)


def _least_error(strengths: list[float], *, forecast: Callable[[float], Floats], actual: Floats) -> float:
    errors = [float(((forecast(strength) - actual) ** 2).mean()) for strength in strengths]
    return strengths[int(np.argmin(errors))]


def _personal_days(features: pl.DataFrame, *, pace: float, strength: float, days: int) -> Floats:
    """Mean of a Poisson count of active days that is known not to be zero, at the user's drawn pace."""
    repeats = np.maximum(_number(features, "n_active_days", fill=1) - 1, 0)
    known_days = np.maximum(_number(features, "tenure_days", fill=0), 0)
    expected = (repeats + pace * strength) / (known_days + strength) * days
    return np.asarray(expected / -np.expm1(-expected))


def _drawn(own: Floats, n_seen: Floats, population: float, strength: float) -> Floats:
    return (n_seen * own + strength * population) / (n_seen + strength)


def _by_lapse(features: pl.DataFrame, level: tuple[float, float]) -> Floats:
    return np.where(features["is_lapsed"].fill_null(False).to_numpy(), level[1], level[0]).astype(np.float64)


def _bounded_ratio(actual: float, predicted: float) -> float:
    return float(np.clip(actual / predicted, *LEVEL_BOUNDS)) if predicted > 0 else 1.0


def _number(frame: pl.DataFrame, column: str, *, fill: float) -> Floats:
    if column not in frame.columns:
        return np.full(frame.height, fill)
    value = pl.col(column).cast(pl.Float64)
    numbers: Floats = frame.select(pl.when(value.is_finite()).then(value).otherwise(fill)).to_series().to_numpy()
    return numbers


def _known(frame: pl.DataFrame, column: str) -> Floats:
    values = _number(frame, column, fill=np.nan)
    return values[~np.isnan(values)]
