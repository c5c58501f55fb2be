"""Which channels may and can still be used for each user, by consent, complaint and delivery.

Quiet hours, caps and quotas are matters of timing and live in `strategy`.
"""

from collections.abc import Sequence

import polars as pl

_GRANTED = ("granted", "opted_in", "subscribed")
_WITHDRAWN = ("withdrawn", "revoked", "opted_out", "unsubscribed", "denied", "refused")
_ALIVE = ("delivered", "opened", "clicked", "converted")
_FAILED = ("bounced", "failed")

# Strongest first: the user's own word before a missing word, law before technology.
RULES: tuple[tuple[str, str, str | None], ...] = (
    ("complaint.stop", "suppressed", "GDPR Art. 21(2)-(3)"),
    ("consent.withdrawn", "revoked", "GDPR Art. 7(3); PIPL Art. 15; CAN-SPAM §5(a)(4)"),
    ("consent.unclear", "unknown", "GDPR Art. 7(1); PIPL Art. 14"),
    ("consent.missing", "unknown", "GDPR Art. 6(1)(a); ePrivacy Directive Art. 13(1); PIPL Art. 13"),
    ("reach.dead", "dead", None),
)
RULE_ORDER: tuple[str, ...] = tuple(rule_id for rule_id, _, _ in RULES)

_KEY = ["user_sk", "channel"]
_SCHEMA = {
    "user_sk": pl.Int64,
    "channel": pl.String,
    "reach": pl.String,
    "consent_basis": pl.String,
    "rule_id": pl.String,
    "citation": pl.String,
    "until": pl.Date,
    "code": pl.String,
}


def contact_points(
    users: pl.DataFrame,
    consents: pl.DataFrame | None,
    message_events: pl.DataFrame | None,
    *,
    channels: Sequence[str],
) -> pl.DataFrame:
    """One row per user × channel of which something is known, sorted by `user_id`, `channel`.

    `rule_id` set means that the channel must not be used; `until` null means until the user decides
    otherwise. A user × channel without a row is unknown and may be used. Where a consents table exists
    every user has a row for each of `channels`, and no consent means `consent.missing`. A complaint on any
    channel stops all of them, for good. Only `users` are looked at; ids unknown there are left out.

    `consents` and `message_events` hold `user_sk` or `user_id`, and nothing dated after `as_of`: the caller
    sees to that, and a row that breaks it would reach the answer.
    """
    who = users.select("user_sk", "user_id")
    consented = _latest_consents(consents, who)
    events = _tidy_events(message_events, who)
    known = _known_points(who, consented, events, channels)
    joined = known.join(consented, on=_KEY, how="left") if consented is not None else known.with_columns(_no_consent())
    joined = joined.join(_deliveries(events), on=_KEY, how="left").join(_complaints(events), on="user_sk", how="left")
    ruled = joined.with_columns(_rule(has_consents=consented is not None).alias("rule_id"))
    return _described(ruled).sort("user_id", "channel").select(list(_SCHEMA))


def _latest_consents(consents: pl.DataFrame | None, who: pl.DataFrame) -> pl.DataFrame | None:
    if consents is None:
        return None
    status = pl.col("status").str.strip_chars().str.to_lowercase()
    # Two rows of one instant: the stricter one wins, so severity breaks the tie.
    severity = pl.when(status.is_in(_WITHDRAWN)).then(2).when(status.is_in(_GRANTED)).then(0).otherwise(1)
    return (
        _keyed(consents, who)
        .with_columns(
            severity.alias("severity"),
            _text(consents, "basis").alias("basis"),
            _instant(consents, "changed_at").alias("consented_at"),
        )
        .sort("user_sk", "channel", "consented_at", "severity", "basis")
        .unique(subset=_KEY, keep="last", maintain_order=True)
        .select(*_KEY, "severity", "basis", "consented_at")
    )


def _tidy_events(message_events: pl.DataFrame | None, who: pl.DataFrame) -> pl.DataFrame:
    if message_events is None:
        return pl.DataFrame(
            schema={
                "user_sk": pl.Int64,
                "channel": pl.String,
                "event": pl.String,
                "occurred_at": pl.Datetime("us"),
                "code": pl.String,
            }
        )
    return _keyed(message_events, who).select(
        *_KEY,
        pl.col("event").str.strip_chars().str.to_lowercase(),
        _instant(message_events, "occurred_at").alias("occurred_at"),
        _text(message_events, "code").alias("code"),
    )


def _known_points(
    who: pl.DataFrame, consented: pl.DataFrame | None, events: pl.DataFrame, channels: Sequence[str]
) -> pl.DataFrame:
    configured = pl.DataFrame({"channel": list(channels)}, schema={"channel": pl.String})
    stopped = _complaints(events).select("user_sk")
    everyone = who.select("user_sk") if consented is not None else stopped
    points = [events.select(_KEY), everyone.join(configured, how="cross")]
    if consented is not None:
        points.append(consented.select(_KEY))
    return pl.concat(points).unique().join(who, on="user_sk", how="inner")


def _deliveries(events: pl.DataFrame) -> pl.DataFrame:
    event, at = pl.col("event"), pl.col("occurred_at")
    failed = event.is_in(_FAILED)
    return events.group_by(_KEY).agg(
        at.filter(event == "unsubscribed").max().alias("unsubscribed_at"),
        at.filter(event.is_in(_ALIVE)).max().alias("alive_at"),
        at.filter(failed).max().alias("failed_at"),
        # Two failures of one instant: the greater code, so that the answer does not hang on row order.
        pl.col("code").filter(failed & (at == at.filter(failed).max())).max().alias("failed_code"),
    )


def _complaints(events: pl.DataFrame) -> pl.DataFrame:
    complained = events.filter(pl.col("event") == "complained")
    return complained.select("user_sk", pl.lit(True).alias("complained")).unique()


def _rule(*, has_consents: bool) -> pl.Expr:
    severity = pl.col("severity")
    left_since = pl.col("unsubscribed_at").is_not_null() & (
        pl.col("consented_at").is_null() | (pl.col("unsubscribed_at") >= pl.col("consented_at"))
    )
    return (
        pl.when(pl.col("complained"))
        .then(pl.lit("complaint.stop"))
        .when((severity == 2) | left_since)
        .then(pl.lit("consent.withdrawn"))
        .when(severity == 1)
        .then(pl.lit("consent.unclear"))
        .when(severity.is_null() & pl.lit(has_consents))
        .then(pl.lit("consent.missing"))
        .when(_is_dead())
        .then(pl.lit("reach.dead"))
    )


def _is_dead() -> pl.Expr:
    failed, alive = pl.col("failed_at"), pl.col("alive_at")
    return failed.is_not_null() & (alive.is_null() | (alive <= failed))


def _described(ruled: pl.DataFrame) -> pl.DataFrame:
    rule, allowed = pl.col("rule_id"), pl.col("rule_id").is_null()
    proven = (pl.col("severity") == 0) | pl.col("alive_at").is_not_null()
    usable = pl.when(proven).then(pl.lit("ok")).otherwise(pl.lit("unknown"))
    reach = rule.replace_strict({key: reach for key, reach, _ in RULES}, default=None, return_dtype=pl.String)
    citation = rule.replace_strict({key: cited for key, _, cited in RULES}, default=None, return_dtype=pl.String)
    return ruled.with_columns(
        pl.when(allowed).then(usable).otherwise(reach).alias("reach"),
        citation.alias("citation"),
        pl.when(pl.col("severity") == 0).then(pl.col("basis")).alias("consent_basis"),
        pl.when(_is_dead()).then(pl.col("failed_code")).alias("code"),
        pl.lit(None, dtype=pl.Date).alias("until"),
    )


def _keyed(frame: pl.DataFrame, who: pl.DataFrame) -> pl.DataFrame:
    keyed = frame if "user_sk" in frame.columns else frame.join(who, on="user_id", how="inner")
    return keyed.with_columns(pl.col("channel").str.strip_chars().str.to_lowercase())


def _no_consent() -> list[pl.Expr]:
    return [
        pl.lit(None, dtype=pl.Int32).alias("severity"),
        pl.lit(None, dtype=pl.String).alias("basis"),
        pl.lit(None, dtype=pl.Datetime("us")).alias("consented_at"),
    ]


def _instant(frame: pl.DataFrame, column: str) -> pl.Expr:
    kind = frame.schema[column]
    zoned = isinstance(kind, pl.Datetime) and kind.time_zone is not None
    at = pl.col(column).dt.convert_time_zone("UTC").dt.replace_time_zone(None) if zoned else pl.col(column)
    return at.cast(pl.Datetime("us"))


def _text(frame: pl.DataFrame, column: str) -> pl.Expr:
    return pl.col(column).cast(pl.String) if column in frame.columns else pl.lit(None, dtype=pl.String)
