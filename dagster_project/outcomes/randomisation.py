"""Whether arms differed before anything was done, and how rows weigh where chances differ within an arm.

Whether the arms have the sizes that chance gives them is the matter of `ratios`.
"""

from datetime import date, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from dagster_project.outcomes.vocabulary import DAYS_BEFORE, EXPLORE

Floats = npt.NDArray[np.float64]

BROKEN_BELOW = 0.001  # Fabijan et al. 2019: so small that a sound experiment is called broken once in a thousand
FEWEST_TO_BALANCE = 30


def balance_p(
    entries: pl.DataFrame, *, baseline: str, weight: Floats | None = None, records_from: date | None = None
) -> float | None:
    """P of arms as different in activity over the 28 days before entry, if chance made them. Holm over the arms.

    Where it is tiny, outcomes lie before the assignment: it was written down, or made, after they were known.
    `weight`: inverse propensities where chances differ within an arm. None where an arm has fewer than 30.
    `records_from`: the first day with an event. A difference is one however few of the 28 days are on record; that
    there is none is told by those alone who entered when all of them are, and is None where these are too few.
    """
    of_all = _gap_p(entries, baseline, weight)
    if of_all is None or of_all < BROKEN_BELOW or records_from is None:
        return of_all
    is_whole = entries["assigned_on"] >= records_from + timedelta(days=DAYS_BEFORE)
    if is_whole.all():
        return of_all
    return _gap_p(entries.filter(is_whole), baseline, None if weight is None else weight[is_whole.to_numpy()])


def _gap_p(entries: pl.DataFrame, baseline: str, weight: Floats | None) -> float | None:
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
    ends = entries.group_by("arm").agg(
        pl.col("propensity").min().alias("low"), pl.col("propensity").max().alias("high")
    )
    differs = {name: high - low > 1e-9 for name, low, high in ends.iter_rows() if low is not None and name != EXPLORE}
    if not any(differs.values()):
        return None
    arms = sorted(entries["arm"].unique())
    arm = entries["arm"].cast(pl.Enum(arms)).to_physical().to_numpy()
    p = entries["propensity"].to_numpy()
    inverse = np.where(np.array([differs.get(name, False) for name in arms])[arm], 1 / p, 1.0)
    means = np.bincount(arm, weights=inverse) / np.bincount(arm)
    return np.asarray(inverse / means[arm])
