import numpy as np
import polars as pl
import pytest

from dagster_project.models.imitation import Imitation, Likeness, imitate, likeness
from tests.models.simulated import true_probability, users_now


def said(users: pl.DataFrame) -> np.ndarray:
    return true_probability(users, interest_effect=1.0)


def test_trees_learn_what_a_model_says_and_are_judged_on_users_kept_apart() -> None:
    trees, found = imitate(said, users_now(6_000), seed=1)
    assert found.is_close
    assert found.mean_gap < 0.01
    assert 1_000 < found.n_checked < 1_400
    assert np.abs(trees.predict(users_now(50)) - said(users_now(50))).mean() < 0.03


def test_a_model_that_no_tree_can_follow_is_not_imitated() -> None:
    def noise(users: pl.DataFrame) -> np.ndarray:
        return np.random.default_rng(1).uniform(0.05, 0.95, users.height)

    assert not imitate(noise, users_now(3_000), seed=1)[1].is_close


def test_the_order_of_users_does_not_matter() -> None:
    users = users_now(3_000)
    (trees, found), (others, as_found) = imitate(said, users, seed=1), imitate(said, users.reverse(), seed=1)
    assert found == as_found
    np.testing.assert_array_equal(trees.predict(users), others.predict(users))


def test_gaps_and_ranks_are_those_of_all_and_of_the_lapsed() -> None:
    lapsed = np.array([False, False, True, True])
    found = likeness(np.array([0.8, 0.6, 0.3, 0.1]), np.array([0.8, 0.6, 0.1, 0.1]), lapsed=lapsed)
    assert found.mean_gap == pytest.approx(0.05)
    assert found.mean_gap_lapsed == pytest.approx(0.1)
    assert found.rank_correlation == found.rank_correlation_lapsed == pytest.approx(0.9487, abs=1e-3)


@pytest.mark.parametrize("worse", [(0.02, 0, 1, 1), (0, 0.02, 1, 1), (0, 0, 0.9, 1), (0, 0, 1, 0.9)])
def test_all_four_figures_must_be_good(worse: tuple[float, float, float, float]) -> None:
    assert Likeness(0.0, 0.0, 1.0, 1.0, 100).is_close
    assert not Likeness(*worse, 100).is_close


def test_nobody_gets_no_probability() -> None:
    users = users_now(600)
    assert len(Imitation(seed=1).fit(users, said(users)).predict(users.clear())) == 0
