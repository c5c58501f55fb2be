"""What effects are taken for a sum of: lines that bend at quantiles, and steps in log-odds."""

from dataclasses import dataclass

import numpy as np

from dagster_project.models.uplift.nuisances import Nuisances
from dagster_project.models.uplift.trials import Floats, Ints

QUANTILES = (0.2, 0.4, 0.6, 0.8)
ROWS_FOR_QUANTILES = 5_000


@dataclass(frozen=True)
class Bends:
    """Where the line of which feature may bend: at quantiles, where the feature has more than two values."""

    feature: tuple[int, ...]
    knot: tuple[float, ...]

    @staticmethod
    def of(rows: Floats) -> "Bends":
        """The bends that these rows ask for."""
        some = rows[:: max(1, len(rows) // ROWS_FOR_QUANTILES)]
        found = [
            (j, float(knot))
            for j, column in enumerate(some.T)
            if np.any((column != column.min()) & (column != column.max()))
            for knot in np.unique(np.quantile(column, QUANTILES))
            if column.min() < knot < column.max()
        ]
        return Bends(tuple(j for j, _ in found), tuple(knot for _, knot in found))

    def columns(self, rows: Floats) -> Floats:
        """Rows × (features, then the excess over each knot)."""
        return np.column_stack([rows, np.maximum(rows[:, self.feature] - np.array(self.knot), 0)])


@dataclass(frozen=True)
class Terms:
    """What effects are sums of: bent lines; and what a small step in log-odds changes, even or along a feature.

    `share`: of the contacted. An outcome that is no yes or no has no odds, and nought in their columns.
    """

    bends: Bends
    share: float
    is_binary: bool

    def columns(self, rows: Floats, expected: Nuisances) -> Floats:
        """Rows × terms."""
        mean = expected.mean(self.share)
        step = mean * (1 - mean) if self.is_binary else np.zeros(len(rows))
        return np.column_stack([self.bends.columns(rows), step[:, None] * rows, step])

    def groups(self, n_features: int) -> Ints:
        """Each line, the bends of each feature, each line of log-odds and the even step are shrunken apart."""
        lines = np.arange(n_features)
        bends = n_features + np.array(self.bends.feature, dtype=np.int64)
        _, group = np.unique(np.concatenate([lines, bends, -1 - lines, [-1 - n_features]]), return_inverse=True)
        return np.asarray(group)
