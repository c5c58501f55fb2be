from typing import Self

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_project.models.activity import FitSetup, Probabilities
from dagster_project.models.blend import BlendModel, SplitModel, mean_log_odds
from dagster_project.models.candidates import CANDIDATES, hazard_of
from dagster_project.models.hazard import HazardModel


class Constant:
    """Says the same of everybody."""

    def __init__(self, value: float) -> None:
        self.value = value

    def fit(self, _training: pl.DataFrame) -> Self:
        return self

    def predict(self, features: pl.DataFrame) -> Probabilities:
        return np.full(features.height, self.value)


def test_the_mean_of_log_odds_by_hand() -> None:
    assert mean_log_odds([np.array([0.2]), np.array([0.8])]).tolist() == pytest.approx([0.5])
    assert mean_log_odds([np.array([0.1]), np.array([0.5])]).tolist() == pytest.approx([0.25])


@given(p=st.lists(st.floats(1e-6, 1 - 1e-6), min_size=1, max_size=6))
def test_a_blend_lies_between_its_members(p: list[float]) -> None:
    blended = BlendModel([Constant(value) for value in p]).predict(pl.DataFrame({"user_id": ["a"]}))[0]
    assert min(p) - 1e-9 <= blended <= max(p) + 1e-9


def test_each_row_is_told_by_the_model_of_its_kind() -> None:
    rows = pl.DataFrame({"is_lapsed": [True, False, None, True]})
    model = SplitModel(for_lapsed=Constant(0.1), for_others=Constant(0.7))
    assert model.predict(rows).tolist() == [0.1, 0.7, 0.7, 0.1]
    assert model.predict(rows.clear()).shape == (0,)


def test_the_curve_of_the_lapsed_comes_from_the_model_of_the_lapsed() -> None:
    setup = FitSetup(seed=1, horizon_days=28)
    built = {candidate.name: candidate.build(setup) for candidate in CANDIDATES}
    assert isinstance(hazard_of(built["blend"]), HazardModel)
    assert hazard_of(built["hazard"]) is built["hazard"]
    assert hazard_of(SplitModel(for_lapsed=built["recency"], for_others=built["blend"])) is None
    assert [c.name for c in CANDIDATES if c.brings_curve] == [n for n, m in built.items() if hazard_of(m)]
