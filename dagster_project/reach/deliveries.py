"""Whether messages still arrive, per user and channel. The one place where the gate learns of delivery."""

import polars as pl

_ALIVE = ("delivered", "opened", "clicked", "converted")
_FAILED = ("bounced", "failed")
_DEAD = ("dead", "revoked")
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
    """One row per user × channel: `unsubscribed_at`, `is_alive`, `is_dead`, `code` of the failure.

    `endpoints` (`user_sk`, `channel`, `reach`, `code`), where given, alone say what is dead; else the latest events
    do: dead is what failed with no sign of life after it. `who` has `user_sk`.
    """
    judged = _judged(_EVENTS.to_frame() if message_events is None else message_events, who)
    return judged if endpoints is None else _with_endpoints(judged, endpoints, who)


def _judged(events: pl.DataFrame, who: pl.DataFrame) -> pl.DataFrame:
    event, at = pl.col("event"), pl.col("occurred_at").cast(pl.Datetime("us"))
    failed, failed_at, alive_at = event.is_in(_FAILED), pl.col("failed_at"), pl.col("alive_at")
    # At one instant failure counts: what arrived was then the last that did.
    is_dead = failed_at.is_not_null() & (alive_at.is_null() | (alive_at <= failed_at))
    return (
        events.join(who.select("user_sk"), on="user_sk", how="semi")
        .group_by(_KEY)
        .agg(
            at.filter(event == "unsubscribed").max().alias("unsubscribed_at"),
            at.filter(event.is_in(_ALIVE)).max().alias("alive_at"),
            at.filter(failed).max().alias("failed_at"),
            # Two failures of one instant: the greater code, so that the answer does not hang on row order.
            pl.col("code").filter(failed & (at == at.filter(failed).max())).max().alias("code"),
        )
        .select(
            *_KEY,
            "unsubscribed_at",
            alive_at.is_not_null().alias("is_alive"),
            is_dead.alias("is_dead"),
            pl.when(is_dead).then("code").alias("code"),
        )
    )


def _with_endpoints(judged: pl.DataFrame, endpoints: pl.DataFrame, who: pl.DataFrame) -> pl.DataFrame:
    is_dead = pl.col("reach").is_in(_DEAD)
    states = endpoints.join(who.select("user_sk"), on="user_sk", how="semi").select(
        *_KEY,
        (pl.col("reach") == "ok").alias("is_alive"),
        is_dead.alias("is_dead"),
        pl.when(is_dead).then("code").alias("code"),
    )
    left = judged.filter(pl.col("unsubscribed_at").is_not_null()).select(*_KEY, "unsubscribed_at")
    return states.join(left, on=_KEY, how="full", coalesce=True).select(
        *_KEY, "unsubscribed_at", "is_alive", "is_dead", "code"
    )
