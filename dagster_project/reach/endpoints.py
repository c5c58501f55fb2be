"""Whether a message can arrive: what each endpoint's past proves, and the best endpoint of each user and channel.

Whether a message *may* be sent is decided in `contact_points`. Nothing here guesses: a state needs a proof, and what
has none is `unknown`.

An endpoint's state, the first of these that holds:

- `dead`: a permanent failure of class endpoint_dead or endpoint_moved, and no proof of life since. Transient failures
  never kill. A proof of life is a delivery, an open (a machine's too: it was fetched), a click or a conversion.
- `revoked`: a failure of class permission_revoked, and no proof of life since.
- `capped`: a failure of class quota at most QUOTA_DAYS old, or of this month where its rule says so; or one of class
  window, and the user was not seen on a later day: the next act of the user opens it.
- `stale`: at least STALE_FAILURES failures in a row over STALE_FAILURE_DAYS, or at least STALE_SENDS messages without
  a proof of life for STALE_DAYS where the channel tells of deliveries.
- `ok`: a proof of life, or, where the channel tells of no deliveries, a message sent that did not fail.
- `unknown`: none of these.

Of several endpoints of one user and channel the best counts, in the order ok, capped, stale, unknown, revoked, dead:
one device that still answers is enough, and a new endpoint revives the channel. What happened without an endpoint
being named counts for the newest one. Above them stand the user's own words: a complaint on the channel gives
`suppressed`; an unsubscription, a withdrawn consent, or a STOP told to the provider, that no later grant lifts gives
`revoked`. A consent for all channels speaks for each.
"""

from collections.abc import Collection
from datetime import date

import polars as pl

from dagster_project.reach.consents import GRANTED, WITHDRAWN, for_each_channel, status_word
from dagster_project.reach.failures import rules_that_last, with_failures

# Conventions of ours, not fits: common suppression practice is two to five bounces in a row over some days to weeks.
STALE_FAILURES, STALE_FAILURE_DAYS = 3, 14
STALE_SENDS, STALE_DAYS = 3, 30
QUOTA_DAYS = 2  # quotas are counted by the minute, the hour or the day, which need not be our day; a month's are told
DELIVERIES_TOLD_SHARE = 0.05  # of the endpoints written to: fewer are strays, not a channel that reports deliveries
KEY = ["user_sk", "channel"]
STATES = ("ok", "capped", "stale", "unknown", "revoked", "dead")  # best first
DEADLY = ("endpoint_dead", "endpoint_moved")
STOP_COLUMNS = ("failure_class", "is_permanent", "code", "rule_id")
CHANGES = {"granted_at": pl.Datetime("us"), "withdrawn_at": pl.Datetime("us")}
ENDPOINTS_SCHEMA = pl.Schema(
    {
        "user_sk": pl.Int64(),
        "user_id": pl.String(),
        "channel": pl.String(),
        "endpoint": pl.String(),
        "reach": pl.String(),
        "failure_class": pl.String(),
        "is_permanent": pl.Boolean(),
        "code": pl.String(),
        "rule_id": pl.String(),
        "until": pl.Date(),
        "first_seen_on": pl.Date(),
        "last_seen_on": pl.Date(),
        "last_delivered_on": pl.Date(),
        "first_failed_on": pl.Date(),
        "last_failed_on": pl.Date(),
        "died_on": pl.Date(),
        "n_failed_since_delivered": pl.Int64(),
        "is_active_after": pl.Boolean(),
        "explanation": pl.String(),
    }
)


def endpoints(
    users: pl.DataFrame,
    states: pl.DataFrame,
    failures: pl.DataFrame,
    *,
    consents: pl.DataFrame | None,
    sightings: pl.DataFrame,
    as_of: date,
    timezone: str,
    channels: Collection[str] = (),
) -> pl.DataFrame:
    """One row per user × channel known from messages or consents: ENDPOINTS_SCHEMA, sorted by user_id, channel.

    `users`: user_sk, user_id; others are left out. `states`, `failures`: intermediate.channel_states and
    failure_states of the night. `sightings`: user_sk, last_seen_on. `channels`: those for which, beside those of
    `states`, a consent for all speaks. Days are those of `timezone`. Nothing may be dated after `as_of`.
    """
    told_failures = with_failures(failures.with_columns(pl.col("code").replace("", None)))
    spoken = None if consents is None else for_each_channel(consents, channels={*channels, *states["channel"]})
    judged = judge(states, told_failures, sightings, as_of=as_of, timezone=timezone)
    best = (
        judged.with_columns(rank=pl.col("reach").replace_strict(dict(zip(STATES, range(6), strict=True))))
        .sort("rank", "last_seen_at", "endpoint", descending=[False, True, True])
        .unique(subset=KEY, keep="first", maintain_order=True)
    )
    known = best.join(own_words(states, spoken, stops(told_failures)), on=KEY, how="full", coalesce=True)
    joined = known.join(users.select("user_sk", "user_id"), on="user_sk", how="inner").join(
        sightings, on="user_sk", how="left", suffix="_user"
    )
    rows = told(joined, timezone=timezone)
    typed = [pl.col(name).cast(type_) for name, type_ in ENDPOINTS_SCHEMA.items()]
    return rows.select(typed).sort("user_id", "channel")


def judge(
    states: pl.DataFrame, failures: pl.DataFrame, sightings: pl.DataFrame, *, as_of: date, timezone: str
) -> pl.DataFrame:
    """One row per endpoint: its state in `reach`, the failure that decided, and its dates."""
    named = by_newest_endpoint(states)
    capping = with_caps(failures, sightings, as_of=as_of, timezone=timezone)
    known = named.join(
        decisive_failures(capping, named), on=[*KEY, "endpoint"], how="left", maintain_order="left"
    ).with_columns(pl.col("n_failed").fill_null(0))
    told_share = pl.col("last_delivered_at").is_not_null().mean().over("channel")
    tells = told_share >= DELIVERIES_TOLD_SHARE
    is_alive = pl.col("last_alive_at").is_not_null()
    fails_on = (pl.col("n_failed") >= STALE_FAILURES) & (
        (pl.col("last_failed_at") - pl.col("first_failed_at")).dt.total_days() >= STALE_FAILURE_DAYS
    )
    unanswered_since = day_of("first_sent_since_alive_at", timezone)
    unanswered = (
        tells
        & (pl.col("n_sent_since_alive") >= STALE_SENDS)
        & ((pl.lit(as_of) - unanswered_since).dt.total_days() >= STALE_DAYS)
    )
    return known.with_columns(
        fails_on=fails_on.fill_null(value=False),
        reach=pl.when(pl.col("died_at").is_not_null())
        .then(pl.lit("dead"))
        .when(pl.col("revoked_at").is_not_null())
        .then(pl.lit("revoked"))
        .when(pl.col("is_capping").fill_null(value=False))
        .then(pl.lit("capped"))
        .when(fails_on.fill_null(value=False) | unanswered.fill_null(value=False))
        .then(pl.lit("stale"))
        .when(is_alive | (~tells & (pl.col("n_sent") > 0) & (pl.col("n_failed") == 0)))
        .then(pl.lit("ok"))
        .otherwise(pl.lit("unknown")),
    )


def by_newest_endpoint(states: pl.DataFrame) -> pl.DataFrame:
    """The states with what named no endpoint added to the newest endpoint of the user and channel."""
    named = states.filter(pl.col("endpoint") != "")
    newest = (
        named.sort("last_seen_at", "endpoint")
        .unique(subset=KEY, keep="last", maintain_order=True)
        .select(*KEY, pl.col("endpoint").alias("newest"))
    )
    moved = (
        states.join(newest, on=KEY, how="left", maintain_order="left")
        .with_columns(
            pl.when(pl.col("endpoint") == "")
            .then(pl.coalesce("newest", "endpoint"))
            .otherwise("endpoint")
            .alias("endpoint")
        )
        .drop("newest")
    )
    alive_at = pl.col("last_alive_at").max().over(*KEY, "endpoint")
    is_open = alive_at.is_null() | (pl.col("last_sent_at") > alive_at).fill_null(value=False)
    return (
        moved.with_columns(
            pl.when(is_open).then("n_sent_since_alive").otherwise(0).alias("n_sent_since_alive"),
            pl.when(is_open).then("first_sent_since_alive_at").alias("first_sent_since_alive_at"),
        )
        .group_by(*KEY, "endpoint")
        .agg(
            pl.col("first_seen_at", "first_sent_since_alive_at").min(),
            pl.col("last_seen_at", "last_delivered_at", "last_alive_at").max(),
            pl.col("n_sent", "n_sent_since_alive").sum(),
        )
        .sort(*KEY, "endpoint")
    )


def with_caps(failures: pl.DataFrame, sightings: pl.DataFrame, *, as_of: date, timezone: str) -> pl.DataFrame:
    """The judged failures with `is_capping`, of a quota or window that stands, and `until` (null: the user's act).

    A failure and an act of one day: their order is not told, and the window stays shut.
    """
    failed_on = day_of("last_failed_at", timezone)
    is_of_month = pl.col("rule_id").is_in(rules_that_last("month"))
    quota_until = (
        pl.when(is_of_month)
        .then(failed_on.dt.month_start().dt.offset_by("1mo"))
        .otherwise(failed_on.dt.offset_by(f"{QUOTA_DAYS + 1}d"))
    )
    is_shut = (pl.col("failure_class") == "window") & ~(pl.col("seen_on") > failed_on).fill_null(value=False)
    is_full = (pl.col("failure_class") == "quota") & (quota_until > as_of)
    seen = sightings.select("user_sk", pl.col("last_seen_on").alias("seen_on"))
    return (
        failures.join(seen, on="user_sk", how="left", maintain_order="left")
        .with_columns(
            (is_shut | is_full).fill_null(value=False).alias("is_capping"),
            pl.when(is_full).then(quota_until).alias("until"),
        )
        .drop("seen_on")
    )


def decisive_failures(failures: pl.DataFrame, named: pl.DataFrame) -> pl.DataFrame:
    """One row per endpoint with a failure since its proof of life: when it died, and the failure that decides.

    A deadly failure decides, else a revoked permission, else one that caps, else the newest; a tie is decided by the
    code. `failures`: as `with_caps` gives them.
    """
    newest = named.sort("last_seen_at", "endpoint").unique(subset=KEY, keep="last", maintain_order=True)
    placed = failures.join(
        newest.select(*KEY, pl.col("endpoint").alias("newest")), on=KEY, how="left", maintain_order="left"
    ).with_columns(
        pl.when(pl.col("endpoint") == "")
        .then(pl.coalesce("newest", "endpoint"))
        .otherwise("endpoint")
        .alias("endpoint")
    )
    since = placed.join(
        named.select(*KEY, "endpoint", "last_alive_at"), on=[*KEY, "endpoint"], how="left", maintain_order="left"
    ).filter(
        (pl.col("n_since_alive") > 0)
        & (pl.col("last_alive_at").is_null() | (pl.col("last_failed_at") > pl.col("last_alive_at")))
    )
    kills = pl.col("failure_class").is_in(DEADLY) & pl.col("is_permanent").fill_null(value=False)
    # A STOP is a word of the user, which stands among their others: own_words.
    revokes = (pl.col("failure_class") == "permission_revoked") & ~pl.col("rule_id").is_in(rules_that_last("grant"))
    weight = pl.when(kills).then(3).when(revokes).then(2).when("is_capping").then(1).otherwise(0)
    return (
        since.with_columns(
            died_at=pl.when(kills).then("first_since_alive_at"),
            revoked_at=pl.when(revokes).then("first_since_alive_at"),
            weight=weight,
        )
        .sort("weight", "last_failed_at", "event", "code", nulls_last=False)
        .group_by(*KEY, "endpoint", maintain_order=True)
        .agg(
            pl.col("died_at", "revoked_at").min(),
            pl.col("first_since_alive_at").min().alias("first_failed_at"),
            pl.col("last_failed_at").last().alias("decided_at"),
            pl.col("last_failed_at").max(),
            pl.col("n_since_alive").sum().alias("n_failed"),
            pl.col("failure_class", "is_permanent", "code", "rule_id", "until", "is_capping").last(),
        )
    )


def stops(failures: pl.DataFrame) -> pl.DataFrame:
    """Per user and channel the newest STOP that a provider told of, on whichever endpoint: stopped_at, stop_*."""
    return (
        failures.filter(pl.col("rule_id").is_in(rules_that_last("grant")))
        .sort("last_failed_at", "code", nulls_last=False)
        .unique(subset=KEY, keep="last", maintain_order=True)
        .select(
            *KEY,
            pl.col("last_failed_at").alias("stopped_at"),
            *(pl.col(name).alias(f"stop_{name}") for name in STOP_COLUMNS),
        )
    )


def own_words(states: pl.DataFrame, consents: pl.DataFrame | None, stopped: pl.DataFrame) -> pl.DataFrame:
    """Per user and channel: complained_at, and out_at, the opt-out that no later grant lifts; null where none.

    `stopped`: as `stops` gives them; one that a later grant lifts is blanked. A grant of the same instant as an opt-out
    does not lift it: the stricter stands.
    """
    said = states.group_by(KEY).agg(
        pl.col("last_complained_at").max().alias("complained_at"), pl.col("last_unsubscribed_at").max().alias("left_at")
    )
    changes = pl.DataFrame(schema={"user_sk": pl.Int64, "channel": pl.String, **CHANGES})
    if consents is not None:
        status = status_word()
        changes = consents.group_by(KEY).agg(
            pl.col("changed_at").filter(status.is_in(GRANTED)).max().alias("granted_at"),
            pl.col("changed_at").filter(status.is_in(WITHDRAWN)).max().alias("withdrawn_at"),
        )
    out_at, granted_at = pl.max_horizontal("left_at", "withdrawn_at", "stopped_at"), pl.col("granted_at")
    stop_stands = granted_at.is_null() | (pl.col("stopped_at") >= granted_at)
    return (
        said.join(changes, on=KEY, how="full", coalesce=True)
        .join(stopped, on=KEY, how="full", coalesce=True)
        .select(
            *KEY,
            "complained_at",
            pl.when(granted_at.is_null() | (out_at >= granted_at)).then(out_at).alias("out_at"),
            *(pl.when(stop_stands).then(pl.col(f"stop_{name}")).alias(f"stop_{name}") for name in STOP_COLUMNS),
        )
    )


def told(known: pl.DataFrame, *, timezone: str) -> pl.DataFrame:
    """The rows with the user's own words applied, days for times, the counter-signal and a sentence.

    Of a STOP that stands the failure that told of it is shown, whichever endpoint it was on.
    """
    by_endpoint = pl.col("reach").fill_null("unknown")
    is_stopped = pl.col("stop_rule_id").is_not_null()
    ended_on = pl.coalesce(day_of("died_at", timezone), day_of("revoked_at", timezone))
    return known.with_columns(
        pl.when(pl.col("complained_at").is_not_null())
        .then(pl.lit("suppressed"))
        .when(pl.col("out_at").is_not_null())
        .then(pl.lit("revoked"))
        .otherwise(by_endpoint)
        .alias("reach"),
        pl.col("endpoint").replace("", None),
        day_of("first_seen_at", timezone).alias("first_seen_on"),
        pl.col("last_seen_on").alias("user_seen_on"),
        day_of("last_seen_at", timezone).alias("last_seen_on"),
        day_of("last_alive_at", timezone).alias("last_delivered_on"),
        day_of("first_failed_at", timezone).alias("first_failed_on"),
        day_of("last_failed_at", timezone).alias("last_failed_on"),
        day_of("died_at", timezone).alias("died_on"),
        pl.col("n_failed").fill_null(0).alias("n_failed_since_delivered"),
        (pl.col("last_seen_on") > ended_on).fill_null(value=False).alias("is_active_after"),
        ended_on.alias("ended_on"),
        day_of("out_at", timezone).alias("out_on"),
        day_of("complained_at", timezone).alias("complained_on"),
        day_of("decided_at", timezone).alias("decided_on"),
        day_of("first_sent_since_alive_at", timezone).alias("unanswered_since"),
        *(pl.when(is_stopped).then(f"stop_{name}").otherwise(name).alias(name) for name in STOP_COLUMNS),
    ).with_columns(pl.when(pl.col("reach") == "capped").then("until").alias("until"), sentence().alias("explanation"))


def sentence() -> pl.Expr:
    """One sentence on why the channel is in its state."""
    code = pl.coalesce("code", pl.lit("no code"))
    after = (
        pl.when(pl.col("is_active_after"))
        .then(pl.lit(", yet the user was seen after that: a technical failure, not lost interest"))
        .otherwise(pl.lit(""))
    )
    of_reach: dict[str, pl.Expr] = {
        "suppressed": pl.format("The user complained on {}.", "complained_on"),
        "dead": pl.format("The endpoint died on {} ({}){}.", "ended_on", code, after),
        "ok": pl.format("Messages arrive, the last proof is of {}.", pl.coalesce("last_delivered_on", "last_seen_on")),
        "unknown": pl.lit("Nothing proves or disproves that messages arrive."),
    }
    revoked = (
        pl.when(pl.col("out_on").is_not_null())
        .then(pl.format("The user opted out on {}.", "out_on"))
        .otherwise(pl.format("Permission was taken back by {} ({}){}.", "ended_on", code, after))
    )
    capped = (
        pl.when(pl.col("until").is_null())
        .then(pl.format("Shut on {} ({}) until the user's next act opens it.", "decided_on", code))
        .otherwise(pl.format("A quota held the last message back on {} ({}).", "decided_on", code))
    )
    stale = (
        pl.when("fails_on")
        .then(pl.format("The last {} messages failed, the newest on {} ({}).", "n_failed", "last_failed_on", code))
        .otherwise(pl.format("Nothing arrived of {} messages since {}.", "n_sent_since_alive", "unanswered_since"))
    )
    of_reach |= {"revoked": revoked, "capped": capped, "stale": stale}
    return pl.coalesce([pl.when(pl.col("reach") == reach).then(text) for reach, text in of_reach.items()])


def day_of(name: str, timezone: str) -> pl.Expr:
    """The day of a UTC time in a zone."""
    return pl.col(name).dt.replace_time_zone("UTC").dt.convert_time_zone(timezone).dt.date()
