"""A sum of bent lines, one per feature, shrunken as far as the rows themselves advise."""

from dataclasses import dataclass

import numpy as np

from dagster_project.models.uplift.trials import Floats

QUANTILES = (0.2, 0.4, 0.6, 0.8)
ROWS_FOR_QUANTILES = 5_000
PENALTIES = np.logspace(0, 7, 29)  # on features of unit spread; at the last next to nothing is left of them


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
class BentLines:
    """A ridge regression on features and bends. Its penalty is that of least generalised cross-validation.

    Source: Golub, Heath and Wahba 1979. In closed form: one product of the columns and their eigenvalues serve all
    penalties, where scikit-learn's RidgeCV decomposes the rows (twelve times as long at 34,000 × 30).
    """

    bends: Bends
    weights: Floats
    constant: float

    @staticmethod
    def fit(rows: Floats, target: Floats) -> "BentLines":
        """The lines through these rows × features."""
        bends = Bends.of(rows)
        columns = bends.columns(rows)
        centre, spread, level = columns.mean(axis=0), columns.std(axis=0), float(target.mean())
        scale = np.where(spread > 0, spread, 1.0)
        columns = (columns - centre) / scale
        weights = _of_least_gcv(columns.T @ columns, columns.T @ (target - level), target) / scale
        return BentLines(bends, weights, level - float(centre @ weights))

    def __call__(self, rows: Floats) -> Floats:
        """The fitted value of each row."""
        return np.asarray(self.bends.columns(rows) @ self.weights + self.constant)


def _of_least_gcv(products: Floats, towards: Floats, target: Floats) -> Floats:
    n, total = len(target), float(target.var() * len(target))
    values, vectors = np.linalg.eigh(products)
    values, along = np.maximum(values, 0)[:, None], (vectors.T @ towards)[:, None]
    fitted = along / (values + PENALTIES)
    missed = total - 2 * (fitted * along).sum(axis=0) + (fitted**2 * values).sum(axis=0)
    n_free = n - 1 - (values / (values + PENALTIES)).sum(axis=0)
    return np.asarray(vectors @ fitted[:, int(np.argmin(missed / n_free**2))])
