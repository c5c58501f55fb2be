"""One small set of trees that says what a shipped model says, for bases too large to ask the model itself.

A blend asks three models, and its hazard once per step; the trees are asked once, and learn from any number of users,
for they need no outcome: only what the model says of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from dagster_project.models.activity import Probabilities, bounded, log_odds
from dagster_project.models.boosting import in_passes
from dagster_project.models.features import Matrix, stable_hash, to_matrix, usable_features
from dagster_project.models.threads import threads_for

MOST_ROWS = 200_000  # to learn from: beyond it the gaps to the model hardly shrink
CHECKED_PART = 5  # one row in so many is kept to compare with
LARGEST_MEAN_GAP = 0.01  # of probability, on the lapsed and on the others
LEAST_RANK_CORRELATION = 0.98
FEWEST_CHECKED = 500  # of the lapsed, or the others, before their own rank correlation is asked for

Predict = Callable[[pl.DataFrame], Probabilities]


@dataclass(frozen=True)
class Likeness:
    """How near the trees come to the model on users that they did not learn from."""

    mean_gap: float
    mean_gap_lapsed: float
    rank_correlation: float
    rank_correlation_lapsed: float
    n_checked: int

    @property
    def is_close(self) -> bool:
        """Whether the trees may speak for the model."""
        gaps = self.mean_gap, self.mean_gap_lapsed
        ranks = self.rank_correlation, self.rank_correlation_lapsed
        return max(gaps) <= LARGEST_MEAN_GAP and min(ranks) >= LEAST_RANK_CORRELATION


class Imitation:
    """Boosted regression trees on the log-odds that a model gives to users.

    Source: Buciluă, Caruana & Niculescu-Mizil 2006, Model Compression.
    """

    def __init__(self, *, seed: int) -> None:
        self._seed = seed

    def fit(self, users: pl.DataFrame, probability: Probabilities) -> Self:
        """Learn what the model says of `users`: their features with `is_lapsed`."""
        from sklearn.ensemble import HistGradientBoostingRegressor

        self._columns = usable_features(users)
        trees: Any = HistGradientBoostingRegressor(
            learning_rate=0.2,
            max_iter=100,  # 60 leave gaps a tenth wider, 150 take half as long again
            max_leaf_nodes=15,
            early_stopping=False,
            random_state=self._seed,
        )
        with threads_for(users.height):
            self._trees = trees.fit(self._matrix(users), log_odds(probability))
        return self

    def predict(self, users: pl.DataFrame) -> Probabilities:
        """About the model's probabilities, row by row."""
        if users.is_empty():
            return np.empty(0)
        return bounded(1 / (1 + np.exp(-in_passes(self._trees.predict, self._matrix(users)))))

    def _matrix(self, users: pl.DataFrame) -> Matrix:
        lapsed = users["is_lapsed"].fill_null(False).cast(pl.Float32).to_numpy()
        return np.column_stack([to_matrix(users, self._columns), lapsed])


def imitate(predict: Predict, users: pl.DataFrame, *, seed: int) -> tuple[Imitation, Likeness]:
    """Trees that imitate `predict`, and how well they do on a fifth of `users` kept apart by a hash of user_id.

    `users`: rows of the base to be scored, as many as may be, with `is_lapsed`. Not for finding out what moves a
    score: ask the model itself.
    """
    ordered = users.sort("user_id")
    hashes = stable_hash(ordered["user_id"], seed=seed)
    checked = hashes % CHECKED_PART == 0
    probability = predict(ordered)
    learnt = ~checked
    learnt[np.flatnonzero(learnt)[MOST_ROWS:]] = False
    trees = Imitation(seed=seed).fit(ordered.filter(learnt), probability[learnt])
    told = ordered.filter(checked)
    lapsed = told["is_lapsed"].fill_null(False).to_numpy()
    return trees, likeness(probability[checked], trees.predict(told), lapsed=lapsed)


def likeness(model: Probabilities, trees: Probabilities, *, lapsed: npt.NDArray[np.bool_]) -> Likeness:
    """The gaps between two sets of probabilities of the same users; without lapsed ones theirs are those of all."""
    group = lapsed if lapsed.any() else np.ones(len(model), dtype=np.bool_)
    all_ranks = _rank_correlation(model, trees)
    return Likeness(
        mean_gap=float(np.abs(model - trees).mean()),
        mean_gap_lapsed=float(np.abs(model - trees)[group].mean()),
        rank_correlation=all_ranks,
        rank_correlation_lapsed=(
            _rank_correlation(model[group], trees[group]) if group.sum() >= FEWEST_CHECKED else all_ranks
        ),
        n_checked=len(model),
    )


def _rank_correlation(one: Probabilities, other: Probabilities) -> float:
    figure = pl.DataFrame({"one": one, "other": other}).select(pl.corr("one", "other", method="spearman")).item()
    return float(figure) if figure is not None and np.isfinite(figure) else 1.0  # all alike: nothing to rank
