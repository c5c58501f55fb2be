"""What a night believes of each strategy's lift on each channel, beside what it began with."""

from collections.abc import Mapping

import numpy as np
import polars as pl

from dagster_project.strategy.catalogue import Catalogue
from dagster_project.strategy.lift import LiftBelief
from dagster_project.strategy.priors import Beliefs

TOLD_HARM = -0.5  # log-odds: at a usual 10 % it keeps away four of ten who would have come back
BELIEFS = pl.Schema(
    {
        "strategy_id": pl.String,
        "channel": pl.String,
        "lift_before": pl.Float64,
        "lift": pl.Float64,
        "lift_sd": pl.Float64,
        "harm_probability": pl.Float64,
        "n_outcomes": pl.Int64,
        "evidence_grade": pl.String,
        "nights_to_stop": pl.Int64,
    }
)


def belief_table(
    beliefs: Beliefs, *, catalogue: Catalogue, nights: Mapping[str, int | None] | None = None
) -> pl.DataFrame:
    """One row per sending strategy and channel, as BELIEFS, sorted: the lift for a user of average kind.

    `nights` by strategy: in how many a harm of TOLD_HARM would be stopped (`harm.nights_at_pace`).
    """
    before = Beliefs(beliefs.priors)
    rows = []
    for strategy in catalogue.sending:
        for channel in strategy.channels:
            now = beliefs.of(strategy, channel=channel)
            mean, sd, harm = _summed(now)
            began = _summed(before.of(strategy, channel=channel))[0]
            until = (nights or {}).get(strategy.id)
            rows.append((strategy.id, channel, began, mean, sd, harm, now.n_outcomes, now.grade, until))
    return pl.DataFrame(rows, schema=BELIEFS, orient="row").sort("strategy_id", "channel")


def _summed(belief: LiftBelief) -> tuple[float, float, float]:
    """Mean, standard deviation and P(below zero) of the first part."""
    from scipy.special import ndtr

    means, variances = belief.means[:, 0], belief.covariances[:, 0, 0]
    mean = float(belief.weights @ means)
    variance = float(belief.weights @ (variances + (means - mean) ** 2))
    harm = float(belief.weights @ ndtr(-means / np.sqrt(np.maximum(variances, 1e-12))))
    return mean, variance**0.5, harm
