"""Exchangeable users whose next-window activity follows a known logistic truth."""

from datetime import date, timedelta

import numpy as np
import polars as pl

AS_OF = date(2024, 6, 1)
HORIZON_DAYS = 28
OUTCOMES = ("cutoff", "is_active", "n_active_days_next", "amount_next", "next_active_in_days", "follow_up_days")


def true_probability(users: pl.DataFrame, *, interest_effect: float) -> np.ndarray:
    """P(active) = logistic(1.5 - 0.8 log(1 + silence) + effect × interest)."""
    silence, interest = users["silence_days"].to_numpy(), users["interest"].to_numpy()
    return 1 / (1 + np.exp(-(1.5 - 0.8 * np.log1p(silence) + interest_effect * interest)))


def snapshot(n: int, *, cutoff: date, interest_effect: float = 0.0, seed: int = 1) -> pl.DataFrame:
    """One row per user at `cutoff` with outcomes; 20 money a day active, the first day any in the window."""
    rng = np.random.default_rng([seed, cutoff.toordinal()])
    n_active_days = rng.poisson(3, n) + 1
    users = pl.DataFrame(
        {
            "user_sk": rng.permutation(n),
            "user_id": [f"u{i:05d}" for i in range(n)],
            "silence_days": np.exp(rng.normal(3.0, 1.2, n)).astype(np.int64),
            "n_active_days": n_active_days,
            "tenure_days": n_active_days * 40,
            "interest": rng.normal(size=n),
            "amount_per_active_day": np.full(n, 20.0),
        }
    )
    is_active = rng.random(n) < true_probability(users, interest_effect=interest_effect)
    waits = rng.integers(1, HORIZON_DAYS + 1, n)
    n_days = np.where(is_active, 1 + rng.poisson(1.0, n), 0)
    return users.with_columns(
        is_lapsed=pl.col("silence_days") > 30,
        cutoff=pl.lit(cutoff),
        is_active=pl.Series(is_active),
        n_active_days_next=pl.Series(n_days),
        amount_next=pl.Series(n_days * 20.0),
        next_active_in_days=pl.Series(
            [int(day) if active else None for day, active in zip(waits, is_active, strict=True)], dtype=pl.Int32
        ),
        follow_up_days=pl.lit(HORIZON_DAYS, dtype=pl.Int32),
    )


def training_frame(n: int, *, interest_effect: float = 0.0, n_cutoffs: int = 4) -> pl.DataFrame:
    """`n` users at each of `n_cutoffs` cutoffs, half a horizon apart, the newest window just closed."""
    newest = AS_OF - timedelta(days=HORIZON_DAYS)
    return pl.concat(
        snapshot(n, cutoff=newest - timedelta(days=14 * i), interest_effect=interest_effect) for i in range(n_cutoffs)
    )


def users_now(n: int, *, interest_effect: float = 0.0) -> pl.DataFrame:
    """Tonight's features: no outcomes."""
    return snapshot(n, cutoff=AS_OF, interest_effect=interest_effect).drop(OUTCOMES)


def stages_of(users: pl.DataFrame) -> pl.DataFrame:
    """Everyone silent for more than 30 days counts as churned."""
    return users.select(
        "user_sk",
        "user_id",
        stage=pl.when("is_lapsed").then(pl.lit("churned_mid")).otherwise(pl.lit("active")),
        is_churned="is_lapsed",
        usual_gap_days=pl.lit(12.0),
    )


def spells_frame(n: int, *, seed: int = 3) -> pl.DataFrame:
    """Lapsed users whose daily hazard of return is 1 / silence, followed for 84 days."""
    rng = np.random.default_rng(seed)
    silence = rng.integers(30, 200, n)
    wait = np.ceil(rng.exponential(silence)).astype(np.int64)
    return pl.DataFrame(
        {
            "user_id": [f"u{i:05d}" for i in range(n)],
            "stage": np.where(silence < 90, "churned_early", "churned_mid"),
            "duration_days": np.minimum(wait, 84),
            "returned": wait <= 84,
            "silence_days": silence,
            "n_active_days": rng.poisson(3, n) + 1,
            "usual_gap_days": rng.gamma(3, 4, n),
        }
    )
