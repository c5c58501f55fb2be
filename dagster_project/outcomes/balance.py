"""On whom an experiment was tried, and how alike its arms were before anything was done."""

import polars as pl

from dagster_project.outcomes.arms import baseline_of
from dagster_project.outcomes.vocabulary import DIMENSIONS, DRAWN_DIMENSIONS, EXPLORE

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


def arm_balance(entries: pl.DataFrame) -> pl.DataFrame:
    """BALANCE, one row per experiment, arm other than the baseline, and trait known at entry, sorted.

    `mean`: of a number, or the share of the arm's users with the value. `standardised_difference`: the gap to the
    baseline in standard deviations of all users of the experiment; beyond .1 it deserves a look, and chance alone gives
    that to small arms. Traits that chance itself gave to explorers are left out.
    """
    entries = entries.select("experiment_id", "arm", *NUMBERS, *DIMENSIONS)
    parts = [
        _of_experiment(str(name), entries.filter(pl.col("experiment_id") == name))
        for name in sorted(entries["experiment_id"].unique())
    ]
    return pl.concat([BALANCE.to_frame(), *parts])


def _of_experiment(experiment_id: str, entries: pl.DataFrame) -> pl.DataFrame:
    baseline = baseline_of(experiment_id, entries["arm"].unique().to_list())
    told = pl.concat([*(_number(entries, name) for name in NUMBERS), *(_shares(entries, name) for name in DIMENSIONS)])
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


def _number(entries: pl.DataFrame, name: str) -> pl.DataFrame:
    """arm, trait, value (null), n_users, mean and the spread over all arms; nothing where nobody has the number."""
    known = entries.filter(pl.col(name).is_not_null()).select("arm", pl.col(name).cast(pl.Float64).alias("number"))
    spread = float(known["number"].to_numpy().std()) if known.height else None
    parts = {arm: known.filter(pl.col("arm") == arm)["number"].to_numpy() for arm in known["arm"].unique().sort()}
    rows = [(arm, name, None, len(numbers), float(numbers.mean()), spread) for arm, numbers in parts.items()]
    return pl.DataFrame(rows, schema=_TRAITS, orient="row")


def _shares(entries: pl.DataFrame, name: str) -> pl.DataFrame:
    """The same of each value of a dimension that enough of the users have, in every arm."""
    counts = entries.group_by("arm", pl.col(name).alias("value")).len().filter(pl.col("value").is_not_null())
    arms = entries.group_by("arm").len("n_users").with_columns(pl.col("n_users").cast(pl.Int64))
    n_all = max(entries.height, 1)
    values = (
        counts.group_by("value")
        .agg((pl.col("len").sum() / n_all).alias("overall"))
        .filter(pl.col("overall") >= FEWEST_OF_TRAIT)
    )
    return (
        arms.join(values, how="cross")
        .join(counts, on=["arm", "value"], how="left")
        .select(
            "arm",
            pl.lit(name).alias("trait"),
            "value",
            "n_users",
            (pl.col("len").fill_null(0) / pl.col("n_users")).alias("mean"),
            (pl.col("overall") * (1 - pl.col("overall"))).clip(0).sqrt().alias("spread"),
        )
    )
