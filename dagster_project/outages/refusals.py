"""Provider outages: hours or days in which most messages were refused, and not for what their receivers did.

Endpoints that are gone are in `purges`.
"""

from datetime import date, datetime, timedelta

import numpy as np
import polars as pl

from dagster_project.outages.flows import Floats
from dagster_project.outages.scan import BASELINE_DAYS, Fall
from dagster_project.outages.sends import PLACE

HOURS_PER_DAY = 24
COUNTED = ("tick", "n_sent", "n_refused")
MIN_REFUSED = 8
# A provider that is out refuses most of what it is given; a list of old addresses does not bounce with its codes.
MIN_REFUSED_SHARE = 0.5
MIN_TIMES_USUAL = 3.0
# An outage begins and ends within an hour: of its first and last a part may have got through.
MIN_EDGE_SHARE = 0.25
# The share that is refused moves by a third from week to week in quiet logs.
DRIFT = 0.3
# Windows are pairs of edges; a log with more refused hours than these is scanned at the worst of them.
MAX_EDGES = 2000
# Where most messages bear one hour of the day, it is a date written as a time, or one burst: days say as much.
MAX_ONE_HOUR_SHARE = 0.5


def clocked_channels(hourly: pl.DataFrame) -> frozenset[str]:
    """Channels of marts.hourly_sends whose times tell more than the day."""
    hours = hourly.group_by("channel", pl.col("hour_at").dt.hour().alias("hour")).agg(pl.col("n_messages").sum())
    most = hours.group_by("channel").agg((pl.col("n_messages").max() / pl.col("n_messages").sum()).alias("share"))
    return frozenset(most.filter(pl.col("share") <= MAX_ONE_HOUR_SHARE)["channel"])


def origin(first_on: date) -> datetime:
    """Where hours (UTC) are counted from: a day before the first, since the business's day may begin in UTC's last."""
    return datetime.combine(first_on, datetime.min.time()) - timedelta(days=1)


def n_hours(n_days: int) -> int:
    """Hours from the origin to beyond the end of the last day, wherever the business is."""
    return HOURS_PER_DAY * (n_days + 2)


def attempts_of(sends: pl.DataFrame, hourly: pl.DataFrame, *, clocked: frozenset[str], first_on: date) -> pl.DataFrame:
    """Messages to living endpoints: channel, platform, app_version, tick, n_sent, n_refused.

    `sends` are marts.send_outcomes with day, is_dead and is_refused, `hourly` marts.hourly_sends. A tick is an hour of
    channels that have a clock, a day of the others.
    """
    hour = (pl.col("hour_at") - pl.lit(origin(first_on))).dt.total_hours().alias("tick")
    has_clock = pl.col("channel").is_in(sorted(clocked))
    n, none = pl.col("n_messages"), pl.lit(0)
    of_day = pl.when("is_dead").then(none).otherwise(n), pl.when("is_refused").then(n).otherwise(none)
    # Sendings of an hour are counted whatever became of them; the dead are taken off.
    of_hour = pl.when("is_dead").then(-n).otherwise(none), of_day[1]
    parts = (
        (sends.filter(~has_clock), pl.col("day").alias("tick"), of_day),
        (sends.filter(has_clock, "is_failed"), hour, of_hour),
        (hourly.filter(has_clock), hour, (n, none)),
    )
    counted = [
        rows.select(*PLACE, tick, sent.alias("n_sent"), refused.alias("n_refused")).cast(
            dict.fromkeys(COUNTED, pl.Int64)
        )
        for rows, tick, (sent, refused) in parts
    ]
    return (
        pl.concat(counted)
        .filter(pl.col("tick") >= 0)
        .group_by(*PLACE, "tick")
        .agg(pl.col("n_sent").sum(), pl.col("n_refused").sum())
    )


def find_refusals(attempts: pl.DataFrame, *, n_ticks: int, ticks_per_day: int, alpha: float) -> Fall | None:
    """The ticks [start, end) in which most messages were refused, with a p-value below `alpha`; None if there are none.

    Expected is the share refused in the 56 days before. The window with the largest likelihood ratio (Kulldorff 2001)
    begins and ends with a tick of which a part was refused, so only those are edges; alpha is for all windows together,
    those of doubled length counting as tests of their own. The tail is a negative binomial's with a spread of DRIFT.
    """
    sent, refused = (_by_tick(attempts, name, n_ticks=n_ticks) for name in ("n_sent", "n_refused"))
    edges = np.flatnonzero((refused > 0) & (refused >= MIN_EDGE_SHARE * sent))
    if refused[edges].sum() < MIN_REFUSED:
        return None
    edges = np.sort(edges[np.argsort(-refused[edges], kind="stable")[:MAX_EDGES]])
    before = [_cumulated(values) for values in (sent, refused)]
    begin = np.maximum(edges - BASELINE_DAYS * ticks_per_day, 0)
    n_past, refused_past = (values[edges] - values[begin] for values in before)
    # One failure beyond those seen: a past without any is no proof that there are none.
    usual = (refused_past + 1) / (n_past + 2)
    n_sent, observed = (values[edges + 1][None, :] - values[edges][:, None] for values in before)
    expected = n_sent * usual[:, None]
    deep = (observed >= MIN_REFUSED) & (observed >= MIN_REFUSED_SHARE * n_sent)
    deep &= (observed >= MIN_TIMES_USUAL * expected) & (n_past >= MIN_REFUSED)[:, None]
    ratio = np.where(deep, _excess_ratio(observed, expected), 0.0)
    first, last = np.unravel_index(int(np.argmax(ratio)), ratio.shape)
    if ratio[first, last] <= 0:
        return None
    seen, mean = float(observed[first, last]), max(float(expected[first, last]), 1e-3)
    p_value = min(_tail(seen, mean) * n_ticks * float(np.ceil(np.log2(n_ticks))), 1.0)
    sd = float(np.sqrt(mean + (DRIFT * mean) ** 2))
    fall = Fall(int(edges[first]), int(edges[last]) + 1, seen, mean, sd, p_value, float(ratio[first, last]))
    return fall if p_value < alpha else None


def _by_tick(attempts: pl.DataFrame, column: str, *, n_ticks: int) -> Floats:
    tick, count = attempts["tick"].to_numpy(), attempts[column].to_numpy().astype(np.float64)
    counted: Floats = np.bincount(tick, weights=count, minlength=n_ticks).astype(np.float64)
    return counted


def _cumulated(values: Floats) -> Floats:
    return np.concatenate([[0.0], np.cumsum(values)])


def _excess_ratio(seen: Floats, expected: Floats) -> Floats:
    mean, some = np.maximum(expected, 1e-9), np.maximum(seen, 1e-9)
    ratio: Floats = np.where(seen > mean, some * np.log(some / mean) + mean - some, 0.0)
    return ratio


def _tail(seen: float, mean: float) -> float:
    from scipy.stats import nbinom

    excess = (DRIFT * mean) ** 2
    return float(nbinom.sf(seen - 1, mean**2 / excess, mean / (mean + excess)))
