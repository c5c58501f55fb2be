"""What an active day of a user is worth in money, given how much their past ones brought: Gamma-Gamma."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

WINSOR_QUANTILE = 0.995  # of spend per active day: one wholesale order must not set what everyone is worth
FEWEST_SPENDERS = 20  # three parameters want more; below it everyone is drawn to the mean
PLAIN_PRIOR_DAYS = 4.0  # the weight of the mean there
LOG_BOUNDS = (-5.0, 5.0)
SMALLEST_EXCESS = 0.05  # q must pass 1 for the population to have a mean at all


@dataclass(frozen=True)
class Spend:
    """A fitted Gamma-Gamma: spends of a user Gamma(p, ν), ν over users Gamma(q, rate `scale`).

    What a user is believed to spend on an active day is (`prior_days` × `mean` + days × own mean) ÷
    (`prior_days` + days). `largest`: own means above it are taken for it.
    """

    p: float
    q: float
    scale: float
    mean: float
    prior_days: float
    largest: float

    def per_active_day(self, own_mean: Floats, n_days: Floats) -> Floats:
        """Posterior mean per row; NaN in `own_mean` = nothing known. From 0 to the largest believed (or the mean)."""
        known = np.isfinite(own_mean)
        own = np.clip(np.where(known, own_mean, self.mean), 0.0, self.largest)
        days = np.where(known, np.maximum(n_days, 0.0), 0.0)
        return np.asarray((self.prior_days * self.mean + days * own) / (self.prior_days + days))


def fit_spend(own_mean: Floats, n_days: Floats) -> Spend:
    """Gamma-Gamma by maximum likelihood on the users whose mean spend per active day is above zero.

    Own means are winsorised at their .995 quantile (the next lower value, so that the largest of few
    never counts). Users whose refunds ate all they paid tell nothing of what they pay when they pay;
    they lower `mean`'s use through their own mean of 0. NaN = unknown. Nobody above zero: all
    expectations are 0. Fewer than 20 spenders, or all alike: the mean with the weight of four days.
    Source: Fader & Hardie 2013, The Gamma-Gamma Model of Monetary Value.
    """
    paid = np.isfinite(own_mean) & (own_mean > 0) & (n_days > 0)
    if not paid.any():
        return Spend(1.0, 2.0, 0.0, 0.0, PLAIN_PRIOR_DAYS, 0.0)
    largest = float(np.quantile(own_mean[paid], WINSOR_QUANTILE, method="lower"))
    own, days = np.minimum(own_mean[paid], largest), n_days[paid]
    if paid.sum() < FEWEST_SPENDERS or np.ptp(own) <= 1e-9 * largest:
        mean = float(own.mean())
        return Spend(1.0, 1 + PLAIN_PRIOR_DAYS, mean * PLAIN_PRIOR_DAYS, mean, PLAIN_PRIOR_DAYS, largest)
    p, q, scale = _maximum_likelihood(own, days)
    return Spend(p, q, scale, mean=min(scale * p / (q - 1), largest), prior_days=(q - 1) / p, largest=largest)


def _maximum_likelihood(own: Floats, days: Floats) -> tuple[float, float, float]:
    from scipy.optimize import minimize

    unit = float(np.median(own))
    rows, number = np.unique(np.column_stack([days, np.round(own / unit, 4)]), axis=0, return_counts=True)
    n, z = rows[:, 0], np.maximum(rows[:, 1], 1e-4)

    def loss(logs: Floats) -> float:
        p, q, scale = np.exp(logs[0]), 1 + SMALLEST_EXCESS + np.exp(logs[1]), np.exp(logs[2])
        return -float(number @ _log_likelihood(n, z, p=p, q=q, scale=scale)) / len(own)

    logs = minimize(loss, np.log([2.0, 1.0, 1.0]), method="L-BFGS-B", bounds=[LOG_BOUNDS] * 3).x
    return float(np.exp(logs[0])), float(1 + SMALLEST_EXCESS + np.exp(logs[1])), float(np.exp(logs[2]) * unit)


def _log_likelihood(n: Floats, z: Floats, *, p: float, q: float, scale: float) -> Floats:
    from scipy.special import gammaln

    return np.asarray(
        gammaln(p * n + q)
        - gammaln(p * n)
        - gammaln(q)
        + q * np.log(scale)
        + (p * n - 1) * np.log(z)
        + p * n * np.log(n)
        - (p * n + q) * np.log(scale + n * z)
    )
