"""Whether the arms have the sizes that chance gives them, in a test that may be asked every night."""

import numpy as np
import numpy.typing as npt
import polars as pl

from dagster_project.outcomes.vocabulary import EXPLORE

Floats = npt.NDArray[np.float64]

FIRMNESS = 500.0  # users that the alternative weighs as much as: a tenth of a small arm lost is found about soonest
ROUNDING = 1e-6


def sample_ratio_p(entries: pl.DataFrame) -> float | None:
    """P, however often it is asked, of arm sizes ever as uneven as those of one experiment, if chance drew them.

    None where no propensity is known or only one arm has any. `entries` are read day by day: the chance that a sound
    experiment is ever below p is at most p. The method is the Bayes factor of a Dirichlet alternative around the
    noted shares (Lindon & Malek 2020, Anytime-valid inference for multinomial count data); days of other shares have
    factors of their own, which are multiplied. Explorers, whose propensity is of arm and strategy together, are
    expected in what the others leave. Propensities that differ within an arm on one day: the numbers that each arm
    stands for by inverse propensity, compared with the largest (a normal mixture, valid in large samples).
    """
    # Few propensities stand for a million users.
    known = (
        entries.group_by("arm", "assigned_on", pl.col("propensity").alias("p"))
        .agg(pl.len().alias("n"))
        .filter(pl.col("p").is_not_null())
    )
    drawn = known.filter(pl.col("arm") != EXPLORE)
    if known["arm"].n_unique() < 2 or drawn.is_empty():
        return None
    spread = drawn.group_by("arm", "assigned_on").agg((pl.col("p").max() - pl.col("p").min()).alias("spread"))
    if (spread["spread"] > ROUNDING).any():
        return _by_inverse_propensity(drawn)
    return _by_day(known)


def _by_day(known: pl.DataFrame) -> float | None:
    days = known["assigned_on"].unique().sort()
    arms = known["arm"].unique().sort().to_list()
    counts, shares = np.zeros((len(days), len(arms))), np.full((len(days), len(arms)), np.nan)
    place = {day: at for at, day in enumerate(days)}
    for arm, day, p, n in known.select("arm", "assigned_on", "p", "n").iter_rows():
        counts[place[day], arms.index(arm)] += n
        shares[place[day], arms.index(arm)] = p
    expected = _expected(shares, explore=arms.index(EXPLORE) if EXPLORE in arms else None)
    counts = np.where(np.isnan(expected), 0.0, counts)
    kinds, kind = np.unique(np.nan_to_num(expected).round(9), axis=0, return_inverse=True)
    kind = kind.reshape(-1)
    # What each kind of days says at the end of each day; all say together what their sum says.
    logs = np.zeros((len(days), len(kinds)))
    for which in range(len(kinds)):
        seen = np.cumsum(counts * (kind == which)[:, None], axis=0)
        logs[:, which] = _log_factor(seen, kinds[which])
    return float(min(1.0, np.exp(-logs.sum(axis=1).max())))


def _expected(shares: Floats, *, explore: int | None) -> Floats:
    """The chance of each arm on each day, of all that are told; nan where an arm was not drawn on the day.

    `shares`: days × arms as noted, nan where nobody got the arm. An arm that nobody got on a small day has the share
    of the days before, or else after, unless the others leave no room for it: then it was not drawn then.
    """
    told = shares.copy()
    if explore is not None:
        told[:, explore] = np.nan
    filled = pl.DataFrame(told).fill_nan(None)
    whole = filled.select(pl.all().forward_fill().backward_fill()).fill_null(float("nan")).to_numpy()
    is_over = np.nansum(whole, axis=1) > 1 + ROUNDING
    chances = np.where(is_over[:, None], told, whole)
    if explore is not None:
        left = 1 - np.nansum(chances, axis=1)
        chances[:, explore] = np.where(left > ROUNDING, left, np.nan)
    return np.asarray(chances / np.nansum(chances, axis=1, keepdims=True))


def _log_factor(seen: Floats, shares: Floats) -> Floats:
    """log of how much better a Dirichlet around `shares` foretells each row of counts than the shares themselves."""
    from scipy.special import gammaln

    there = shares > 0
    n, alpha = seen[:, there], FIRMNESS * shares[there]
    total = n.sum(axis=1)
    mixed = gammaln(alpha.sum()) - gammaln(alpha.sum() + total) + (gammaln(alpha + n) - gammaln(alpha)).sum(axis=1)
    return np.asarray(mixed - n @ np.log(shares[there]))


def _by_inverse_propensity(known: pl.DataFrame) -> float | None:
    inverse = pl.col("n") / pl.col("p")
    arms = (
        known.sort("arm", "assigned_on", "p")
        .group_by("arm", maintain_order=True)
        .agg(pl.col("n").sum(), inverse.sum().alias("stands_for"), (inverse / pl.col("p")).sum().alias("variance"))
        .sort("n", "arm", descending=[True, False])
    )
    if arms.height < 2:
        return None
    stands_for, variance = arms["stands_for"].to_numpy(), arms["variance"].to_numpy()
    z = (stands_for[1:] - stands_for[0]) / np.sqrt(variance[1:] + variance[0])
    weight = float(arms["n"].sum()) / FIRMNESS
    logs = z**2 * weight / (2 * (1 + weight)) - 0.5 * np.log1p(weight)
    return float(min(1.0, np.exp(-logs.max()) * len(logs)))
