"""Users who do not exist, as rows of marts.user_features: as many as wanted, and what came of them at past cutoffs.

Nothing can be learnt from them but time and memory: they follow no law that a real log would.
"""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from dagster_project.lake.sql_model import load_models

FEATURES = "marts.user_features"
CHURNED_AFTER_DAYS = 120
HORIZON_DAYS = 60
Floats = npt.NDArray[np.float64]


def user_features(n_users: int, *, first: int, seed: int) -> pl.DataFrame:
    """`n_users` rows with every column of the real table filled, and `is_lapsed`; ids count up from `first`."""
    rng = np.random.default_rng([seed, first])
    tenure = rng.integers(1, 1_000, n_users)
    days = 1 + np.minimum(rng.negative_binomial(1, 0.15, n_users), tenure)
    silence = np.where(days > 1, (tenure * rng.beta(0.7, 1.4, n_users)).astype(np.int64), tenure)
    pace = days / (tenure + 1.0)
    gap = np.where(days > 1, (tenure - silence) / np.maximum(days - 1, 1), np.nan)
    known: dict[str, npt.NDArray[np.generic]] = {
        "silence_days": silence,
        "tenure_days": tenure,
        "recency_share": silence / np.maximum(tenure, 1),
        "n_active_days": days,
        "active_days_per_week": 7 * pace,
        "mean_gap_days": gap,
        "silence_per_gap": silence / np.where(gap > 0, gap, np.nan),
        "amount_per_active_day": rng.gamma(2.0, 10.0, n_users),
        **{f"n_active_days_{k}d": _seen(rng, pace, silence, within=k) for k in (7, 30, 90, 180)},
    }
    known["amount_total"] = known["amount_per_active_day"] * days
    columns = {
        name: known.get(name, _noise(rng, n_users))
        for name in load_models()[FEATURES].columns
        if name not in ("user_sk", "user_id")
    }
    ids = pl.int_range(first, first + n_users, eager=True)
    return pl.DataFrame(columns, nan_to_null=True).select(
        ids.alias("user_sk"),
        pl.format("synthetic-{}", ids.cast(pl.String).str.zfill(8)).alias("user_id"),
        pl.all(),
        (pl.col("silence_days") > CHURNED_AFTER_DAYS).alias("is_lapsed"),
    )


def past_snapshots(n_users: int, *, as_of: date, n_cutoffs: int, seed: int) -> pl.DataFrame:
    """`n_users` at each of several past cutoffs, with made-up outcomes, the newest window just closed."""
    cutoffs = [as_of - timedelta(days=HORIZON_DAYS + HORIZON_DAYS // 2 * i) for i in range(n_cutoffs)]
    return pl.concat(
        _with_outcomes(user_features(n_users, first=0, seed=seed + i), cutoff=cutoff, as_of=as_of, seed=seed)
        for i, cutoff in enumerate(sorted(cutoffs))
    ).sort("cutoff", "user_id")


def write_user_files(path: Path, *, n_users: int, users_per_file: int, seed: int) -> None:
    """Tonight's users as parquet files of a folder."""
    for first in range(0, n_users, users_per_file):
        n = min(users_per_file, n_users - first)
        user_features(n, first=first, seed=seed).write_parquet(path / f"{first:09d}.parquet", compression="zstd")


def read_users(path: Path) -> Iterator[pl.DataFrame]:
    """The files, one after the other."""
    for file in sorted(path.glob("*.parquet")):
        yield pl.read_parquet(file)


def _with_outcomes(users: pl.DataFrame, *, cutoff: date, as_of: date, seed: int) -> pl.DataFrame:
    rng = np.random.default_rng([seed, cutoff.toordinal()])
    pace = users["n_active_days_90d"].to_numpy() / 90 + 0.5 / (users["silence_days"].to_numpy() + 30)
    wait = 1 + rng.exponential(1 / np.maximum(pace * rng.gamma(1.5, 0.6, users.height), 1e-6))
    watched = (as_of - cutoff).days
    is_active = wait <= HORIZON_DAYS
    n_days = np.where(is_active, 1 + rng.poisson(np.minimum(pace * HORIZON_DAYS, 30)), 0)
    return users.with_columns(
        cutoff=pl.lit(cutoff),
        is_active=pl.Series(is_active),
        n_active_days_next=pl.Series(n_days, dtype=pl.Int32),
        amount_next=pl.Series(n_days * users["amount_per_active_day"].to_numpy()),
        next_active_in_days=pl.when(pl.Series(wait <= watched)).then(
            pl.Series(np.minimum(wait, watched), dtype=pl.Float64).cast(pl.Int32)
        ),
        follow_up_days=pl.lit(watched, dtype=pl.Int32),
    )


def _seen(
    rng: np.random.Generator, pace: Floats, silence: npt.NDArray[np.int64], *, within: int
) -> npt.NDArray[np.int64]:
    return np.where(silence < within, 1 + rng.poisson(pace * np.maximum(within - silence, 0)), 0)


def _noise(rng: np.random.Generator, n: int) -> Floats:
    return np.where(rng.random(n) < 0.1, np.nan, rng.gamma(1.5, 4.0, n))
