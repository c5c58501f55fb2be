"""What will come of every running contract, where there are subscriptions."""

import json
from collections.abc import Mapping
from datetime import date

import dagster as dg
import polars as pl

from dagster_project.defs.frame_tables import frame_assets
from dagster_project.lifecycle.tables import PARAMETERS
from dagster_project.models.contracts.attributes import with_attributes
from dagster_project.models.contracts.night import ContractSpec, fit_contracts
from dagster_project.models.contracts.tables import TABLES
from dagster_project.project import Project

FIELD_OF_TABLE = {
    "models.contract_scores": "scores",
    "models.contract_cause_scores": "cause_scores",
    "models.contract_evaluations": "evaluations",
    "models.contract_survival": "km_curve",
    "models.contract_incidence": "incidence",
    "models.contract_cox_summary": "cox_summary",
    "models.contract_proportionality": "ph_test",
    "models.contract_refused_columns": "refused",
}


def make_contracts(project: Project, as_of: date) -> Mapping[str, pl.DataFrame]:
    """Fit, judge, choose and score; without subscriptions every table is empty and says so."""
    contracts = with_attributes(project.read("marts.contracts", as_of=as_of).drop("row_hash"))
    spec = ContractSpec(as_of=as_of, horizon_days=project.rules(as_of).horizon_days, seed=project.settings.seed)
    night = fit_contracts(contracts, spec=spec)
    verdict = pl.DataFrame(
        {
            "as_of": [as_of],
            "winner": [night.winner if contracts.height else "none"],
            "notes": [json.dumps(night.notes if contracts.height else [], ensure_ascii=False)],
            "metrics": [json.dumps(night.metrics, ensure_ascii=False, sort_keys=True)],
        }
    )
    made = {table: getattr(night, field) for table, field in FIELD_OF_TABLE.items()}
    return {**made, "models.contract_verdicts": verdict}


def evaluation_facts(evaluations: pl.DataFrame) -> dict[str, float]:
    """The figures of the winner, whose history the UI plots."""
    winner = evaluations.filter("is_winner").to_dicts()
    measures = ("ibs", "concordance", "calibration_error", "observed_over_expected")
    return {f"winner {m}": row[m] for row in winner for m in measures if row[m] is not None}


@dg.definitions
def contracts() -> dg.Definitions:
    """Every table of contracts."""
    assets = frame_assets(
        TABLES,
        make_contracts,
        reads=["marts.contracts", PARAMETERS],
        facts={"models.contract_evaluations": evaluation_facts},
    )
    return dg.Definitions(assets=[assets])
