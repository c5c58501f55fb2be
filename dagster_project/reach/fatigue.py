"""Opt-outs, complaints and removals of the app charged to the messages of the hours before. Association in time."""

from collections.abc import Collection

import numpy as np
import polars as pl

from dagster_project.intervals import wilson_interval
from dagster_project.reach.consents import WITHDRAWN, for_each_channel, status_word
from dagster_project.reach.failures import with_failures

WINDOW_HOURS = 72  # a long weekend: harm later than that is charged to nobody
HALF_LIFE_HOURS = 24  # of two messages a day apart the later bears twice the charge; an opinion
SAME_WORD_HOURS = 24  # a withdrawal so soon after an opt-out from within a message is the same word said twice
REMOVED_RULES = ("fcm.unregistered",)  # APNs: the token is inactive for the topic; FCM: the app was unregistered

HARM_SCHEMA = pl.Schema(
    {
        "user_sk": pl.Int64(),
        "kind": pl.String(),
        "channel": pl.String(),
        "message_id": pl.String(),
        "happened_at": pl.Datetime("us"),
    }
)
CHARGE_SCHEMA = pl.Schema(
    {
        "user_sk": pl.Int64(),
        "kind": pl.String(),
        "channel": pl.String(),
        "message_id": pl.String(),
        "sent_at": pl.Datetime("us"),
        "charge": pl.Float64(),
    }
)
HARM_CHARGES_SCHEMA = pl.Schema(
    {
        "kind": pl.String,
        "channel": pl.String,
        "category": pl.String,
        "n_messages": pl.Int64,
        "charged": pl.Float64,
        "charged_share": pl.Float64,
        "charged_low": pl.Float64,
        "charged_high": pl.Float64,
    }
)


def find_harms(
    messages: pl.DataFrame,
    consents: pl.DataFrame | None,
    removals: pl.DataFrame,
    last_active: pl.DataFrame,
    *,
    channels: Collection[str] = (),
) -> pl.DataFrame:
    """user_sk, kind (opt_out, complaint, uninstall), channel?, message_id? (said from within it), happened_at.

    `messages`: user_sk, channel, message_id, failed_at, code, unsubscribed_at, complained_at. `consents`:
    user_sk, channel, status, changed_at. `removals`: marts.app_removals.
    `last_active`: user_sk, last_on. One uninstall per user, the first; a token refused by one of REMOVED_RULES (of
    `failures`) is one only if no day of activity followed. A withdrawal of all channels is one of each of `channels`
    and of those with a message. Nothing may be dated after the night.
    """
    said = [
        messages.filter(pl.col(column).is_not_null()).select(
            "user_sk", pl.lit(kind).alias("kind"), "channel", "message_id", pl.col(column).alias("happened_at")
        )
        for column, kind in (("unsubscribed_at", "opt_out"), ("complained_at", "complaint"))
    ]
    known = {*channels, *messages["channel"].drop_nulls().unique()}
    withdrawn = [] if consents is None else [_withdrawals(for_each_channel(consents, channels=known), said[0])]
    harms = [frame.select(list(HARM_SCHEMA)).cast(HARM_SCHEMA) for frame in said]
    harms += [frame.select(list(HARM_SCHEMA)).cast(HARM_SCHEMA) for frame in withdrawn]
    harms.append(_uninstalls(messages, removals, last_active))
    return pl.concat(harms).sort(list(HARM_SCHEMA.names()), nulls_last=True)


def charge_harms(messages: pl.DataFrame, harms: pl.DataFrame) -> pl.DataFrame:
    """One row per harm and message charged with it; the charges of one harm sum to 1.

    `messages`: user_sk, channel, message_id, sent_at, of messages that arrived. Said from within a message: that
    message bears all. Else the messages of the same user, and channel where the harm has one, of the
    WINDOW_HOURS before, each by 2 ^ (−hours ÷ HALF_LIFE_HOURS). Without such a message: one row with
    message_id null, charged to no message.
    """
    numbered = harms.cast(HARM_SCHEMA).with_row_index("harm")
    arrived = messages.select(
        "user_sk", "channel", "message_id", pl.col("sent_at").cast(pl.Datetime("us")).alias("sent_at")
    )
    within = numbered.filter(pl.col("message_id").is_not_null()).join(
        arrived.unique(["user_sk", "channel", "message_id"], keep="any"),
        on=["user_sk", "channel", "message_id"],
        how="left",
    )
    rest = numbered.filter(pl.col("message_id").is_null())
    spread = _spread(rest, arrived)
    nobody = rest.join(spread, on="harm", how="anti").with_columns(sent_at=pl.lit(None, dtype=pl.Datetime("us")))
    whole = pl.concat([within, nobody.select(within.columns)]).with_columns(charge=pl.lit(1.0))
    names = CHARGE_SCHEMA.names()
    order = ["user_sk", "kind", "sent_at", "channel", "message_id"]
    return pl.concat([whole.select(names), spread.select(names)]).cast(CHARGE_SCHEMA).sort(order, nulls_last=True)


def harm_by_category(charges: pl.DataFrame, sent: pl.DataFrame) -> pl.DataFrame:
    """kind, channel, category: messages that arrived, harm charged to them, share with its Wilson interval.

    `sent`: channel, category, n_messages. Harm charged to no message has channel and category null, no share.
    `charges` with category.
    """
    if charges.is_empty():
        return HARM_CHARGES_SCHEMA.to_frame()
    charged = charges.group_by("kind", "channel", "category").agg(exact_sum("charge").alias("charged"))
    counted = charged.join(sent, on=["channel", "category"], how="left", nulls_equal=True)
    n_messages = counted["n_messages"].fill_null(0).to_numpy()
    low, high = wilson_interval(np.minimum(counted["charged"].to_numpy(), n_messages), n_messages)
    known = pl.col("n_messages") > 0
    return (
        counted.with_columns(
            charged_share=pl.when(known).then((pl.col("charged") / pl.col("n_messages")).clip(0, 1)),
            charged_low=pl.when(known).then(pl.Series(low)),
            charged_high=pl.when(known).then(pl.Series(high)),
        )
        .select(HARM_CHARGES_SCHEMA.names())
        .cast(HARM_CHARGES_SCHEMA)
        .sort("kind", "channel", "category", nulls_last=True)
    )


def exact_sum(charge: str) -> pl.Expr:
    """The sum of charges to a millionth, the same in every order of the rows."""
    return (pl.col(charge) * 1e6).round().cast(pl.Int64).sum() / 1e6


def _spread(harms: pl.DataFrame, messages: pl.DataFrame) -> pl.DataFrame:
    hours = (pl.col("happened_at") - pl.col("sent_at")).dt.total_seconds() / 3600
    same_channel = pl.col("harm_channel").is_null() | (pl.col("harm_channel") == pl.col("channel"))
    weight = 2 ** (-pl.col("hours") / HALF_LIFE_HOURS)
    return (
        harms.select("harm", "user_sk", "kind", pl.col("channel").alias("harm_channel"), "happened_at")
        .join(messages, on="user_sk", how="inner")
        .with_columns(hours.alias("hours"))
        .filter(same_channel, pl.col("hours").is_between(0, WINDOW_HOURS))
        .sort("harm", "sent_at", "channel", "message_id")  # floats do not sum alike in every order
        .with_columns((weight / weight.sum().over("harm")).alias("charge"))
    )


def _withdrawals(consents: pl.DataFrame, said: pl.DataFrame) -> pl.DataFrame:
    withdrawn = consents.filter(status_word().is_in(WITHDRAWN)).select(
        "user_sk",
        pl.lit("opt_out").alias("kind"),
        "channel",
        pl.lit(None, dtype=pl.String).alias("message_id"),
        pl.col("changed_at").alias("happened_at").cast(pl.Datetime("us")),
    )
    repeated = (
        withdrawn.join(
            said.select("user_sk", "channel", pl.col("happened_at").alias("said_at")), on=["user_sk", "channel"]
        )
        .filter((pl.col("happened_at") - pl.col("said_at")).dt.total_seconds().abs() <= SAME_WORD_HOURS * 3600)
        .select("user_sk", "channel", "happened_at")
    )
    return withdrawn.join(repeated, on=["user_sk", "channel", "happened_at"], how="anti").unique()


def _uninstalls(messages: pl.DataFrame, removals: pl.DataFrame, last_active: pl.DataFrame) -> pl.DataFrame:
    failed = messages.filter(pl.col("code").is_not_null(), pl.col("failed_at").is_not_null())
    refused = (
        with_failures(failed.with_columns(pl.lit("failed").alias("event")))
        .filter(pl.col("rule_id").is_in(REMOVED_RULES))
        .join(last_active.select("user_sk", "last_on"), on="user_sk", how="left")
        .filter(pl.col("last_on").is_null() | (pl.col("last_on") <= pl.col("failed_at").dt.date()))
        .select("user_sk", pl.col("failed_at").alias("happened_at").cast(pl.Datetime("us")))
    )
    removed = removals.select("user_sk", pl.col("occurred_at").alias("happened_at").cast(pl.Datetime("us")))
    return (
        pl.concat([removed, refused])
        .group_by("user_sk")
        .agg(pl.col("happened_at").min())
        .with_columns(
            kind=pl.lit("uninstall"),
            channel=pl.lit(None, dtype=pl.String),
            message_id=pl.lit(None, dtype=pl.String),
        )
        .select(HARM_SCHEMA.names())
        .cast(HARM_SCHEMA)
    )
