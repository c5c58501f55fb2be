"""Do hazard ratios stay the same over tenure? The scaled Schoenfeld test of a plain Cox model, late entry included."""

import numpy as np
import numpy.typing as npt
import polars as pl

from dagster_project.models.contracts.curves import arrays
from dagster_project.models.contracts.design import Floats
from dagster_project.models.contracts.regressions import CoxModel, crossed_matrix

Marks = npt.NDArray[np.bool_]

LEVEL = 0.05  # shared among the covariates (Bonferroni)

PH_SCHEMA = pl.Schema(
    {"covariate": pl.String, "column": pl.String, "statistic": pl.Float64, "p": pl.Float64, "is_violated": pl.Boolean}
)


def proportional_hazards_test(rows: pl.DataFrame, model: CoxModel) -> pl.DataFrame:
    """One row per covariate of a plain Cox model fitted to `rows`: chi-squared on 1 degree of freedom, strongest first.

    Small `p` = the hazard ratio changes with tenure; `is_violated` at 5 % shared among all. Against the rank of the
    end's tenure, as lifelines and with its formula (Grambsch and Therneau 1994); the residuals are our own since
    lifelines' ignore late entry and take quadratic time. With many contracts small changes are significant too.
    """
    from scipy.stats import chi2, rankdata

    matrix = crossed_matrix(rows, model.terms, None)
    tenure, residuals = schoenfeld_residuals(rows, matrix, model.coefficients)
    n_ends = len(tenure)
    scaled = n_ends * residuals @ model.fitter.variance_matrix_.to_numpy(dtype=float)
    rank = rankdata(tenure, method="ordinal")
    rank = rank - rank.mean()
    errors = model.fitter.standard_errors_.to_numpy(dtype=float)
    statistic = (rank @ scaled) ** 2 / (n_ends * errors**2 * (rank**2).sum())
    p = chi2.sf(statistic, 1)
    columns = {"covariate": [t.name for t in model.terms], "column": [t.column for t in model.terms]}
    figures = {"statistic": statistic, "p": p, "is_violated": p < LEVEL / max(1, len(p))}
    return pl.DataFrame(columns | figures, schema=PH_SCHEMA).sort(["statistic", "covariate"], descending=[True, False])


def schoenfeld_residuals(rows: pl.DataFrame, matrix: Floats, coefficients: Floats) -> tuple[Floats, Floats]:
    """(tenure of each end in ascending order, its covariates minus their mean at risk then); ties by Efron."""
    entry, duration, event = arrays(rows)
    centred = matrix - matrix.mean(axis=0)
    risk = np.exp(np.clip(centred @ coefficients, -30, 30))
    tenures: list[Floats] = []
    residuals: list[Floats] = []
    for end in np.unique(duration[event]):
        at_risk = (entry < end) & (duration >= end)
        ends = at_risk & event & (duration == end)
        mean = _efron_mean(centred, risk, at_risk=at_risk, ends=ends)
        residuals.append(centred[ends] - mean)
        tenures.append(np.full(int(ends.sum()), float(end)))
    return np.concatenate(tenures), np.concatenate(residuals)


def _efron_mean(matrix: Floats, risk: Floats, *, at_risk: Marks, ends: Marks) -> Floats:
    n_ends = int(ends.sum())
    taken = (np.arange(n_ends) / n_ends)[:, None]
    all_risk, all_sum = risk[at_risk].sum(), risk[at_risk] @ matrix[at_risk]
    end_risk, end_sum = risk[ends].sum(), risk[ends] @ matrix[ends]
    mean: Floats = ((all_sum - taken * end_sum) / (all_risk - taken * end_risk)).mean(axis=0)
    return mean
