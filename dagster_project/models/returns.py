"""Past returns as rows to learn from: who came back after churn, and whether and when they were lost again."""

from datetime import date

import polars as pl

SHORTEST_GAP_ON_RECORD_DAYS = 7  # marts.users keeps long_gaps from here on: a shorter threshold cannot be told

RETURN_SCHEMA = pl.Schema(
    {
        "user_id": pl.String(),
        "returned_on": pl.Date(),
        "spell_days": pl.Int64(),
        "relapsed": pl.Boolean(),
        "absence_days": pl.Int64(),
        "n_active_days_before": pl.Int64(),
        "n_returns_before": pl.Int64(),
        "churn_threshold_days": pl.Float64(),
        "came_by_offer": pl.Boolean(),
    }
)
OFFER_SCHEMA = pl.Schema({"user_id": pl.String(), "returned_on": pl.Date(), "came_by_offer": pl.Boolean()})


def past_returns(users: pl.DataFrame, thresholds: pl.DataFrame, *, as_of: date) -> pl.DataFrame:
    """One row per return seen until `as_of` (RETURN_SCHEMA), sorted by user_id, returned_on.

    `users`: user_id, last_on and long_gaps of marts.users at `as_of`. `thresholds`: user_id and
    churn_threshold_days of lifecycle.stages; users without one are left out. A return is an active day
    that ended a gap beyond the user's threshold (of six days at least, for shorter gaps are not on
    record); `absence_days` is that gap. `relapsed`: silent beyond the threshold again, on the day
    `spell_days` after the return; otherwise the spell is censored at `as_of`. Today's threshold judges
    the past too, as `returned_on` of the stages does. `came_by_offer` is null: see `with_offers`.
    """
    gaps = _gaps_beyond_threshold(users, thresholds)
    last_gap = pl.col("ended_on").shift(-1).over("user_id", order_by="ended_on")
    next_absence = pl.col("gap_days").shift(-1).over("user_id", order_by="ended_on")
    spells = gaps.with_columns(
        last_active_on=(last_gap - pl.duration(days=next_absence)).fill_null(pl.col("last_on")),
        n_returns_before=pl.int_range(pl.len()).over("user_id", order_by="ended_on"),
    )
    lost_on = pl.col("last_active_on") + pl.duration(days=pl.col("threshold_days") + 1)
    relapsed = lost_on <= pl.lit(as_of)
    until = pl.when(relapsed).then(lost_on).otherwise(pl.lit(as_of))
    return (
        spells.with_columns(
            returned_on="ended_on",
            spell_days=(until - pl.col("ended_on")).dt.total_days(),
            relapsed=relapsed,
            absence_days="gap_days",
            came_by_offer=pl.lit(None, dtype=pl.Boolean),
        )
        .select(RETURN_SCHEMA.names())
        .cast(RETURN_SCHEMA)
        .sort("user_id", "returned_on")
    )


def with_offers(returns: pl.DataFrame, offers: pl.DataFrame) -> pl.DataFrame:
    """`returns` with `came_by_offer` from `offers` (OFFER_SCHEMA, one row per return that something is known of)."""
    return (
        returns.drop("came_by_offer")
        .join(
            offers.select(OFFER_SCHEMA.names()),
            on=["user_id", "returned_on"],
            how="left",
            validate="m:1",
            maintain_order="left",
        )
        .select(RETURN_SCHEMA.names())
    )


def _gaps_beyond_threshold(users: pl.DataFrame, thresholds: pl.DataFrame) -> pl.DataFrame:
    known = thresholds.select("user_id", pl.col("churn_threshold_days").cast(pl.Float64)).filter(
        pl.col("churn_threshold_days").is_finite()
    )
    whole_days = pl.col("churn_threshold_days").floor().cast(pl.Int64)
    return (
        users.select("user_id", "last_on", "long_gaps")
        .join(known, on="user_id", how="inner", validate="1:1")
        .explode("long_gaps", empty_as_null=False, keep_nulls=False)
        .unnest("long_gaps")
        .with_columns(threshold_days=pl.max_horizontal(whole_days, pl.lit(SHORTEST_GAP_ON_RECORD_DAYS - 1)))
        .filter(pl.col("gap_days") > pl.col("threshold_days"))
        .sort("user_id", "ended_on")
    )
