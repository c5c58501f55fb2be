"""By which ways a user could be reached, and when: what tells a user whom we silenced from one reachable elsewhere.

What one endpoint's past proves, and how a user's own words weigh, is decided in `reach.endpoints`.
"""

from dataclasses import dataclass, field

import polars as pl

from dagster_project.reach.consents import for_each_channel
from dagster_project.reach.endpoints import KEY, by_newest_endpoint, day_of, decisive_failures, own_words, stops
from dagster_project.reach.failures import with_failures

CHANNELS = pl.Schema(
    {
        "user_sk": pl.Int64(),
        "channel": pl.String(),
        "known_on": pl.Date(),
        "died_on": pl.Date(),
        "shut_on": pl.Date(),
    }
)
DAYS = pl.Schema({"user_sk": pl.Int64(), "dt": pl.Date()})
# Over intermediate.message_steps, of the users in `hit` (user_sk, failed_on) the later days on which a message got
# through. As in marts.send_outcomes one that is known to be sent and not known to have failed has; so has one that was
# delivered in the end.
ARRIVALS_QUERY = """
    with messages as (
        select
            steps.user_sk,
            steps.channel,
            steps.message_id,
            min(steps.dt) as dt,
            count(steps.delivered_at)
            + count(steps.opened_at)
            + count(steps.machine_opened_at)
            + count(steps.clicked_at)
            + count(steps.converted_at)
            > 0 as is_proven,
            count(steps.sent_at) > 0 as is_sent,
            count(steps.failed_at) + count(steps.bounced_at) > 0 as is_failed
        from intermediate.message_steps as steps
        inner join hit on steps.user_sk = hit.user_sk and steps.dt > hit.failed_on
        group by steps.user_sk, steps.channel, steps.message_id
    )

    select distinct user_sk, dt
    from messages
    where is_proven or (is_sent and not is_failed)
"""


# Over intermediate.signal_days, of the same users the days on which they removed the app.
REMOVALS_QUERY = """
    select distinct user_sk, dt
    from intermediate.signal_days
    where user_sk in (select user_sk from hit) and signal = 'app_removed'
"""
IN_THE_APP = "push"


@dataclass(frozen=True)
class Ways:
    """What is known, on a day, of the ways to some users.

    `channels`: one row per user and channel known from messages or consents: `known_on`, the first message, null where
    none was ever sent; `died_on`, when no endpoint was left, and `shut_on`, when the user shut it, both null while it
    is open. `arrivals` (user_sk, dt): days on which a message got through, on any channel, of those after the user's
    first failure. `stopped` (user_sk): who
    asked to be left alone on every channel. `removals` (user_sk, dt): days on which the app was removed.
    """

    channels: pl.DataFrame = field(default_factory=CHANNELS.to_frame)
    arrivals: pl.DataFrame = field(default_factory=DAYS.to_frame)
    stopped: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema={"user_sk": pl.Int64}))
    removals: pl.DataFrame = field(default_factory=DAYS.to_frame)


def channel_ways(
    states: pl.DataFrame, failures: pl.DataFrame, *, consents: pl.DataFrame | None, timezone: str
) -> pl.DataFrame:
    """One row per user and channel as CHANNELS, sorted by both.

    `states`, `failures`: intermediate.channel_states and failure_states of the day; nothing may be dated after it. A
    channel with one endpoint that still answers has not died. A consent for all channels can shut those written to; it
    is no proof that there is an address on any other.
    """
    told = with_failures(failures.with_columns(pl.col("code").replace("", None)))
    named = by_newest_endpoint(states)
    # What a quota holds back arrives another day: it is no end of a channel.
    uncapped = told.with_columns(is_capping=pl.lit(value=False), until=pl.lit(None, dtype=pl.Date))
    ends = decisive_failures(uncapped, named).select(*KEY, "endpoint", pl.coalesce("died_at", "revoked_at").alias("at"))
    known = (
        named.join(ends, on=[*KEY, "endpoint"], how="left")
        .group_by(KEY)
        .agg(
            pl.col("first_seen_at").min(),
            pl.when(pl.col("at").is_not_null().all()).then(pl.col("at").max()).alias("died_at"),
        )
    )
    spoken = None if consents is None else for_each_channel(consents, channels=set(states["channel"]))
    named_there = for_each_channel(consents, channels=()).select(KEY) if consents is not None else states.select(KEY)
    there = pl.concat([states.select(KEY), named_there]).unique()
    said = (
        own_words(states, spoken, stops(told))
        .join(there, on=KEY, how="semi")
        .with_columns(pl.max_horizontal("complained_at", "out_at").alias("shut_at"))
    )
    days = {"first_seen_at": "known_on", "died_at": "died_on", "shut_at": "shut_on"}
    return (
        known.join(said, on=KEY, how="full", coalesce=True)
        .select(*KEY, *(day_of(time, timezone).alias(name) for time, name in days.items()))
        .cast(CHANNELS)
        .sort(KEY)
    )


def with_another_way(hits: pl.DataFrame, channels: pl.DataFrame) -> pl.DataFrame:
    """user_sk, outage_id of the `hits` (user_sk, outage_id, channel, since) whom another channel could reach.

    Open now, or open on the day `since` when the outage took the channel; a channel that was never written to counts,
    for a message may go there. One that was itself taken by then, by any outage of the `hits`, does not.
    """
    taken = hits.group_by("user_sk", "channel").agg(pl.col("since").min().alias("taken_on"))
    ends = channels.join(taken, on=["user_sk", "channel"], how="left").select(
        "user_sk", "channel", "known_on", pl.min_horizontal("died_on", "shut_on", "taken_on").alias("ended_on")
    )
    others = hits.join(ends, on="user_sk", how="inner", suffix="_other").filter(
        pl.col("channel") != pl.col("channel_other")
    )
    was_known = pl.col("known_on").is_null() | (pl.col("known_on") <= pl.col("since"))
    was_open = was_known & (pl.col("ended_on") > pl.col("since"))
    return others.filter(pl.col("ended_on").is_null() | was_open).select("user_sk", "outage_id").unique()


def shut_by_user(hits: pl.DataFrame, ways: Ways) -> pl.DataFrame:
    """user_sk, outage_id of the `hits` who shut the very channel themselves, or asked to be left alone everywhere.

    Whoever removed the app when or after they were last seen (`last_on`) shut its messages by that.
    """
    shut = ways.channels.filter(pl.col("shut_on").is_not_null()).select("user_sk", "channel")
    by_channel = hits.join(shut, on=["user_sk", "channel"], how="semi")
    by_all = hits.join(ways.stopped, on="user_sk", how="semi")
    of_app = hits.filter(pl.col("channel") == IN_THE_APP).join(ways.removals, on="user_sk", how="inner")
    by_removal = of_app.filter(pl.col("dt") >= pl.col("last_on"))
    return pl.concat([part.select("user_sk", "outage_id") for part in (by_channel, by_all, by_removal)]).unique()


def first_arrivals(hits: pl.DataFrame, arrivals: pl.DataFrame) -> pl.DataFrame:
    """user_sk, outage_id and reached_on: the first day after `lost_on` on which any message got through."""
    after = hits.join(arrivals, on="user_sk", how="inner").filter(pl.col("dt") > pl.col("lost_on"))
    return after.group_by("user_sk", "outage_id").agg(pl.col("dt").min().alias("reached_on"))
