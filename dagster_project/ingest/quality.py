"""How clean the input is, as one night sees it: rows by fate, duplicates, reasons of the quarantine.

Only rows dated up to the night count, and rows without a date: a later delivery does not change what an earlier
night says.
"""

from collections.abc import Mapping
from datetime import date

import polars as pl

QUALITY_SCHEMA = pl.Schema(
    {
        "table": pl.String(),
        "n_files": pl.Int64(),
        "n_rows_read": pl.Int64(),
        "n_kept": pl.Int64(),
        "n_duplicates": pl.Int64(),
        "n_anonymous": pl.Int64(),
        "n_filtered": pl.Int64(),
        "n_quarantined": pl.Int64(),
        "amount_read": pl.Decimal(38, 4),
    }
)
QUOTED_VALUE = r'"[^"]*"'


def quality_counts(
    row_counts: Mapping[str, pl.DataFrame], *, staged_rows: Mapping[str, int], as_of: date
) -> pl.DataFrame:
    """One row per table that has a source: QUALITY_SCHEMA, in the order of the mapping.

    `row_counts` are those of `LakeArrivals.row_counts`, `staged_rows` the rows of the table after deduplication
    up to `as_of`. n_rows_read = kept + duplicates + anonymous + filtered + quarantined.
    """
    rows = [
        counts_of(table, counts.filter(pl.col("dt").is_null() | (pl.col("dt") <= as_of)), n_staged=staged_rows[table])
        for table, counts in row_counts.items()
    ]
    return pl.DataFrame(rows, schema=QUALITY_SCHEMA, orient="row")


def counts_of(table: str, counts: pl.DataFrame, *, n_staged: int) -> dict[str, object]:
    """The row of one table."""
    by_fate = dict(counts.group_by("fate").agg(pl.col("n_rows").sum()).iter_rows())
    arrived = by_fate.get("kept", 0)
    return {
        "table": table,
        "n_files": counts["delivery"].n_unique(),
        "n_rows_read": sum(by_fate.values()),
        "n_kept": n_staged,
        "n_duplicates": arrived - n_staged,
        **{f"n_{fate}": by_fate.get(fate, 0) for fate in ("anonymous", "filtered", "quarantined")},
        "amount_read": counts["amount"].sum() if counts["amount"].is_not_null().any() else None,
    }


def quarantine_reasons(quarantine: pl.DataFrame, *, as_of: date) -> pl.DataFrame:
    """table, reason, n_rows: bad rows by reason, the single values taken out, most frequent first."""
    seen = quarantine.filter(pl.col("dt").is_null() | (pl.col("dt") <= as_of))
    reason = pl.col("reason").str.replace_all(QUOTED_VALUE, "…").str.replace_all(r"-?\d[\d.,:-]*", "…")
    return (
        seen.select(pl.col("source_table").alias("table"), reason.alias("reason"))
        .group_by("table", "reason")
        .agg(pl.len().cast(pl.Int64).alias("n_rows"))
        .sort("n_rows", "table", "reason", descending=[True, False, False])
    )
