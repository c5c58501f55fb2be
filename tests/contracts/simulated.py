"""Contracts whose truth is known: Weibull lives, one honest covariate that shortens them, one that does nothing."""

from datetime import date, timedelta

import numpy as np
import polars as pl

AS_OF = date(2024, 12, 31)


def weibull_contracts(
    n: int, *, seed: int = 1, effect: float = 1.0, shape: float = 1.3, scale: float = 300.0
) -> pl.DataFrame:
    """Started over 600 days; log hazard grows by `effect` per unit of `strain`; the plan "long" has a third of it."""
    rng = np.random.default_rng(seed)
    strain, noise = rng.normal(size=n), rng.normal(size=n)
    is_long = rng.random(n) < 0.4
    log_hazard = effect * strain - 1.1 * is_long
    life = np.ceil(scale * (rng.exponential(size=n) / np.exp(log_hazard)) ** (1 / shape)).astype(int)
    age = rng.integers(1, 601, n)
    is_running = life > age
    cause = np.where(rng.random(n) < 0.3, "card_declined", "too_expensive")
    return pl.DataFrame(
        {
            "user_sk": rng.permutation(n),
            "user_id": [f"{i:06d}" for i in range(n)],
            "started_on": [AS_OF - timedelta(days=int(a)) for a in age],
            "ended_on": [
                None if running else AS_OF - timedelta(days=int(a - t))
                for a, t, running in zip(age, life, is_running, strict=True)
            ],
            "end_reason": [None if running else str(c) for c, running in zip(cause, is_running, strict=True)],
            "plan": np.where(is_long, "long", "short"),
            "price": np.round(10 + rng.gamma(2.0, 3.0, n), 2),
            "strain": strain,
            "noise": noise,
        }
    ).with_columns(pl.col("started_on", "ended_on").cast(pl.Date))


def true_churn(strain: np.ndarray, is_long: np.ndarray, tenure: np.ndarray, *, horizon: int) -> np.ndarray:
    """P(end within the horizon | running) under the defaults of `weibull_contracts`."""
    factor = np.exp(strain - 1.1 * is_long)
    return 1 - np.exp(factor * ((tenure / 300) ** 1.3 - ((tenure + horizon) / 300) ** 1.3))
