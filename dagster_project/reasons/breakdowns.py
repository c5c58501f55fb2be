"""Who left why: shares of the reasons within ages, regions, plans and the like, tested against all others who left."""

from collections.abc import Sequence
from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dagster_project.intervals import wilson_interval

FEWEST_USERS = 30
"""A value with fewer who left is merged into `other`, and the next smallest too while `other` itself has fewer: with
fewer an interval spans a third of the scale, and a share may tell of single people."""
OTHER, NOT_KNOWN = "other", "not known"
Bands = Sequence[tuple[float, str]]
AGE_BANDS: Bands = (
    (18, "under 18"),
    (25, "18 to 24"),
    (35, "25 to 34"),
    (45, "35 to 44"),
    (55, "45 to 54"),
    (65, "55 to 64"),
    (float("inf"), "65 or more"),
)
ACTIVITY_TIERS: Bands = (
    (2, "one day"),
    (5, "2 to 4 days"),
    (15, "5 to 14 days"),
    (float("inf"), "15 days or more"),
)
DIMENSIONS = (
    "age",
    "gender",
    "region",
    "occupation",
    "acquisition_channel",
    "platform",
    "plan",
    "activity",
    "satisfaction",
)
BREAKDOWN_SCHEMA = pl.Schema(
    {
        "dimension": pl.String,
        "value": pl.String,
        "reason": pl.String,
        "n_left": pl.Int64,
        "n_users": pl.Int64,
        "share": pl.Float64,
        "share_low": pl.Float64,
        "share_high": pl.Float64,
        "difference": pl.Float64,
        "p_value": pl.Float64,
        "p_adjusted": pl.Float64,
    }
)


def dimensions_of(users: pl.DataFrame, *, traits: pl.DataFrame, as_of: date) -> pl.DataFrame:
    """One row per user of `users` (marts.users): user_sk and the nine dimensions, null where not known.

    `traits` (marts.departure_traits): user_sk, platform, plan, satisfaction. The region is that of the country, so
    that two of one name stay apart.
    """
    age = (pl.lit(as_of) - pl.col("birth_on")).dt.total_days() / 365.25
    days = pl.col("n_active_days")
    place = pl.concat_str("country", "region", separator=" / ", ignore_nulls=True)
    return users.join(traits, on="user_sk", how="left").select(
        "user_sk",
        _band(age, AGE_BANDS).alias("age"),
        "gender",
        pl.when(place != "").then(place).alias("region"),
        "occupation",
        "acquisition_channel",
        "platform",
        "plan",
        pl.when(days > 0).then(_band(days, ACTIVITY_TIERS)).alias("activity"),
        "satisfaction",
    )


def break_down(reasons: pl.DataFrame, dimensions: pl.DataFrame) -> pl.DataFrame:
    """reasons.breakdowns: one row per dimension × value × reason of those who left, sorted by all three.

    `reasons` needs user_sk and reason; `dimensions` user_sk and one column per dimension. A dimension of which nothing
    is known, or that has one value only, is left out. Tests are Fisher's exact ones on two by two tables, adjusted for
    their number over the whole table. Sources: Wilson 1927; Fisher 1922; Benjamini and Hochberg 1995.
    """
    known = reasons.select("user_sk", "reason").join(dimensions, on="user_sk", how="left")
    names = [name for name in dimensions.columns if name != "user_sk"]
    parts = [part for name in names if (part := _of_dimension(known, name)) is not None]
    if not parts:
        return BREAKDOWN_SCHEMA.to_frame()
    counts = pl.concat(parts).sort("dimension", "value", "reason")
    low, high = wilson_interval(counts["n_users"].to_numpy(), counts["n_left"].to_numpy())
    p_value = _fisher(counts)
    rest = pl.col("n_all_left") - pl.col("n_left")
    return counts.with_columns(
        (pl.col("n_users") / pl.col("n_left")).alias("share"),
        pl.Series("share_low", low),
        pl.Series("share_high", high),
        pl.when(rest > 0)
        .then(pl.col("n_users") / pl.col("n_left") - (pl.col("n_all_users") - pl.col("n_users")) / rest)
        .alias("difference"),
        pl.Series("p_value", p_value, nan_to_null=True),
        pl.Series("p_adjusted", benjamini_hochberg(p_value), nan_to_null=True),
    ).select([pl.col(name).cast(dtype) for name, dtype in BREAKDOWN_SCHEMA.items()])


def benjamini_hochberg(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The p-values that hold the share of false discoveries; NaN stays NaN and does not count as a test."""
    adjusted = np.full(p_values.shape, np.nan)
    there = np.flatnonzero(~np.isnan(p_values))
    order = there[np.argsort(p_values[there], kind="stable")]
    scaled = p_values[order] * order.size / np.arange(1, order.size + 1)
    adjusted[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return adjusted


def _of_dimension(known: pl.DataFrame, name: str) -> pl.DataFrame | None:
    if known[name].drop_nulls().is_empty():
        return None
    values = known.select("reason", pl.col(name).fill_null(NOT_KNOWN).alias("value"))
    merged = values.with_columns(
        pl.when(pl.col("value").is_in(_too_small(values["value"])))
        .then(pl.lit(OTHER))
        .otherwise("value")
        .alias("value")
    )
    sizes = merged.group_by("value").agg(pl.len().alias("n_left"))
    if sizes.height < 2:
        return None
    totals = merged.group_by("reason").agg(pl.len().alias("n_all_users"))
    found = merged.group_by("value", "reason").agg(pl.len().alias("n_users"))
    grid = sizes.join(totals, how="cross").join(found, on=["value", "reason"], how="left")
    return grid.select(
        pl.lit(name).alias("dimension"),
        "value",
        "reason",
        pl.col("n_left", "n_all_users").cast(pl.Int64),
        pl.col("n_users").fill_null(0).cast(pl.Int64),
        pl.lit(merged.height).cast(pl.Int64).alias("n_all_left"),
    )


def _too_small(values: pl.Series) -> list[str]:
    """The values to merge: all small ones, and the next smallest until they are `FEWEST_USERS` together.

    Left out instead, their users could still be told from the totals less those of the others.
    """
    is_other = pl.col("value") == OTHER
    sizes = values.alias("value").value_counts().sort(~is_other, "count", "value")
    n_before = pl.col("count").cum_sum() - pl.col("count")
    needs_more = (n_before > 0) & (n_before < FEWEST_USERS)
    return sizes.filter(is_other | (pl.col("count") < FEWEST_USERS) | needs_more)["value"].to_list()


def _fisher(counts: pl.DataFrame) -> NDArray[np.float64]:
    """Two-sided: the sum of all tables no likelier than the one seen; NaN where there is nobody else."""
    from scipy.stats import fisher_exact

    made = np.full(counts.height, np.nan)
    columns = ("n_users", "n_left", "n_all_users", "n_all_left")
    for row, (k, n, k_all, n_all) in enumerate(counts.select(columns).iter_rows()):
        if n_all > n:
            made[row] = fisher_exact([[k, n - k], [k_all - k, n_all - n - k_all + k]])[1]
    return np.asarray(np.clip(made, 0.0, 1.0))


def _band(value: pl.Expr, bands: Bands) -> pl.Expr:
    """The name of the first band whose end the value lies below; null for null."""
    chosen = pl.lit(None, dtype=pl.String)
    for end, name in reversed(bands):
        chosen = pl.when(value < end).then(pl.lit(name)).otherwise(chosen)
    return chosen
