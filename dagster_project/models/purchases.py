"""How many active days a user has ahead, from counts alone: what MBG/NBD expects. Its likelihood is in `btyd`."""

import numpy as np
import numpy.typing as npt
import polars as pl

from dagster_project.models.activity import CandidateError
from dagster_project.models.btyd import DAYS_PER_UNIT, Btyd, Counts, active_day_counts, fit_btyd, log_likelihood
from dagster_project.models.features import evenly_drawn

Floats = npt.NDArray[np.float64]

MOST_ROWS_TO_FIT = 30_000  # four parameters: more rows move them by less than what a new day does
N_QUANTILES = 16  # of the drop-out chance; 64 of them change a forecast by less than a hundredth
SMALLEST_CHANCE = 1e-9


def fit_purchases(features: pl.DataFrame) -> Btyd:
    """MBG/NBD on the active days of `features` (user_id, n_active_days, tenure_days, silence_days), one row per user.

    Where no likelihood can be had (nobody came twice), a pace of one active day in all the time
    watched and hardly any drop-out: expectations near nothing, which is what such a log says.
    """
    counts = active_day_counts(evenly_drawn(features, max_users=MOST_ROWS_TO_FIT))
    try:
        return fit_btyd(counts, drops_at_first=True)
    except CandidateError:
        return Btyd(r=1.0, alpha=max(1.0, float(counts.observed.sum())), a=0.01, b=1.0, drops_at_first=True)


def expected_days(model: Btyd, features: pl.DataFrame, *, horizon_days: int) -> Floats:
    """E[active days in the next H] per row of an MBG/NBD, drop-out included; from 0 to H.

    Given a user who is still there after x repeats, pace is Gamma(r + x, α + T) and the chance of
    dropping out after each active day Beta(a, b + x + 1); the mean over the pace of (1 - e^(-λpH)) / p
    is closed, that over p is taken at its equally likely quantiles. So no 2F1 is needed, which
    overflows for large x. Rows do not depend on one another: score in batches as large as memory allows.
    """
    counts = active_day_counts(features)
    within, shape = horizon_days / DAYS_PER_UNIT, model.r + counts.repeats
    mean = np.zeros(features.height)
    for chance in _drop_out_quantiles(model, counts.repeats):
        left = shape * np.log1p(chance * within / (model.alpha + counts.observed))
        mean += -np.expm1(-left) / chance / N_QUANTILES
    return np.clip(mean * p_alive(model, counts), 0.0, float(horizon_days))


def days_if_active(model: Btyd, features: pl.DataFrame, *, horizon_days: int) -> Floats:
    """E[active days in the next H | at least one] per row; from 1 to H."""
    p_active = model.p_active(active_day_counts(features), within=horizon_days / DAYS_PER_UNIT)
    expected = expected_days(model, features, horizon_days=horizon_days)
    return np.clip(expected / p_active, 1.0, float(horizon_days))


def p_alive(model: Btyd, counts: Counts) -> Floats:
    """P(not dropped out by the end of observation) under MBG/NBD. Never rank by it: see DESIGN §6."""
    from scipy.special import betaln, gammaln

    x = counts.repeats
    stays = (
        gammaln(model.r + x)
        - gammaln(model.r)
        + model.r * np.log(model.alpha)
        + betaln(model.a, model.b + x + 1)
        - betaln(model.a, model.b)
        - (model.r + x) * np.log(model.alpha + counts.observed)
    )
    return np.asarray(np.exp(np.minimum(stays - log_likelihood(model, counts), 0.0)))


def _drop_out_quantiles(model: Btyd, repeats: Floats) -> list[Floats]:
    from scipy.special import betaincinv

    counts, place = np.unique(repeats, return_inverse=True)
    middles = (np.arange(N_QUANTILES) + 0.5) / N_QUANTILES
    table = betaincinv(model.a, model.b + counts[:, None] + 1, middles[None, :])
    return [np.maximum(column, SMALLEST_CHANCE)[place] for column in table.T]
