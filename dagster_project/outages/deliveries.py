"""Outages of message providers and tokens that died in mass, place after place, the most evident first.

How an outage shows in the counts of one place is in `refusals`, how a purge does in `purges`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
import polars as pl

from dagster_project.outages.flows import Floats
from dagster_project.outages.purges import MIN_PURGED, find_purge, spans_of
from dagster_project.outages.refusals import (
    HOURS_PER_DAY,
    MIN_REFUSED,
    attempts_of,
    clocked_channels,
    find_refusals,
    n_hours,
    origin,
)
from dagster_project.outages.scan import Fall
from dagster_project.outages.sends import Stratum, strata_of, with_common_versions, with_faults

OUTAGES_PER_YEAR = 0.01
"""Chance that a year of messages without an outage has one found in it: it would stay on every later night's list."""

PURGES_PER_YEAR = 0.01
"""The same of purges."""

MAX_OUTAGES = 20


@dataclass(frozen=True)
class DeliveryOutage:
    """Days [start, end) from `first_on` on which messages of a channel (platform, version) failed in mass.

    Of a purge: the day on which the endpoints died as nearly as the messages before and after tell, and the next.
    `fall` has failures as observed and expected; `daily` both by day, for pictures. `start_at` and `end_at` (UTC): the
    hours [start, end) in which messages were sent that were refused; None where there is no clock, or it still runs.
    """

    kind: str
    stratum: Stratum
    fall: Fall
    daily: tuple[Floats, Floats]
    is_running: bool = False
    start_at: datetime | None = None
    end_at: datetime | None = None


def find_delivery_outages(
    sends: pl.DataFrame, hourly: pl.DataFrame, *, first_on: date, as_of: date
) -> list[DeliveryOutage]:
    """Provider outages, then purges, in marts.send_outcomes and marts.hourly_sends from `first_on` to `as_of`.

    Of a channel, its platforms and their versions the one with the largest likelihood ratio is told, and its messages
    are left out of what follows: a fault of one version is not told of the whole platform, nor the reverse (Kulldorff
    2001).
    """
    days = _with_positions(with_common_versions(with_faults(sends)), first_on=first_on)
    if days.is_empty():
        return []
    n_days = (as_of - first_on).days + 1
    return [*_outages(days, hourly, first_on=first_on, n_days=n_days), *_purges(days, n_days=n_days)]


def _with_positions(sends: pl.DataFrame, *, first_on: date) -> pl.DataFrame:
    def position(column: str) -> pl.Expr:
        return (pl.col(column) - pl.lit(first_on)).dt.total_days()

    placed = sends.with_columns(position("dt").alias("day"), position("alive_on").alias("alive_day"))
    return placed.filter(pl.col("day") >= 0)


def _outages(days: pl.DataFrame, hourly: pl.DataFrame, *, first_on: date, n_days: int) -> Iterator[DeliveryOutage]:
    clocked = clocked_channels(hourly)
    attempts = attempts_of(days, with_common_versions(hourly), clocked=clocked, first_on=first_on)

    def look(rows: pl.DataFrame, stratum: Stratum) -> Fall | None:
        has_clock = stratum.channel in clocked
        return find_refusals(
            rows,
            n_ticks=n_hours(n_days) if has_clock else n_days,
            ticks_per_day=HOURS_PER_DAY if has_clock else 1,
            alpha=OUTAGES_PER_YEAR * stratum.weight,
        )

    def is_hit(fall: Fall) -> pl.Expr:
        return pl.col("tick").is_between(fall.start, fall.end, closed="left")

    strata = strata_of(attempts, counted=pl.col("n_refused"), at_least=MIN_REFUSED)
    for stratum, fall, rest in _greedy(attempts, list(strata), look, is_hit=is_hit):
        rows = days.filter(stratum.holds)
        if stratum.channel not in clocked:
            yield DeliveryOutage("messages", stratum, fall, _daily(rows, fall, n_days), fall.end == n_days)
            continue
        start_at, end_at = (origin(first_on) + timedelta(hours=tick) for tick in (fall.start, fall.end))
        hit = rows.filter("is_refused", pl.col("hour_at").is_between(start_at, end_at, closed="left"))["day"]
        of_days = Fall(*_span(hit), fall.observed, fall.expected, fall.sd, fall.p_value, fall.log_ratio)
        later = rest.filter(stratum.holds, pl.col("tick") >= fall.end, pl.col("n_sent") > pl.col("n_refused"))
        runs = of_days.end == n_days and later.is_empty()
        daily = _daily(rows, of_days, n_days)
        yield DeliveryOutage("messages", stratum, of_days, daily, runs, start_at, None if runs else end_at)


def _purges(days: pl.DataFrame, *, n_days: int) -> Iterator[DeliveryOutage]:
    spans, daily = spans_of(days), {}

    def look(rows: pl.DataFrame, stratum: Stratum) -> Fall | None:
        purge = find_purge(rows, n_days=n_days, alpha=PURGES_PER_YEAR * stratum.weight)
        if purge is None:
            return None
        daily[stratum] = purge.daily
        return purge.fall

    def is_hit(fall: Fall) -> pl.Expr:
        # The day is known to within one: what died on the next or the last is not told as a second purge.
        return (pl.col("alive_day") <= fall.start) & (pl.col("day") >= fall.start - 1)

    died = pl.col("n_messages") * pl.col("is_dead")
    strata = strata_of(spans, counted=died, at_least=MIN_PURGED)
    for stratum, fall, _ in _greedy(spans, list(strata), look, is_hit=is_hit):
        yield DeliveryOutage("token_purge", stratum, fall, daily[stratum])


def _greedy(
    rows: pl.DataFrame,
    strata: Sequence[Stratum],
    look: Callable[[pl.DataFrame, Stratum], Fall | None],
    *,
    is_hit: Callable[[Fall], pl.Expr],
) -> Iterator[tuple[Stratum, Fall, pl.DataFrame]]:
    """The likeliest place and what was found there, again and again, with the rows that are left without it."""
    known: dict[Stratum, Fall | None] = {}
    for _ in range(MAX_OUTAGES):
        known |= {stratum: look(rows.filter(stratum.holds), stratum) for stratum in strata if stratum not in known}
        found = [(stratum, fall) for stratum, fall in known.items() if fall is not None]
        if not found:
            return
        worst, fall = max(found, key=lambda pair: pair[1].log_ratio)
        rows = rows.filter(~(worst.holds & is_hit(fall)))
        yield worst, fall, rows
        known = {stratum: fall for stratum, fall in known.items() if not stratum.meets(worst)}


def _daily(rows: pl.DataFrame, fall: Fall, n_days: int) -> tuple[Floats, Floats]:
    """Refused messages by day, and as many as were usual."""
    refused, sent = (
        np.bincount(part["day"].to_numpy(), weights=part["n_messages"].to_numpy(), minlength=n_days).astype(np.float64)
        for part in (rows.filter("is_refused"), rows.filter(~pl.col("is_dead")))
    )
    usual = fall.expected / max(float(sent[fall.start : fall.end].sum()), 1.0)
    return refused, sent * usual


def _span(days: pl.Series) -> tuple[int, int]:
    first, last = days.to_frame("day").select(pl.col("day").min().alias("a"), pl.col("day").max().alias("b")).row(0)
    return int(first), int(last) + 1
