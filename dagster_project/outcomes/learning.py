"""What strategies may learn from: users with and without contact, by chance, whose horizon is over."""

import polars as pl

from dagster_project.outcomes.entries import is_of_words
from dagster_project.outcomes.vocabulary import CONTROL, LONGEST

LEARNING = pl.Schema(
    {
        "experiment_id": pl.String(),
        "user_id": pl.String(),
        "arm": pl.String(),
        "assigned_on": pl.Date(),
        "strategy_id": pl.String(),
        "channel": pl.String(),
        "reason": pl.String(),
        "stage": pl.String(),
        "value_tier": pl.String(),
        "p_return": pl.Float64(),
        "propensity": pl.Float64(),
        "fit_content": pl.Float64(),
        "fit_reason": pl.Float64(),
        "is_treated": pl.Boolean(),
        "is_return": pl.Boolean(),
        "is_randomised": pl.Boolean(),
        "is_opted_out": pl.Boolean(),
        "is_complained": pl.Boolean(),
        "is_app_removed": pl.Boolean(),
    }
)
HARMS = ("opted_out", "complained", "app_removed")  # of the metrics: what may stop a strategy beside lost returns


def learning_rows(entries: pl.LazyFrame, *, horizon_days: int) -> pl.DataFrame:
    """LEARNING, one row per user and experiment whose `horizon_days` (at most 180) are over, sorted by both.

    `entries`: of `outcomes.entries` those columns which LEARNING has, n_days_seen, returned_after, is_contacted and,
    where it is known, opted_out_after, complained_after and app_removed_after. Control rows carry the strategy that
    they would have had, so treated and control of one strategy compare. Explorers are treated with the propensity of
    their own draw; nobody knows which controls could have drawn the same, so weigh them or leave them out. `p_return`
    is null where none was noted at assignment. `is_randomised` is false for all of a broken experiment. Experiments on
    words, and treated rows without a strategy, tell nothing here and are left out, and so are treated users who were
    not contacted: their strategy held them out, and they are the control of its own experiment. Who is in both
    experiments counts once. A control of which no row names a strategy is kept, null, where the treated name theirs:
    it is the control of every strategy of its experiment.
    """
    told = entries.collect_schema().names()
    over = pl.col("n_days_seen") >= min(horizon_days, LONGEST)
    rows, is_control = entries.filter(over & ~is_of_words()), pl.col("arm") == CONTROL
    is_shared = is_control & pl.col("experiment_id").is_in(_with_shared_control(rows))
    found = (
        rows.filter(pl.col("strategy_id").is_not_null() | is_shared)
        .filter(is_control | pl.col("is_contacted").fill_null(value=True))
        .with_columns(
            (pl.col("arm") != CONTROL).alias("is_treated"),
            *(
                (pl.col(f"{name}_after") < horizon_days).fill_null(value=False).alias(f"is_{kind}")
                if f"{name}_after" in told
                else pl.lit(None, dtype=pl.Boolean).alias(f"is_{kind}")
                for name, kind in (("returned", "return"), *((harm, harm) for harm in HARMS))
            ),
        )
        .select(list(LEARNING))
        .collect()
        .cast(LEARNING)
        .sort("experiment_id", "user_id")
    )
    of_one = found.with_columns(pl.when(pl.col("strategy_id").is_null()).then("experiment_id").alias("of_experiment"))
    key = ["user_id", "strategy_id", "of_experiment", "assigned_on", "is_treated"]
    return of_one.unique(key, keep="first", maintain_order=True).drop("of_experiment")


def _with_shared_control(rows: pl.LazyFrame) -> list[str]:
    """The experiments whose treated name strategies and whose control names none.

    Where some of a control name what they were held out from, the others were held out from something else.
    """
    is_control, is_named = pl.col("arm") == CONTROL, pl.col("strategy_id").is_not_null()
    names = rows.group_by("experiment_id").agg(
        (is_named & is_control).any().alias("of_control"), (is_named & ~is_control).any().alias("of_treated")
    )
    shared = names.filter(pl.col("of_treated") & ~pl.col("of_control")).select("experiment_id").collect()
    return sorted(shared["experiment_id"])
