"""Endpoints that died in mass on one day, told from those that die one by one all year."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from dagster_project.outages.flows import Floats
from dagster_project.outages.scan import Fall

# Fewer that died at one stroke are not told from chance, or are not worth a word.
MIN_PURGED = 8.0
# Tokens die one by one all year. A purge takes at one stroke what otherwise takes three weeks.
MIN_PURGED_SHARE = 0.01
MIN_PURGED_DAYS = 20
# A user who removed the app does not open it soon again: of tokens that die by chance few are followed by a visit.
SEEN_AGAIN_DAYS = 45
# Risks move with lists and seasons, by about a third from one week to the next.
DRIFT = 0.3
# Levels of the days beside the usual, of the usual beside that of the whole log, and masses beside the usual chance.
LEVELS = np.exp(np.linspace(-1.0, 1.0, 11))
USUALS = np.exp(np.linspace(-3.0, 0.3, 12))
MASSES = np.concatenate([[0.0], np.geomspace(1e-4, 10.0, 60)])
MAX_LENGTH = 7
# Deaths go by the days of a span, unless more than these few say that a length is different.
LENGTH_PRIOR = 5.0


@dataclass(frozen=True)
class Purge:
    """`fall`: the day and the next, deaths in spans that hold it as observed and usual; `daily` both of every day."""

    fall: Fall
    daily: tuple[Floats, Floats]


def spans_of(sends: pl.DataFrame) -> pl.DataFrame:
    """One row per span of days (alive_day, day] at whose end an endpoint was found alive or dead, n_messages of each.

    `sends` has day and alive_day as positions, and is_dead. An endpoint that is tried again after it was found dead
    has died once: only its first refusal counts. `is_gone`: dead, and the user was not seen soon after.
    """
    known = sends.filter(pl.col("alive_day").is_not_null() & (pl.col("is_dead") | ~pl.col("is_failed")))
    key = ["channel", "user_sk", "alive_day"]
    tried = known.filter("is_dead").sort(*key, "day", "hour_at", "code", nulls_last=True)
    once = tried.unique(key, keep="first", maintain_order=True)
    days = (pl.col("day") - pl.col("alive_day")).clip(1)
    soon = (pl.col("next_seen_on") - pl.col("dt")).dt.total_days() <= SEEN_AGAIN_DAYS
    return (
        pl.concat([known.filter(~pl.col("is_dead")), once])
        .with_columns(
            days.alias("days"),
            days.log(2).floor().clip(0, MAX_LENGTH).cast(pl.Int64).alias("length"),
            (pl.col("is_dead") & ~soon.fill_null(value=False)).alias("is_gone"),
        )
        .group_by("channel", "platform", "app_version", "alive_day", "day", "days", "length", "is_dead", "is_gone")
        .agg(pl.col("n_messages").sum())
    )


def find_purge(spans: pl.DataFrame, *, n_days: int, alpha: float) -> Purge | None:
    """The day on which a share of the endpoints in use died at one stroke, if there is one with a p-value below alpha.

    Of an endpoint is known a day on which it lived and a later one on which it lived or was refused: interval-censored
    deaths (Turnbull 1976). The usual chance of a death in a span goes by its length. For each day the spans that hold
    it are looked at: the likelihood of a mass of deaths on it, over that of the usual chances at any level, levels far
    from the usual being unlikely (log-normal with a spread of DRIFT). Two kinds of death have chances and masses
    of their own: users who were seen soon after were let down by technique, the others may have removed the app. The
    masses cannot be negative, so the likelihood ratio is a mixture of chi-squares (Self and Liang 1987).
    """
    if spans.filter("is_dead")["n_messages"].sum() < MIN_PURGED:
        return None
    held, kinds = _straddling(spans, n_days=n_days).sum(axis=1), _kinds(spans, n_days=n_days)
    ratio, purged = _ratios(held, kinds)
    died, expected = (np.sum([getattr(kind, name) for kind in kinds], axis=0) for name in ("died", "expected"))
    daily = sum(kind.total for kind in kinds) / spans.select((pl.col("n_messages") * pl.col("days")).sum()).item()
    share = purged / np.maximum(held, 1.0)
    is_mass = (purged >= MIN_PURGED) & (share >= MIN_PURGED_SHARE) & (share >= MIN_PURGED_DAYS * daily)
    day = int(np.argmax(np.where(is_mass, ratio, 0.0)))
    p_value = _tail_of_highest(2 * ratio, at=2 * float(ratio[day]))
    if not is_mass[day] or p_value >= alpha:
        return None
    usual = max(float(expected[day]), 1e-3)
    sd = float(np.sqrt(usual + (DRIFT * usual) ** 2))
    return Purge(Fall(day, day + 1, float(died[day]), usual, sd, p_value, float(ratio[day])), (died, expected))


@dataclass(frozen=True)
class _Kind:
    """Deaths of one kind: days × lengths of spans that hold each day, the chance of one by length, all of the log."""

    by_length: Floats
    chance: Floats
    expected: Floats
    due: float
    total: float

    @property
    def died(self) -> Floats:
        """Deaths by day in spans that hold it."""
        died: Floats = self.by_length.sum(axis=1)
        return died


def _kinds(spans: pl.DataFrame, *, n_days: int) -> tuple[_Kind, _Kind]:
    """Deaths of users who were seen soon after, and of the others."""
    held, n = _straddling(spans, n_days=n_days), _by_length(spans, pl.col("n_messages"))
    days = _by_length(spans, pl.col("n_messages") * pl.col("days"))

    def kind(*, is_gone: bool) -> _Kind:
        dead = spans.filter("is_dead", pl.col("is_gone") == is_gone)
        died = _by_length(dead, pl.col("n_messages"))
        # Half a death beyond those seen, wherever: none so far is no proof of none.
        due = (died.sum() + 0.5) * days / days.sum()
        chance = np.maximum(due * (died + LENGTH_PRIOR) / (due + LENGTH_PRIOR) / np.maximum(n, 1), 1e-9)
        by_length = _straddling(dead, n_days=n_days)
        return _Kind(by_length, chance, held @ chance, float(chance @ n), float(died.sum()))

    return kind(is_gone=False), kind(is_gone=True)


def _ratios(held: Floats, kinds: tuple[_Kind, _Kind]) -> tuple[Floats, Floats]:
    """Per day the log-likelihood that a mass gains, and how many endpoints it took at the best."""
    best, steady = np.full(held.size, -np.inf), np.full(held.size, -np.inf)
    purged = np.zeros(held.size)
    gains = [kind.by_length @ np.log1p(MASSES[None, :] / kind.chance[:, None]) for kind in kinds]
    for level in LEVELS:
        unlikely = -0.5 * (np.log(level) / DRIFT) ** 2
        found = [_profile(held, kind, gain, level=level) for kind, gain in zip(kinds, gains, strict=True)]
        steady = np.maximum(steady, unlikely + found[0][0] + found[1][0])
        with_mass = unlikely + found[0][1] + found[1][1]
        purged = np.where(with_mass > best, found[0][2] + found[1][2], purged)
        best = np.maximum(best, with_mass)
    return best - steady, purged


def _profile(held: Floats, kind: _Kind, gain: Floats, *, level: float) -> tuple[Floats, Floats, Floats]:
    """Per day the log-likelihood without a mass and with the likeliest, at the likeliest usual risk; what that took.

    The usual risk is that of all days: those of the spans that do not hold the day tell it as well.
    """
    died, due = kind.died, kind.expected
    died_else, due_else = kind.total - died, kind.due - due
    without, best = np.full(held.size, -np.inf), np.full(held.size, -np.inf)
    taken, rows = np.zeros(held.size), np.arange(held.size)
    for usual in USUALS:
        risk = usual * level
        base = died_else * np.log(usual) - usual * due_else + died * np.log(risk) - risk * due
        gained = gain - risk * held[:, None] * MASSES[None, :]
        chosen = np.argmax(gained, axis=1)
        value = base + gained[rows, chosen]
        taken = np.where(value > best, risk * MASSES[chosen] * held, taken)
        without, best = np.maximum(without, base), np.maximum(best, value)
    return without, best, taken


def _straddling(spans: pl.DataFrame, *, n_days: int) -> Floats:
    """Days × lengths: the messages whose spans (alive_day, day] hold the day."""
    begin, end, length, n = (
        spans[name].to_numpy().astype(np.int64) for name in ("alive_day", "day", "length", "n_messages")
    )
    shape = (n_days + 1, MAX_LENGTH + 1)
    starts, ends = np.maximum(begin, -1) + 1, end + 1
    began, ended = (
        np.bincount(at * shape[1] + length, weights=n, minlength=shape[0] * shape[1]) for at in (starts, ends)
    )
    held: Floats = np.cumsum((began - ended).reshape(shape), axis=0)[:n_days]
    return held


def _by_length(spans: pl.DataFrame, weight: pl.Expr) -> Floats:
    counts = spans.select("length", weight.cast(pl.Float64).alias("weight"))
    length = counts["length"].to_numpy().astype(np.int64)
    return np.bincount(length, weights=counts["weight"].to_numpy(), minlength=MAX_LENGTH + 1).astype(np.float64)


def _tail_of_highest(statistic: Floats, *, at: float) -> float:
    """Chance that the highest of the days' statistics is above `at`, from how much they vary from day to day.

    Neighbouring days are of nearly the same spans; Davies's bound (1987) counts by their total variation how many tests
    they are worth.
    """
    from scipy.special import gamma
    from scipy.stats import chi2

    variation = float(np.abs(np.diff(np.sqrt(np.maximum(statistic, 0.0)))).sum())

    def bound(freedom: int) -> float:
        crossings = variation * at ** ((freedom - 1) / 2) * np.exp(-at / 2) / (2 ** (freedom / 2) * gamma(freedom / 2))
        return float(chi2.sf(at, freedom) + crossings)

    return min(0.5 * bound(1) + 0.25 * bound(2), 1.0)
