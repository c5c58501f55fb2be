"""The ledger of arms: which night may write to it, and which contacts it tells of."""

from collections.abc import Sequence
from datetime import date

import polars as pl

from dagster_project.strategy.catalogue import Catalogue
from dagster_project.strategy.series import CONTACTS, step_words


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


def contacts(assignments: pl.DataFrame, users: pl.DataFrame, *, catalogue: Catalogue) -> pl.DataFrame:
    """Every contact of earlier nights, as `series.CONTACTS`; the held out were not contacted. Sorted.

    `assignments` are rows of the ledger; `users` gives user_sk and user_id. Nights that did not note step and words
    sent each strategy's first.
    """
    first = step_words(catalogue).filter((pl.col("step") == 1) & (pl.col("word") == 1))
    words = first.select("strategy_id", "channel", pl.col("template_id").alias("first_words"))
    return (
        assignments.filter(pl.col("arm") != "control")
        .join(users.select("user_sk", "user_id"), on="user_id", how="inner")
        .join(words, on=["strategy_id", "channel"], how="left")
        .with_columns(
            pl.col("assigned_at").dt.date().alias("contact_on"),
            pl.col("step").fill_null(1),
            pl.coalesce("template_id", "first_words").alias("template_id"),
        )
        .select(list(CONTACTS))
        .sort(list(CONTACTS))
    )
