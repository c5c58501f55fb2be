"""On whom an experiment was tried, and how alike its arms were before anything was done."""

import numpy as np
import polars as pl

from dagster_project.outcomes.arms import baseline_of
from dagster_project.outcomes.coding import Coded, CodedEntries, coded_entries
from dagster_project.outcomes.vocabulary import DRAWN_DIMENSIONS, EXPLORE, NOT_NOTED

NUMBERS = ("p_return", "n_active_days_before", "value_if_returned")
FEWEST_OF_TRAIT = 0.05  # of the users of an experiment, below which a value is not worth a line
BALANCE = pl.Schema(
    {
        "experiment_id": pl.String(),
        "arm": pl.String(),
        "trait": pl.String(),
        "value": pl.String(),
        "n_users": pl.Int64(),
        "mean": pl.Float64(),
        "baseline_mean": pl.Float64(),
        "standardised_difference": pl.Float64(),
    }
)
_TRAITS = pl.Schema(
    {
        "arm": pl.String(),
        "trait": pl.String(),
        "value": pl.String(),
        "n_users": pl.Int64(),
        "mean": pl.Float64(),
        "spread": pl.Float64(),
    }
)


def arm_balance(entries: pl.DataFrame, coded: CodedEntries | None = None) -> pl.DataFrame:
    """BALANCE of one experiment's entries: a row per arm other than the baseline, and trait known at entry, sorted.

    `mean`: of a number, or the share of the arm's users with the value. `standardised_difference`: the gap to the
    baseline in standard deviations of all users of the experiment; beyond .1 it deserves a look, and chance alone gives
    that to small arms. Traits that chance itself gave to explorers are left out.
    """
    if entries.is_empty():
        return BALANCE.to_frame()
    coded = coded or coded_entries(entries)
    experiment_id = str(entries["experiment_id"][0])
    baseline = baseline_of(experiment_id, coded.arm.values)
    numbers = [_number(entries, coded.arm, name) for name in NUMBERS]
    told = pl.concat([*numbers, *(_shares(coded.arm, name, column) for name, column in coded.of.items())])
    base = told.filter(pl.col("arm") == baseline).select("trait", "value", pl.col("mean").alias("baseline_mean"))
    drawn = (pl.col("arm") == EXPLORE) & pl.col("trait").is_in(DRAWN_DIMENSIONS)
    gap = pl.col("mean") - pl.col("baseline_mean")
    return (
        told.filter((pl.col("arm") != baseline) & ~drawn)
        .join(base, on=["trait", "value"], how="left", nulls_equal=True)
        .with_columns(
            pl.lit(experiment_id).alias("experiment_id"),
            pl.when(pl.col("spread") > 0).then(gap / pl.col("spread")).alias("standardised_difference"),
        )
        .select(list(BALANCE))
        .cast(BALANCE)
        .sort("experiment_id", "arm", "trait", "value", nulls_last=False)
    )


def _number(entries: pl.DataFrame, arm: Coded, name: str) -> pl.DataFrame:
    """arm, trait, value (null), n_users, mean and the spread over all arms; nothing where nobody has the number."""
    is_known = entries[name].is_not_null().to_numpy()
    number, arms = entries[name].drop_nulls().cast(pl.Float64).to_numpy(), arm.codes[is_known]
    n = np.bincount(arms, minlength=len(arm.values))
    means = np.bincount(arms, weights=number, minlength=len(arm.values)) / np.maximum(n, 1)
    rows = [
        (value, name, None, count, mean, float(number.std()))
        for value, count, mean in zip(arm.values, n, means, strict=True)
        if count
    ]
    return pl.DataFrame(rows, schema=_TRAITS, orient="row")


def _shares(arm: Coded, name: str, column: Coded) -> pl.DataFrame:
    """The same of each value of a dimension that enough of the users have, in every arm."""
    counts = arm.counts(column)
    n_users, overall = counts.sum(axis=1), counts.sum(axis=0) / counts.sum()
    rows = [
        (who, name, value, n, counts[i, j] / n, float(np.sqrt(overall[j] * (1 - overall[j]))))
        for i, (who, n) in enumerate(zip(arm.values, n_users, strict=True))
        for j, value in enumerate(column.values)
        if value != NOT_NOTED and overall[j] >= FEWEST_OF_TRAIT
    ]
    return pl.DataFrame(rows, schema=_TRAITS, orient="row")
