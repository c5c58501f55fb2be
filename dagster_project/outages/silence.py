"""Whom an outage silenced, and for how many days their silence says nothing."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import polars as pl

from dagster_project.outages.flows import PLACE
from dagster_project.outages.sends import PLACE as SENT_FROM
from dagster_project.outages.sends import with_faults
from dagster_project.outages.ways import Ways, first_arrivals, shut_by_user, with_another_way

SILENCED = pl.Schema(
    {
        "user_sk": pl.Int64(),
        "user_id": pl.String(),
        "outage_id": pl.String(),
        "kind": pl.String(),
        "silent_since": pl.Date(),
        "paused_days": pl.Int32(),
        "reached_on": pl.Date(),
    }
)
# An address that a provider refused in an outage works again afterwards. Who was written to by nobody for a quarter is
# called churned in the end, so that a win-back message may go there. An opinion.
LONGEST_AFTER_REFUSAL_DAYS = 90


def silenced_by_events(
    outages: pl.DataFrame, last_seen: pl.DataFrame, thresholds: pl.DataFrame, *, as_of: date
) -> pl.DataFrame:
    """Users last seen where an event outage was, not lapsed before it, and not seen since: SILENCED.

    `paused_days` are the days of the outage since they were last seen: their silence does not count on them. While
    it runs they cannot be told from users who left, and stay on the list. Once it is over they stay on it until their
    silence without the paused days is longer than their own churn threshold: by then the next visit, whenever it was
    due, should have been recorded.
    """
    judged = last_seen.join(thresholds.select("user_sk", "churn_threshold_days"), on="user_sk", how="inner")
    found = [
        judged.filter(at_place(outage)).select(
            "user_sk",
            "user_id",
            pl.lit(outage["outage_id"]).alias("outage_id"),
            pl.lit("events").alias("kind"),
            pl.col("last_on").alias("silent_since"),
            _paused_days(outage, as_of=as_of).alias("paused_days"),
            pl.lit(None, dtype=pl.Date).alias("reached_on"),
            pl.lit(outage["end_on"] is None).alias("is_running"),
            (_days_to(outage["start_on"]) - 1 <= pl.col("churn_threshold_days")).alias("was_here"),
            "churn_threshold_days",
        )
        for outage in outages.filter(pl.col("kind") == "events").iter_rows(named=True)
    ]
    if not found:
        return SILENCED.to_frame()
    users = pl.concat(found).filter("was_here", pl.col("paused_days") > 0)
    silence = (pl.lit(as_of) - pl.col("silent_since")).dt.total_days() - pl.col("paused_days").sum().over("user_sk")
    is_open = pl.col("is_running").any().over("user_sk") | (silence <= pl.col("churn_threshold_days"))
    return users.filter(is_open).select(SILENCED.names()).cast(SILENCED)


def silenced_by_messages(
    outages: pl.DataFrame,
    last_seen: pl.DataFrame,
    sends: pl.DataFrame,
    thresholds: pl.DataFrame,
    *,
    ways: Ways,
    as_of: date,
) -> pl.DataFrame:
    """Users whose only way died in a purge or was refused by a provider that was out, not active since: SILENCED.

    Only users who had not lapsed before, did not shut the channel, and whom no other channel can or could reach: the
    others were not silenced by us. Nothing was lost of what they did; it is the reason of their silence that is ours.

    `paused_days` are those from the outage to the night, or to `reached_on`, the first day after it on which any
    message got through: from then on their clock runs, and they leave the list when their silence without the paused
    days is longer than their own churn threshold. Whom a provider refused leaves it 90 days after the outage at the
    latest: that address works again. `sends` is marts.send_outcomes, with nothing after `as_of`.
    """
    hits = _hits(outages, sends).join(thresholds.select("user_sk", "churn_threshold_days"), on="user_sk", how="inner")
    silence_then = (pl.col("since") - pl.col("last_on")).dt.total_days() - 1
    hits = hits.join(last_seen.select("user_sk", "user_id", "last_on"), on="user_sk", how="inner").filter(
        pl.col("last_on") <= pl.col("hit_on"), silence_then <= pl.col("churn_threshold_days")
    )
    of_hit = ["user_sk", "outage_id"]
    ours = hits.join(shut_by_user(hits, ways), on=of_hit, how="anti").join(
        with_another_way(hits, ways.channels), on=of_hit, how="anti"
    )
    known = ours.join(first_arrivals(ours, ways.arrivals), on=of_hit, how="left")
    first = pl.max_horizontal(pl.col("last_on") + pl.duration(days=1), pl.col("since"))
    until = pl.coalesce("reached_on", pl.lit(as_of + timedelta(days=1)))
    paused = (until - first).dt.total_days().clip(0)
    silence = (pl.lit(as_of) - pl.col("last_on")).dt.total_days() - paused
    days_over = (pl.lit(as_of) - pl.col("end_on")).dt.total_days().fill_null(0)
    is_forgotten = (pl.col("kind") == "messages") & (days_over >= LONGEST_AFTER_REFUSAL_DAYS)
    is_kept = (
        pl.when(pl.col("reached_on").is_null()).then(~is_forgotten).otherwise(silence <= pl.col("churn_threshold_days"))
    )
    return (
        known.filter(is_kept, paused > 0)
        .with_columns(pl.col("last_on").alias("silent_since"), paused.alias("paused_days"))
        .sort("outage_id", "user_sk")
        .select(SILENCED.names())
        .cast(SILENCED)
    )


def _hits(outages: pl.DataFrame, sends: pl.DataFrame) -> pl.DataFrame:
    """Whose message failed in which outage of messages: user_sk, outage_id, kind, channel, end_on, and days.

    `since`: when the way was lost, the day of the purge or of the first refusal; `lost_on`: when that was seen, the
    first failure after a purge or the last refusal, after which an arrival counts; `hit_on`: the last failure.
    """
    failed = with_faults(sends.filter(pl.col("is_failed") & pl.col("user_sk").is_not_null()))
    schema = {"user_sk": pl.Int64, "outage_id": pl.String, "kind": pl.String, "channel": pl.String, "end_on": pl.Date}
    found = [pl.DataFrame(schema={**schema, "since": pl.Date, "lost_on": pl.Date, "hit_on": pl.Date})]
    for outage in outages.filter(pl.col("kind") != "events").iter_rows(named=True):
        is_purge = outage["kind"] != "messages"
        named = [pl.lit(outage[name], dtype=schema[name]).alias(name) for name in ("outage_id", "kind", "channel")]
        first_on, hit_on = pl.col("dt").min(), pl.col("dt").max()
        found.append(
            failed.filter(_is_hit(outage))
            .group_by(pl.col("user_sk").cast(pl.Int64))
            .agg(
                *named,
                pl.lit(outage["end_on"], dtype=pl.Date).alias("end_on"),
                (pl.lit(outage["start_on"]) if is_purge else first_on).alias("since"),
                (first_on if is_purge else hit_on).alias("lost_on"),
                hit_on.alias("hit_on"),
            )
        )
    return pl.concat(found)


def at_place(outage: Mapping[str, Any]) -> pl.Expr:
    """Whether a user was last seen at the outage's platform, version and country, as far as it names them."""
    named = [pl.col(name) == outage[name] for name in PLACE if outage[name] is not None]
    return pl.all_horizontal(pl.lit(True), *named).fill_null(value=False)


def known_by(outages: pl.DataFrame, *, as_of: date) -> pl.DataFrame:
    """The outages as they stood on an earlier day: those begun by then, still running if they ended later."""
    ended = pl.when(pl.col("end_on") <= as_of).then(pl.col("end_on")).alias("end_on")
    return outages.filter(pl.col("start_on") <= as_of).with_columns(ended)


def spoilt_users(outages: pl.DataFrame, last_seen: pl.DataFrame, *, cutoff: date, horizon_days: int) -> pl.DataFrame:
    """user_sk of all who were last seen, at a past cutoff, where events were lost from then to the horizon's end.

    `last_seen` is marts.last_platforms of the cutoff. Active or not: to leave out only those without an event would
    teach a model that everybody there comes back.
    """
    closed_on = cutoff + timedelta(days=horizon_days)
    over = (pl.col("kind") == "events") & (pl.col("start_on") <= closed_on)
    hit = outages.filter(over & (pl.col("end_on").is_null() | (pl.col("end_on") > cutoff)))
    found = [last_seen.filter(at_place(outage)).select("user_sk") for outage in hit.iter_rows(named=True)]
    return pl.concat([last_seen.select("user_sk").clear(), *found]).unique().sort("user_sk")


def _paused_days(outage: Mapping[str, Any], *, as_of: date) -> pl.Expr:
    end = outage["end_on"] or as_of + timedelta(days=1)
    first = pl.max_horizontal(pl.col("last_on") + pl.duration(days=1), pl.lit(outage["start_on"]))
    return (pl.lit(end) - first).dt.total_days().clip(0)


def _days_to(day: object) -> pl.Expr:
    return (pl.lit(day) - pl.col("last_on")).dt.total_days()


def _is_hit(outage: Mapping[str, Any]) -> pl.Expr:
    named = [pl.col(name) == outage[name] for name in SENT_FROM if outage[name] is not None]
    if outage["kind"] == "token_purge":
        straddles = (pl.col("alive_on") <= outage["start_on"]) & (pl.col("dt") >= outage["start_on"])
        return pl.all_horizontal(*named, "is_dead", straddles).fill_null(value=False)
    if outage["start_at"] is None:
        within = pl.col("dt").is_between(outage["start_on"], outage["end_on"] or date.max, closed="left")
    else:
        within = pl.col("hour_at") >= outage["start_at"]
        if outage["end_at"] is not None:
            within &= pl.col("hour_at") < outage["end_at"]
    return pl.all_horizontal(*named, "is_refused", within).fill_null(value=False)
