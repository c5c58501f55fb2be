"""One night of models: everything that `models.*` tables hold, from frames alone.

What each number means is said where it is made: activity, evaluation, calibration, survival, value, refusal.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from dagster_project.errors import WinbackError
from dagster_project.models import survival
from dagster_project.models.activity import CANDIDATES, Candidate, Probabilities
from dagster_project.models.calibration import ScoredOutcomes, fit_shipped, return_intervals
from dagster_project.models.cutoffs import newest_cutoff, require_closed_windows, split_out_of_time
from dagster_project.models.evaluation import (
    EVALUATION_SCHEMA,
    RELIABILITY_SCHEMA,
    Evaluation,
    evaluate_candidates,
)
from dagster_project.models.features import shared_features
from dagster_project.models.refusal import STAND_IN, shortfalls, stand_in
from dagster_project.models.report import night_metrics
from dagster_project.models.value import VALUE_EVALUATION_SCHEMA, ValueModel, evaluate_value, fit_value

CURVE_DAYS = (7, 14, 28, 56, 91, 182)  # of each churned user; H is always added
STAGE_CURVE_DAYS = tuple(range(0, 365, 7))  # of each stage, fine enough to draw
NEEDED_FEATURES = ("user_id", "silence_days", "tenure_days", "n_active_days", "is_lapsed")
NEEDED_OUTCOMES = ("cutoff", "is_active", "n_active_days_next", "amount_next")
NEEDED_STAGES = ("user_sk", "user_id", "is_churned")
NEEDED_SPELLS = (
    "user_id",
    "stage",
    "duration_days",
    "returned",
    "silence_days",
    "n_active_days",
    "usual_gap_days",
)


@dataclass(frozen=True)
class ModelSpec:
    """What a night's models are told. `value_per_active_day` counts only where the log holds no amounts."""

    as_of: date
    horizon_days: int
    seed: int = 20260101
    max_training_rows: int = 300_000  # METHODS: more rows cost time and gain nothing measurable
    n_resamples: int = 100
    value_per_active_day: float = 1.0
    curve_days: tuple[int, ...] = CURVE_DAYS
    candidates: tuple[Candidate, ...] = CANDIDATES


@dataclass(frozen=True)
class ModelNight:
    """The night's answers. `scores` has one row per row of stages, sorted by user_id.

    `winner` is the candidate that ships, or "base_rate" where the data could not carry one;
    `notes` says in plain sentences what was decided and what is missing. `metrics` is ready for JSON.
    """

    scores: pl.DataFrame
    evaluations: pl.DataFrame
    reliability: pl.DataFrame
    value_evaluation: pl.DataFrame
    km_curves: pl.DataFrame
    cox_summary: pl.DataFrame
    return_curves: pl.DataFrame
    winner: str
    notes: tuple[str, ...]
    metrics: dict[str, Any]


@dataclass(frozen=True)
class _Activity:
    """p_active per row of tonight's features, and how it came about; `evaluation` null if refused."""

    winner: str
    probability: Probabilities
    seen: ScoredOutcomes
    evaluation: Evaluation | None
    shift: float
    notes: tuple[str, ...]


def fit_night(
    training: pl.DataFrame,
    features_now: pl.DataFrame,
    stages: pl.DataFrame,
    spells: pl.DataFrame,
    *,
    spec: ModelSpec,
) -> ModelNight:
    """Scores, curves and their honest evaluation as of `spec.as_of`.

    `training`: user features at past cutoffs with `cutoff`, `is_lapsed`, `is_active`,
    `n_active_days_next`, `amount_next`. `features_now`: the same features (and `is_lapsed`) at as_of.
    `stages`: lifecycle.stages. `spells`: users lapsed at one past cutoff (see `survival`). The rows'
    order never matters; nothing later than as_of may be in any of them.
    Raises WinbackError: a needed column is absent, or a training window is still open at as_of.
    """
    _require_columns(training, features_now, stages, spells)
    require_closed_windows(training, as_of=spec.as_of, horizon_days=spec.horizon_days)
    training = shared_features(training, features_now).sort("cutoff", "user_id")
    features_now, stages = features_now.sort("user_id"), stages.sort("user_id")
    activity = _fit_activity(training, features_now, spec=spec)
    worth = _fit_value(training, features_now, spec=spec)
    clock = survival.fit_cox(spells, horizon_days=spec.horizon_days)
    known = _score_known(features_now, activity, worth=worth)
    scores = _score_stages(stages, known, seen=activity.seen, clock=clock, spec=spec)
    value_evaluation = _evaluate_value(training, activity, spec=spec)
    notes = activity.notes + ((clock.note,) if clock.note else ())
    days = tuple(sorted({*spec.curve_days, spec.horizon_days}))
    evaluation = activity.evaluation
    return ModelNight(
        scores=scores,
        evaluations=evaluation.evaluations if evaluation else EVALUATION_SCHEMA.to_frame(),
        reliability=evaluation.reliability if evaluation else RELIABILITY_SCHEMA.to_frame(),
        value_evaluation=value_evaluation,
        km_curves=survival.kaplan_meier_curves(spells, days=(*STAGE_CURVE_DAYS, spec.horizon_days)),
        cox_summary=clock.summary,
        return_curves=survival.return_curves(
            clock, scores.drop_nulls("p_return"), horizon_days=spec.horizon_days, days=days
        ),
        winner=activity.winner,
        notes=notes,
        metrics=night_metrics(
            evaluation,
            value_evaluation,
            facts=_facts(training, spells, activity=activity, clock=clock, spec=spec) | {"notes": list(notes)},
        ),
    )


def _fit_activity(training: pl.DataFrame, features_now: pl.DataFrame, *, spec: ModelSpec) -> _Activity:
    missing = shortfalls(training, horizon_days=spec.horizon_days)
    if missing:
        plain = stand_in(training, features_now, horizon_days=spec.horizon_days)
        return _Activity(STAND_IN, plain.probability, plain.seen, None, 0.0, (*missing, plain.wording))
    evaluation = evaluate_candidates(
        training,
        candidates=spec.candidates,
        horizon_days=spec.horizon_days,
        seed=spec.seed,
        max_rows=spec.max_training_rows,
        n_resamples=spec.n_resamples,
    )
    chosen = next(c for c in spec.candidates if c.name == evaluation.winner)
    shipped = fit_shipped(
        training, build=lambda: chosen.build(spec.seed), max_rows=spec.max_training_rows, seed=spec.seed
    )
    note = (
        f"p_active comes from the {chosen.wording} ({chosen.name}): {evaluation.reason}; "
        f"decided on {'the lapsed users' if evaluation.decided_on == 'lapsed' else 'all users'} "
        f"at {newest_cutoff(training)}."
    )
    probability = shipped.predict(features_now)
    return _Activity(chosen.name, probability, shipped.calibration, evaluation, shipped.shift, (note,))


def _fit_value(training: pl.DataFrame, features_now: pl.DataFrame, *, spec: ModelSpec) -> ValueModel:
    return fit_value(
        training,
        features_now,
        horizon_days=spec.horizon_days,
        value_per_active_day=spec.value_per_active_day,
    )


def _evaluate_value(training: pl.DataFrame, activity: _Activity, *, spec: ModelSpec) -> pl.DataFrame:
    evaluation = activity.evaluation
    if evaluation is None:
        return VALUE_EVALUATION_SCHEMA.to_frame()
    learn, _ = split_out_of_time(training, horizon_days=spec.horizon_days)
    model = _fit_value(learn, learn, spec=spec)
    return evaluate_value(evaluation.test, evaluation.predictions[evaluation.winner], model=model)


def _score_known(features_now: pl.DataFrame, activity: _Activity, *, worth: ValueModel) -> pl.DataFrame:
    """One row per user with a core event: p_active, expected_events, expected_value, value_if_returned."""
    value = worth.value_if_returned(features_now)
    return pl.DataFrame(
        {
            "user_id": features_now["user_id"],
            "p_active": activity.probability,
            "expected_events": activity.probability * worth.active_days(features_now),
            "expected_value": activity.probability * value,
            "value_if_returned": value,
        }
    )


def _score_stages(
    stages: pl.DataFrame,
    known: pl.DataFrame,
    *,
    seen: ScoredOutcomes,
    clock: survival.ReturnClock,
    spec: ModelSpec,
) -> pl.DataFrame:
    users = stages.select("user_sk", "user_id", "is_churned").join(
        known, on="user_id", how="left", validate="1:1", maintain_order="left"
    )
    churned = users.filter(pl.col("is_churned") & pl.col("p_active").is_not_null())
    returns = _score_returns(churned, seen=seen, clock=clock, spec=spec)
    scored = users.join(returns, on="user_id", how="left", validate="1:1", maintain_order="left")
    return scored.select(
        "user_sk",
        "user_id",
        "p_active",
        "p_return",
        "p_return_low",
        "p_return_high",
        "expected_return_on",
        "expected_events",
        "expected_value",
        "value_if_returned",
    ).sort("user_id")


def _score_returns(
    churned: pl.DataFrame, *, seen: ScoredOutcomes, clock: survival.ReturnClock, spec: ModelSpec
) -> pl.DataFrame:
    p_return: npt.NDArray[np.float64] = churned["p_active"].to_numpy()
    low, high = return_intervals(p_return, seen=seen)
    wait = survival.half_return_days(clock, p_return, horizon_days=spec.horizon_days)
    return pl.DataFrame(
        {
            "user_id": churned["user_id"],
            "p_return": p_return,
            "p_return_low": low,
            "p_return_high": high,
            "expected_return_on": pl.Series([spec.as_of + timedelta(days=int(d)) for d in wait], dtype=pl.Date),
        }
    )


def _facts(
    training: pl.DataFrame,
    spells: pl.DataFrame,
    *,
    activity: _Activity,
    clock: survival.ReturnClock,
    spec: ModelSpec,
) -> dict[str, Any]:
    learn, test = split_out_of_time(training, horizon_days=spec.horizon_days)
    return {
        "as_of": spec.as_of.isoformat(),
        "horizon_days": spec.horizon_days,
        "winner": activity.winner,
        "is_refused": activity.evaluation is None,
        "decided_on": activity.evaluation.decided_on if activity.evaluation else None,
        "log_odds_shift": activity.shift,
        "test_cutoff": None if training.is_empty() else newest_cutoff(training).isoformat(),
        "n_cutoffs": training["cutoff"].n_unique(),
        "n_learning_rows": learn.height,
        "n_test_rows": test.height,
        "return_clock": clock.kind,
        "n_spells": spells.height,
        "n_spells_returned": int(spells["returned"].sum()),
    }


def _require_columns(
    training: pl.DataFrame, features_now: pl.DataFrame, stages: pl.DataFrame, spells: pl.DataFrame
) -> None:
    wanted = (
        ("training", training, NEEDED_FEATURES + NEEDED_OUTCOMES),
        ("features_now", features_now, NEEDED_FEATURES),
        ("stages", stages, NEEDED_STAGES),
        ("spells", spells, NEEDED_SPELLS),
    )
    for name, frame, columns in wanted:
        absent = [column for column in columns if column not in frame.columns]
        if absent:
            raise WinbackError(
                f"the models' {name} frame lacks {', '.join(absent)}",
                fix="add the columns where the frame is built (an empty frame needs its columns too)",
            )
