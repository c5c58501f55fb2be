import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from dagster_project.models.uplift.nuisances import Design, arm_regressions, cross_fitted, outcome_regression
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
