import numpy as np
import pytest

from dagster_project.models.uplift.metrics import auuc, bootstrapped_figures, incremental, qini, uplift_at
from dagster_project.models.uplift.trials import trial_of_people
from uplift.simulated import simulated_trial

# Ten users, best score first. Arms: T C T C T C T C T C; outcomes below.
TREATED = [1, 0, 1, 0, 1, 0, 1, 0, 1, 0]
OUTCOME = [1, 0, 1, 0, 0, 0, 0, 1, 0, 1]
SCORE = np.array([10.0, 9, 8, 7, 6, 5, 4, 3, 2, 1])


def ten_users(outcome=OUTCOME, propensity=0.5):
    return trial_of_people(np.zeros((10, 1), dtype=np.float32), TREATED, outcome, propensity)


def test_qini_is_the_area_by_hand_over_that_of_the_perfect_ranking():
    # curve after each user: 1 1 2 2 2 2 2 1 0.75 0 (the last but one: 2 - 1 x 5/4); it ends at 0, so does the diagonal
    area = 0.5 + 1 + 1.5 + 2 + 2 + 2 + 2 + 1.5 + (1 + 0.75) / 2 + 0.75 / 2
    # perfect: both treated who came (2, without a control among them), then six without, then both controls who came
    perfect = 2 + 2 * 6 + 2
    assert qini(ten_users(), SCORE) == pytest.approx(area / perfect)


def test_a_constant_score_has_a_qini_of_nought_and_the_reverse_is_negative():
    assert qini(ten_users(), np.ones(10)) == pytest.approx(0)
    assert qini(ten_users(), -SCORE) < 0


def test_qini_is_null_where_no_outcome_differs():
    assert qini(ten_users(outcome=[0] * 10), SCORE) is None


def test_incremental_outcomes_are_the_difference_of_the_arms_by_hand():
    # of the first four: treated 2 of 2 came, controls 0 of 2; four of ten are reached
    assert incremental(ten_users(), SCORE, shares=np.array([0.4])) == pytest.approx([400.0])
    # of all: 2 of 5 against 2 of 5
    assert incremental(ten_users(), SCORE, shares=np.array([1.0])) == pytest.approx([0.0])


def test_the_uplift_at_a_share_is_the_mean_effect_of_the_best_scored():
    assert uplift_at(ten_users(), SCORE, share=0.4) == pytest.approx(1.0)
    assert uplift_at(ten_users(), SCORE, share=0.8) == pytest.approx(2 / 4 - 1 / 4)


def test_auuc_is_the_mean_over_twenty_budgets():
    shares = np.arange(1, 21) / 20
    wanted = incremental(ten_users(), SCORE, shares=shares).mean()
    assert auuc(ten_users(), SCORE) == pytest.approx(wanted)


def test_contacting_anybody_earns_the_average_effect_at_the_mean_budget():
    trial, _ = simulated_trial(4_000, seed=3, slope=0.1)
    arms = trial.outcome[trial.is_treated].mean() - trial.outcome[~trial.is_treated].mean()
    assert auuc(trial, np.zeros(trial.n)) == pytest.approx(1000 * 0.525 * arms)


def test_the_order_of_rows_changes_no_figure_though_scores_are_tied():
    trial, _ = simulated_trial(3_000, seed=5, slope=0.1)
    score = np.round(trial.x[:, 2].astype(np.float64), 1)
    order = np.random.default_rng(1).permutation(trial.n)
    for figure in (qini, auuc):
        assert figure(trial.take(order), score[order]) == pytest.approx(figure(trial, score))


def test_rows_are_weighed_by_inverse_propensity():
    trial, effect = simulated_trial(60_000, seed=8, slope=0.0, by_row=True)
    found = uplift_at(trial, np.zeros(trial.n), share=1.0)
    naive = trial.outcome[trial.is_treated].mean() - trial.outcome[~trial.is_treated].mean()
    assert found == pytest.approx(effect.mean(), abs=0.012)
    assert naive > effect.mean() + 0.02


def test_figures_with_intervals_are_the_same_figures_and_their_spread_is_that_of_drawing_anew():
    trial, effect = simulated_trial(1_500, seed=3, slope=0.12)
    score = effect + np.random.default_rng(0).normal(size=trial.n) / 10
    ours, any_order = bootstrapped_figures(trial, [score, np.zeros(trial.n)], confidence=0.95, seed=0, n_resamples=100)
    assert ours["qini"].value == pytest.approx(qini(trial, score))
    assert ours["auuc"].value == pytest.approx(auuc(trial, score), rel=0.01)
    assert ours["uplift_at_20"].value == pytest.approx(uplift_at(trial, score, share=0.2), abs=0.01)
    assert any_order["qini"].value == pytest.approx(0)
    again = [auuc(one, gain) for one, gain in (simulated_trial(1_500, seed=s, slope=0.12) for s in range(10, 40))]
    error = (ours["auuc"].high - ours["auuc"].low) / 2 / 1.96
    assert 0.6 * np.std(again) < error < 1.6 * np.std(again)
