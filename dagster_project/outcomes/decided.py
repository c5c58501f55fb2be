"""Since when a decision stands: what a night says of an experiment against what the night before said."""

from datetime import date

import polars as pl

DECIDED = pl.Schema({"experiment_id": pl.String(), "decision": pl.String(), "decided_on": pl.Date()})


def with_decided_on(experiments: pl.DataFrame, before: pl.DataFrame, *, as_of: date) -> pl.DataFrame:
    """The experiments with `decided_on`: the night of `before` where the decision is the same, else this one.

    `before` (DECIDED, one row per experiment): what the newest earlier night said, and since when.
    """
    told = before.select("experiment_id", pl.col("decision").alias("earlier"), pl.col("decided_on").alias("since"))
    stands = pl.col("earlier") == pl.col("decision")  # null where nobody has read it before
    return (
        experiments.join(told, on="experiment_id", how="left", maintain_order="left")
        .with_columns(pl.when(stands).then("since").otherwise(pl.lit(as_of)).alias("decided_on"))
        .drop("earlier", "since")
    )


def decisions_of(experiments: pl.DataFrame, *, night: date) -> pl.DataFrame:
    """DECIDED of the table that `night` made; one of a version that kept no such day stands since that night."""
    since = pl.lit(night) if "decided_on" not in experiments.columns else pl.col("decided_on").fill_null(night)
    return experiments.select("experiment_id", "decision", since.alias("decided_on")).cast(DECIDED)
