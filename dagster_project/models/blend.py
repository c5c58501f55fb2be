"""Models made of models: the blend of several, and one model for the lapsed beside another for the rest."""

from collections.abc import Sequence
from typing import Self

import numpy as np
import polars as pl

from dagster_project.models.activity import ActivityModel, Probabilities, bounded, log_odds


class BlendModel:
    """The mean of its members' log-odds: members err in different directions, so that their mean errs less."""

    def __init__(self, members: Sequence[ActivityModel]) -> None:
        self.members = tuple(members)

    def fit(self, training: pl.DataFrame) -> Self:
        """Fit each member on the same rows."""
        for member in self.members:
            member.fit(training)
        return self

    def predict(self, features: pl.DataFrame) -> Probabilities:
        """Between the lowest and the highest of the members, row by row."""
        return mean_log_odds([member.predict(features) for member in self.members])


class SplitModel:
    """One model for rows that are lapsed, another for the rest; both learn from all rows."""

    def __init__(self, *, for_lapsed: ActivityModel, for_others: ActivityModel) -> None:
        self.for_lapsed, self.for_others = for_lapsed, for_others

    def fit(self, training: pl.DataFrame) -> Self:
        """Fit both."""
        self.for_lapsed.fit(training)
        self.for_others.fit(training)
        return self

    def predict(self, features: pl.DataFrame) -> Probabilities:
        """Each row by its own model; a row whose lapse is not known counts as not lapsed."""
        lapsed = features["is_lapsed"].fill_null(False)
        probability = np.empty(features.height)
        probability[lapsed.to_numpy()] = self.for_lapsed.predict(features.filter(lapsed))
        probability[~lapsed.to_numpy()] = self.for_others.predict(features.filter(~lapsed))
        return probability


def mean_log_odds(probabilities: Sequence[Probabilities]) -> Probabilities:
    """The probability whose log-odds are the mean of the others'."""
    mean = np.mean([log_odds(probability) for probability in probabilities], axis=0)
    return bounded(1 / (1 + np.exp(-mean)))
