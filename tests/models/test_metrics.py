import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from dagster_project.models.metrics import (
    auc,
    auc_interval,
    average_precision,
    calibration_error,
    equal_count_bins,
    normalised_gini,
    resample_weights,
    top_decile_lift,
)


def floats(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float64)


def test_auc_counts_a_tie_as_half() -> None:
    assert auc(floats(1, 0, 0, 1), floats(0.9, 0.5, 0.1, 0.5)) == pytest.approx(3.5 / 4)


def test_one_class_has_no_auc_and_no_interval() -> None:
    ones, scores = floats(1, 1), floats(0.2, 0.4)
    assert auc(ones, scores) is None
    interval = auc_interval(ones, scores, weights=resample_weights(2, n_resamples=10, seed=1))
    assert (interval.low, interval.high) == (None, None)


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 9)), min_size=2, max_size=40))
def test_auc_equals_that_of_scikit_learn(rows: list[tuple[bool, int]]) -> None:
    outcome = floats(*(float(active) for active, _ in rows))
    score = floats(*(level / 10 for _, level in rows))
    if 0 < outcome.sum() < len(rows):
        assert auc(outcome, score) == pytest.approx(roc_auc_score(outcome, score))


def test_calibration_error_is_the_mean_distance_of_ten_equal_bins() -> None:
    probability = np.repeat(np.arange(10) / 10 + 0.05, 10)
    outcome = np.tile(floats(1, 0, 0, 0, 0, 0, 0, 0, 0, 0), 10)
    distance = np.abs(np.arange(10) / 10 + 0.05 - 0.1).mean()
    assert calibration_error(outcome, probability) == pytest.approx(distance)


def test_equal_probabilities_share_a_bin() -> None:
    assert set(equal_count_bins(np.full(50, 0.3)).tolist()) == {5}
    assert equal_count_bins(np.arange(20) / 20).tolist() == [i // 2 for i in range(20)]


def test_the_top_tenth_of_a_perfect_order_lifts_by_the_inverse_of_the_base_rate() -> None:
    outcome = np.concatenate([np.ones(20), np.zeros(80)])
    assert top_decile_lift(outcome, np.linspace(0.9, 0.1, 100)) == pytest.approx(5.0)
    assert top_decile_lift(outcome, np.full(100, 0.2)) == pytest.approx(1.0)


def test_figures_that_need_an_active_user_are_null_without_one() -> None:
    nobody, scores = np.zeros(4), floats(0.1, 0.2, 0.3, 0.4)
    assert average_precision(nobody, scores) is None
    assert top_decile_lift(nobody, scores) is None


def test_gini_is_one_for_the_true_order_and_minus_one_for_its_reverse() -> None:
    amounts = floats(0, 0, 5, 10)
    assert normalised_gini(amounts, floats(1, 1, 2, 3)) == pytest.approx(1.0)
    assert normalised_gini(amounts, floats(3, 3, 2, 1)) == pytest.approx(-1.0)
    assert normalised_gini(amounts, np.full(4, 0.5)) == 0.0
    assert normalised_gini(np.zeros(4), amounts) is None


def test_each_resample_draws_as_many_rows_as_there_are() -> None:
    assert resample_weights(7, n_resamples=3, seed=1).sum(axis=1).tolist() == [7, 7, 7]
