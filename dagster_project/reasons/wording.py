"""What a reason is called in a sentence, and the sentence about one user."""

import polars as pl

from dagster_project.reasons.vocabulary import UNKNOWN

TITLES = {
    "measurement_gap": "an outage of ours that hid them",
    "identity_switch": "another account of their own",
    "delivery_dead": "messages that no longer arrived",
    "uninstalled": "having removed the app",
    "permission_revoked": "having switched messages off",
    "message_fatigue": "too many messages",
    "payment_failure": "a failed payment",
    "price_or_plan": "price or plan",
    "service_failure": "something that did not work",
    "privacy_concern": "concern for personal data",
    "never_activated": "never having begun in earnest",
    "content_irrelevant": "content that did not fit",
    "value_decay": "fading interest",
    "goal_completed_or_seasonal": "a purpose reached or a season over",
    "competitor_or_life_change": "a rival or a change in life",
    "explicit_stop": "a wish to end it",
    UNKNOWN: "nothing that we can tell",
}
# Below it a sentence would say more than is known.
SAYABLE = 0.6


def sentences(reasons: pl.DataFrame) -> pl.DataFrame:
    """user_id and `why_left`, of every user whose reason is known and at least 60 % sure.

    `reasons` is reasons.reasons. The evidence named is the piece that decided, else the first one found.
    """
    sure = reasons.filter(pl.col("reason") != UNKNOWN, pl.col("reason_confidence") >= SAYABLE)
    pieces = pl.List(pl.Struct({"id": pl.String, "says": pl.String}))
    found = (
        sure.select("user_id", "decided_by", pl.col("evidence").str.json_decode(pieces))
        .explode("evidence", empty_as_null=False, keep_nulls=False)
        .unnest("evidence")
        .with_columns((pl.col("id") != pl.col("decided_by")).alias("is_other"))
        .group_by("user_id", maintain_order=True)
        .agg(pl.col("says").sort_by("is_other", maintain_order=True).first())
    )
    percent = (100 * pl.col("reason_confidence")).round(0).cast(pl.Int64)
    title = pl.col("reason").replace_strict(TITLES, return_dtype=pl.String)
    because = pl.format(": the user {}.", "says").fill_null(".")
    return sure.join(found, on="user_id", how="left", maintain_order="left").select(
        "user_id", pl.format("Probably left for {} ({} % sure){}", title, percent, because).alias("why_left")
    )
