from collections.abc import Callable
from functools import cache

import numpy as np
import polars as pl
import pytest

from dagster_project.models.contracts.curves import arrays
from dagster_project.models.contracts.durations import measure_spans, observed
from dagster_project.models.contracts.evaluation import EVALUATION_SCHEMA, Judging, choose, evaluate_candidates
from dagster_project.models.contracts.hazards import Periods, person_periods
from dagster_project.models.contracts.models import CANDIDATES, Recipe, SurvivalModel, fit_candidate
from dagster_project.models.contracts.proportionality import proportional_hazards_test
from dagster_project.models.contracts.ranking import concordance
from dagster_project.models.contracts.regressions import crossed_matrix, fit_cox

from .simulated import AS_OF, true_churn, weibull_contracts

COLUMNS = ("noise", "plan", "price", "strain")
RECIPE = Recipe(COLUMNS, "plan", "day", 1)


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    return observed(measure_spans(weibull_contracts(2000), as_of=AS_OF))


@pytest.fixture(scope="module")
def fitted(rows: pl.DataFrame) -> Callable[[str], SurvivalModel]:
    return cache(lambda name: fit_candidate(rows, name=name, recipe=RECIPE))


@pytest.mark.parametrize("name", CANDIDATES[1:])
def test_every_candidate_recovers_the_true_order_and_level(
    rows: pl.DataFrame, fitted: Callable[[str], SurvivalModel], name: str
) -> None:
    model = fitted(name)
    tenure = np.full(rows.height, 100.0)
    hazard = model.cumulative_hazard(rows, np.asarray([[100.0, 160.0]]))
    p = 1 - np.exp(hazard[:, 0] - hazard[:, 1])
    truth = true_churn(rows["strain"].to_numpy(), (rows["plan"] == "long").to_numpy(), tenure, horizon=60)
    assert np.corrcoef(p, truth)[0, 1] > 0.93
    assert p.mean() == pytest.approx(truth.mean(), abs=0.03)
    assert concordance(*arrays(rows), model.cumulative_hazard(rows, np.asarray([[200.0]]))[:, 0]) > 0.72


@pytest.mark.parametrize("name", CANDIDATES)
def test_hazards_never_fall_and_go_on_past_the_longest_tenure(
    rows: pl.DataFrame, fitted: Callable[[str], SurvivalModel], name: str
) -> None:
    model = fitted(name)
    hazard = model.cumulative_hazard(rows.head(50), np.asarray([[0.0, 1.0, 50.5, 300.0, 599.0, 700.0, 1000.0]]))
    assert np.isfinite(hazard).all()
    assert (np.diff(hazard, axis=1) >= 0).all()
    assert (hazard[:, -1] > hazard[:, -3]).all()


def test_cox_finds_the_effects(rows: pl.DataFrame) -> None:
    model = fit_cox(rows, COLUMNS)
    found = dict(zip((term.name for term in model.terms), model.coefficients, strict=True))
    assert found["strain"] == pytest.approx(1.0, abs=0.1)
    assert found["plan = long"] == pytest.approx(-1.1, abs=0.2)
    assert abs(found["noise"]) < 0.1


def test_stratified_cox_gives_each_row_the_curve_of_its_own_stratum(rows: pl.DataFrame) -> None:
    model = fit_cox(rows, COLUMNS, strata_by="plan")
    together = model.cumulative_hazard(rows.head(40), np.asarray([[150.0]]))[:, 0]
    alone = [model.cumulative_hazard(rows[i], np.asarray([[150.0]]))[0, 0] for i in range(40)]
    assert together.tolist() == pytest.approx(alone)


def test_the_schoenfeld_test_equals_lifelines_without_late_entry(rows: pl.DataFrame) -> None:
    import pandas as pd
    from lifelines.statistics import proportional_hazard_test

    few = rows.head(400)
    model = fit_cox(few, COLUMNS)
    matrix = crossed_matrix(few, model.terms, None)
    table = pd.DataFrame(matrix, columns=[f"x{i}" for i in range(matrix.shape[1])])
    table["duration"], table["event"] = few["duration"].to_numpy(), few["event"].to_numpy()
    theirs = proportional_hazard_test(model.fitter, table, time_transform="rank").test_statistic.tolist()
    ours = proportional_hazards_test(few, model).sort("covariate")["statistic"].to_list()
    names = [term.name for term in model.terms]
    assert ours == pytest.approx([theirs[names.index(name)] for name in sorted(names)], rel=0.15, abs=0.15)


def test_person_periods_weigh_what_was_seen_of_them() -> None:
    rows = pl.DataFrame({"entry": [0, 3], "duration": [5, 8], "event": [False, True]})
    cut = person_periods(rows, Periods(4, 2), most=100, seed=1)
    assert cut.row.tolist() == [0, 0, 1, 1]
    assert cut.period.tolist() == [0, 1, 0, 1]
    assert cut.ended.tolist() == [False, False, False, True]
    assert cut.weight.tolist() == [1.0, 0.25, 0.25, 1.0]


def test_of_equals_the_simpler_ships() -> None:
    plain, rich = np.full((5, 5), 0.1), np.full((5, 5), 0.1)
    rich[:, 0] = 0.0998
    assert choose({"cox": plain, "hazard_logistic": rich})[0] == "cox"
    rich[:, 0] = 0.09
    assert choose({"cox": plain, "hazard_logistic": rich})[0] == "hazard_logistic"


def test_a_candidate_that_cannot_be_fitted_is_told_beside_the_others(rows: pl.DataFrame) -> None:
    found = evaluate_candidates(
        rows,
        recipe=Recipe(COLUMNS, None, "day", 1),
        judging=Judging(grid=(30, 60, 90), calibrate_at=60.0, n_folds=2, seed=1),
        names=("kaplan_meier", "cox_stratified"),
    )
    assert found.table.schema == EVALUATION_SCHEMA
    assert found.table.row(1) == (
        *("cox_stratified", False, None, None, None, None, None, None, 0),
        "there is no column to stratify by",
    )
