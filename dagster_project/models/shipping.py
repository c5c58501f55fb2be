"""From training rows to tonight's p_active: refuse, or judge the candidates, choose, rehearse, refit and score."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date

import polars as pl

from dagster_project.models.activity import ActivityModel, FitSetup, Probabilities
from dagster_project.models.blend import SplitModel
from dagster_project.models.calibration import Builder, Rehearsal, ScoredOutcomes, Shifts, fit_shipped, rehearse
from dagster_project.models.candidates import CANDIDATES, Candidate, hazard_of
from dagster_project.models.cutoffs import newest_cutoff
from dagster_project.models.evaluation import Evaluation, evaluate_candidates, judge_shipped
from dagster_project.models.hazard import HazardModel
from dagster_project.models.refusal import STAND_IN, shortfalls, stand_in

CURVE_DAYS = (7, 14, 28, 56, 91, 182)  # of each churned user; H is always added


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
class Shipping:
    """p_active per row of tonight's features, and how it came about.

    `winner` is the candidate for the lapsed, or "base_rate" where the data could not carry one. `model` and
    `evaluation` are null then; `judged` are the probabilities that the evaluation's rows would have been given.
    """

    winner: str
    winner_others: str
    probability: Probabilities
    seen: ScoredOutcomes
    shift: Shifts
    notes: tuple[str, ...]
    model: ActivityModel | None = None
    evaluation: Evaluation | None = None
    rehearsal: Rehearsal | None = None

    @property
    def hazard(self) -> HazardModel | None:
        """The hazard of the lapsed, where one ships."""
        return hazard_of(self.model) if self.model else None

    @property
    def judged(self) -> Probabilities | None:
        """What the rows of `evaluation.test` would have been told."""
        return self.rehearsal.probability if self.rehearsal else None


def ship(training: pl.DataFrame, features_now: pl.DataFrame, *, spec: ModelSpec) -> Shipping:
    """Tonight's probabilities by the models that won out of time, or plain rates where the data carry none."""
    missing = shortfalls(training, horizon_days=spec.horizon_days)
    if missing:
        plain = stand_in(training, features_now, horizon_days=spec.horizon_days)
        return Shipping(STAND_IN, STAND_IN, plain.probability, plain.seen, Shifts(), (*missing, plain.wording))
    judged = evaluate_candidates(
        training,
        candidates=spec.candidates,
        horizon_days=spec.horizon_days,
        seed=spec.seed,
        max_rows=spec.max_training_rows,
        n_resamples=spec.n_resamples,
    )
    build = _builder(judged, spec=spec)
    rehearsal = rehearse(
        training, judged.test, _joined(judged), build=build, horizon_days=spec.horizon_days, seed=spec.seed
    )
    shipped = fit_shipped(training, build=build, max_rows=spec.max_training_rows, seed=spec.seed, way=rehearsal.way)
    return Shipping(
        winner=judged.winner,
        winner_others=judged.winner_others,
        probability=shipped.predict(features_now),
        seen=shipped.calibration,
        shift=shipped.shift,
        notes=_notes(judged, rehearsal, training=training, spec=spec),
        model=shipped.model,
        evaluation=_with_shipped(judged, rehearsal, spec=spec),
        rehearsal=rehearsal,
    )


def _builder(judged: Evaluation, *, spec: ModelSpec) -> Builder:
    known = {candidate.name: candidate for candidate in spec.candidates}
    setup = FitSetup(seed=spec.seed, horizon_days=spec.horizon_days)

    def build() -> ActivityModel:
        for_lapsed = known[judged.winner].build(setup)
        if judged.winner == judged.winner_others:
            return for_lapsed
        return SplitModel(for_lapsed=for_lapsed, for_others=known[judged.winner_others].build(setup))

    return build


def _joined(judged: Evaluation) -> Probabilities:
    lapsed = judged.test["is_lapsed"].fill_null(False).to_numpy()
    probability = judged.predictions[judged.winner_others].copy()
    probability[lapsed] = judged.predictions[judged.winner][lapsed]
    return probability


def _with_shipped(judged: Evaluation, rehearsal: Rehearsal, *, spec: ModelSpec) -> Evaluation:
    evaluations, reliability = judge_shipped(
        judged.test,
        rehearsal.probability,
        horizon_days=spec.horizon_days,
        n_resamples=spec.n_resamples,
        seed=spec.seed,
    )
    return replace(
        judged,
        evaluations=pl.concat([judged.evaluations, evaluations]),
        reliability=pl.concat([judged.reliability, reliability]),
    )


def _notes(judged: Evaluation, rehearsal: Rehearsal, *, training: pl.DataFrame, spec: ModelSpec) -> tuple[str, ...]:
    wording = {candidate.name: candidate.wording for candidate in spec.candidates}
    deciders = "the lapsed users" if judged.decided_on == "lapsed" else "all users"
    source = f"p_active comes from the {wording[judged.winner]} ({judged.winner})"
    notes = [f"{source}: {judged.reason}; decided on {deciders} at {newest_cutoff(training)}."]
    if judged.winner_others != judged.winner:
        notes.append(
            f"For users who are not lapsed it comes from the {wording[judged.winner_others]} ({judged.winner_others})."
        )
    notes += _failure_notes(judged.failures)
    if rehearsal.way != "none":
        whom = "all users alike" if rehearsal.way == "all" else "the lapsed and the others apart"
        notes.append(f"Half of the newest window's shift is added, for {whom}: it would have helped there.")
    return tuple(notes)


def _failure_notes(failures: Mapping[str, str]) -> list[str]:
    return [f"The candidate {name} is left out: {failures[name]}." for name in sorted(failures)]
