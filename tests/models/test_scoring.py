from typing import Self

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from dagster_project.models import scoring
from dagster_project.models.calibration import ScoredOutcomes, Shifts, ShippedModel
from dagster_project.models.scoring import make_scorer, score_users
from dagster_project.models.value import fit_value
from tests.models.simulated import HORIZON_DAYS, training_frame, true_probability, users_now


class Truth:
    """Says the true probability; `asked` counts the rows that it was asked for."""

    def __init__(self) -> None:
        self.asked = 0

    def fit(self, training: pl.DataFrame) -> Self:  # noqa: ARG002
        return self

    def predict(self, features: pl.DataFrame) -> np.ndarray:
        self.asked += features.height
        return true_probability(features, interest_effect=1.0)


def shipped(model: Truth) -> ShippedModel:
    return ShippedModel(model, Shifts(), ScoredOutcomes(np.empty(0), np.empty(0)))


def test_a_base_of_usual_size_is_scored_by_the_model_itself() -> None:
    users = users_now(300)
    scorer = make_scorer(shipped(Truth()), users, n_users=users.height, seed=1)
    assert scorer.note is None
    np.testing.assert_allclose(scorer.p_active(users), true_probability(users, interest_effect=1.0))


def test_blocks_give_what_the_whole_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    users = users_now(500)
    worth = fit_value(training_frame(300), users, horizon_days=HORIZON_DAYS, value_per_active_day=1.0)
    scorer = make_scorer(shipped(Truth()), users, n_users=users.height, seed=1)
    whole = score_users(users, scorer.p_active(users), worth=worth)
    monkeypatch.setattr(scoring, "ROWS_PER_BLOCK", 77)
    assert_frame_equal(score_users(users, scorer.p_active(users), worth=worth), whole)
    assert whole["expected_value"].to_list() == pytest.approx(
        (whole["p_active"] * whole["value_if_returned"]).to_list()
    )


def test_a_large_base_is_scored_by_trees_that_imitate_the_model() -> None:
    users, truth = users_now(5_000), Truth()
    scorer = make_scorer(shipped(truth), users, n_users=20_000_000, seed=1)
    asked = truth.asked
    gaps = np.abs(scorer.p_active(users) - true_probability(users, interest_effect=1.0))
    assert truth.asked == asked  # not once more
    assert gaps.mean() < 0.01
    assert scorer.note is not None
    assert scorer.note.startswith("The base is large: p_active comes from trees that imitate the model")


def test_trees_that_come_not_near_enough_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dagster_project.models.imitation.LARGEST_MEAN_GAP", 0.0)
    users = users_now(2_000)
    scorer = make_scorer(shipped(Truth()), users, n_users=20_000_000, seed=1)
    np.testing.assert_allclose(scorer.p_active(users), true_probability(users, interest_effect=1.0))
    assert scorer.note is not None
    assert scorer.note.endswith("every user was scored by the model itself.")


def test_nobody_is_scored_without_fault() -> None:
    users = users_now(300)
    worth = fit_value(training_frame(300), users, horizon_days=HORIZON_DAYS, value_per_active_day=1.0)
    scorer = make_scorer(shipped(Truth()), users.clear(), n_users=0, seed=1)
    assert score_users(users.clear(), scorer.p_active(users.clear()), worth=worth).height == 0
