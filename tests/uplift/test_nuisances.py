from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from dagster_project.models.uplift.nuisances import (
    Design,
    Nuisances,
    arm_regressions,
    certainty,
    cross_fitted,
    outcome_regression,
)
from uplift.simulated import simulated_trial


def _exact(rows, outcome):
    return LogisticRegression(C=1.0, solver="newton-cholesky", tol=1e-10, max_iter=1_000).fit(rows, outcome)


@pytest.mark.parametrize(
    ("constant", "slope"), [(-1.5, 0.5), (-6.0, 2.0), (0.0, 60.0)], ids=["usual", "rare", "parted"]
)
def test_the_logistic_regression_is_that_of_scikit_learn(constant, slope):
    rng = np.random.default_rng(3)
    rows = np.column_stack([rng.normal(size=(4_000, 2)), rng.lognormal(sigma=2, size=4_000) - 7])
    outcome = (rng.random(4_000) < 1 / (1 + np.exp(-(constant + slope * rows[:, 0])))).astype(float)
    found, exact = outcome_regression(rows, outcome), _exact(rows, outcome)
    np.testing.assert_allclose(
        [found.constant, *found.weights], [*exact.intercept_, *exact.coef_[0]], rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(found(rows), exact.predict_proba(rows)[:, 1], atol=1e-6)


def test_steps_that_go_too_far_are_halved():
    # from where it starts, Newton's first step is some thousand times too long: one row in 20,000 lies far off
    rows = np.zeros((20_000, 1))
    rows[:40] = 1_000.0
    outcome = np.zeros(20_000)
    outcome[:60] = 1.0
    found, exact = outcome_regression(rows, outcome), _exact(rows, outcome)
    np.testing.assert_allclose(found(rows), exact.predict_proba(rows)[:, 1], atol=1e-5)


def test_a_start_moves_no_answer():
    trial, _ = simulated_trial(4_000, seed=5, slope=0.1)
    _, rows = Design.of(trial.x)
    cold = cross_fitted(trial, rows, seed=0)
    warm = cross_fitted(trial, rows, seed=0, arms=arm_regressions(trial, rows))
    np.testing.assert_array_equal(cold.alone, warm.alone)
    by_hand = outcome_regression(rows, trial.outcome)
    far = outcome_regression(rows, trial.outcome, start=outcome_regression(-rows, trial.outcome))
    np.testing.assert_allclose(far.weights, by_hand.weights, atol=1e-6)


@pytest.mark.parametrize("outcome", [np.zeros(3), np.ones(3), np.empty(0)])
def test_an_outcome_that_never_differs_is_told_as_it_is(outcome):
    expected = outcome[:1].sum()
    assert outcome_regression(np.ones((len(outcome), 2)), outcome)(np.ones((2, 2))).tolist() == [expected, expected]


def test_the_certainty_of_an_effect_is_one_over_its_variance():
    n = 200
    trial, _ = simulated_trial(n, seed=5, slope=0.1)
    trial = replace(trial, propensity=np.full(n, 0.8))
    nuisances = Nuisances(np.r_[np.full(n // 2, 0.1), np.full(n // 2, 0.5)], np.full(n, 0.2))
    few, many = 1 / (0.16 / 0.8 + 0.09 / 0.2), 1 / (0.16 / 0.8 + 0.25 / 0.2)
    np.testing.assert_allclose(certainty(trial, nuisances), np.r_[np.full(n // 2, few), np.full(n // 2, many)])
    amounts = replace(trial, outcome=trial.outcome * 20)
    np.testing.assert_allclose(certainty(amounts, nuisances), 1 / (1 / 0.8 + 1 / 0.2))


def test_a_row_whose_outcome_seems_sure_does_not_count_for_all():
    trial, _ = simulated_trial(1_000, seed=5, slope=0.1)
    told = np.full(1_000, 0.2)
    told[0] = 0.0
    found = certainty(trial, Nuisances(told, told))
    assert found.max() == found.min()
