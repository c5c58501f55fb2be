"""How good each candidate is on contracts of users it has not seen, and which of them ships.

All measures condition on being observed: a span entered late is judged from its entry on.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from dagster_project.models.contracts.curves import arrays, life_table
from dagster_project.models.contracts.design import Floats, restricted_cubic, spread_knots
from dagster_project.models.contracts.models import CANDIDATES, Recipe, SurvivalModel, fit_candidate
from dagster_project.models.contracts.ranking import concordance
from dagster_project.models.contracts.regressions import ModelFitError, log_hazard_fit

MOST_GRID_POINTS = 70
AT_RISK_SHARE = 0.02  # the grid ends where fewer are left: weights explode beyond
LEAST_CENSORING = 0.01  # floor of the censoring curve, so that no row outweighs a hundred
CONCORDANCE_TIE = 0.001
IBS_TIE = 0.0005  # a hundredth of a usual score: no user of it would notice
N_BINS = 10
LEAST_PROBABILITY = 1e-7

FIGURES = ("ibs", "concordance", "calibration_index", "calibration_error", "observed_over_expected")
EVALUATION_SCHEMA = pl.Schema(
    {
        "candidate": pl.String,
        "is_winner": pl.Boolean,
        "ibs": pl.Float64,
        "ibs_se": pl.Float64,
        "concordance": pl.Float64,
        "calibration_index": pl.Float64,
        "calibration_error": pl.Float64,
        "observed_over_expected": pl.Float64,
        "n_folds": pl.Int64,
        "note": pl.String,
    }
)


@dataclass(frozen=True)
class Judging:
    """How the candidates are judged: tenures of the Brier score, tenure of the calibration, folds."""

    grid: tuple[int, ...]
    calibrate_at: float
    n_folds: int
    seed: int


@dataclass(frozen=True)
class Evaluation:
    """`table`: one row per candidate, simplest first. `folds`: candidate → one row of FIGURES per fold."""

    table: pl.DataFrame
    folds: dict[str, Floats]
    winner: str
    reason: str


def default_grid(rows: pl.DataFrame) -> tuple[int, ...]:
    """Up to 70 whole tenures from 1 to where 2 % of the contracts (20 at least) are still at risk."""
    table = life_table(*arrays(rows))
    enough = np.flatnonzero(table.n_at_risk >= max(20, AT_RISK_SHARE * rows.height))
    last = max(2, int(enough.max(initial=2)))
    return tuple(int(t) for t in np.unique(np.linspace(1, last, min(MOST_GRID_POINTS, last)).round()))


def evaluate_candidates(
    rows: pl.DataFrame, *, recipe: Recipe, judging: Judging, names: tuple[str, ...] = CANDIDATES
) -> Evaluation:
    """Cross-validated figures of every candidate, and the choice; `rows`: observed spans, folds by user.

    ibs: integrated Brier score over the grid, weighted by the inverse probability of censoring learnt on the training
    folds (lower is better; Graf et al. 1999). concordance: Harrell's c. calibration_index: integrated calibration
    index at `calibrate_at` (Austin, Harrell, van Klaveren 2020); calibration_error: mean |Kaplan-Meier -
    predicted| there over ten equal-count bins. observed_over_expected: ends up to then over the hazard that the model
    laid on what was observed (a discrete model's hazard counts a little higher). All are means over folds.
    """
    folds: dict[str, Floats] = {}
    failed: dict[str, str] = {}
    for name in names:
        try:
            folds[name] = np.asarray(
                [
                    _judged(fit_candidate(learn, name=name, recipe=recipe), learn, test, judging=judging)
                    for learn, test in user_folds(rows, n_folds=judging.n_folds, seed=judging.seed)
                ]
            )
        except ModelFitError as error:
            failed[name] = error.problem
    winner, reason = choose(folds)
    table = [_table_row(name, folds.get(name), failed.get(name), is_winner=name == winner) for name in names]
    return Evaluation(pl.DataFrame(table, schema=EVALUATION_SCHEMA, orient="row"), folds, winner, reason)


def user_folds(rows: pl.DataFrame, *, n_folds: int, seed: int) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """(learn, test) of each fold; all spans of a user stand on one side. Users are shuffled from user_id order."""
    from sklearn.model_selection import KFold

    users = rows["user_id"].unique().sort()
    for _, test in KFold(n_folds, shuffle=True, random_state=seed).split(np.arange(len(users))):
        is_test = rows["user_id"].is_in(users.gather(test).implode())
        yield rows.filter(~is_test), rows.filter(is_test)


def choose(folds: dict[str, Floats]) -> tuple[str, str]:
    """The candidate that ships and why: `folds` maps each, simplest first, to one row of FIGURES per fold.

    All whose integrated Brier score is within .0005, or one standard error of the paired differences between folds,
    of the best tie; of these, all within .001 of the highest concordance; of these the simplest.
    """
    ibs = {name: figures[:, 0] for name, figures in folds.items()}
    best = min(ibs, key=lambda name: (ibs[name].mean(), list(ibs).index(name)))
    ties = [
        name for name in ibs if (ibs[name] - ibs[best]).mean() <= max(IBS_TIE, _standard_error(ibs[name] - ibs[best]))
    ]
    ranking = {name: float(folds[name][:, 1].mean()) for name in ties}
    close = [name for name in ties if ranking[name] >= max(ranking.values()) - CONCORDANCE_TIE]
    winner = close[0]
    if winner == best:
        return winner, f"lowest integrated Brier score ({ibs[best].mean():.4f})"
    return winner, (
        f"integrated Brier score {ibs[winner].mean():.4f}, not told apart from the lowest "
        f"({ibs[best].mean():.4f}, {best}), and it is simpler or ranks better"
    )


def integrated_brier(learn: pl.DataFrame, test: pl.DataFrame, survival: Floats, *, grid: tuple[int, ...]) -> float:
    """Mean Brier score of `survival` (test rows × grid, given entry) over the grid, weighted for censoring."""
    entry, duration, event = (a[:, None] for a in arrays(test))
    learnt_entry, learnt_duration, learnt_event = arrays(learn)
    times = np.asarray(grid)[None, :]
    curve = np.maximum(life_table(learnt_entry, learnt_duration, ~learnt_event).survival, LEAST_CENSORING)

    def uncensored(tenure: npt.NDArray[Any]) -> Floats:
        share: Floats = curve[np.clip(tenure, 0, len(curve) - 1)]
        return share

    weight = np.where(duration > times, 1 / uncensored(times), event / uncensored(duration - 1)) * uncensored(entry)
    error = np.where(entry < times, weight * ((duration > times) - survival) ** 2, 0.0)
    brier = error.sum(axis=0) / np.maximum((entry < times).sum(axis=0), 1)
    return float(np.trapezoid(brier, grid) / (grid[-1] - grid[0]))


def calibration_index(test: pl.DataFrame, expected_hazard: Floats, *, at: float) -> float:
    """Integrated calibration index: mean |smoothed observed - predicted| P(ended by `at` | entry).

    `expected_hazard`: predicted cumulative hazard from entry to `at`. Observed: a Cox model of the very outcomes on
    a restricted cubic spline of its logarithm; with one prediction for all, Kaplan-Meier.
    """
    predicted = -np.expm1(-expected_hazard)
    score = np.log(np.maximum(expected_hazard, LEAST_PROBABILITY))
    if np.ptp(score) < 1e-6:
        return float(abs(_observed(test, at=at) - predicted.mean()))
    knots = spread_knots(score)
    matrix = np.column_stack([score, restricted_cubic(score, knots)]) if knots else score[:, None]
    try:
        smoothed = log_hazard_fit(test, matrix, at=at)
    except ModelFitError:
        return float(abs(_observed(test, at=at) - predicted.mean()))
    return float(np.abs(smoothed - predicted).mean())


def binned_calibration(test: pl.DataFrame, expected_hazard: Floats, *, at: float) -> float:
    """Mean |Kaplan-Meier - predicted| P(ended by `at`) over ten equal-count bins of the prediction.

    Bins of a hundred contracts are off by .02 by chance alone; ties are binned in the rows' order.
    """
    predicted = -np.expm1(-expected_hazard)
    place = np.argsort(np.argsort(predicted, kind="stable"), kind="stable")
    bins = place * N_BINS // max(1, len(place))
    gaps = [
        abs(_observed(test.filter(pl.Series(bins == k)), at=at) - predicted[bins == k].mean()) * (bins == k).mean()
        for k in np.unique(bins)
    ]
    return float(np.sum(gaps))


def _judged(model: SurvivalModel, learn: pl.DataFrame, test: pl.DataFrame, *, judging: Judging) -> list[float]:
    entry, duration, event = arrays(test)
    grid = np.asarray(judging.grid, dtype=np.float64)
    at_entry = model.cumulative_hazard(test, entry[:, None].astype(np.float64))
    hazard = model.cumulative_hazard(test, grid[None, :])
    survival = np.exp(-np.maximum(hazard - at_entry, 0))
    if not np.isfinite(survival).all():
        raise ModelFitError("it predicted no number", fix="the other models go on without it")
    seen = test.filter(pl.col("entry") < judging.calibrate_at)
    start = seen["entry"].cast(pl.Float64).to_numpy()[:, None]
    at = np.full((1, 1), judging.calibrate_at)
    expected = (model.cumulative_hazard(seen, at) - model.cumulative_hazard(seen, start))[:, 0]
    expected = np.maximum(expected, 0)
    return [
        integrated_brier(learn, test, survival, grid=judging.grid),
        concordance(entry, duration, event, -np.exp(-hazard).mean(axis=1)),
        calibration_index(seen, expected, at=judging.calibrate_at),
        binned_calibration(seen, expected, at=judging.calibrate_at),
        _observed_over_expected(model, seen, at=judging.calibrate_at),
    ]


def _observed_over_expected(model: SurvivalModel, seen: pl.DataFrame, *, at: float) -> float:
    entry, duration, event = arrays(seen)
    follow = np.column_stack([entry, np.minimum(duration, at)]).astype(np.float64)
    hazard = model.cumulative_hazard(seen, follow)
    ended = (event & (duration <= at)).sum()
    return float(ended / max((hazard[:, 1] - hazard[:, 0]).sum(), LEAST_PROBABILITY))


def _observed(test: pl.DataFrame, *, at: float) -> float:
    survival = life_table(*arrays(test)).survival
    return float(1 - survival[min(int(at), len(survival) - 1)])


def _standard_error(differences: Floats) -> float:
    return float(differences.std(ddof=1) / np.sqrt(len(differences))) if len(differences) > 1 else 0.0


def _table_row(
    name: str, figures: Floats | None, failed: str | None, *, is_winner: bool
) -> tuple[str | bool | float | int | None, ...]:
    if figures is None:
        return name, False, None, None, None, None, None, None, 0, failed
    ibs, *others = (float(value) for value in figures.mean(axis=0))
    return name, is_winner, ibs, _standard_error(figures[:, 0]), *others, len(figures), None
