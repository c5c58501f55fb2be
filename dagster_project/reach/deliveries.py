"""Whether messages still arrive, per user and channel. The one place where the gate learns of delivery."""

import polars as pl

from dagster_project.reach.failures import rules_by_id, with_failures

_ALIVE = ("delivered", "opened", "clicked", "converted")
_FAILED = ("bounced", "failed")
_SHUT = ("dead", "revoked", "capped")
_KEY = ["user_sk", "channel"]
_EVENTS = pl.Schema(
    {
        "user_sk": pl.Int64(),
        "channel": pl.String(),
        "event": pl.String(),
        "occurred_at": pl.Datetime("us"),
        "code": pl.String(),
    }
)


def delivery_states(
    message_events: pl.DataFrame | None, endpoints: pl.DataFrame | None, who: pl.DataFrame
) -> pl.DataFrame:
    """One row per user × channel: `unsubscribed_at`, `is_alive`, `is_dead`, `is_revoked`, `is_capped`, `capped_until`
    (null: until the user's next act), `capped_source`, `code` of the failure.

    `endpoints` (`user_sk`, `channel`, `reach`, `code`; `failure_class`, `rule_id`, `until` where known), where given,
    alone say what is shut; else the latest events do: dead is what failed with no sign of life after it, revoked what
    the provider refused because the user wants nothing. `who` has `user_sk`.
    """
    judged = _judged(_EVENTS.to_frame() if message_events is None else message_events, who)
    return judged if endpoints is None else _with_endpoints(judged, endpoints, who)


def _judged(events: pl.DataFrame, who: pl.DataFrame) -> pl.DataFrame:
    event, at = pl.col("event"), pl.col("occurred_at").cast(pl.Datetime("us"))
    failed, failed_at, alive_at = event.is_in(_FAILED), pl.col("failed_at"), pl.col("alive_at")
    # At one instant failure counts: what arrived was then the last that did.
    is_dead = failed_at.is_not_null() & (alive_at.is_null() | (alive_at <= failed_at))
    states = (
        events.join(who.select("user_sk"), on="user_sk", how="semi")
        .group_by(_KEY)
        .agg(
            at.filter(event == "unsubscribed").max().alias("unsubscribed_at"),
            at.filter(event.is_in(_ALIVE)).max().alias("alive_at"),
            at.filter(failed).max().alias("failed_at"),
            # Two failures of one instant: the greater code, so that the answer does not hang on row order.
            pl.col("code").filter(failed & (at == at.filter(failed).max())).max().alias("code"),
        )
        .with_columns(is_dead.alias("is_shut"), pl.when(is_dead).then(pl.lit("failed")).alias("event"))
    )
    is_revoked = pl.col("is_shut") & (pl.col("failure_class") == "permission_revoked").fill_null(value=False)
    return with_failures(states).select(
        *_KEY,
        "unsubscribed_at",
        alive_at.is_not_null().alias("is_alive"),
        (pl.col("is_shut") & ~is_revoked).alias("is_dead"),
        is_revoked.alias("is_revoked"),
        pl.lit(value=False).alias("is_capped"),
        pl.lit(None, dtype=pl.Date).alias("capped_until"),
        pl.lit(None, dtype=pl.String).alias("capped_source"),
        pl.when("is_shut").then("code").alias("code"),
    )


def _with_endpoints(judged: pl.DataFrame, endpoints: pl.DataFrame, who: pl.DataFrame) -> pl.DataFrame:
    reach = pl.col("reach")
    sources = {rule_id: rule.source for rule_id, rule in rules_by_id().items()}
    # What the user told us is judged by consents and unsubscriptions; here stands what they told the provider.
    by_provider = pl.lit(value=True)
    if "failure_class" in endpoints.columns:
        by_provider = (pl.col("failure_class") == "permission_revoked").fill_null(value=False)
    states = endpoints.join(who.select("user_sk"), on="user_sk", how="semi").select(
        *_KEY,
        (reach == "ok").alias("is_alive"),
        (reach == "dead").alias("is_dead"),
        ((reach == "revoked") & by_provider).alias("is_revoked"),
        (reach == "capped").alias("is_capped"),
        _known(endpoints, "until", pl.Date).alias("capped_until"),
        _known(endpoints, "rule_id", pl.String)
        .replace_strict(sources, default=None, return_dtype=pl.String)
        .alias("capped_source"),
        pl.when(reach.is_in(_SHUT)).then("code").alias("code"),
    )
    left = judged.filter(pl.col("unsubscribed_at").is_not_null()).select(*_KEY, "unsubscribed_at")
    return states.join(left, on=_KEY, how="full", coalesce=True).select(judged.columns)


def _known(frame: pl.DataFrame, column: str, kind: type[pl.DataType]) -> pl.Expr:
    return pl.col(column) if column in frame.columns else pl.lit(None, dtype=kind)
