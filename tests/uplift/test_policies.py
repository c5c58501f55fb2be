import numpy as np
import pytest

from dagster_project.models.uplift.policies import ArmedTrial, arm_outcomes, one_against_control, policy_value


def two_offers(n, *, seed, costs=(0.0, 0.0, 0.0)):
    """Two treatments that suit opposite users, with chances .2 (control), .5 and .3."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3)).astype(np.float32)
    chances = np.array([0.2, 0.5, 0.3])
    arm = rng.choice(3, size=n, p=chances)
    side = np.sign(x[:, 0])
    effects = np.column_stack([np.zeros(n), 0.08 + 0.08 * side, 0.08 - 0.08 * side])
    outcome = (rng.random(n) < 0.2 + 0.05 * np.tanh(x[:, 1]) + effects[np.arange(n), arm]).astype(float)
    return ArmedTrial(x, arm, outcome, np.tile(chances, (n, 1)), np.array(costs)), effects


def test_each_user_gets_the_offer_that_suits_and_that_beats_the_best_offer_for_all():
    trial, effects = two_offers(9_000, seed=1)
    choice = one_against_control(trial, seed=0).argmax(axis=1)
    assert (choice == effects.argmax(axis=1)).mean() > 0.9
    found = policy_value(arm_outcomes(trial, seed=0), choice, confidence=0.95)
    assert found.beyond_best.low > 0
    assert found.chosen.low < 0.16 < found.chosen.high


def test_arms_of_unequal_propensity_are_worth_what_they_truly_cause():
    trial, effects = two_offers(20_000, seed=2)
    found = policy_value(arm_outcomes(trial, seed=0), np.ones(20_000, dtype=np.int64), confidence=0.95)
    assert [one.value for one in found.fixed] == pytest.approx(effects.mean(axis=0).tolist(), abs=0.02)
    assert found.fixed[0].value == 0


def test_an_offer_that_costs_more_than_it_brings_is_chosen_for_nobody():
    trial, _ = two_offers(9_000, seed=1, costs=(0.0, 0.0, 0.5))
    choice = one_against_control(trial, seed=0).argmax(axis=1)
    assert (choice == 2).sum() == 0
    assert policy_value(arm_outcomes(trial, seed=0), choice, confidence=0.95).fixed[2].value < 0
