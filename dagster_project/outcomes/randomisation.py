"""Whether chance gave the arms: sample ratios, and whether arms differed before anything was done."""

import numpy as np
import numpy.typing as npt
import polars as pl

from dagster_project.outcomes.vocabulary import EXPLORE

Floats = npt.NDArray[np.float64]

BROKEN_BELOW = 0.001  # Fabijan et al. 2019: so small that a sound experiment is called broken once in a thousand
FEWEST_TO_BALANCE = 30


def sample_ratio_p(entries: pl.DataFrame) -> float | None:
    """P of arm sizes as uneven as those of one experiment's entries, if chance drew them by their propensities.

    None where no propensity is known or only one arm has any. Constant propensities per arm: Pearson's chi-square on
    the arms' sizes. Propensities that differ within an arm: the numbers that each arm stands for by inverse
    propensity, 1 ÷ p summed, compared arm by arm with the largest (Holm over the arms). Explorers are left out:
    their propensity is of arm and strategy together.
    """
    # Few propensities stand for a million users.
    known = (
        entries.group_by("arm", pl.col("propensity").alias("p"))
        .agg(pl.len().alias("n"))
        .filter(pl.col("p").is_not_null() & (pl.col("arm") != EXPLORE))
    )
    arms = (
        known.group_by("arm")
        .agg(
            pl.col("n").sum(),
            pl.col("p").min(),
            (pl.col("p").max() - pl.col("p").min() < 1e-9).alias("is_constant"),
            (pl.col("n") / pl.col("p")).sum().alias("stands_for"),
            (pl.col("n") / pl.col("p") ** 2).sum().alias("variance"),
        )
        .sort("n", "arm", descending=[True, False])
    )
    if arms.height < 2:
        return None
    return _pearson(arms) if arms["is_constant"].all() else _weighted(arms)


def _pearson(arms: pl.DataFrame) -> float:
    from scipy.stats import chi2

    n, p = arms["n"].to_numpy(), arms["p"].to_numpy()
    expected = n.sum() * p / p.sum()
    return float(chi2.sf(((n - expected) ** 2 / expected).sum(), df=len(n) - 1))


def _weighted(arms: pl.DataFrame) -> float:
    from scipy.special import ndtr

    stands_for, variance = arms["stands_for"].to_numpy(), arms["variance"].to_numpy()
    z = (stands_for[1:] - stands_for[0]) / np.sqrt(variance[1:] + variance[0])
    return float(min(1.0, (2 * ndtr(-np.abs(z)) * len(z)).min()))


def balance_p(entries: pl.DataFrame, *, baseline: str, weight: Floats | None = None) -> float | None:
    """P of arms as different in activity over the 28 days before entry, if chance made them. Holm over the arms.

    Where it is tiny, outcomes lie before the assignment: it was written down, or made, after they were known.
    `weight`: inverse propensities where chances differ within an arm. None where an arm has fewer than 30.
    """
    from scipy.special import ndtr

    arms = sorted(entries["arm"].unique())
    arm = entries["arm"].cast(pl.Enum(arms)).to_physical().to_numpy()
    x = entries["n_active_days_before"].fill_null(0).to_numpy().astype(np.float64)
    n, w, wx = np.bincount(arm), np.bincount(arm, weights=weight), np.bincount(arm, weights=_times(weight, x))
    of_mean = np.bincount(arm, weights=None if weight is None else weight**2) / w**2
    others = [place for place, name in enumerate(arms) if name != baseline and n[place] >= FEWEST_TO_BALANCE]
    if baseline not in arms or n[arms.index(baseline)] < FEWEST_TO_BALANCE or not others:
        return None
    # Had chance made the arms, they would share one variance: that of all holds where an arm is small.
    variance, reference = float(np.var(x)), arms.index(baseline)
    gap = (wx / w)[others] - (wx / w)[reference]
    error = np.sqrt(variance * (of_mean[others] + of_mean[reference]))
    z = np.divide(np.abs(gap), error, out=np.zeros(len(others)), where=error > 0)
    return float(min(1.0, (2 * ndtr(-z) * len(others)).min()))


def _times(weight: Floats | None, x: Floats) -> Floats:
    return x if weight is None else weight * x


def inverse_propensities(entries: pl.DataFrame) -> Floats | None:
    """Weights of one experiment's entries, of mean 1 in each arm; None where no arm's propensities differ.

    Explorers all weigh the same: their propensity is of the strategy drawn as well, and what they are read for is
    what exploring does to anybody.
    """
    p = pl.col("propensity")
    differs = (p.max() - p.min() > 1e-9) & (pl.col("arm").first() != EXPLORE)
    told = entries.select("arm", p, differs.over("arm").fill_null(value=False).alias("differs"))
    if not told["differs"].any():
        return None
    inverse = pl.when("differs").then(1 / p).otherwise(1.0)
    return told.select((inverse / inverse.mean().over("arm")).alias("w"))["w"].to_numpy()
