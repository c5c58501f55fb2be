import numpy as np
import pytest

from dagster_project.models.uplift.relevance import ROWS_PER_PASS, relevant_line

N = 2 * ROWS_PER_PASS + 7


def _drawn(weights, *, seed=0, noise=5.0):
    rng = np.random.default_rng(seed)
    columns = rng.normal(size=(N, len(weights))) + 3
    return columns, columns @ np.array(weights) + rng.normal(scale=noise, size=N)


def _fitted(columns, target, groups, row_weights=None):
    row_weights = np.ones(len(target)) if row_weights is None else row_weights
    return relevant_line(lambda rows: columns[rows], target, groups=np.array(groups), weights=row_weights)


def test_what_tells_nothing_vanishes_and_what_tells_much_is_hardly_shrunken():
    columns, target = _drawn([1.0, 0.0, 0.0, 0.0])
    line = _fitted(columns, target, [0, 1, 1, 2])
    assert line.weights[0] == pytest.approx(1.0, abs=0.12)
    assert np.abs(line.weights[1:]).max() < 0.05
    together = _fitted(columns, target, [0, 0, 0, 0])
    assert np.abs(line.weights[1:]).sum() < np.abs(together.weights[1:]).sum()


def test_a_clear_line_is_that_of_least_squares():
    columns, target = _drawn([1.0, -2.0], noise=1.0)
    exact, *_ = np.linalg.lstsq(np.column_stack([columns, np.ones(N)]), target, rcond=None)
    line = _fitted(columns, target, [0, 1])
    np.testing.assert_allclose([*line.weights, line.constant], exact, atol=0.01)
    assert line(columns).mean() == pytest.approx(target.mean())


def test_rows_count_by_their_weights():
    columns, target = _drawn([1.0, -1.0])
    twice = np.where(np.arange(N) % 2, 1.0, 2.0)
    repeated = np.repeat(np.arange(N), twice.astype(int))
    by_weight = _fitted(columns, target, [0, 1], twice)
    by_copies = _fitted(columns[repeated], target[repeated], [0, 1])
    np.testing.assert_allclose(by_weight.weights, by_copies.weights, rtol=0.01)


def test_units_of_columns_and_target_do_not_matter():
    columns, target = _drawn([1.0, 0.2, 0.0])
    line = _fitted(columns, target, [0, 1, 2])
    scaled = _fitted(columns * np.array([1.0, 1e4, 1e-4]), 1e3 * target, [0, 1, 2])
    np.testing.assert_allclose(scaled.weights, 1e3 * line.weights / np.array([1.0, 1e4, 1e-4]), rtol=1e-5, atol=1e-9)


def test_constant_columns_and_targets_give_a_constant():
    columns, target = _drawn([1.0, 0.0])
    columns[:, 1] = 4.0
    assert _fitted(columns, target, [0, 1]).weights[1] == 0
    flat = _fitted(columns, np.full(N, 0.25), [0, 1])
    np.testing.assert_allclose(flat(columns), 0.25, atol=1e-6)
