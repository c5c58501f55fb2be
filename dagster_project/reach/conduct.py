"""Messages that we sent in a user's quiet hours. What may be sent tonight is decided elsewhere."""

from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import polars as pl

from dagster_project.compliance.hours import clock_windows
from dagster_project.reach.choices import with_quiet_minutes
from dagster_project.reach.consents import for_each_channel

# 47 CFR 64.1200(c)(1): no calls (and texts, by the regulator's reading) before 8 am or after 9 pm of the called.
NIGHT = ("21:00", "08:00")
CHANNELS_THAT_DO_NOT_RING = ("email", "inbox", "in_app")

BREACHES_SCHEMA = pl.Schema({"user_sk": pl.Int64(), "channel": pl.String(), "n_quiet_breaches": pl.Int64()})


def quiet_hour_breaches(messages: pl.DataFrame, zones: pl.DataFrame, consents: pl.DataFrame | None) -> pl.DataFrame:
    """user_sk, channel, n_quiet_breaches: messages sent in the quiet hours that held when they were sent.

    `messages`: user_sk, channel, sent_at (UTC). `zones`: user_sk, timezone (IANA). `consents`: user_sk, channel,
    changed_at, quiet_start, quiet_end ("21:00"). Hours without a word of the user, or with one that cannot be read:
    NIGHT, on channels that ring. A user whose zone is unknown or does not exist has no known local hour, and no
    breach. From start, inclusive, to end; equal ends are the whole day.
    """
    placed = messages.filter(pl.col("sent_at").is_not_null()).join(zones, on="user_sk", how="inner")
    parts = [
        part.select("user_sk", "channel", "sent_at", _minute_of_day(pl.col("sent_at"), zone).alias("minute"))
        for (zone,), part in placed.partition_by("timezone", as_dict=True).items()
        if _exists(zone)
    ]
    if not parts:
        return BREACHES_SCHEMA.to_frame()
    start, end = pl.col("quiet_start"), pl.col("quiet_end")
    inside = (
        pl.when(start < end)
        .then((pl.col("minute") >= start) & (pl.col("minute") < end))
        .otherwise((pl.col("minute") >= start) | (pl.col("minute") < end))
    )
    return (
        _with_quiet_hours(pl.concat(parts), consents)
        .filter(inside)
        .group_by("user_sk", "channel")
        .agg(pl.len().cast(pl.Int64).alias("n_quiet_breaches"))
        .cast(BREACHES_SCHEMA)
        .sort("user_sk", "channel")
    )


def _with_quiet_hours(sends: pl.DataFrame, consents: pl.DataFrame | None) -> pl.DataFrame:
    rings = ~pl.col("channel").is_in(CHANNELS_THAT_DO_NOT_RING)
    nights = [pl.when(rings).then(pl.lit(minute)) for minute in clock_windows(*NIGHT)[0]]
    if consents is None:
        return sends.with_columns(nights[0].alias("quiet_start"), nights[1].alias("quiet_end"))
    said = (
        for_each_channel(consents, channels=sends["channel"].unique().drop_nulls())
        .select(
            "user_sk",
            "channel",
            pl.col("changed_at").cast(pl.Datetime("us")),
            pl.col("quiet_start", "quiet_end").cast(pl.String),
        )
        .pipe(with_quiet_minutes)
        .sort("changed_at", "user_sk", "channel", "quiet_start", "quiet_end")
    )
    at = pl.col("sent_at").cast(pl.Datetime("us"))
    joined = (
        sends.with_columns(at)
        .sort("sent_at")
        .join_asof(
            said, left_on="sent_at", right_on="changed_at", by=["user_sk", "channel"], strategy="backward",
            check_sortedness=False,
        )
    )  # fmt: skip
    own = pl.col("quiet_start").is_not_null() & pl.col("quiet_end").is_not_null()
    return joined.with_columns(
        pl.when(own).then(pl.col(name)).otherwise(night).alias(name)
        for name, night in zip(("quiet_start", "quiet_end"), nights, strict=True)
    )


def _minute_of_day(at: pl.Expr, zone: str) -> pl.Expr:
    local = at.dt.replace_time_zone(None).dt.replace_time_zone("UTC").dt.convert_time_zone(zone)
    return local.dt.hour().cast(pl.Int64) * 60 + local.dt.minute()


def _exists(zone: object) -> bool:
    if zone is None:
        return False
    try:
        ZoneInfo(str(zone))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
