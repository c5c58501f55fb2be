"""Every experiment read by intention to treat: differences per arm, slice, metric and horizon, or why it cannot be."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import polars as pl

from dagster_project.intervals import NORMAL_975
from dagster_project.outcomes.comparison import Compared, compared_arms
from dagster_project.outcomes.corrections import benjamini_hochberg
from dagster_project.outcomes.effects import Effects
from dagster_project.outcomes.entries import FAULTS
from dagster_project.outcomes.looks import ALPHA, WAITING, p_after_looks, sequence_width
from dagster_project.outcomes.moments import Moments, take_moments
from dagster_project.outcomes.money import MONEY, MONEY_METRICS, money_of_arm, with_money
from dagster_project.outcomes.plans import planned_users
from dagster_project.outcomes.randomisation import BROKEN_BELOW, balance_p, inverse_propensities, sample_ratio_p
from dagster_project.outcomes.verdicts import BETTER, EXPERIMENTS, OPEN, WORSE, Examined, experiment_row
from dagster_project.outcomes.vocabulary import (
    ALL,
    CONTROL,
    CROSS,
    DRAWN_DIMENSIONS,
    EXPLORE,
    HORIZONS,
    METRICS,
    NOT_NOTED,
    RETURNED,
    WORDS,
    Metric,
)

Floats = npt.NDArray[np.float64]

FEWEST_IN_SLICE = 20  # users of each arm: below it a part of the users is not told apart
READOUTS = pl.Schema(
    {
        "experiment_id": pl.String(),
        "arm": pl.String(),
        "baseline": pl.String(),
        "dimension": pl.String(),
        "value": pl.String(),
        "metric": pl.String(),
        "horizon_days": pl.Int64(),
        "n_treated": pl.Int64(),
        "n_control": pl.Int64(),
        "treated_mean": pl.Float64(),
        "control_mean": pl.Float64(),
        "difference": pl.Float64(),
        "error": pl.Float64(),
        "low": pl.Float64(),
        "high": pl.Float64(),
        "method": pl.String(),
        "fixed_low": pl.Float64(),
        "fixed_high": pl.Float64(),
        "sequence_low": pl.Float64(),
        "sequence_high": pl.Float64(),
        "p_fixed": pl.Float64(),
        "p_looks": pl.Float64(),
        "p_adjusted": pl.Float64(),
        "is_primary": pl.Boolean(),
        "verdict": pl.String(),
    }
)


@dataclass(frozen=True, kw_only=True)
class ReadoutRules:
    """What a night tells its readouts: `decision_days` is the horizon by which an experiment is judged."""

    as_of: date
    decision_days: int
    margin_share: float


@dataclass(frozen=True)
class Readouts:
    """The tables of a night's experiments, each sorted by its key. Broken ones stand in `experiments` alone."""

    experiments: pl.DataFrame
    readouts: pl.DataFrame
    money: pl.DataFrame


def decision_horizon(horizon_days: int) -> int:
    """The horizon that is read nearest below the night's own; the shortest where that is shorter still."""
    return max((days for days in HORIZONS if days <= horizon_days), default=HORIZONS[0])


def read_experiments(entries: pl.DataFrame, faults: pl.DataFrame, *, rules: ReadoutRules) -> Readouts:
    """The effect of assignment in every experiment of `entries` (ENTRIES joined with OUTCOMES) that is sound.

    `faults`: FAULTS by `find_faults`. A fault, a sample ratio or a difference before entry that chance would give
    less than once in a thousand: broken, shown, not read. Estimand: the mean difference in the outcome between having
    been assigned the arm and the baseline, over all who entered and whose days are over, whatever they then got.
    """
    read = [
        _read_one(name, _of(entries, name), _of(faults, name), rules)
        for name in sorted(entries["experiment_id"].unique())
    ]
    return Readouts(
        experiments=pl.DataFrame([one.row for one in read], schema=EXPERIMENTS, orient="row"),
        readouts=pl.concat([READOUTS.to_frame(), *(one.readouts for one in read)]),
        money=pl.concat([MONEY.to_frame(), *(one.money for one in read)]),
    )


def _of(frame: pl.DataFrame, experiment_id: str) -> pl.DataFrame:
    is_it = frame["experiment_id"] == experiment_id
    return frame if is_it.all() else frame.filter(is_it)  # a copy of a million wide rows is most of the work


@dataclass(frozen=True)
class _Read:
    row: dict[str, object]
    readouts: pl.DataFrame
    money: pl.DataFrame


def baseline_of(experiment_id: str, arms: Sequence[str]) -> str:
    """The arm that others are compared with: control; of words alone the first by name."""
    return min(arms) if experiment_id.startswith(WORDS) and CONTROL not in arms else CONTROL


def _read_one(experiment_id: str, entries: pl.DataFrame, faults: pl.DataFrame, rules: ReadoutRules) -> _Read:
    arms = sorted(entries["arm"].unique())
    baseline = baseline_of(experiment_id, arms)
    others = [arm for arm in arms if arm != baseline]
    ratio, balance = _chance(entries, faults, baseline=baseline)
    found = pl.concat([faults, _chance_faults(experiment_id, ratio, balance)])
    plans = {arm: planned_users(entries, arm=arm, baseline=baseline) for arm in others}
    examined = Examined(experiment_id, entries, baseline, ratio, balance, found, plans)
    if found.height:
        empty = READOUTS.to_frame()
        return _Read(experiment_row(examined, empty, rules.decision_days), empty, MONEY.to_frame())
    priced = with_money(entries, margin_share=rules.margin_share)
    moments = take_moments(
        priced.frame,
        weight=inverse_propensities(entries),
        covariate=covariate_of(entries),
        metrics=(*_told(entries), *(MONEY_METRICS if priced.basis else ())),
        with_cross=priced.basis is not None,
    )
    compared = [compared_arms(moments, arm=arm, baseline=baseline, n_planned=plans[arm]) for arm in others]
    frames = [_rows(experiment_id, one, moments, _told(entries), rules) for one in compared]
    readouts = _judged(pl.concat(frames)) if frames else READOUTS.to_frame()
    money = [money_of_arm(experiment_id, one, moments, basis=priced.basis) for one in compared if priced.basis]
    return _Read(
        experiment_row(examined, readouts, rules.decision_days),
        readouts,
        pl.concat([MONEY.to_frame(), *money]),
    )


def covariate_of(entries: pl.DataFrame) -> Floats | None:
    """What was known of each user of one experiment before entry: the chance to come back without contact.

    Where some have none they get the mean; where none has, the days of activity in the 28 before entry stand in.
    """
    told = entries["p_return"]
    if told.null_count() < told.len():
        return told.fill_null(strategy="mean").to_numpy()
    return np.asarray(np.log1p(entries["n_active_days_before"].fill_null(0).to_numpy().astype(np.float64)))


def _told(entries: pl.DataFrame) -> tuple[Metric, ...]:
    """The metrics of which anything at all is known."""
    longest = HORIZONS[-1]
    return tuple(
        metric
        for metric in METRICS
        if metric is RETURNED or entries[metric.column(longest)].null_count() < entries.height
    )


def _chance(entries: pl.DataFrame, faults: pl.DataFrame, *, baseline: str) -> tuple[float | None, float | None]:
    if faults["fault"].is_in(["impossible propensity", "missing propensity"]).any():
        return None, None
    return sample_ratio_p(entries), balance_p(entries, baseline=baseline)


def _chance_faults(experiment_id: str, ratio: float | None, balance: float | None) -> pl.DataFrame:
    told = []
    if ratio is not None and ratio < BROKEN_BELOW:
        said = f"The arms are of other sizes than drawn (p = {ratio:.1g}): some of one arm are missing."
        told.append((experiment_id, "sample ratio", said))
    if balance is not None and balance < BROKEN_BELOW:
        said = f"The arms differed in the 28 days before entry (p = {balance:.1g}): outcomes lie before the assignment."
        told.append((experiment_id, "outcome before assignment", said))
    return pl.DataFrame(told, schema=FAULTS, orient="row")


def _rows(
    experiment_id: str, one: Compared, moments: Moments, metrics: Sequence[Metric], rules: ReadoutRules
) -> pl.DataFrame:
    # A part of which nothing was noted is no part.
    named = (pl.col("dimension") != CROSS) & (pl.col("value") != NOT_NOTED)
    slices = moments.slices.with_row_index("place").filter(named)
    if one.arm == EXPLORE:
        slices = slices.filter(~pl.col("dimension").is_in(DRAWN_DIMENSIONS))
    place = slices["place"].to_numpy()
    n_cells = len(place) * len(HORIZONS)
    frames = []
    for metric in metrics:
        effects = one.effects(moments, metric)
        values = {name: getattr(effects, name)[place].ravel() for name in Effects.__dataclass_fields__}
        frames.append(
            pl.DataFrame(
                {
                    "dimension": np.repeat(slices["dimension"].to_numpy(), len(HORIZONS)),
                    "value": np.repeat(slices["value"].to_numpy(), len(HORIZONS)),
                    "metric": [metric.name] * n_cells,
                    "horizon_days": np.tile(HORIZONS, len(place)),
                    **values,
                    "bound": np.tile(one.bound, len(place)),
                    "width": np.tile(sequence_width(one.fraction), len(place)),
                    "method": np.tile(one.method, len(place)),
                    "sign": np.full(n_cells, 1.0 if metric.is_good else -1.0),
                }
            )
        )
    told = pl.concat(frames).with_columns(
        pl.lit(experiment_id).alias("experiment_id"),
        pl.lit(one.arm).alias("arm"),
        pl.lit(one.baseline).alias("baseline"),
    )
    return _with_intervals(_large_enough(told), rules.decision_days)


def _large_enough(rows: pl.DataFrame) -> pl.DataFrame:
    fewest = pl.min_horizontal("n_treated", "n_control")
    needed = pl.when(pl.col("dimension") == ALL).then(2).otherwise(FEWEST_IN_SLICE)
    return rows.filter((fewest >= needed) & pl.col("difference").is_not_nan())


def _with_intervals(rows: pl.DataFrame, decision_days: int) -> pl.DataFrame:
    from scipy.special import ndtr

    error, difference = rows["error"].to_numpy(), rows["difference"].to_numpy()
    z = np.divide(difference, error, out=np.zeros(len(error)), where=error > 0)
    finite = pl.col("bound").is_finite()
    around = {
        "low": pl.when(finite).then(pl.col("difference") - pl.col("bound") * pl.col("error")),
        "high": pl.when(finite).then(pl.col("difference") + pl.col("bound") * pl.col("error")),
        "fixed_low": pl.col("difference") - NORMAL_975 * pl.col("error"),
        "fixed_high": pl.col("difference") + NORMAL_975 * pl.col("error"),
        "sequence_low": pl.col("difference") - pl.col("width") * pl.col("error"),
        "sequence_high": pl.col("difference") + pl.col("width") * pl.col("error"),
    }
    is_primary = (
        (pl.col("dimension") == ALL) & (pl.col("metric") == RETURNED.name) & (pl.col("horizon_days") == decision_days)
    )
    return rows.rename({"treated": "treated_mean", "control": "control_mean"}).with_columns(
        *(made.alias(name) for name, made in around.items()),
        pl.Series("p_fixed", 2 * ndtr(-np.abs(z))),
        pl.Series("p_looks", p_after_looks(z, rows["bound"].to_numpy())),
        is_primary.alias("is_primary"),
    )


def _judged(rows: pl.DataFrame) -> pl.DataFrame:
    """The readouts of one experiment with their verdicts.

    Benjamini-Hochberg over all its arms, slices, metrics and horizons, gains and harms alike. The one comparison that
    was named beforehand, returns of all at the horizon of decision, is not among them: it is corrected for looks only.
    """
    if rows.is_empty():
        return READOUTS.to_frame()
    p = rows["p_looks"].to_numpy().copy()
    primary = rows["is_primary"].to_numpy()
    adjusted = benjamini_hochberg(np.where(primary, np.nan, p))
    adjusted = np.where(primary, p, adjusted)
    real = pl.Series("p_adjusted", adjusted)
    gained = pl.col("sign") * pl.col("difference") > 0
    verdict = (
        pl.when(pl.col("method") == WAITING)
        .then(pl.lit(WAITING))
        .when(pl.col("p_adjusted") >= ALPHA)
        .then(pl.lit(OPEN))
        .otherwise(pl.when(gained).then(pl.lit(BETTER)).otherwise(pl.lit(WORSE)))
    )
    order = ["experiment_id", "arm", "dimension", "value", "metric", "horizon_days"]
    judged = rows.with_columns(real).with_columns(verdict.alias("verdict"))
    return judged.select(list(READOUTS)).cast(READOUTS).sort(order)
