"""What the counts cannot see: a boosted factor on a forecast, kept within a third and three times it.

METHODS: an uncapped Poisson booster once over-forecast elevenfold, the capped one was the best of its table.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from dagster_project.models.boosting import in_passes
from dagster_project.models.cutoffs import newest_cutoff, split_out_of_time
from dagster_project.models.features import Matrix, stable_hash, to_matrix, usable_features
from dagster_project.models.threads import threads_for

Floats = npt.NDArray[np.float64]

CAP = (1 / 3, 3.0)
DRIFT_STRENGTH = 0.5  # METHODS: half of the newest window's shift forecasts better than all or none of it
WINSOR_QUANTILE = 0.995  # of the actual amounts that the trees learn from; the level restores their total
FEWEST_ROWS = 300  # five leaves' worth of users who were active


@dataclass(frozen=True)
class Correction:
    """`level` × what the trees say of a row (1 without trees), within CAP. The trees saw `columns`, then log bases."""

    level: float
    columns: tuple[str, ...]
    trees: Any

    def factor(self, features: pl.DataFrame, bases: list[Floats]) -> Floats:
        """One factor per row for a forecast which is the product of `bases`."""
        if self.trees is None or features.is_empty():
            return np.full(features.height, np.clip(self.level, *CAP))
        boosted = np.clip(in_passes(self.trees.predict, _matrix(features, self.columns, bases)), *CAP)
        return np.asarray(np.clip(self.level * boosted, *CAP))


@dataclass(frozen=True)
class Evidence:
    """Past rows (with `cutoff`, user_id), the product forecast's factors for each, and what came (below 0 counts)."""

    rows: pl.DataFrame
    bases: list[Floats]
    actual: Floats

    def where(self, mask: npt.NDArray[np.bool_]) -> "Evidence":
        """The rows that `mask` keeps."""
        return Evidence(self.rows.filter(mask), [base[mask] for base in self.bases], self.actual[mask])


MOST_TREE_ROWS = 40_000
NO_CORRECTION = Correction(1.0, (), None)


def fit_correction(seen: Evidence, *, horizon_days: int, seed: int) -> Correction:
    """The factor that past cutoffs ask for.

    Trees (Poisson loss on actual ÷ base, weighted by base) ship only if on the newest closed window,
    fitted on cutoffs whose windows had closed by then, they have a lower Poisson deviance than the
    level alone; without such a pair of cutoffs they do not ship. The level brings the total of all past
    windows right; half of the newest window's remaining excess, seen out of time, is then added.
    """
    if not seen.rows.height or _total(seen.bases) <= 0:
        return NO_CORRECTION
    learn, test = split_out_of_time(seen.rows, horizon_days=horizon_days)
    if not learn.height:
        return _levelled(seen, boosted=False, seed=seed)
    cutoff = seen.rows["cutoff"]
    known = seen.where((cutoff <= learn["cutoff"].max()).to_numpy())
    newest = seen.where((cutoff == newest_cutoff(test)).to_numpy())
    plain, boosted = (_levelled(known, boosted=flag, seed=seed) for flag in (False, True))
    wins = _deviance(boosted, newest) < _deviance(plain, newest)
    drift = _ratio(newest.actual, _forecast(boosted if wins else plain, newest))
    final = _levelled(seen, boosted=wins, seed=seed)
    return Correction(float(np.clip(final.level * drift**DRIFT_STRENGTH, *CAP)), final.columns, final.trees)


def _levelled(seen: Evidence, *, boosted: bool, seed: int) -> Correction:
    draft = _fit_trees(seen, seed=seed) if boosted and seen.rows.height >= FEWEST_ROWS else NO_CORRECTION
    return Correction(_ratio(seen.actual, _forecast(draft, seen)), draft.columns, draft.trees)


def _fit_trees(seen: Evidence, *, seed: int) -> Correction:
    from sklearn.ensemble import HistGradientBoostingRegressor

    trees = HistGradientBoostingRegressor(
        loss="poisson",
        learning_rate=0.1,
        max_iter=40,  # 80 of half the rate rank no better, and scoring ten million rows costs twice as much
        max_leaf_nodes=8,
        max_bins=31,  # with weights each bin's edge is a percentile of its own: 255 of them cost ten times the trees
        min_samples_leaf=60,
        l2_regularization=1.0,
        early_stopping=False,
        random_state=seed,
    )
    seen = _sampled(seen, seed=seed)
    base = np.prod(seen.bases, axis=0)
    asked = _winsorised(seen.actual)
    if asked.sum() <= 0:
        return NO_CORRECTION
    asked, kept = asked / asked.sum() * base.sum(), base > 0  # the trees learn the shape, the level holds the size
    columns = usable_features(seen.rows)
    matrix = _matrix(seen.rows, columns, seen.bases)
    with threads_for(len(matrix)):
        trees.fit(matrix[kept], asked[kept] / base[kept], sample_weight=base[kept] / base[kept].mean())
    return Correction(1.0, columns, trees)


def _sampled(seen: Evidence, *, seed: int) -> Evidence:
    """At most MOST_TREE_ROWS rows, drawn by a hash of user and cutoff: more only cost time."""
    if seen.rows.height <= MOST_TREE_ROWS:
        return seen
    labels = seen.rows.select(pl.format("{}|{}", pl.col("cutoff").cast(pl.String), "user_id")).to_series()
    places = np.argsort(stable_hash(labels, seed=seed), kind="stable")
    mask = np.zeros(seen.rows.height, dtype=np.bool_)
    mask[places[:MOST_TREE_ROWS]] = True
    return seen.where(mask)


def _matrix(rows: pl.DataFrame, columns: tuple[str, ...], bases: list[Floats]) -> Matrix:
    logs = [np.log1p(base).astype(np.float32) for base in bases]
    return np.column_stack([to_matrix(rows, columns), *logs])


def _forecast(correction: Correction, seen: Evidence) -> Floats:
    return np.asarray(np.prod(seen.bases, axis=0) * correction.factor(seen.rows, seen.bases))


def _deviance(correction: Correction, seen: Evidence) -> float:
    """Poisson deviance up to a constant, on winsorised actuals; forecasts at their own total, so only shape counts."""
    actual, forecast = _winsorised(seen.actual), _forecast(correction, seen)
    if actual.sum() <= 0 or forecast.sum() <= 0:
        return 0.0
    levelled = forecast * (actual.sum() / forecast.sum())
    known = levelled > 0
    return -float((actual[known] * np.log(levelled[known])).sum())


def _winsorised(actual: Floats) -> Floats:
    most = float(np.quantile(actual, WINSOR_QUANTILE, method="lower")) if len(actual) else 0.0
    return np.clip(actual, 0.0, max(most, 0.0))


def _ratio(actual: Floats, forecast: Floats) -> float:
    return float(np.clip(actual.sum() / forecast.sum(), *CAP)) if forecast.sum() > 0 else 1.0


def _total(bases: list[Floats]) -> float:
    return float(np.prod(bases, axis=0).sum())
