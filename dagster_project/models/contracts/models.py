"""The candidates, simplest first, and one way to fit any of them."""

from dataclasses import dataclass
from typing import Protocol

import polars as pl

from dagster_project.models.contracts.design import Floats
from dagster_project.models.contracts.durations import Unit
from dagster_project.models.contracts.hazards import fit_boosted, fit_logistic
from dagster_project.models.contracts.regressions import ModelFitError, fit_aft, fit_cox, fit_kaplan_meier

# Simplest first: of two that do equally well the earlier ships.
CANDIDATES = (
    "kaplan_meier",
    "cox",
    "weibull_aft",
    "lognormal_aft",
    "cox_stratified",
    "hazard_logistic",
    "hazard_seasonal",
    "hazard_boosted",
)
WORDING = {
    "kaplan_meier": "Kaplan-Meier curve of all contracts",
    "cox": "Cox model",
    "weibull_aft": "Weibull model",
    "lognormal_aft": "log-normal model",
    "cox_stratified": "stratified Cox model",
    "hazard_logistic": "discrete hazard, logistic with curves of tenure",
    "hazard_seasonal": "discrete hazard, logistic with curves of tenure and the season",
    "hazard_boosted": "discrete hazard, boosted trees",
}


class SurvivalModel(Protocol):
    """What every candidate can do once it is fitted."""

    def cumulative_hazard(self, rows: pl.DataFrame, tenure: Floats) -> Floats:
        """-log P(still running at tenure): rows × tenures; `tenure` has one row, or one per row of `rows`."""


@dataclass(frozen=True)
class Recipe:
    """What the candidates are made of: covariates, the column of the strata if any, the unit of tenure."""

    columns: tuple[str, ...]
    strata_by: str | None
    unit: Unit
    seed: int


def fit_candidate(rows: pl.DataFrame, *, name: str, recipe: Recipe) -> SurvivalModel:
    """The candidate `name` learnt from `rows` (observed spans). Raises ModelFitError: it found no estimate."""
    if name == "kaplan_meier":
        return fit_kaplan_meier(rows)
    if name == "cox":
        return fit_cox(rows, recipe.columns)
    if name in ("weibull_aft", "lognormal_aft"):
        return fit_aft(rows, recipe.columns, kind=name)
    if name == "cox_stratified":
        if recipe.strata_by is None:
            raise ModelFitError("there is no column to stratify by", fix="no stratified model for these data")
        return fit_cox(rows, recipe.columns, strata_by=recipe.strata_by)
    if name == "hazard_boosted":
        return fit_boosted(rows, recipe.columns, seed=recipe.seed)
    return fit_logistic(
        rows,
        recipe.columns,
        strata_by=recipe.strata_by,
        unit=recipe.unit,
        has_season=name == "hazard_seasonal",
        seed=recipe.seed,
    )
