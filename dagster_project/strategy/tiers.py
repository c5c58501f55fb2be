"""Users by what a return is worth: a few names for what would be too many numbers."""

import polars as pl


def value_tiers(values: pl.Series) -> pl.Series:
    """low, middle or high by thirds of the values that are known, else unknown; equal values share a tier."""
    known = values.drop_nulls()
    if known.is_empty():
        return pl.Series(["unknown"] * len(values), dtype=pl.String)
    low, high = (known.quantile(share, interpolation="lower") for share in (1 / 3, 2 / 3))
    value = pl.col("value")
    tier = (
        pl.when(value.is_null())
        .then(pl.lit("unknown"))
        .when(value > high)
        .then(pl.lit("high"))
        .when(value > low)
        .then(pl.lit("middle"))
        .otherwise(pl.lit("low"))
    )
    return values.to_frame("value").select(tier.alias("value_tier"))["value_tier"]
