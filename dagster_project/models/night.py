"""One night of models: everything that `models.*` tables hold, from frames alone.

What each number means is said where it is made: activity, evaluation, calibration, survival, value, refusal.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import polars as pl

from dagster_project.errors import WinbackError
from dagster_project.models import survival
from dagster_project.models.activity import Probabilities
from dagster_project.models.calibration import ScoredOutcomes, return_intervals
from dagster_project.models.cutoffs import require_closed_windows
from dagster_project.models.evaluation import EVALUATION_SCHEMA, RELIABILITY_SCHEMA
from dagster_project.models.features import shared_features
from dagster_project.models.hazard import HazardModel
from dagster_project.models.refusal import STAND_IN, shortfalls, stand_in
from dagster_project.models.relapse import RelapseModel, fit_relapse
from dagster_project.models.report import night_metrics
from dagster_project.models.returns import RETURN_SCHEMA
from dagster_project.models.scoring import make_scorer, score_users
from dagster_project.models.second_life import LIVES_SCHEMA, relapse_chances, second_lives
from dagster_project.models.shipping import Learned, ModelSpec, fit_worth, learn
from dagster_project.models.threads import on_one_thread
from dagster_project.models.timing import OwnTiming, SharedTiming, Timing, return_curves, return_days
from dagster_project.models.value import VALUE_EVALUATION_SCHEMA, ValueModel
from dagster_project.models.value_table import VALUE_COMPARISON_SCHEMA

__all__ = ["Learned", "ModelNight", "ModelSpec", "fit_night"]

STAGE_CURVE_DAYS = tuple(range(0, 365, 7))  # of each stage, fine enough to draw
NEEDED_FEATURES = ("user_id", "silence_days", "tenure_days", "n_active_days", "is_lapsed")
NEEDED_OUTCOMES = (
    "cutoff",
    "is_active",
    "n_active_days_next",
    "amount_next",
    "next_active_in_days",
    "follow_up_days",
)
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


EARLY_PART, LATE_PART = 0.1, 0.9  # of p_return: eight in ten of those who return do so between


@dataclass(frozen=True)
class ModelNight:
    """The night's answers. `scores` has one row per row of stages, sorted by user_id.

    `winner` is the candidate that ships, or "base_rate" where the data could not carry one;
    `notes` says in plain sentences what was decided and what is missing. `metrics` is ready for JSON. `learned` is
    what gave the probabilities; null where plain rates had to serve.
    """

    scores: pl.DataFrame
    evaluations: pl.DataFrame
    reliability: pl.DataFrame
    value_evaluation: pl.DataFrame
    value_comparison: pl.DataFrame
    relapse_summary: pl.DataFrame
    km_curves: pl.DataFrame
    cox_summary: pl.DataFrame
    return_curves: pl.DataFrame
    winner: str
    notes: tuple[str, ...]
    metrics: dict[str, Any]
    learned: Learned | None


@dataclass(frozen=True)
class _Activity:
    """Tonight's probabilities, one per row of tonight's features, and what they rest on."""

    winner: str
    probability: Probabilities
    seen: ScoredOutcomes
    worth: ValueModel
    notes: tuple[str, ...]
    learned: Learned | None = None

    @property
    def hazard(self) -> HazardModel | None:
        """The hazard of the lapsed, where one ships."""
        return self.learned.hazard if self.learned else None


@on_one_thread()
def fit_night(
    training: pl.DataFrame,
    features_now: pl.DataFrame,
    stages: pl.DataFrame,
    spells: pl.DataFrame,
    *,
    spec: ModelSpec,
    returns: pl.DataFrame | None = None,
    learned: Learned | None = None,
) -> ModelNight:
    """Scores, curves and their honest evaluation as of `spec.as_of`.

    `training`: user features at past cutoffs with `cutoff`, `is_lapsed`, `is_active`, `n_active_days_next`,
    `amount_next`, `next_active_in_days`, `follow_up_days` (see `snapshots`). `features_now`: the same features
    (and `is_lapsed`) at as_of. `stages`: lifecycle.stages. `spells`: users lapsed at one past cutoff (see
    `survival`). `returns`: past returns (see `returns`); without them nothing is said of relapses, and `stages` then
    needs fewer columns. `learned`: what an earlier night has learned, to score with; without it tonight learns, if the
    data can carry it. The rows' order never matters; nothing later than as_of may be in any of them.
    Raises WinbackError: a needed column is absent, or a training window is still open at as_of.
    """
    _require_columns(training, features_now, stages, spells)
    require_closed_windows(training, as_of=spec.as_of, horizon_days=spec.horizon_days)
    _require_later_events(training)
    training = shared_features(training, features_now).sort("cutoff", "user_id")
    features_now, stages = features_now.sort("user_id"), stages.sort("user_id")
    activity = _activity(training, features_now, spec=spec, learned=learned)
    clock = survival.fit_cox(spells, horizon_days=spec.horizon_days)
    users = stages.select("user_sk", "user_id", "is_churned").join(
        score_users(features_now, activity.probability, worth=activity.worth),
        on="user_id",
        how="left",
        validate="1:1",
        maintain_order="left",
    )
    churned = users.filter(pl.col("is_churned") & pl.col("p_active").is_not_null())
    timing = _timing(churned, features_now, activity=activity, clock=clock, spec=spec)
    scored_returns = _score_returns(churned, seen=activity.seen, timing=timing, spec=spec)
    relapse = fit_relapse(RETURN_SCHEMA.to_frame() if returns is None else returns)
    lives = _lives(stages, features_now, returns, relapse=relapse, worth=activity.worth, spec=spec)
    notes = activity.notes + ((clock.note,) if clock.note and activity.hazard is None else ())
    notes += (relapse.note,) if relapse.note and returns is not None else ()
    facts = _facts(spells, activity=activity, clock=clock, spec=spec) | {"notes": list(notes)}
    found = activity.learned
    evaluations = found.evaluations if found else EVALUATION_SCHEMA.to_frame()
    value_evaluation = found.value_evaluation if found else VALUE_EVALUATION_SCHEMA.to_frame()
    return ModelNight(
        scores=_scores(users, scored_returns, lives),
        evaluations=evaluations,
        reliability=found.reliability if found else RELIABILITY_SCHEMA.to_frame(),
        value_evaluation=value_evaluation,
        value_comparison=found.value_comparison if found else VALUE_COMPARISON_SCHEMA.to_frame(),
        relapse_summary=relapse.summary,
        km_curves=survival.kaplan_meier_curves(spells, days=(*STAGE_CURVE_DAYS, spec.horizon_days)),
        cox_summary=clock.summary,
        return_curves=return_curves(timing, scored_returns, days=tuple({*spec.curve_days, spec.horizon_days})),
        winner=activity.winner,
        notes=notes,
        metrics=night_metrics(evaluations, value_evaluation, facts=facts),
        learned=found,
    )


def _activity(
    training: pl.DataFrame, features_now: pl.DataFrame, *, spec: ModelSpec, learned: Learned | None
) -> _Activity:
    """By the given model, by one that tonight learns, or by plain rates where the data carry none."""
    missing = () if learned else shortfalls(training, horizon_days=spec.horizon_days)
    if missing:
        plain = stand_in(training, features_now, horizon_days=spec.horizon_days)
        worth = fit_worth(training, features_now, spec=spec)
        return _Activity(STAND_IN, plain.probability, plain.seen, worth, (*missing, plain.wording))
    found = learned or learn(training, features_now, spec=spec)
    scorer = make_scorer(found.shipped, features_now, n_users=features_now.height, seed=spec.seed)
    notes = found.notes + ((scorer.note,) if scorer.note else ())
    return _Activity(found.winner, scorer.p_active(features_now), found.shipped.calibration, found.worth, notes, found)


def _lives(
    stages: pl.DataFrame,
    features_now: pl.DataFrame,
    returns: pl.DataFrame | None,
    *,
    relapse: RelapseModel,
    worth: ValueModel,
    spec: ModelSpec,
) -> pl.DataFrame:
    """user_id, relapse_probability of those who are back, second_lifetime_value of the churned."""
    if returns is None:
        return LIVES_SCHEMA.to_frame()
    back = relapse_chances(stages, returns, relapse=relapse, as_of=spec.as_of, horizon_days=spec.horizon_days)
    gone = second_lives(stages, features_now, worth=worth, relapse=relapse)
    return back.join(gone, on="user_id", how="full", coalesce=True)


def _timing(
    churned: pl.DataFrame,
    features_now: pl.DataFrame,
    *,
    activity: _Activity,
    clock: survival.ReturnClock,
    spec: ModelSpec,
) -> Timing:
    """The churned users' own hazards where a model with one ships, else the clock of all."""
    if activity.hazard is None:
        return SharedTiming(clock, horizon_days=spec.horizon_days)
    rows = churned.select("user_id").join(features_now, on="user_id", how="left", validate="1:1", maintain_order="left")
    return OwnTiming(activity.hazard, rows, horizon_days=spec.horizon_days)


def _score_returns(churned: pl.DataFrame, *, seen: ScoredOutcomes, timing: Timing, spec: ModelSpec) -> pl.DataFrame:
    """One row per churned user, in their order: p_return with its interval, and the dates of their curve."""
    p_return: Probabilities = churned["p_active"].to_numpy()
    low, high = return_intervals(p_return, seen=seen)

    def day_of(part: float) -> pl.Series:
        days = return_days(timing, p_return, part=part)
        return pl.Series([spec.as_of + timedelta(days=int(day)) for day in days], dtype=pl.Date)

    return churned.select("user_sk", "user_id").with_columns(
        p_return=pl.Series(p_return, dtype=pl.Float64),
        p_return_low=pl.Series(low, dtype=pl.Float64),
        p_return_high=pl.Series(high, dtype=pl.Float64),
        expected_return_on=day_of(0.5),
        expected_return_low_on=day_of(EARLY_PART),
        expected_return_high_on=day_of(LATE_PART),
    )


def _scores(users: pl.DataFrame, returns: pl.DataFrame, lives: pl.DataFrame) -> pl.DataFrame:
    return (
        users.join(returns.drop("user_sk"), on="user_id", how="left", validate="1:1", maintain_order="left")
        .join(lives, on="user_id", how="left", validate="1:1", maintain_order="left")
        .select(
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
            "expected_return_low_on",
            "expected_return_high_on",
            "relapse_probability",
            "second_lifetime_value",
        )
        .sort("user_id")
    )


def _facts(
    spells: pl.DataFrame, *, activity: _Activity, clock: survival.ReturnClock, spec: ModelSpec
) -> dict[str, Any]:
    return {
        "as_of": spec.as_of.isoformat(),
        "horizon_days": spec.horizon_days,
        "winner": activity.winner,
        "is_refused": activity.learned is None,
        "return_clock": "own_hazard" if activity.hazard else clock.kind,
        "n_spells": spells.height,
        "n_spells_returned": int(spells["returned"].sum()),
        **(activity.learned.facts if activity.learned else {}),
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


def _require_later_events(training: pl.DataFrame) -> None:
    early = training.filter(pl.col("next_active_in_days") <= 0)
    if early.height:
        raise WinbackError(
            f"{early.height} training rows have their next core event on or before the cutoff",
            fix="count next_active_in_days from the day after the cutoff",
        )
