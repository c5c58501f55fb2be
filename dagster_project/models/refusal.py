"""When the data cannot carry a model: what is missing, in words, and plain numbers to stand in.

The stand-in knows no recency and claims none; it keeps the night going and says so.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from dagster_project.models.activity import Probabilities, bounded, outcomes
from dagster_project.models.calibration import ScoredOutcomes
from dagster_project.models.cutoffs import newest_cutoff, split_out_of_time

FEWEST_OUTCOMES = 100  # of each kind to learn from: ten per feature of a ten-feature model
FEWEST_TEST_OUTCOMES = 20  # of each kind to be judged on: below it an AUC is ± .15 and says nothing
GROUP_PRIOR_USERS = 20.0
STAND_IN = "base_rate"


@dataclass(frozen=True)
class StandIn:
    """Probabilities for tonight's users without a model, and the outcomes that they rest on."""

    probability: Probabilities
    seen: ScoredOutcomes
    wording: str


def shortfalls(training: pl.DataFrame, *, horizon_days: int) -> tuple[str, ...]:
    """What the training frame lacks for an honest model, one plain sentence each; empty if nothing."""
    if training.is_empty():
        short = f"The log is shorter than 1.5 horizons of {horizon_days} days"
        return (f"{short}: no past day has a closed window and enough log before it.",)
    learn, test = split_out_of_time(training, horizon_days=horizon_days)
    if learn.is_empty():
        return (f"No cutoff lies {horizon_days} days before {newest_cutoff(training)}: nothing to learn from.",)
    return _too_few(learn, fewest=FEWEST_OUTCOMES, purpose="to learn from") + _too_few(
        test, fewest=FEWEST_TEST_OUTCOMES, purpose="to judge a model on"
    )


def stand_in(training: pl.DataFrame, features_now: pl.DataFrame, *, horizon_days: int) -> StandIn:
    """Numbers without a model, one per row of `features_now`.

    With a closed window: the share active in the newest one, apart for lapsed and others, each drawn
    to the share of all by 20 users' weight (that one under a uniform Beta prior). Without: each
    user's own pace, drawn to the pace of all (see `pace_probability`). Not for ranking within a group.
    """
    if training.is_empty():
        probability = pace_probability(features_now, horizon_days=horizon_days)
        return StandIn(probability, _nothing_seen(), "Until then everyone is taken to keep their past pace.")
    newest = training.filter(pl.col("cutoff") == newest_cutoff(training)).sort("user_id")
    rates = _group_rates(newest)
    return StandIn(
        probability=bounded(_look_up(features_now, rates)),
        seen=ScoredOutcomes(bounded(_look_up(newest, rates)), outcomes(newest)),
        wording="Until then everyone gets the share of such users active in the newest closed window.",
    )


def pace_probability(features: pl.DataFrame, *, horizon_days: int) -> Probabilities:
    """P(an active day in H) for Poisson days whose pace is Gamma over users, prior weight one day.

    The negative-binomial posterior 1 - ((T + b) / (T + b + H)) ** (x + 1) for x active days after the
    first in T days, b the days in which an average user has one. Knows no drop-out, so it is too
    high for the long silent: a stopgap for logs shorter than two horizons.
    """
    repeats = (features["n_active_days"].cast(pl.Float64).fill_null(1) - 1).clip(0).to_numpy()
    days = features["tenure_days"].cast(pl.Float64).fill_null(0).clip(0).to_numpy()
    pace = (repeats.sum() + 1) / (days.sum() + horizon_days)  # one day in a horizon, when nothing is known
    exposure = days + 1 / pace
    return bounded(1 - (exposure / (exposure + horizon_days)) ** (repeats + 1))


def _too_few(rows: pl.DataFrame, *, fewest: int, purpose: str) -> tuple[str, ...]:
    n_active = int(rows["is_active"].sum())
    counts = (("active", n_active), ("inactive", rows.height - n_active))
    return tuple(
        f"Only {count} {word} outcomes {purpose}, at least {fewest} are needed."
        for word, count in counts
        if count < fewest
    )


def _group_rates(newest: pl.DataFrame) -> dict[bool, float]:
    outcome, lapsed = outcomes(newest), newest["is_lapsed"].fill_null(False).to_numpy()
    overall = (outcome.sum() + 1) / (len(outcome) + 2)
    return {
        group: float(
            (outcome[lapsed == group].sum() + GROUP_PRIOR_USERS * overall)
            / ((lapsed == group).sum() + GROUP_PRIOR_USERS)
        )
        for group in (False, True)
    }


def _look_up(rows: pl.DataFrame, rates: dict[bool, float]) -> Probabilities:
    return np.where(rows["is_lapsed"].fill_null(False).to_numpy(), rates[True], rates[False])


def _nothing_seen() -> ScoredOutcomes:
    return ScoredOutcomes(np.empty(0), np.empty(0))
