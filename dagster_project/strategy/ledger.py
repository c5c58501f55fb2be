"""The ledger of arms: which night may write to it, and what it says of earlier contacts."""

from collections.abc import Sequence
from datetime import date

import polars as pl


def may_write(nights: Sequence[str], *, as_of: date, is_backtest: bool) -> bool:
    """Whether the night `as_of` may write: it is no backtest, and no later night (ISO dates) has written.

    The newest night may write again: it was made again, and its files with it.
    """
    return not is_backtest and as_of.isoformat() >= max(nights, default="")


def listed_contacts(assignments: pl.DataFrame, users: pl.DataFrame) -> pl.DataFrame:
    """user_sk, channel, assigned_at of every contact that earlier nights put on a list, sorted.

    `assignments` are rows of the ledger; `users` gives user_sk and user_id.
    """
    return (
        assignments.filter(pl.col("arm") != "control")
        .join(users.select("user_sk", "user_id"), on="user_id", how="inner")
        .select("user_sk", "channel", "assigned_at")
        .sort("user_sk", "channel", "assigned_at")
    )


def last_contacts(assignments: pl.DataFrame, users: pl.DataFrame) -> pl.DataFrame:
    """user_sk, last_contact_on (date) of users whom an earlier night put on a list; the held out were not contacted.

    `assignments` are rows of the ledger; `users` gives user_sk and user_id. Sorted by user_sk.
    """
    return (
        assignments.filter(pl.col("arm") != "control")
        .group_by("user_id")
        .agg(pl.col("assigned_at").max().dt.date().alias("last_contact_on"))
        .join(users.select("user_sk", "user_id"), on="user_id", how="inner")
        .select("user_sk", "last_contact_on")
        .sort("user_sk")
    )
