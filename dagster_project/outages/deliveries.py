"""Outages of message providers, and tokens that died in mass: both ours to mend, neither a user's wish.

What one failed message says of one user lives in `reach`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from dagster_project.outages.flows import Floats
from dagster_project.outages.scan import BASELINE_DAYS, Fall
from dagster_project.reach.failures import with_failures

FALSE_ALARMS_PER_YEAR = 0.01
MIN_FAILURES = 8
# A provider that is out refuses most of what it is given; a list of old addresses does not bounce with its codes.
MIN_FAILED_SHARE = 0.5
MIN_TIMES_USUAL = 3.0
# Tokens die one by one all year. A purge takes at one stroke what otherwise takes three weeks.
MIN_PURGED_SHARE = 0.01
MIN_PURGED_DAYS = 20
# Risks move with lists and seasons; a week with more than thrice the usual deaths is not usual any more.
MAX_TIMES_USUAL = 3.0
WINDOW_LENGTHS = 8
# The share that fails moves by a third from week to week in quiet logs.
DRIFT = 0.3
MAX_OUTAGES = 20


@dataclass(frozen=True)
class DeliveryOutage:
    """Days [start, end) from `first_on` on which messages of a channel (on a platform) failed in mass.

    Of a purge: the day on which the endpoints died as nearly as the messages before and after tell, and the next.
    `fall` has failures as observed and expected; `daily` both by day, for pictures.
    """

    kind: str
    channel: str
    platform: str | None
    fall: Fall
    daily: tuple[Floats, Floats]


def find_delivery_outages(sends: pl.DataFrame, *, first_on: date, as_of: date) -> list[DeliveryOutage]:
    """Provider outages, then purges, in marts.send_outcomes from `first_on` to `as_of`, the most evident first.

    Of a channel and its platforms the one with the largest likelihood ratio is told, and its messages are left out of
    what follows: a fault of one platform is not told of the whole channel, nor the reverse (Kulldorff 2001).
    """
    days = _with_positions(sends, first_on=first_on)
    if days.is_empty():
        return []
    n_days = (as_of - first_on).days + 1
    strata = _strata(days)
    alpha = FALSE_ALARMS_PER_YEAR / (365 * WINDOW_LENGTHS * len(strata))
    return [
        *_greedy(days, strata, "messages", n_days=n_days, alpha=alpha),
        *_greedy(days, strata, "token_purge", n_days=n_days, alpha=alpha),
    ]


def with_deaths(sends: pl.DataFrame) -> pl.DataFrame:
    """The rows with `is_dead`: failed for good because the endpoint is gone, by the rules of `reach.failures`."""
    told = with_failures(sends.with_columns(event=pl.when("is_failed").then(pl.lit("failed"))))
    is_dead = ((pl.col("failure_class") == "endpoint_dead") & pl.col("is_permanent")).fill_null(value=False)
    return told.with_columns(is_dead.alias("is_dead")).select(*sends.columns, "is_dead")


def _with_positions(sends: pl.DataFrame, *, first_on: date) -> pl.DataFrame:
    def position(column: str) -> pl.Expr:
        return (pl.col(column) - pl.lit(first_on)).dt.total_days()

    return (
        with_deaths(sends)
        .with_columns(
            position("dt").alias("day"),
            position("alive_on").alias("alive_day"),
        )
        .filter(pl.col("day") >= 0)
    )


def _strata(days: pl.DataFrame) -> list[tuple[str, str | None]]:
    """Each channel, and each of its platforms."""
    channels = [(channel, None) for channel in days["channel"].unique().sort()]
    pairs = days.select("channel", "platform").drop_nulls().unique().sort("channel", "platform")
    return [*channels, *pairs.iter_rows()]


def _greedy(
    days: pl.DataFrame, strata: Sequence[tuple[str, str | None]], kind: str, *, n_days: int, alpha: float
) -> Iterator[DeliveryOutage]:
    look = _refusals if kind == "messages" else _purge
    for _ in range(MAX_OUTAGES):
        seen = []
        for channel, platform in strata:
            held = _held(channel, platform)
            if (result := look(days.filter(held), n_days=n_days, alpha=alpha)) is not None:
                seen.append(DeliveryOutage(kind, channel, platform, *result))
        if not seen:
            return
        worst = max(seen, key=lambda outage: outage.fall.log_ratio)
        yield worst
        days = days.filter(~(_held(worst.channel, worst.platform) & is_hit(worst)))


def _held(channel: str, platform: str | None) -> pl.Expr:
    held = pl.col("channel") == channel
    return held if platform is None else held & (pl.col("platform") == platform).fill_null(value=False)


def is_hit(outage: DeliveryOutage) -> pl.Expr:
    """Whether a row of sends, its days counted from the first, is of the outage's days: failed in them, or straddles
    the day of a purge."""
    if outage.kind == "messages":
        return pl.col("day").is_between(outage.fall.start, outage.fall.end, closed="left")
    return ((pl.col("alive_day") < outage.fall.start) & (pl.col("day") >= outage.fall.start)).fill_null(value=False)


def _refusals(rows: pl.DataFrame, *, n_days: int, alpha: float) -> tuple[Fall, tuple[Floats, Floats]] | None:
    """The window in which a provider refused most messages, and not because the endpoints were dead."""
    sent = _by_day(rows.filter(~pl.col("is_dead")), n_days=n_days)
    failed = _by_day(rows.filter(pl.col("is_failed") & ~pl.col("is_dead")), n_days=n_days)
    before = [_cumulated(values) for values in (sent, failed)]
    begin = np.maximum(np.arange(n_days + 1) - BASELINE_DAYS, 0)
    of_past = [values - values[begin] for values in before]
    # One failure beyond those seen: a past without any is no proof that there are none.
    usual = (of_past[1] + 1) / (of_past[0] + 2)
    n_sent, observed = (values[None, :] - values[:, None] for values in before)
    expected = n_sent * usual[:, None]
    deep = (observed >= MIN_FAILURES) & (observed >= MIN_FAILED_SHARE * n_sent)
    deep &= (observed >= MIN_TIMES_USUAL * expected) & (of_past[0] >= MIN_FAILURES)[:, None]
    ratio = np.where(deep, _excess_ratio(observed, expected), 0.0)
    start, end = np.unravel_index(int(np.argmax(ratio)), ratio.shape)
    fall = _rise(int(start), int(end), observed[start, end], expected[start, end], float(ratio[start, end]))
    if ratio[start, end] <= 0 or fall.p_value >= alpha:
        return None
    return fall, (failed, sent * usual[start])


def _purge(rows: pl.DataFrame, *, n_days: int, alpha: float) -> tuple[Fall, tuple[Floats, Floats]] | None:
    """The day on which a share of the endpoints in use died at one stroke, if there is one.

    Of an endpoint is known the day of the last message that got through and of the next one, refused or not:
    interval-censored deaths (Turnbull 1976). For each day the spans that hold it are looked at: the likelihood of a
    mass of deaths on that day, over that of the usual risk of spans of their lengths, at any level up to thrice. A
    death between two messages that lie close together says more than one in a long pause.
    """
    known = rows.filter(pl.col("alive_day").is_not_null() & (pl.col("is_dead") | ~pl.col("is_failed")))
    if not known["is_dead"].any():
        return None
    spans = _with_usual_risk(known)
    died = _straddling(spans.filter("is_dead"), pl.col("n_messages"), n_days=n_days)
    everybody = _straddling(spans, pl.col("n_messages"), n_days=n_days)
    expected = _straddling(spans, pl.col("n_messages") * pl.col("risk"), n_days=n_days)
    share, ratio = _masses(spans.filter("is_dead"), everybody, died=died, expected=expected)
    daily = spans.select((pl.col("n_messages") * pl.col("risk")).sum() / (pl.col("n_messages") * pl.col("days")).sum())
    mass = (share * everybody >= MIN_FAILURES) & (share >= MIN_PURGED_SHARE) & (share >= MIN_PURGED_DAYS * daily.item())
    ratio = np.where(mass, ratio, 0.0)
    day = int(np.argmax(ratio))
    p_value = _chi_square_tail(2 * float(ratio[day]))
    if ratio[day] <= 0 or p_value >= alpha:
        return None
    usual = (1 - share[day]) * expected[day]
    fall = Fall(day, day + 1, float(died[day]), float(usual), float(np.sqrt(usual)), p_value, float(ratio[day]))
    return fall, (died, expected)


def _with_usual_risk(known: pl.DataFrame) -> pl.DataFrame:
    """Spans by their days with `risk`, the share of deaths in spans of such a length over the whole log."""
    days = (pl.col("day") - pl.col("alive_day")).clip(1)
    spans = known.with_columns(days.alias("days"), days.log(2).floor().clip(0, 7).alias("length"))
    died = (pl.col("n_messages") * pl.col("is_dead")).sum().over("length")
    risk = (died + 0.5) / (pl.col("n_messages").sum().over("length") + 1)
    return spans.with_columns(risk.alias("risk"))


def _masses(dead: pl.DataFrame, everybody: Floats, *, died: Floats, expected: Floats) -> tuple[Floats, Floats]:
    """Per day the share of endpoints that died on it at the best, and the log-likelihood that it gains."""
    spans = dead.group_by("alive_day", "day", "risk").agg(pl.col("n_messages").sum()).sort("alive_day", "day")
    begin, end, risk, n = (
        spans[name].to_numpy().astype(np.float64) for name in ("alive_day", "day", "risk", "n_messages")
    )
    masses = np.geomspace(1e-3, 10.0, 80)
    gains = n[:, None] * np.log1p(masses[None, :] / risk[:, None])
    best, gained = np.zeros(everybody.size), np.zeros(everybody.size)
    for day in np.flatnonzero(died):
        total = expected[day] + masses * everybody[day]
        held = (begin < day) & (end >= day)
        steady = min(died[day] / expected[day], MAX_TIMES_USUAL)
        level = np.minimum(died[day] / total, MAX_TIMES_USUAL)
        likelier = died[day] * np.log(level / steady) - level * total + steady * expected[day]
        gain = gains[held].sum(axis=0) + likelier
        chosen = int(np.argmax(gain))
        best[day] = masses[chosen] * level[chosen]
        gained[day] = max(float(gain[chosen]), 0.0)
    return best, gained


def _chi_square_tail(value: float) -> float:
    from scipy.stats import chi2

    return float(chi2.sf(value, 1))


def _by_day(rows: pl.DataFrame, *, n_days: int) -> Floats:
    day, count = rows["day"].to_numpy().astype(np.int64), rows["n_messages"].to_numpy().astype(np.float64)
    counted: Floats = np.bincount(day, weights=count, minlength=n_days).astype(np.float64)
    return counted


def _straddling(rows: pl.DataFrame, weight: pl.Expr, *, n_days: int) -> Floats:
    """Per day the weight of the intervals (alive_day, day] that hold it."""
    values = rows.select(
        pl.col("day"), pl.col("alive_day").clip(-1), weight.cast(pl.Float64).alias("weight")
    ).to_numpy()
    change = np.zeros(n_days + 1)
    np.add.at(change, values[:, 1].astype(np.int64) + 1, values[:, 2])
    np.add.at(change, values[:, 0].astype(np.int64) + 1, -values[:, 2])
    held: Floats = np.cumsum(change)[:n_days]
    return held


def _cumulated(values: Floats) -> Floats:
    return np.concatenate([[0.0], np.cumsum(values)])


def _excess_ratio(seen: Floats, expected: Floats) -> Floats:
    mean, some = np.maximum(expected, 1e-9), np.maximum(seen, 1e-9)
    ratio: Floats = np.where(seen > mean, some * np.log(some / mean) + mean - some, 0.0)
    return ratio


def _rise(start: int, end: int, seen: float, expected: float, log_ratio: float) -> Fall:
    from scipy.stats import nbinom

    mean = max(float(expected), 1e-3)
    excess = (DRIFT * mean) ** 2
    p_value = float(nbinom.sf(seen - 1, mean**2 / excess, mean / (mean + excess)))
    return Fall(start, end, float(seen), mean, float(np.sqrt(mean + excess)), p_value, log_ratio)
