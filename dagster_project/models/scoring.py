"""Tonight's users scored block by block, so that a base of any size needs the memory of one block."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from dagster_project.models.activity import Probabilities
from dagster_project.models.calibration import ShippedModel
from dagster_project.models.features import evenly_drawn
from dagster_project.models.imitation import Imitation, Likeness, imitate
from dagster_project.models.value import ValueModel

ROWS_PER_BLOCK = 100_000  # of 50 features: 40 MB, and as much again for each copy that a model makes
LARGEST_BASE_FOR_MODEL = 1_000_000  # users; asking a blend of three models takes some 25 CPU s for each million
MOST_IMITATED = 250_000  # users asked both ways


@dataclass(frozen=True)
class Scorer:
    """P(active in the next H) of any users: from the model, or from trees that imitate it; with what they are worth.

    `likeness`: how near the trees were found to be; null where the base is small enough for the model itself.
    """

    shipped: ShippedModel
    imitation: Imitation | None = None
    likeness: Likeness | None = None

    def p_active(self, users: pl.DataFrame) -> Probabilities:
        """One probability per row of features with `is_lapsed`, in their order."""
        blocks = users.iter_slices(ROWS_PER_BLOCK)
        return np.concatenate([np.empty(0), *(self._of_block(block) for block in blocks)])

    def _of_block(self, users: pl.DataFrame) -> Probabilities:
        if self.imitation is not None:
            return self.imitation.predict(users)
        return self.shipped.predict(users)

    @property
    def note(self) -> str | None:
        """What a reader should know of the imitation."""
        if self.likeness is None:
            return None
        gap = f"{self.likeness.mean_gap:.4f} on average, {self.likeness.mean_gap_lapsed:.4f} for the lapsed"
        if self.imitation is None:
            return f"Trees that imitate the model came no nearer than {gap}: every user was scored by the model itself."
        return f"The base is large: p_active comes from trees that imitate the model, {gap} away from it."


def make_scorer(shipped: ShippedModel, users: pl.DataFrame, *, n_users: int, seed: int) -> Scorer:
    """The model itself for up to a million users; beyond, trees that imitate it if they come near enough.

    `users`: those of tonight, or enough of them, with `is_lapsed`; `n_users`: how many there are in all.
    """
    asked = Scorer(shipped)
    if n_users <= LARGEST_BASE_FOR_MODEL or users.is_empty():
        return asked
    drawn = evenly_drawn(users, max_users=MOST_IMITATED)
    trees, found = imitate(asked.p_active, drawn, seed=seed)
    return Scorer(shipped, trees if found.is_close else None, found)


def score_users(users: pl.DataFrame, p_active: Probabilities, *, worth: ValueModel) -> pl.DataFrame:
    """One row per user with a core event: p_active, expected_events, expected_value, value_if_returned."""
    blocks = [worth.forecast(block) for block in users.iter_slices(ROWS_PER_BLOCK)]
    days, value = (np.concatenate([np.empty(0), *(block[i] for block in blocks)]) for i in (0, 1))
    return pl.DataFrame(
        {
            "user_id": users["user_id"],
            "p_active": p_active,
            "expected_events": p_active * days,
            "expected_value": p_active * value,
            "value_if_returned": value,
        }
    )
