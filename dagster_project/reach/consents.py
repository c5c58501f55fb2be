"""The words that consents are written in, and the channels that a row speaks of."""

from collections.abc import Collection

import polars as pl

GRANTED = ("granted", "opted_in", "subscribed")
WITHDRAWN = ("withdrawn", "revoked", "opted_out", "unsubscribed", "denied", "refused")
PAUSED = ("paused", "snoozed")
# Words for every channel at once; a row that carries one speaks for each.
ALL_CHANNELS = ("all", "any", "*")


def for_each_channel(consents: pl.DataFrame, *, channels: Collection[str]) -> pl.DataFrame:
    """The rows with their channel in lower case; a row for all channels becomes one for each of `channels`.

    Where `channels` is empty nothing is left of a row for all: it then speaks of no channel that anybody uses.
    """
    tidy = consents.with_columns(pl.col("channel").str.strip_chars().str.to_lowercase())
    for_all = pl.col("channel").is_in(ALL_CHANNELS).fill_null(value=False)
    each = pl.DataFrame({"channel": sorted(set(channels) - set(ALL_CHANNELS))}, schema={"channel": pl.String})
    spread = tidy.filter(for_all).drop("channel").join(each, how="cross", maintain_order="left_right")
    return pl.concat([tidy.filter(~for_all), spread.select(tidy.columns)])


def status_word() -> pl.Expr:
    """The status in lower case, without space around it."""
    return pl.col("status").str.strip_chars().str.to_lowercase()
