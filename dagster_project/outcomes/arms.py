"""The arms of an experiment: which is compared with which, and whether one has nobody."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import polars as pl

from dagster_project.outcomes.entries import IMPORTED
from dagster_project.outcomes.vocabulary import CONTROL, EXPLORE, WORDS

SHORT_BELOW = 0.98  # of the users whom the propensities speak of: fewer have entered
SURE = 3.29  # standard errors: chance alone says so once in a thousand


def baseline_of(experiment_id: str, arms: Sequence[str]) -> str:
    """The arm that others are compared with: control; of words alone the first by name."""
    return min(arms) if experiment_id.startswith(WORDS) and CONTROL not in arms else CONTROL


def contrasts(experiment_id: str, arms: Sequence[str], baseline: str) -> list[tuple[str, str]]:
    """The pairs (arm, baseline) that an experiment compares: each arm with the baseline.

    Of words also each template with those before it by name: which of two words is better is what was asked.
    """
    others = sorted(arm for arm in arms if arm != baseline)
    among = [(later, earlier) for earlier, later in combinations(others, 2)] if experiment_id.startswith(WORDS) else []
    return [*((arm, baseline) for arm in others), *among]


def share_entered(entries: pl.DataFrame) -> float | None:
    """Of the users whom an import's propensities speak of, the share that has entered any arm; None if it may be all.

    Where chances differ within an arm, 1 ÷ p summed over any arm estimates everybody who was drawn. If all arms are
    there, their users are as many. Constant chances are looked at with the rows (`find_faults`), our own ledger leaves
    room for explorers.
    """
    if (entries["origin"] != IMPORTED).any():
        return None
    p = pl.col("propensity").cast(pl.Float64)
    by_arm = (
        entries.group_by("arm")
        .agg(
            pl.len().alias("n"),
            (1 / p).sum().alias("drawn"),
            ((1 - p) / p**2).sum().alias("variance"),
            (p.max() - p.min()).alias("range"),
            (p.is_null() | (p <= 0) | (p >= 1)).any().alias("is_odd"),
        )
        .sort("arm")
    )
    varies = by_arm["range"].fill_null(0).max() or 0
    if by_arm["is_odd"].any() or EXPLORE in by_arm["arm"] or float(varies) < 1e-9:  # type: ignore[arg-type]
        return None
    n, drawn, variance = int(by_arm["n"].sum()), by_arm["drawn"].to_numpy(), by_arm["variance"].to_numpy()
    everybody = float(drawn.mean())
    error = float(np.sqrt(variance.sum())) / len(drawn)
    is_short = n < SHORT_BELOW * everybody and everybody - n > SURE * error
    return n / everybody if is_short else None
