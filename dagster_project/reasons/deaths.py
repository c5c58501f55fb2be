"""Whether the death of a channel is why a user left, or came by chance: told by when it died.

Of a death two days are known: the last on which a message got through and the first that failed for good. Who left
because nothing reached them left about the day of the death, so it lies within one pause of the user after the last
active day. Deaths by chance come all the time, at a rate that the log itself shows.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

# A user may come once or twice more by habit, or have had the last message long before: opinions.
BEFORE_DAYS, BEFORE_SHARE = 14.0, 0.1
# Spread of the logarithm of a user's pauses, what is not known of their usual pause included. An opinion.
GAP_LOG_SD = 0.8
# As many leavers of a kind as the opinion counts for that one of ten leaves for want of reach.
CAUSE_SHARE, CAUSE_WEIGHT = 0.1, 20.0
# Of deaths by chance before any is seen: one in thirty endpoint-years, as if five of those had been watched.
DEATHS_PER_YEAR, WATCHED_YEARS = 1 / 30, 5.0
STEPS = 50


@dataclass(frozen=True)
class Watched:
    """One entry per user and channel, in days from the last active day, negative before it.

    `seen`: the first message; `alive`: the last proof of life, that of the first message where there is none; `died`:
    the first failure for good, infinite without one; `until`: the last message; `gap`: the user's usual gap;
    `channel` and `kind`: positions of the channel and of the kind of user; `is_judged`: the main channel of a user who
    left.
    """

    seen: Floats
    alive: Floats
    died: Floats
    until: Floats
    gap: Floats
    channel: NDArray[np.int64]
    kind: NDArray[np.int64]
    is_judged: Flags


@dataclass(frozen=True)
class Rates:
    """Share of each kind of user who leave because their channel died; deaths by chance per day on each channel."""

    share: Floats
    daily: Floats


def fit_rates(watched: Watched) -> Rates:
    """Shares and rates of this log, by expectation and maximisation (Dempster, Laird and Rubin 1977).

    A mixture of users who left for their dead channel and of users whose channel dies at a steady rate of the channel:
    shares over those who left, deaths by chance over all. Channels that still live take part: they tell how many did
    not leave for a death.
    """
    rates = Rates(
        np.full(int(watched.kind.max(initial=0)) + 1, CAUSE_SHARE),
        np.full(int(watched.channel.max(initial=0)) + 1, DEATHS_PER_YEAR / 365),
    )
    for _ in range(STEPS):
        cause = _cause(watched, rates)
        of_kind, cause_of_judged = watched.kind[watched.is_judged], cause[watched.is_judged]
        n = np.bincount(of_kind, minlength=rates.share.size)
        for_death = np.bincount(of_kind, cause_of_judged, minlength=rates.share.size)
        share = (for_death + CAUSE_WEIGHT * CAUSE_SHARE) / (n + CAUSE_WEIGHT)
        rates = Rates(share, _daily_rates(watched, cause, n_channels=rates.daily.size))
    return rates


def cause_probabilities(watched: Watched, rates: Rates) -> Floats:
    """Per entry the chance that the death of this channel is why the user left; 0 where it has not died.

    Estimand: P(death and leaving came together | when the channel died and the user was last active). For no death
    long before the last active day: there the user came without being reached.
    """
    return np.where(np.isfinite(watched.died), _cause(watched, rates), 0.0)


def _cause(watched: Watched, rates: Rates) -> Floats:
    with_leaving, alive_still = _of_leaving(watched)
    is_dead, daily, share = np.isfinite(watched.died), rates.daily[watched.channel], rates.share[watched.kind]
    between = np.where(is_dead, watched.died, 0) - np.where(is_dead, watched.alive, 0)
    survived = np.exp(-daily * np.maximum(watched.alive, 0))
    for_death = share * np.where(is_dead, with_leaving, alive_still)
    by_chance = (1 - share) * np.where(is_dead, -np.expm1(-daily * between) * survived, survived)
    return np.asarray(for_death / np.maximum(for_death + by_chance, 1e-300))


def _of_leaving(watched: Watched) -> tuple[Floats, Floats]:
    """Chance that a death that came with the leaving lies where this one does, or later than the last proof of life."""
    before_died = _by_then(watched.died, watched.gap)
    before_alive = _by_then(watched.alive, watched.gap)
    return np.maximum(before_died - before_alive, 0.0), 1 - before_alive


def _by_then(days: Floats, gap: Floats) -> Floats:
    """Chance that who left had done so by so many days after the last active day.

    A leaving at any moment of a pause lies after its begin as the backward recurrence time of a renewal process: its
    density is the chance of a longer pause over the mean pause (Cox 1962). Pauses are log-normal about the usual gap.
    """
    from scipy.special import ndtr

    median, spread = np.log(np.maximum(gap, 1.0)), GAP_LOG_SD
    mean = np.exp(median + spread**2 / 2)
    some = np.clip(days, 1e-9, 1e9)
    z = (np.log(some) - median) / spread
    within = np.where(days > 0, some * ndtr(-z) / mean + ndtr(z - spread), 0.0)
    ahead = np.clip(1 + np.minimum(days, 0) / BEFORE_DAYS, 0, 1)
    return np.asarray(BEFORE_SHARE * ahead + (1 - BEFORE_SHARE) * within)


def _daily_rates(watched: Watched, cause: Floats, *, n_channels: int) -> Floats:
    """Deaths by chance per day and channel.

    Of users who are still here only the time up to the last active day counts: a death since may be why they go.
    """
    is_here = ~watched.is_judged
    last = np.where(is_here, np.minimum(watched.until, 0), watched.until)
    has_died = np.isfinite(watched.died) & (watched.died <= last)
    middle = np.where(has_died, (np.minimum(watched.died, last) + watched.alive) / 2, last)
    deaths = np.where(has_died, np.where(is_here, 1.0, 1 - cause), 0.0)
    days = np.maximum(middle - watched.seen, 0)
    n = np.bincount(watched.channel, deaths, minlength=n_channels)
    watched_days = np.bincount(watched.channel, days, minlength=n_channels)
    daily: Floats = (n + DEATHS_PER_YEAR * WATCHED_YEARS) / (watched_days + 365 * WATCHED_YEARS)
    return daily


def watched_channels(channels: pl.DataFrame) -> Watched:
    """What is looked at, row by row of `channels`: channel (a position), kind, left_on, usual_gap_days, first_seen_on,
    last_seen_on, last_delivered_on, died_on, is_judged.
    """

    def days(column: str) -> pl.Expr:
        return (pl.col(column) - pl.col("left_on")).dt.total_days().cast(pl.Float64)

    seen = pl.coalesce(days("first_seen_on"), pl.lit(0.0))
    alive = pl.coalesce(days("last_delivered_on"), pl.min_horizontal(seen, pl.lit(-BEFORE_DAYS)))
    made = channels.select(
        pl.min_horizontal(seen, alive).alias("seen"),
        alive.alias("alive"),
        pl.max_horizontal(days("died_on").fill_null(float("inf")), alive + 1).alias("died"),
        pl.coalesce(days("last_seen_on"), seen).alias("until"),
        pl.col("usual_gap_days").cast(pl.Float64).alias("gap"),
        pl.col("channel").cast(pl.Int64),
        pl.col("kind").cast(pl.Int64),
        "is_judged",
    )
    return Watched(**{name: made[name].to_numpy() for name in made.columns})
