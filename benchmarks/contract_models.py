"""Contractual churn on IBM Telco: `python -m benchmarks.contract_models` prints each bar, met or not.

Five folds by seed 42, integrated Brier score over months 1 to 70, references beside ours in the same run. Telco knows
months of tenure and no dates: contracts are dated back from one day, and no season is sought. Eleven customers
in their first month (tenure 0) have no observed time: they are scored, not learnt from.
"""

import os
import sys
import time
import warnings
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.bars import Verdict, level_verdict, show_verdicts
from benchmarks.measure import REPOSITORY
from dagster_project.models.contracts.curves import arrays
from dagster_project.models.contracts.design import Floats, plan_terms, terms_matrix
from dagster_project.models.contracts.durations import measure_spans, observed
from dagster_project.models.contracts.evaluation import (
    binned_calibration,
    calibration_index,
    integrated_brier,
    user_folds,
)
from dagster_project.models.contracts.leakage import covariates_of, refused_covariates
from dagster_project.models.contracts.night import ContractNight, ContractSpec, fit_contracts
from dagster_project.models.contracts.ranking import concordance

FILE = Path("ibm_telco") / "telco.csv"
AS_OF = date(2020, 1, 1)
GRID = tuple(range(1, 71))
MONTHS_CALIBRATED = 12
# GPL-3, and of use to this script alone: no dependency. Its metadata ask for scikit-learn >= 1.9, < 1.10, as we do
HOW_TO_GET_IT = "the extra dev brings it"
LEAST_CONCORDANCE, MOST_IBS, MOST_CALIBRATION_ERROR = 0.865, 0.0812, 0.019
SPEC = ContractSpec(
    as_of=AS_OF,
    horizon_days=30,
    unit="month",
    plan_column="Contract",
    grid=GRID,
    calibrate_at=MONTHS_CALIBRATED,
    has_calendar=False,
)


def main() -> int:
    """Run it. The exit code is 1 if a bar is missed, 2 if the data are not there."""
    folder = Path(os.environ.get("WINBACK_REAL_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (folder / FILE).exists():
        print(f"NOT MEASURED: {folder / FILE} is not there; set WINBACK_REAL_DATA", file=sys.stderr)
        return 2
    contracts = telco_contracts(folder / FILE)
    started = time.perf_counter()
    night = fit_contracts(contracts, spec=SPEC)
    print(f"## Telco, {SPEC.n_folds} folds, {time.perf_counter() - started:.0f} s\n")
    print_candidates(night)
    for name, figures in references(contracts.drop("TotalCharges")):
        print(row_of(f"reference: {name}", figures))
    print()
    for note in night.notes:
        print(f"- {note}")
    print()
    return 0 if show_verdicts([*figure_bars(night), *leakage_bars(contracts, night)]) else 1


def telco_contracts(path: Path) -> pl.DataFrame:
    """Telco as contracts dated back from `AS_OF`; TotalCharges included, since it must be found."""
    raw = pl.read_csv(path, schema_overrides={"TotalCharges": pl.String}).with_row_index("user_sk")
    attributes = [name for name in raw.columns if name not in ("user_sk", "customerID", "tenure", "Churn")]
    return raw.select(
        pl.col("user_sk").cast(pl.Int64),
        pl.col("customerID").alias("user_id"),
        pl.lit(AS_OF).dt.offset_by(pl.format("-{}mo", "tenure")).alias("started_on"),
        pl.when(pl.col("Churn") == "Yes").then(pl.lit(AS_OF)).alias("ended_on"),
        *attributes,
    )


def print_candidates(night: ContractNight) -> None:
    """One line per candidate, the one that ships marked."""
    print("| model | Harrell c | IBS 1-70 | ICI 12 months | ten-bin error 12 months |\n|---|---:|---:|---:|---:|")
    for row in night.evaluations.to_dicts():
        if row["ibs"] is None:
            print(f"| {row['candidate']}: {row['note']} | | | | |")
            continue
        figures = [row[name] for name in ("concordance", "ibs", "calibration_index", "calibration_error")]
        print(row_of(row["candidate"] + (" (ships)" if row["is_winner"] else ""), figures))


def row_of(name: str, figures: list[float]) -> str:
    """A line of the table."""
    return f"| {name} | " + " | ".join(f"{figure:.4f}" for figure in figures) + " |"


def references(contracts: pl.DataFrame) -> Iterator[tuple[str, list[float]]]:
    """Libraries as their documentation uses them, on the same folds: fold means of c, IBS, ICI."""
    rows = observed(measure_spans(contracts, as_of=AS_OF, unit="month"))
    columns = tuple(covariates_of(rows))
    for name, survival_of in (
        ("lifelines Kaplan-Meier", lifelines_kaplan_meier),
        ("lifelines Cox", lifelines_cox),
        ("scikit-survival random forest", sksurv_forest),
    ):
        try:
            figures = []
            for learn, test in user_folds(rows, n_folds=SPEC.n_folds, seed=SPEC.seed):
                terms = plan_terms(learn, columns, is_curved=False)
                survival = survival_of(learn, terms_matrix(learn, terms), terms_matrix(test, terms))
                figures.append(judged(learn, test, np.broadcast_to(survival, (test.height, len(GRID)))))
            yield name, np.mean(figures, axis=0).tolist()
        except ImportError:
            print(f"| reference: {name}: not installed ({HOW_TO_GET_IT}) | | | | |")


def judged(learn: pl.DataFrame, test: pl.DataFrame, survival: Floats) -> list[float]:
    """c, IBS, ICI and ten-bin error of survival curves on the grid."""
    at = -np.log(np.clip(survival[:, MONTHS_CALIBRATED - 1], 1e-9, 1))
    return [
        concordance(*arrays(test), -survival.mean(axis=1)),
        integrated_brier(learn, test, survival, grid=GRID),
        calibration_index(test, at, at=MONTHS_CALIBRATED),
        binned_calibration(test, at, at=MONTHS_CALIBRATED),
    ]


def lifelines_kaplan_meier(learn: pl.DataFrame, _learn_x: Floats, _test_x: Floats) -> Floats:
    """One curve for all."""
    from lifelines import KaplanMeierFitter

    fitter = KaplanMeierFitter().fit(learn["duration"].to_numpy(), learn["event"].to_numpy())
    curve: Floats = fitter.predict(list(GRID)).to_numpy()
    return curve


def lifelines_cox(learn: pl.DataFrame, learn_x: Floats, test_x: Floats) -> Floats:
    """Plain Cox with the penalty that its documentation advises against collinearity."""
    import pandas as pd
    from lifelines import CoxPHFitter

    table = pd.DataFrame(learn_x).add_prefix("x")
    table["T"], table["E"] = learn["duration"].to_numpy(), learn["event"].to_numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitter = CoxPHFitter(penalizer=0.001).fit(table, "T", "E")
        curves: Floats = fitter.predict_survival_function(pd.DataFrame(test_x).add_prefix("x"), times=GRID).T.to_numpy()
    return curves


def sksurv_forest(learn: pl.DataFrame, learn_x: Floats, test_x: Floats) -> Floats:
    """A random survival forest of 100 trees."""
    from sksurv.ensemble import RandomSurvivalForest
    from sksurv.util import Surv

    outcome = Surv.from_arrays(learn["event"].to_numpy(), learn["duration"].to_numpy())
    forest = RandomSurvivalForest(n_estimators=100, min_samples_leaf=20, random_state=42, n_jobs=2)
    steps = forest.fit(learn_x, outcome).predict_survival_function(test_x)
    return np.asarray([step(np.asarray(GRID)) for step in steps])


def figure_bars(night: ContractNight) -> Iterator[Verdict]:
    """The figures of the model that ships."""
    (row,) = night.evaluations.filter("is_winner").to_dicts()
    name = row["candidate"]
    yield level_verdict(f"{name}: Harrell's c", row["concordance"], low=LEAST_CONCORDANCE)
    yield level_verdict(f"{name}: integrated Brier score", row["ibs"], high=MOST_IBS)
    for figure, wording in (("calibration_index", "calibration index"), ("calibration_error", "ten-bin error")):
        yield level_verdict(f"{name}: {wording} at 12 months", row[figure], high=MOST_CALIBRATION_ERROR)


def leakage_bars(contracts: pl.DataFrame, night: ContractNight) -> Iterator[Verdict]:
    """TotalCharges refused and nothing else; tenure itself refused when it is offered."""
    refused = night.refused["column"].to_list()
    with_tenure = measure_spans(contracts, as_of=AS_OF, unit="month").with_columns(tenure="duration")
    is_tenure_refused = "tenure" in refused_covariates(with_tenure, seed=SPEC.seed)["column"]
    yield level_verdict("TotalCharges refused (1 = yes)", float("TotalCharges" in refused), low=1)
    yield level_verdict("honest columns refused", float(len(set(refused) - {"TotalCharges"})), high=0)
    yield level_verdict("tenure refused when offered (1 = yes)", float(is_tenure_refused), low=1)


if __name__ == "__main__":
    sys.exit(main())
