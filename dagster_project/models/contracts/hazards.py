"""Discrete-time hazards over person-periods: a logistic with curves of tenure × plan, and boosted trees.

A person-period is one span in one stretch of tenure; the hazard is P(end in it | running at its start).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from dagster_project.models.boosting import in_passes
from dagster_project.models.contracts.design import (
    Floats,
    Strata,
    Term,
    plan_strata,
    plan_terms,
    restricted_cubic,
    spread_knots,
    terms_matrix,
)
from dagster_project.models.contracts.durations import DAYS_PER_MONTH, Unit
from dagster_project.models.contracts.regressions import CROSSED_RIDGE, ModelFitError, crossed_matrix, unstratified
from dagster_project.models.threads import threads_for

Ints = npt.NDArray[np.int64]

MOST_PERIODS = 72
MOST_PERSON_PERIODS = 300_000  # METHODS: more rows cost time and gain nothing measurable
MOST_BOOSTED = 150_000
TENURE_KNOTS = (0.0, 0.25, 0.5, 0.75, 1.0)  # quantiles of the tenures at which contracts end
LOOSE = 10.0  # tenure terms are scaled up so that the ridge, meant for covariates, hardly binds them
DAYS_PER_YEAR = 365.25
TOLERANCE = 1e-8
CHUNK = 5_000
HIGHEST_HAZARD = 1 - 1e-6


@dataclass(frozen=True)
class Periods:
    """Stretches of `width` units; period k covers (k × width, (k + 1) × width]."""

    width: int
    n: int


@dataclass(frozen=True)
class PersonPeriods:
    """Row numbers of the spans, their periods, whether they ended in it, and the share of it that was observed."""

    row: Ints
    period: Ints
    ended: npt.NDArray[np.bool_]
    weight: Floats


@dataclass(frozen=True)
class LogisticHazard:
    """Log-odds = covariates by stratum + a curve of tenure by stratum + the season, if asked for."""

    terms: tuple[Term, ...]
    strata: Strata | None
    periods: Periods
    knots: tuple[float, ...]
    centre: Floats
    effects: Floats
    curves: Floats  # stratum × period, intercept included
    season: Floats  # of sine and cosine of the year; empty without calendar terms
    unit: Unit

    def cumulative_hazard(self, rows: pl.DataFrame, tenure: Floats) -> Floats:
        """Of each row at each of its tenures (rows × tenures)."""
        log_odds = (crossed_matrix(rows, self.terms, self.strata) - self.centre) @ self.effects
        codes = self.strata.codes(rows) if self.strata else np.zeros(rows.height, dtype=np.int64)
        n_periods = _n_periods(tenure, self.periods)
        curves = self.curves[:, np.minimum(np.arange(n_periods), self.periods.n - 1)]
        odds = log_odds[:, None] + curves[codes]
        if self.season.size:
            period = np.tile(np.arange(n_periods), rows.height)
            waves = season_terms(np.repeat(_start_day(rows), n_periods), period, self.periods, unit=self.unit)
            odds = odds + (waves @ self.season).reshape(odds.shape)
        return _walked(1 / (1 + np.exp(-odds)), tenure, self.periods)


@dataclass(frozen=True)
class BoostedHazard:
    """Trees on the covariates and the period."""

    terms: tuple[Term, ...]
    periods: Periods
    trees: Any

    def cumulative_hazard(self, rows: pl.DataFrame, tenure: Floats) -> Floats:
        """Of each row at each of its tenures (rows × tenures)."""
        wanted = np.broadcast_to(tenure, (rows.height, tenure.shape[1]))
        parts = [self._chunk(rows[i : i + CHUNK], wanted[i : i + CHUNK]) for i in range(0, max(1, rows.height), CHUNK)]
        return np.concatenate(parts)

    def _chunk(self, rows: pl.DataFrame, tenure: Floats) -> Floats:
        n_periods = _n_periods(tenure, self.periods)
        if not rows.height:
            return np.zeros(tenure.shape)
        matrix = np.repeat(terms_matrix(rows, self.terms), n_periods, axis=0)
        period = np.tile(np.minimum(np.arange(n_periods), self.periods.n - 1), rows.height)
        hazard = in_passes(self.trees.predict_proba, np.column_stack([matrix, period]))[:, 1]
        return _walked(hazard.reshape(rows.height, n_periods), tenure, self.periods)


def plan_periods(rows: pl.DataFrame) -> Periods:
    """At most 72 periods of equal whole width that cover the longest tenure."""
    longest = max(1, int(rows["duration"].max() or 1))  # type: ignore[arg-type]
    width = -(-longest // MOST_PERIODS)
    return Periods(width, -(-longest // width))


def person_periods(rows: pl.DataFrame, periods: Periods, *, most: int, seed: int) -> PersonPeriods:
    """The spans cut into periods; a period seen in part without an end weighs its part.

    Spans are drawn at random, whole, until about `most` person-periods are reached.
    """
    entry, duration = rows["entry"].to_numpy(), rows["duration"].to_numpy()
    first, last = entry // periods.width, (duration - 1) // periods.width
    count = last - first + 1
    drawn = np.arange(rows.height)
    if count.sum() > most:
        shuffled = np.random.default_rng(seed).permutation(rows.height)
        drawn = np.sort(shuffled[np.cumsum(count[shuffled]) <= most])
    row = np.repeat(drawn, count[drawn])
    step = np.arange(len(row)) - np.repeat(np.cumsum(count[drawn]) - count[drawn], count[drawn])
    period = first[row] + step
    ended = rows["event"].to_numpy()[row] & (period == last[row])
    start = np.maximum(period * periods.width, entry[row])
    end = np.minimum((period + 1) * periods.width, duration[row])
    return PersonPeriods(row, period, ended, np.where(ended, 1.0, (end - start) / periods.width))


def season_terms(start_day: Ints, period: Ints, periods: Periods, *, unit: Unit) -> Floats:
    """Sine and cosine of the time of year in the middle of a period."""
    days = 1.0 if unit == "day" else DAYS_PER_MONTH
    turn = 2 * np.pi * (start_day + (period + 0.5) * periods.width * days) / DAYS_PER_YEAR
    return np.column_stack([np.sin(turn), np.cos(turn)])


def fit_logistic(
    rows: pl.DataFrame, columns: tuple[str, ...], *, strata_by: str | None, unit: Unit, has_season: bool, seed: int
) -> LogisticHazard:
    """Ridge logistic hazard; tenure as a restricted cubic spline of five knots plus the first period, by stratum.

    With a stratum column whose levels have 20 ends each, every effect is also its own in each stratum. Raises
    ModelFitError: no person-period with, or none without, an end.
    """
    from sklearn.linear_model import LogisticRegression

    strata = plan_strata(rows, strata_by) if strata_by else None
    terms = unstratified(plan_terms(rows, columns, is_curved=True), strata)
    periods = plan_periods(rows)
    cut = _learnable(rows, periods, most=MOST_PERSON_PERIODS, seed=seed)
    matrix = crossed_matrix(rows, terms, strata)
    centre, spread = matrix.mean(axis=0), np.maximum(matrix.std(axis=0), 1e-12)
    knots = spread_knots(cut.period[cut.ended].astype(np.float64), TENURE_KNOTS)
    n_strata = len(strata.levels) if strata else 1
    codes = strata.codes(rows) if strata else np.zeros(rows.height, dtype=np.int64)
    tenure = _tenure_terms(periods, knots)
    curves = tenure[cut.period]
    by_stratum = [curves * (codes[cut.row] == code)[:, None] for code in range(n_strata)]
    waves = (
        season_terms(_start_day(rows)[cut.row], cut.period, periods, unit=unit)
        if has_season
        else np.zeros((len(cut.row), 0))
    )
    design = np.column_stack([((matrix - centre) / spread)[cut.row], *by_stratum, waves])
    model = LogisticRegression(
        C=1 / (CROSSED_RIDGE * rows.height), solver="newton-cholesky", max_iter=200, tol=TOLERANCE
    )
    model.fit(design, cut.ended, sample_weight=cut.weight)
    effects, rest = np.split(model.coef_[0], [matrix.shape[1]])
    curve = rest[: n_strata * tenure.shape[1]].reshape(n_strata, tenure.shape[1]) @ tenure.T
    return LogisticHazard(
        terms=terms,
        strata=strata,
        periods=periods,
        knots=knots,
        centre=centre,
        effects=effects / spread,
        curves=curve + model.intercept_[0],
        season=rest[n_strata * tenure.shape[1] :],
        unit=unit,
    )


def fit_boosted(rows: pl.DataFrame, columns: tuple[str, ...], *, seed: int) -> BoostedHazard:
    """Gradient-boosted hazard: 150 trees of four leaves. Raises ModelFitError as `fit_logistic`."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    terms = plan_terms(rows, columns, is_curved=False)
    periods = plan_periods(rows)
    cut = _learnable(rows, periods, most=MOST_BOOSTED, seed=seed)
    trees = HistGradientBoostingClassifier(
        learning_rate=0.06,
        max_iter=150,
        max_leaf_nodes=4,
        min_samples_leaf=100,
        l2_regularization=1.0,
        early_stopping=False,
        random_state=seed,
    )
    design = np.column_stack([terms_matrix(rows, terms)[cut.row], cut.period])
    with threads_for(len(design)):
        trees.fit(design, cut.ended, sample_weight=cut.weight)
    return BoostedHazard(terms, periods, trees)


def _learnable(rows: pl.DataFrame, periods: Periods, *, most: int, seed: int) -> PersonPeriods:
    cut = person_periods(rows, periods, most=most, seed=seed)
    if cut.ended.all() or not cut.ended.any():
        raise ModelFitError("all person-periods have the same outcome", fix="no hazard model for these data")
    return cut


def _tenure_terms(periods: Periods, knots: tuple[float, ...]) -> Floats:
    """Of each period: one, its number, the bends of the spline, whether it is the first."""
    number = np.arange(periods.n, dtype=np.float64)
    scaled = number / max(1, periods.n - 1)
    bends = restricted_cubic(number, knots) if knots else np.zeros((periods.n, 0))
    terms: Floats = LOOSE * np.column_stack([np.ones(periods.n), scaled, bends, number == 0])
    return terms


def _start_day(rows: pl.DataFrame) -> Ints:
    day: Ints = rows["contract_on"].cast(pl.Int32).cast(pl.Int64).to_numpy()
    return day


def _n_periods(tenure: Floats, periods: Periods) -> int:
    return max(1, int(np.ceil(tenure.max(initial=0) / periods.width)))


def _walked(hazard: Floats, tenure: Floats, periods: Periods) -> Floats:
    """Cumulative hazard at `tenure`; within a period it grows evenly."""
    steps = -np.log1p(-np.minimum(hazard, HIGHEST_HAZARD))
    edges = np.column_stack([np.zeros(len(steps)), np.cumsum(steps, axis=1)])
    wanted = np.broadcast_to(tenure, (len(steps), tenure.shape[1])) / periods.width
    whole = np.minimum(wanted.astype(np.int64), edges.shape[1] - 1)
    after = np.minimum(whole + 1, edges.shape[1] - 1)
    row = np.arange(len(steps))[:, None]
    walked: Floats = edges[row, whole] + (wanted - whole) * (edges[row, after] - edges[row, whole])
    return walked
