from dataclasses import replace

import numpy as np
import pytest

from dagster_project.models.uplift import judging
from dagster_project.models.uplift.judging import judge
from dagster_project.models.uplift.learners import CANDIDATES, S
from dagster_project.models.uplift.trials import Trial, deal_folds, trial_of_people
from dagster_project.models.uplift.wording import outcome_to_learn, verdict_sentence
from uplift.simulated import simulated_trial

N_NULL_SEEDS = 40
T = next(one for one in CANDIDATES if one.name == "t")


@pytest.fixture(scope="module")
def strong():
    trial, effect = simulated_trial(12_000, seed=1, slope=0.12, mean=0.02)
    return judge(trial, seed=0), trial, effect


def test_a_strong_difference_between_users_ships_with_the_default(strong):
    judged, _, _ = strong
    assert (judged.decision, judged.findings.learner) == ("ships", "dr")
    assert judged.findings.gain.low > 0 and judged.findings.slope.low > 0
    assert verdict_sentence(judged).startswith("Choose by uplift (doubly robust learner")


def test_scores_are_calibrated_effects_with_an_interval_that_holds_most_of_them(strong):
    judged, _, _ = strong
    fresh, effect = simulated_trial(5_000, seed=9, slope=0.12, mean=0.02)
    found, low, high = judged.scorer.effects(fresh.x)
    assert found.mean() == pytest.approx(effect.mean(), abs=0.02)
    assert np.polyfit(found, effect, 1)[0] == pytest.approx(1.0, abs=0.2)
    assert 0.65 < ((low <= effect) & (effect <= high)).mean() < 0.99


def test_sleeping_dogs_are_established_where_contact_keeps_many_away(strong):
    judged, _, effect = strong
    dogs = judged.findings.dogs
    assert dogs.is_established
    assert dogs.share == pytest.approx((effect < 0).mean(), abs=0.08)
    assert dogs.effect.low < effect[effect < 0].mean() < dogs.effect.high
    assert "Contact keeps" in verdict_sentence(judged)


def test_leaving_sleeping_dogs_alone_beats_contacting_all_and_none(strong):
    judged, _, _ = strong
    assert judged.findings.policy.low > judged.findings.best_fixed


def test_an_effect_that_is_the_same_for_all_is_not_targeted_in_19_of_20_logs(monkeypatch):
    monkeypatch.setattr(judging, "LEAST_ROWS", 500)
    decisions = []
    for seed in range(N_NULL_SEEDS):
        trial, _ = simulated_trial(1_500, seed=100 + seed, slope=0.0, mean=0.05)
        decisions.append(judge(trial, seed=seed, learners=(S, T)).decision)
    assert decisions.count("average") >= 0.95 * N_NULL_SEEDS


def test_without_a_difference_the_sentence_says_what_serves_instead():
    trial, _ = simulated_trial(6_000, seed=5, slope=0.0)
    judged = judge(trial, seed=0, learners=(S,))
    assert judged.decision == "average" and judged.scorer is None
    assert verdict_sentence(judged).startswith("Do not target by uplift: heterogeneity not established.")
    assert "p_return × value" in verdict_sentence(judged)


def test_an_arm_with_few_outcomes_is_thin_and_nothing_is_fitted():
    trial, _ = simulated_trial(6_000, seed=5, slope=0.0)
    rare = replace(trial, outcome=trial.outcome * (np.arange(6_000) < 300))
    judged = judge(rare, seed=0)
    assert (judged.decision, judged.findings) == ("thin", None)
    assert verdict_sentence(judged).startswith("Too thin to tell users apart")


def test_rows_of_one_person_share_a_fold_and_folds_hold_arms_evenly():
    trial, _ = simulated_trial(2_000, seed=5, slope=0.0)
    twice = replace(trial, person=trial.person // 2)
    fold = deal_folds(twice, n_folds=5, seed=3)
    assert (fold[::2] == fold[1::2]).all()
    assert np.bincount(deal_folds(trial, n_folds=5, seed=3)[trial.is_treated]).tolist() == pytest.approx(
        [200] * 5, abs=15
    )


def test_uplift_is_learnt_on_the_frequent_outcome_and_the_sentence_says_why():
    rng = np.random.default_rng(4)
    treated = np.arange(20_000) % 2 == 0
    visits = (rng.random(20_000) < 0.10 + 0.05 * treated).astype(float)
    bought = visits * (rng.random(20_000) < 0.05)
    trial = trial_of_people(np.zeros((20_000, 1), dtype=np.float32), treated, bought, 0.5)
    best, said = outcome_to_learn(trial, {"visits": visits, "purchases": bought})
    assert best == "visits"
    assert said.startswith("Learns on visits and multiplies by value") and "purchases" in said


def test_what_worked_long_ago_is_not_believed_of_today():
    then, _ = simulated_trial(4_500, seed=1, slope=0.12, mean=0.08)
    now, _ = simulated_trial(4_500, seed=2, slope=0.0, mean=0.0)
    fade = np.concatenate([np.full(4_500, 0.05), np.ones(4_500)])
    both = Trial(
        x=np.concatenate([then.x, now.x]),
        is_treated=np.concatenate([then.is_treated, now.is_treated]),
        outcome=np.concatenate([then.outcome, now.outcome]),
        propensity=np.full(9_000, 0.5),
        person=np.arange(9_000),
        fade=fade,
    )
    faded, lasting = (
        judge(both, seed=0, learners=(S, T)),
        judge(replace(both, fade=np.ones(9_000)), seed=0, learners=(S, T)),
    )
    assert lasting.decision == "ships" and faded.decision == "average"
    assert abs(faded.findings.average.value) < 0.02 < lasting.findings.average.value
