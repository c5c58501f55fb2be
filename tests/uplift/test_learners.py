from dataclasses import replace

import numpy as np
import pytest

from dagster_project.models.uplift.calibration import best_line
from dagster_project.models.uplift.gains import ranked_value
from dagster_project.models.uplift.learners import CANDIDATES, DR, LEARNERS
from dagster_project.models.uplift.nuisances import Design, cross_fitted, pseudo_effects
from uplift.simulated import simulated_trial


@pytest.mark.parametrize("learner", CANDIDATES, ids=lambda one: one.name)
def test_every_learner_orders_users_by_their_true_effect(learner):
    trial, _ = simulated_trial(8_000, seed=1, slope=0.1)
    fresh, effect = simulated_trial(4_000, seed=2, slope=0.1)
    score = learner.fit(trial, 0)(fresh.x)
    assert np.corrcoef(score, effect)[0, 1] > 0.6


def test_the_doubly_robust_learner_knows_order_and_sign_where_chances_of_contact_differ():
    trial, _ = simulated_trial(12_000, seed=1, slope=0.12, mean=0.0, by_row=True)
    fresh, effect = simulated_trial(4_000, seed=2, slope=0.12, mean=0.0)
    score = DR.fit(trial, 0)(fresh.x)
    assert np.corrcoef(score, effect)[0, 1] > 0.8
    far = np.abs(effect) > 0.1
    assert (np.sign(score) == np.sign(effect))[far].mean() > 0.95


def test_what_a_response_model_ranks_by_is_not_the_effect():
    trial, _ = simulated_trial(8_000, seed=1, slope=0.1)
    fresh, effect = simulated_trial(4_000, seed=2, slope=0.1)
    by_name = {one.name: np.corrcoef(one.fit(trial, 0)(fresh.x), effect)[0, 1] for one in LEARNERS}
    assert by_name["response"] < by_name["dr"] - 0.2
    assert abs(by_name["random"]) < 0.1


def test_a_learner_scores_twice_alike():
    trial, _ = simulated_trial(3_000, seed=4, slope=0.1)
    for learner in LEARNERS:
        np.testing.assert_array_equal(learner.fit(trial, 7)(trial.x), learner.fit(trial, 7)(trial.x))


def test_unknown_values_and_an_amount_as_outcome_are_taken():
    trial, effect = simulated_trial(6_000, seed=4, slope=0.1)
    x = trial.x.copy()
    x[::7, 0] = np.nan
    x[:, 4] = np.nan
    amounts = replace(trial, x=x, outcome=trial.outcome * 20.0)
    for learner in CANDIDATES:
        assert np.corrcoef(learner.fit(amounts, 0)(x), effect)[0, 1] > 0.4, learner.name


def test_doubly_robust_effects_are_unbiased_where_chances_follow_the_outcome():
    trial, effect = simulated_trial(40_000, seed=6, slope=0.1, by_row=True)
    found = pseudo_effects(trial, cross_fitted(trial, Design.of(trial.x)[1], seed=0))
    assert found.mean() == pytest.approx(effect.mean(), abs=0.012)
    high = trial.x[:, 2] > 0.5
    assert found[high].mean() == pytest.approx(effect[high].mean(), abs=0.025)


def test_the_value_of_a_ranking_is_that_of_its_budgets_by_hand():
    # four users, effects 1 0 0 -1, best first: at 25 % one of 4 gains 1; at 50 and 75 % the same; at 100 % nothing
    effects = np.array([1.0, 0.0, 0.0, -1.0])
    gained = np.interp(np.arange(1, 21) / 20, [0, 0.25, 0.75, 1.0], [0, 250, 250, 0])
    assert ranked_value(effects, np.array([4.0, 3, 2, 1])) == pytest.approx(gained.mean())
    assert ranked_value(effects, np.zeros(4)) == pytest.approx(0)


def test_the_best_line_shrinks_a_score_that_promises_twice_too_much():
    rng = np.random.default_rng(2)
    score = rng.normal(size=20_000)
    effects = 0.05 + 0.5 * score + rng.normal(size=20_000)
    line = best_line(score, effects, person=np.arange(20_000))
    assert line.slope_figure(confidence=0.95).low < 0.5 < line.slope_figure(confidence=0.95).high
    assert line.effect(np.array([1.0])) == pytest.approx([0.55], abs=0.03)


def test_rows_of_one_person_widen_the_interval():
    rng = np.random.default_rng(2)
    score, error = rng.normal(size=1_000), rng.normal(size=1_000)
    alone = best_line(score, score + error, person=np.arange(1_000))
    five_times = best_line(np.tile(score, 5), np.tile(score + error, 5), person=np.tile(np.arange(1_000), 5))
    np.testing.assert_allclose(five_times.covariance, alone.covariance, rtol=1e-9)
