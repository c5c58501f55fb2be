"""The three churn definitions, who is churned by each, how far they agree and how often each is wrong.

The data-driven number of days is found in `data_driven`; what follows from being churned is in `stages`.
"""

from datetime import date, timedelta
from itertools import combinations

import polars as pl

from dagster_project.errors import DataQualityError
from dagster_project.intervals import wilson_interval
from dagster_project.lifecycle.cadence import usual_gaps
from dagster_project.lifecycle.parameters import DEFINITIONS, StageRules

_REGRET_SCHEMA: dict[str, type[pl.DataType]] = {
    "definition": pl.String,
    "n_churned": pl.Int64,
    "n_returned": pl.Int64,
    "regret_rate": pl.Float64,
    "regret_rate_low": pl.Float64,
    "regret_rate_high": pl.Float64,
}


def churn_thresholds(users: pl.DataFrame, *, rules: StageRules) -> pl.DataFrame:
    """Per user, in the order given: user_sk, user_id, usual_gap_days, `<definition>_threshold_days` of each
    definition, and churn_threshold_days, that of the primary one.

    A silence *longer* than the threshold is churn. `data_driven_threshold_days` is null for all when the
    population's returns never became rare enough; the primary threshold is never null.
    """
    return (
        usual_gaps(users, cadence=rules.cadence)
        .with_columns(
            pl.lit(rules.calendar_days, dtype=pl.Float64).alias("calendar_threshold_days"),
            pl.lit(rules.data_driven_days, dtype=pl.Float64).alias("data_driven_threshold_days"),
        )
        .with_columns(
            pl.col(f"{rules.primary_definition}_threshold_days").alias("churn_threshold_days"),
        )
    )


def churn_labels(users: pl.DataFrame, *, as_of: date, rules: StageRules) -> pl.DataFrame:
    """`churn_thresholds` and, per user, days_silent, is_churned and `is_churned_<definition>`.

    Who never had a core event is not churned (days_silent null). `is_churned_data_driven` is null for the
    others when that definition gives no number of days.

    Raises DataQualityError when `users` holds a core event after `as_of`.
    """
    _refuse_future(users, as_of=as_of)
    days_silent = (pl.lit(as_of) - pl.col("last_on")).dt.total_days().cast(pl.Int32)
    silent = churn_thresholds(users, rules=rules).with_columns(
        users.select(days_silent.alias("days_silent"))["days_silent"]
    )
    return silent.with_columns(
        _is_silent_beyond("churn_threshold_days").alias("is_churned"),
        *(_is_silent_beyond(f"{name}_threshold_days").alias(f"is_churned_{name}") for name in DEFINITIONS),
    )


def agreement(labels: pl.DataFrame) -> pl.DataFrame:
    """One row per pair of definitions: definition, other_definition, n_users, agreement_share, cohen_kappa.

    `labels` needs days_silent and the three `is_churned_<definition>`, as from `churn_labels` or
    lifecycle.stages. Over users with a core event for whom both definitions speak; prospects would agree
    trivially. Kappa is agreement beyond chance, 1 at best; null where chance alone agrees on everybody.
    Source: Cohen 1960.
    """
    users = labels.filter(pl.col("days_silent").is_not_null())
    rows = [_agreement_of_pair(users, left=left, right=right) for left, right in combinations(DEFINITIONS, 2)]
    return pl.DataFrame(
        rows,
        schema={
            "definition": pl.String,
            "other_definition": pl.String,
            "n_users": pl.Int64,
            "agreement_share": pl.Float64,
            "cohen_kappa": pl.Float64,
        },
        orient="row",
    )


def regret_rates(
    users_then: pl.DataFrame,
    users_now: pl.DataFrame,
    *,
    as_of: date,
    rules: StageRules,
    contacted: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """One row per definition: how many of those labelled churned H days ago came back unaided since.

    Columns: definition, cutoff_on, horizon_days, is_primary, n_churned, n_returned, regret_rate,
    regret_rate_low, regret_rate_high (Wilson 95 %; null with nobody churned).

    Estimand: P(a core event in (c, c + H] | churned at c by the definition, not contacted in between),
    c = as_of − H. Contact is not random, so this is no estimate for those who were contacted.
    `users_then` is marts.users at c and `rules` must have been estimated from it, with the H of today;
    `users_now` is marts.users at `as_of`. `contacted` (user_sk): who got a message in (c, as_of], left out.
    Users who have been erased since are left out. Source of the interval: Wilson 1927.
    """
    cutoff = as_of - timedelta(days=rules.horizon_days)
    labels = churn_labels(users_then, as_of=cutoff, rules=rules)
    if contacted is not None:
        labels = labels.join(contacted.select("user_sk"), on="user_sk", how="anti")
    is_back = (pl.col("last_on") > cutoff).fill_null(value=False).alias("is_back")
    followed = labels.join(users_now.select("user_sk", is_back), on="user_sk", how="inner")
    rows = [_regret_of(followed, definition=name) for name in DEFINITIONS]
    return pl.DataFrame(rows, schema=_REGRET_SCHEMA, orient="row").select(
        "definition",
        pl.lit(cutoff).alias("cutoff_on"),
        pl.lit(rules.horizon_days, dtype=pl.Int32).alias("horizon_days"),
        (pl.col("definition") == rules.primary_definition).alias("is_primary"),
        pl.exclude("definition"),
    )


def _refuse_future(users: pl.DataFrame, *, as_of: date) -> None:
    n_ahead = users.filter(pl.col("last_on") > as_of).height
    if n_ahead:
        raise DataQualityError(
            f"marts.users: {n_ahead} users have a core event after {as_of.isoformat()}, the last visible day",
            fix="read the partition of that day, or judge by the day the partition was made for",
        )


def _is_silent_beyond(threshold: str) -> pl.Expr:
    never_active = pl.col("days_silent").is_null()
    return pl.when(never_active).then(False).otherwise(pl.col("days_silent") > pl.col(threshold))


def _agreement_of_pair(
    users: pl.DataFrame, *, left: str, right: str
) -> tuple[str, str, int, float | None, float | None]:
    pair = users.select(
        pl.col(f"is_churned_{left}").alias("left"), pl.col(f"is_churned_{right}").alias("right")
    ).drop_nulls()
    n = pair.height
    if n == 0:
        return left, right, 0, None, None
    n_left, n_right = int(pair["left"].sum()), int(pair["right"].sum())
    n_equal = int((pair["left"] == pair["right"]).sum())
    # Counts, not shares: chance agreement of 1 must be recognised exactly.
    n2_by_chance = n_left * n_right + (n - n_left) * (n - n_right)
    kappa = None if n2_by_chance == n * n else (n * n_equal - n2_by_chance) / (n * n - n2_by_chance)
    return left, right, n, n_equal / n, kappa


def _regret_of(
    followed: pl.DataFrame, *, definition: str
) -> tuple[str, int, int, float | None, float | None, float | None]:
    churned = followed.filter(pl.col(f"is_churned_{definition}"))
    n_churned, n_returned = churned.height, int(churned["is_back"].sum())
    if n_churned == 0:
        return definition, 0, 0, None, None, None
    low, high = wilson_interval(n_returned, n_churned)
    return definition, n_churned, n_returned, n_returned / n_churned, float(low), float(high)
