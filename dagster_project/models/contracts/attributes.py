"""From the JSON of a subscription's further columns to covariates."""

import polars as pl


def with_attributes(contracts: pl.DataFrame) -> pl.DataFrame:
    """`contracts` with one column per key of `attributes` in place of it, numbers where all its values are numbers.

    A key that is a column already keeps the column. The order of the new columns is alphabetical.
    """
    if contracts["attributes"].null_count() == contracts.height:
        return contracts.drop("attributes")
    decoded = contracts["attributes"].fill_null("{}").str.json_decode(infer_schema_length=None).struct.unnest()
    fresh = [as_covariate(decoded[name]) for name in sorted(set(decoded.columns) - set(contracts.columns))]
    return contracts.drop("attributes").with_columns(fresh)


def as_covariate(values: pl.Series) -> pl.Series:
    """Numbers if every known value is one, else text."""
    text = values.cast(pl.String)
    numbers = text.cast(pl.Float64, strict=False)
    return numbers if numbers.null_count() == text.null_count() else text
