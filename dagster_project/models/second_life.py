"""What comes after a return: whether those who are back leave again, what the churned would bring."""

from datetime import date

import polars as pl

from dagster_project.models.relapse import RelapseModel, relapse_covariates, second_lifetime_value
from dagster_project.models.value import ValueModel

LIVES_SCHEMA = pl.Schema(
    {"user_id": pl.String(), "relapse_probability": pl.Float64(), "second_lifetime_value": pl.Float64()}
)
COVARIATES_OF_A_RETURN = ("absence_days", "n_active_days_before", "n_returns_before", "came_by_offer")


def relapse_chances(
    stages: pl.DataFrame, returns: pl.DataFrame, *, relapse: RelapseModel, as_of: date, horizon_days: int
) -> pl.DataFrame:
    """user_id, relapse_probability of the users of the returned phase, by what is known of their newest return."""
    newest = returns.sort("user_id", "returned_on").group_by("user_id", maintain_order=True).last()
    back = (
        stages.filter((pl.col("phase") == "returned") & pl.col("returned_on").is_not_null())
        .select("user_id", "churn_threshold_days", "returned_on")
        .join(newest.select("user_id", *COVARIATES_OF_A_RETURN), on="user_id", how="left", maintain_order="left")
        .with_columns((pl.lit(as_of) - pl.col("returned_on")).dt.total_days().alias("days_since_return"))
    )
    return back.select("user_id", relapse.relapse_probability(back, horizon_days=horizon_days))


def second_lives(
    stages: pl.DataFrame, features_now: pl.DataFrame, *, worth: ValueModel, relapse: RelapseModel
) -> pl.DataFrame:
    """user_id, second_lifetime_value of the churned: money in the year after a return tonight, relapse included."""
    churned = features_now.join(
        stages.filter("is_churned").select("user_id", "n_returns"), on="user_id", how="inner", maintain_order="left"
    )
    covariates = relapse_covariates(churned, n_returns=pl.col("n_returns"))
    return churned.select("user_id", second_lifetime_value(covariates, worth=worth, relapse=relapse))
