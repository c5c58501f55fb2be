"""Experiments of several treatments whose best one per user is known."""

from datetime import date

import numpy as np
import polars as pl
import pytest

from dagster_project.models.uplift import choices
from dagster_project.models.uplift.choices import armed_trial, judge_choices
from dagster_project.models.uplift.history import PAIRS, ROWS, comparisons

FEATURES = ("age", "taste")
SHARES = {"control": 0.2, "mail": 0.5, "push": 0.3}


def experiment(*, by_taste: bool, n: int = 9_000, seed: int = 3) -> pl.DataFrame:
    """Pairs with features: mail brings back who has a taste for it, push the others; or both alike."""
    rng = np.random.default_rng(seed)
    taste, arm = rng.normal(size=n), rng.choice(list(SHARES), size=n, p=list(SHARES.values()))
    gains = np.where(by_taste, np.where(taste > 0, 0.25, 0.0), 0.12)
    other = np.where(by_taste, np.where(taste > 0, 0.0, 0.25), 0.05)
    chance = 0.1 + gains * (arm == "mail") + other * (arm == "push")
    rows = pl.DataFrame(
        {
            "user_sk": np.arange(n),
            "user_id": [f"u{i:05d}" for i in range(n)],
            "arm": arm,
            "propensity": [SHARES[one] for one in arm],
            "is_return": rng.random(n) < chance,
            "cost": np.where(arm == "push", 1.0, 2.0),
        }
    ).with_columns(
        pl.lit("x").alias("experiment_id"),
        pl.lit(None, dtype=pl.String).alias("strategy_id"),
        pl.lit(date(2024, 3, 1)).alias("assigned_on"),
        pl.lit(None, dtype=pl.Boolean).alias("is_contacted"),
        pl.lit(value=True).alias("is_randomised"),
        pl.lit(100.0).alias("value"),
    )
    pairs = comparisons(rows.select(list(ROWS)).cast(ROWS), reasons={}).pairs
    told = pl.DataFrame({"user_sk": np.arange(n), "age": rng.normal(size=n), "taste": taste})
    return pairs.join(told, on="user_sk", how="left", maintain_order="left")


@pytest.fixture(autouse=True)
def few_rows_are_enough(monkeypatch):
    monkeypatch.setattr(choices, "LEAST_ROWS", 1_000)


def test_the_trial_has_every_user_once_with_unequal_chances_and_costs_in_returns():
    pairs = experiment(by_taste=True)
    trial, arms = armed_trial(pairs, FEATURES)
    assert arms == ["x/mail", "x/push"]
    assert len(trial.arm) == 9_000
    np.testing.assert_allclose(trial.propensities[0], [0.2, 0.5, 0.3])
    np.testing.assert_allclose(trial.costs, [0.0, 0.02, 0.01])


def test_one_for_each_user_is_told_where_it_brings_more_than_the_best_for_all():
    (row,) = judge_choices(experiment(by_taste=True), columns=FEATURES, seed=0).to_dicts()
    assert row["verdict"] == "choose" and row["beyond_best_value_low"] > 0
    assert 200 < row["chosen_value"] < 260  # a quarter of the users more come back, less two of a hundred for cost
    assert row["sentence"].startswith("Choose per user")


def test_where_one_serves_everybody_best_it_is_named():
    (row,) = judge_choices(experiment(by_taste=False), columns=FEATURES, seed=0).to_dicts()
    assert (row["verdict"], row["best_fixed"]) == ("one for all", "x/mail")
    assert row["sentence"].startswith("x/mail for all will do")


def test_treatments_that_chance_did_not_choose_or_with_chances_by_user_are_not_compared():
    pairs = experiment(by_taste=True)
    by_rule = pairs.with_columns(pl.lit(value=False).alias("is_drawn"))
    by_user = pairs.with_columns(pl.col("arm_propensity") * (1 + 0.1 * (pl.col("user_sk") % 2)))
    for unfit in (by_rule, by_user, pairs.clear()):
        assert judge_choices(unfit, columns=FEATURES, seed=0).is_empty()
    assert set(PAIRS) <= set(pairs.columns)


def test_no_more_rows_are_fitted_than_any_learner_takes(monkeypatch):
    monkeypatch.setattr(choices, "MOST_ROWS", 6_000)
    (row,) = judge_choices(experiment(by_taste=True), columns=FEATURES, seed=0).to_dicts()
    assert row["n_users"] <= 6_000
    assert row["verdict"] == "choose"
