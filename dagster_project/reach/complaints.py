"""Which channels too many complain about: the guard that closes a channel to all."""

from collections.abc import Sequence
from datetime import date

import polars as pl

from dagster_project.compliance.law import Law
from dagster_project.compliance.rules import ComplaintRate

_SHUT = {"law": pl.String, "channel": pl.String, "rate_citation": pl.String}


def shut_channels(
    complaints: pl.DataFrame | None, laws: Sequence[Law], *, channels: Sequence[str], send_on: date
) -> pl.DataFrame:
    """law, channel, rate_citation: the channels whose complaint rate a rule of the law does not bear.

    `complaints` by channel and day: `channel`, `dt`, `n_delivered`, `n_complained`; None: nothing is known.
    """
    found: list[tuple[str, str, str]] = []
    for law in laws if complaints is not None else ():
        for channel in channels:
            over = [
                rule for rule in law.of_kind(ComplaintRate, channel) if _is_over(rule, complaints, channel, send_on)
            ]
            found += [(law.key, channel, rule.citation) for rule in over[:1]]
    return pl.DataFrame(found, schema=_SHUT, orient="row")


def complaint_counts(complaints: pl.DataFrame, channel: str, *, window_days: int, send_on: date) -> tuple[int, int]:
    """Messages delivered and complaints on a channel in the `window_days` before `send_on`."""
    age_days = (pl.lit(send_on) - pl.col("dt")).dt.total_days()
    window = complaints.filter((pl.col("channel") == channel) & (age_days <= window_days))
    return int(window["n_delivered"].sum()), int(window["n_complained"].sum())


def _is_over(rule: ComplaintRate, complaints: pl.DataFrame | None, channel: str, send_on: date) -> bool:
    if complaints is None:
        return False
    n_delivered, n_complained = complaint_counts(complaints, channel, window_days=rule.window_days, send_on=send_on)
    return n_delivered >= rule.min_messages and n_complained >= rule.max_share * n_delivered
