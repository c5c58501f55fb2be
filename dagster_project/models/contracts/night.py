"""One night of contracts: every table and sentence about subscriptions, from one frame alone.

What each number means is said where it is made: durations, leakage, evaluation, scoring, causes, curves.
"""

from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl

from dagster_project.models.contracts.causes import CauseModel, fit_causes, with_causes
from dagster_project.models.contracts.curves import CURVE_SCHEMA, INCIDENCE_SCHEMA, cumulative_incidence, kaplan_meier
from dagster_project.models.contracts.design import Floats, as_numbers
from dagster_project.models.contracts.durations import Unit, horizon_units, measure_spans, observed
from dagster_project.models.contracts.evaluation import (
    EVALUATION_SCHEMA,
    Evaluation,
    Judging,
    default_grid,
    evaluate_candidates,
)
from dagster_project.models.contracts.leakage import REFUSED_SCHEMA, covariates_of, refused_covariates
from dagster_project.models.contracts.models import CANDIDATES, WORDING, Recipe, fit_candidate
from dagster_project.models.contracts.proportionality import PH_SCHEMA, proportional_hazards_test
from dagster_project.models.contracts.regressions import CoxModel, ModelFitError, fit_cox
from dagster_project.models.contracts.scoring import (
    CAUSE_SCORE_SCHEMA,
    churn_probabilities,
    constant_steps,
    running_contracts,
    score_causes,
    score_users,
)
from dagster_project.models.report import json_ready
from dagster_project.models.survival import COX_SCHEMA
from dagster_project.models.threads import on_one_thread

FEWEST_ENDS = 100  # ten per term of a ten-term model, as for returns
FEWEST_USERS_PER_FOLD = 10
FEWEST_JUDGED_ENDS = 1_000  # with a fold of 200 ends the Brier scores of two models part by more than their noise
SEASON_DAYS = 365  # less shows no season twice, and hides a trend in it
STAND_IN = "base_rate"


@dataclass(frozen=True)
class ContractSpec:
    """What a night of contracts is told.

    `plan_column` is the first choice to stratify by. `grid` (tenures of the Brier score) and `calibrate_at` (tenure of
    the calibration) are in units; null means as far as the data carry, and one horizon. `has_calendar`: whether the
    dates are those of real days, so that seasons may be sought.
    """

    as_of: date
    horizon_days: int
    unit: Unit = "day"
    seed: int = 42
    n_folds: int = 5
    plan_column: str = "plan"
    grid: tuple[int, ...] | None = None
    calibrate_at: float | None = None
    has_calendar: bool = True
    max_contracts: int = 20_000  # to learn from, whole users drawn at random; all are scored
    max_judged: int = 8_000  # of these, to compare the candidates on: five fits of eight models cost most of the night
    candidates: tuple[str, ...] = CANDIDATES


@dataclass(frozen=True)
class ContractNight:
    """The night's answers; every frame keeps its columns when it is empty.

    `scores`: per user with a running contract. `cause_scores`: the same split by cause. `evaluations`: per candidate.
    `km_curve`, `incidence`: by tenure. `cox_summary`: hazard ratios of the plain Cox model (above 1 = sooner end).
    `ph_test`: its proportional-hazards check. `refused`: covariates kept out, and why. `winner` is "base_rate" where
    the data could not carry a model; `notes` says so. `metrics` is ready for JSON.
    """

    scores: pl.DataFrame
    cause_scores: pl.DataFrame
    evaluations: pl.DataFrame
    km_curve: pl.DataFrame
    incidence: pl.DataFrame
    cox_summary: pl.DataFrame
    ph_test: pl.DataFrame
    refused: pl.DataFrame
    winner: str
    notes: tuple[str, ...]
    metrics: dict[str, Any]


@dataclass(frozen=True)
class _Fit:
    """How the running contracts' steps of p_churn came about."""

    steps: Floats
    causes: CauseModel
    evaluation: Evaluation | None
    cox_summary: pl.DataFrame
    ph_test: pl.DataFrame
    refused: pl.DataFrame
    notes: tuple[str, ...]


@on_one_thread()
def fit_contracts(contracts: pl.DataFrame, *, spec: ContractSpec) -> ContractNight:
    """p_churn within the horizon of whoever is under contract at as_of, and what it rests on.

    `contracts`: one row per subscription visible at as_of: user_sk, user_id, started_on, ended_on (null = running; ends
    after as_of masked), end_reason?, observed_from? (known only since then), and attributes (words or numbers, as
    known while the contract ran). p_churn is per user: that at least one running contract ends. Whether the user
    then has none left, or comes back, is not asked here. Fewer than 100 ended contracts give everyone the rate
    of all, and a note. Neither rows' order nor user_sk matters. Raises DataQualityError: see `measure_spans`.
    """
    spans = with_causes(measure_spans(contracts, as_of=spec.as_of, unit=spec.unit))
    running, seen = running_contracts(spans), observed(spans)
    shortfall = _shortfall(seen, spec=spec)
    fit = _refused_fit(seen, running, shortfall, spec=spec) if shortfall else _fit(seen, running, spec=spec)
    horizon = horizon_units(spec.horizon_days, unit=spec.unit)
    scores = score_users(running, fit.steps)
    winner = fit.evaluation.winner if fit.evaluation else STAND_IN
    evaluations = fit.evaluation.table if fit.evaluation else EVALUATION_SCHEMA.to_frame()
    night = {
        "evaluations": evaluations,
        "cox_summary": fit.cox_summary,
        "ph_test": fit.ph_test,
        "refused": fit.refused,
    }
    return ContractNight(
        scores=scores,
        cause_scores=score_causes(running, fit.steps, model=fit.causes, horizon=horizon)
        if running.height
        else CAUSE_SCORE_SCHEMA.to_frame(),
        km_curve=kaplan_meier(seen) if seen.height else CURVE_SCHEMA.to_frame(),
        incidence=cumulative_incidence(seen) if seen.height else INCIDENCE_SCHEMA.to_frame(),
        winner=winner,
        notes=fit.notes,
        metrics=_metrics(spans, scores, night, winner=winner, notes=fit.notes, spec=spec),
        **night,
    )


def _shortfall(seen: pl.DataFrame, *, spec: ContractSpec) -> str | None:
    n_ends = int(seen["event"].sum())
    if n_ends < FEWEST_ENDS:
        return f"Only {n_ends} contracts have ended, a churn model needs {FEWEST_ENDS}"
    n_users = seen["user_id"].n_unique()
    if n_users < spec.n_folds * FEWEST_USERS_PER_FOLD:
        return f"Only {n_users} users had a contract, too few to judge a churn model on"
    return None


def _refused_fit(seen: pl.DataFrame, running: pl.DataFrame, shortfall: str, *, spec: ContractSpec) -> _Fit:
    # a Gamma prior of half an end: no end yet is no proof that none will come
    exposure = float((seen["duration"] - seen["entry"]).sum())
    horizon = horizon_units(spec.horizon_days, unit=spec.unit)
    rate = (float(seen["event"].sum()) + 0.5) / max(exposure, horizon)
    note = f"{shortfall}: until then every contract has the same chance to end, that of all so far."
    steps = constant_steps(running, rate=rate, horizon=horizon)
    causes = CauseModel(("unknown",))
    return _Fit(steps, causes, None, COX_SCHEMA.to_frame(), PH_SCHEMA.to_frame(), REFUSED_SCHEMA.to_frame(), (note,))


def _fit(seen: pl.DataFrame, running: pl.DataFrame, *, spec: ContractSpec) -> _Fit:
    sampled = _sampled(seen, most=spec.max_contracts, seed=spec.seed)
    judged = _to_judge_on(sampled, spec=spec)
    refused = refused_covariates(seen, seed=spec.seed)
    columns = tuple(name for name in covariates_of(seen) if name not in set(refused["column"]))
    summary, ph_test = _readable_cox(sampled, columns)
    recipe = Recipe(columns, _strata_column(sampled, columns, ph_test, spec=spec), spec.unit, spec.seed)
    evaluation = evaluate_candidates(
        judged,
        recipe=recipe,
        judging=_judging(judged, spec=spec),
        names=_candidates(sampled, spec=spec),
    )
    model = fit_candidate(sampled, name=evaluation.winner, recipe=recipe)
    steps = churn_probabilities(model, running, horizon=horizon_units(spec.horizon_days, unit=spec.unit))
    notes = _notes(evaluation, refused, ph_test, recipe=recipe)
    return _Fit(steps, fit_causes(sampled, columns), evaluation, summary, ph_test, refused, notes)


def _to_judge_on(sampled: pl.DataFrame, *, spec: ContractSpec) -> pl.DataFrame:
    """`max_judged` of the contracts; all of them where so few would have too few ends."""
    drawn = _sampled(sampled, most=spec.max_judged, seed=spec.seed)
    return drawn if int(drawn["event"].sum()) >= FEWEST_JUDGED_ENDS else sampled


def _sampled(seen: pl.DataFrame, *, most: int, seed: int) -> pl.DataFrame:
    users = seen["user_id"].unique().sort()
    share = most / max(1, seen.height)
    if share >= 1:
        return seen
    drawn = users.sample(max(1, int(len(users) * share)), seed=seed)
    return seen.filter(pl.col("user_id").is_in(drawn.implode()))


def _readable_cox(seen: pl.DataFrame, columns: tuple[str, ...]) -> tuple[pl.DataFrame, pl.DataFrame]:
    try:
        model = fit_cox(seen, columns)
    except ModelFitError:
        return COX_SCHEMA.to_frame(), PH_SCHEMA.to_frame()
    return _cox_summary(model), proportional_hazards_test(seen, model)


def _cox_summary(model: CoxModel) -> pl.DataFrame:
    summary = model.fitter.summary
    sources = ("coef", "exp(coef)", "exp(coef) lower 95%", "exp(coef) upper 95%", "p")
    figures = {
        name: summary[source].to_numpy(dtype=float)
        for name, source in zip(("coef", "hr", "low", "high", "p"), sources, strict=True)
    }
    return pl.DataFrame({"covariate": [term.name for term in model.terms], **figures}, schema=COX_SCHEMA)


def _strata_column(
    seen: pl.DataFrame, columns: tuple[str, ...], ph_test: pl.DataFrame, *, spec: ContractSpec
) -> str | None:
    """The plan if there are several; else the words whose hazard ratios change most over tenure, if any do."""
    if spec.plan_column in columns and seen[spec.plan_column].drop_nulls().n_unique() > 1:
        return spec.plan_column
    words = [name for name in columns if as_numbers(seen[name]) is None]
    changing = ph_test.filter(pl.col("is_violated") & pl.col("column").is_in(words))
    return changing["column"][0] if changing.height else None


def _judging(seen: pl.DataFrame, *, spec: ContractSpec) -> Judging:
    horizon = horizon_units(spec.horizon_days, unit=spec.unit)
    longest = float(seen["duration"].max())  # type: ignore[arg-type]
    return Judging(
        grid=spec.grid or default_grid(seen),
        calibrate_at=min(spec.calibrate_at or max(1.0, round(horizon)), longest),
        n_folds=spec.n_folds,
        seed=spec.seed,
    )


def _candidates(seen: pl.DataFrame, *, spec: ContractSpec) -> tuple[str, ...]:
    """Without the season where starts or ends span less than a year: there it would only mark the night itself."""
    days = 1.0 if spec.unit == "day" else 365.25 / 12
    end_day = seen["contract_on"].cast(pl.Int32).cast(pl.Float64) + seen["duration"] * days
    ends = end_day.filter(seen["event"])
    starts = seen["contract_on"].cast(pl.Int32)
    spread = min(float(ends.max() - ends.min()), float(starts.max() - starts.min()))  # type: ignore[operator, arg-type]
    is_seasonal = spec.has_calendar and spread > SEASON_DAYS
    return tuple(name for name in spec.candidates if is_seasonal or name != "hazard_seasonal")


def _notes(evaluation: Evaluation, refused: pl.DataFrame, ph_test: pl.DataFrame, *, recipe: Recipe) -> tuple[str, ...]:
    shipped = f"p_churn comes from the {WORDING[evaluation.winner]} ({evaluation.winner}): {evaluation.reason}."
    kept_out = [f"{row['column']} was refused as a covariate: {row['reason']}." for row in refused.to_dicts()]
    failed = evaluation.table.drop_nulls("note").select("candidate", "note").iter_rows()
    changing = ph_test.filter("is_violated")["covariate"].to_list()
    said = [f"The effect of {', '.join(changing[:3])} changes over tenure, so a plain Cox model is only a summary."]
    strata = [f"Effects and baselines are by {recipe.strata_by} where a model is stratified."]
    return (
        shipped,
        *kept_out,
        *(said if changing else []),
        *(strata if recipe.strata_by else []),
        *(f"{WORDING[name]} left out: {why}." for name, why in failed),
    )


def _metrics(
    spans: pl.DataFrame,
    scores: pl.DataFrame,
    night: dict[str, pl.DataFrame],
    *,
    winner: str,
    notes: tuple[str, ...],
    spec: ContractSpec,
) -> dict[str, Any]:
    ends = spans.filter("event")
    figures = {row.pop("candidate"): row for row in night["evaluations"].to_dicts()}
    ready: dict[str, Any] = json_ready(
        {
            "as_of": spec.as_of.isoformat(),
            "horizon_days": spec.horizon_days,
            "unit": spec.unit,
            "winner": winner,
            "is_refused": winner == STAND_IN,
            "n_contracts": int(spans["is_last"].sum()),
            "n_ended": ends.height,
            "n_running": int((spans["is_running"] & spans["is_last"]).sum()),
            "n_users_scored": scores.height,
            "expected_churners": float(scores["p_churn"].sum()),
            "n_ended_by_cause": dict(sorted(ends["cause"].value_counts().iter_rows())),
            "refused_covariates": night["refused"].to_dicts(),
            "proportional_hazards": night["ph_test"].to_dicts(),
            "candidates": figures,
            "notes": list(notes),
        }
    )
    return ready
