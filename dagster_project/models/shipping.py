"""From training rows to what ships: judge the candidates, choose, rehearse, refit, and value what a return brings."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import polars as pl

from dagster_project.models.activity import ActivityModel, FitSetup, Probabilities
from dagster_project.models.blend import SplitModel
from dagster_project.models.calibration import Builder, Rehearsal, ShippedModel, fit_shipped, rehearse
from dagster_project.models.candidates import CANDIDATES, Candidate, hazard_of
from dagster_project.models.cutoffs import newest_cutoff, split_out_of_time
from dagster_project.models.evaluation import Evaluation, evaluate_candidates, judge_shipped
from dagster_project.models.hazard import HazardModel
from dagster_project.models.threads import on_one_thread
from dagster_project.models.value import ValueModel, evaluate_value, fit_value
from dagster_project.models.value_table import compare_values

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
class Learned:
    """What a training night has learned; the later nights of its rhythm score with it. Kept as one file.

    `winner` is the candidate for the lapsed. The frames say how all of them, and what ships, did on a window that
    they had not seen; `facts` are the figures of that judgement, ready for JSON.
    """

    winner: str
    winner_others: str
    shipped: ShippedModel
    worth: ValueModel
    notes: tuple[str, ...]
    evaluations: pl.DataFrame
    reliability: pl.DataFrame
    value_evaluation: pl.DataFrame
    value_comparison: pl.DataFrame
    facts: Mapping[str, Any]

    @property
    def hazard(self) -> HazardModel | None:
        """The hazard of the lapsed, where one ships."""
        return hazard_of(self.shipped.model)


def learn(training: pl.DataFrame, features_now: pl.DataFrame, *, spec: ModelSpec) -> Learned:
    """The models that won out of time, refitted on everything. `training` must have no `shortfalls`.

    Of `features_now` only the records up to the night are read, for the population's parameters of value.
    """
    judged, rehearsal = judge(training, spec=spec)
    build = builder(judged.winner, judged.winner_others, spec=spec)
    shipped = fit_shipped(training, build=build, max_rows=spec.max_training_rows, seed=spec.seed, way=rehearsal.way)
    value_evaluation, value_comparison = _evaluate_value(training, judged.test, rehearsal, spec=spec)
    return Learned(
        winner=judged.winner,
        winner_others=judged.winner_others,
        shipped=shipped,
        worth=fit_worth(training, features_now, spec=spec),
        notes=_notes(judged, rehearsal, training=training, spec=spec),
        evaluations=judged.evaluations,
        reliability=judged.reliability,
        value_evaluation=value_evaluation,
        value_comparison=value_comparison,
        facts=_facts(training, judged, rehearsal, shipped=shipped, spec=spec),
    )


@on_one_thread()
def judge(training: pl.DataFrame, *, spec: ModelSpec) -> tuple[Evaluation, Rehearsal]:
    """Every candidate, and what would have shipped, on the newest closed window; and how that was recalibrated."""
    judged = evaluate_candidates(
        training,
        candidates=spec.candidates,
        horizon_days=spec.horizon_days,
        seed=spec.seed,
        max_rows=spec.max_training_rows,
        n_resamples=spec.n_resamples,
    )
    build = builder(judged.winner, judged.winner_others, spec=spec)
    rehearsal = rehearse(
        training, judged.test, _joined(judged), build=build, horizon_days=spec.horizon_days, seed=spec.seed
    )
    return _with_shipped(judged, rehearsal, spec=spec), rehearsal


def fit_worth(training: pl.DataFrame, features_now: pl.DataFrame, *, spec: ModelSpec) -> ValueModel:
    """What a user does and spends if active."""
    return fit_value(
        training,
        features_now,
        horizon_days=spec.horizon_days,
        value_per_active_day=spec.value_per_active_day,
    )


def builder(winner: str, winner_others: str, *, spec: ModelSpec) -> Builder:
    """Makes the unfitted model of two candidates: one for the lapsed, one for the others."""
    known = {candidate.name: candidate for candidate in spec.candidates}
    setup = FitSetup(seed=spec.seed, horizon_days=spec.horizon_days)

    def build() -> ActivityModel:
        for_lapsed = known[winner].build(setup)
        if winner == winner_others:
            return for_lapsed
        return SplitModel(for_lapsed=for_lapsed, for_others=known[winner_others].build(setup))

    return build


def _evaluate_value(
    training: pl.DataFrame, test: pl.DataFrame, rehearsal: Rehearsal, *, spec: ModelSpec
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """How the forecast of value did on the judged window, and beside plainer ones."""
    learnt, _ = split_out_of_time(training, horizon_days=spec.horizon_days)
    model = fit_worth(learnt, test, spec=spec)  # of `test` its features are read, never its outcomes
    judged = rehearsal.probability  # what the rows of `test` would have been told
    return evaluate_value(test, judged, model=model), compare_values(test, judged, model=model)


def _facts(
    training: pl.DataFrame, judged: Evaluation, rehearsal: Rehearsal, *, shipped: ShippedModel, spec: ModelSpec
) -> dict[str, Any]:
    learnt, test = split_out_of_time(training, horizon_days=spec.horizon_days)
    return {
        "winner_others": judged.winner_others,
        "decided_on": judged.decided_on,
        "left_out": dict(judged.failures),
        "recalibration": rehearsal.way,
        "log_odds_shift": shipped.shift.others,
        "log_odds_shift_lapsed": shipped.shift.lapsed,
        "test_cutoff": newest_cutoff(training).isoformat(),
        "n_cutoffs": training["cutoff"].n_unique(),
        "n_learning_rows": learnt.height,
        "n_test_rows": test.height,
    }


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
