"""On whom an experiment was tried, and how alike its arms were."""

import pytest

from dagster_project.outcomes.balance import arm_balance
from outcomes.builders import entries


def test_means_and_shares_of_an_arm_stand_beside_those_of_the_baseline() -> None:
    frame = entries(
        4,
        arm=["treat", "treat", "control", "control"],
        p_return=[0.1, 0.3, 0.1, None],
        stage=["lost", "lost", "lost", "churned_mid"],
    )

    found = {(row["trait"], row["value"]): row for row in arm_balance(frame).iter_rows(named=True)}

    assert set(found) == {
        ("n_active_days_before", None),
        ("p_return", None),
        ("stage", "churned_mid"),
        ("stage", "lost"),
    }
    forecast = found["p_return", None]
    assert (forecast["n_users"], forecast["mean"], forecast["baseline_mean"]) == (2, pytest.approx(0.2), 0.1)
    assert forecast["standardised_difference"] == pytest.approx(0.1 / 0.0942809, rel=1e-5)
    assert (found["stage", "lost"]["mean"], found["stage", "lost"]["baseline_mean"]) == (1.0, 0.5)
    assert found["stage", "churned_mid"]["mean"] == 0.0
    assert found["n_active_days_before", None]["standardised_difference"] is None


def test_what_chance_drew_for_explorers_is_no_trait_of_theirs() -> None:
    frame = entries(4, arm=["explore", "control"] * 2, strategy_id="a", channel="email", stage="lost")

    assert set(arm_balance(frame)["trait"]) == {"n_active_days_before", "stage"}


def test_a_value_that_few_have_gets_no_line() -> None:
    frame = entries(100, arm=["treat", "control"] * 50, stage=["lost"] * 97 + ["churned_mid"] * 3)

    assert set(arm_balance(frame)["value"]) == {None, "lost"}


def test_without_entries_there_is_nothing_to_balance() -> None:
    assert arm_balance(entries(1).clear()).is_empty()
