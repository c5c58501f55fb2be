"""Experiments of several treatments whose best one per user is known."""

from datetime import date

import numpy as np
import polars as pl
import pytest

from dagster_project.models.uplift import choices
from dagster_project.models.uplift.choices import Pricing, armed_trial, judge_choices, worth_of_return
from dagster_project.models.uplift.history import PAIRS, ROWS, comparisons

FEATURES = ("age", "taste")
PRICING = Pricing(margin_share=1.0, value_per_active_day=1.0)
SHARES = {"control": 0.2, "mail": 0.5, "push": 0.3}


def experiment(*, by_taste: bool, other: float = 0.05, n: int = 9_000, seed: int = 3) -> pl.DataFrame:
    """Pairs with features: mail brings back who has a taste for it, push the others; or each as many of all."""
    rng = np.random.default_rng(seed)
    taste, arm = rng.normal(size=n), rng.choice(list(SHARES), size=n, p=list(SHARES.values()))
    gains = np.where(by_taste, np.where(taste > 0, 0.25, 0.0), 0.12)
    others = np.where(by_taste, np.where(taste > 0, 0.0, 0.25), other)
    chance = 0.1 + gains * (arm == "mail") + others * (arm == "push")
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
        pl.lit(None, dtype=pl.Float64).alias("spend"),
    )
    pairs = comparisons(rows.select(list(ROWS)).cast(ROWS), reasons={}).pairs
    told = pl.DataFrame({"user_sk": np.arange(n), "age": rng.normal(size=n), "taste": taste})
    return pairs.join(told, on="user_sk", how="left", maintain_order="left")


@pytest.fixture(autouse=True)
def few_rows_are_enough(monkeypatch):
    monkeypatch.setattr(choices, "LEAST_ROWS", 1_000)


def test_the_trial_has_every_user_once_with_unequal_chances_and_costs_in_returns():
    pairs = experiment(by_taste=True)
    trial, arms = armed_trial(pairs, FEATURES, profit=100.0)
    assert arms == ["x/mail", "x/push"]
    assert len(trial.arm) == 9_000
    np.testing.assert_allclose(trial.propensities[0], [0.2, 0.5, 0.3])
    np.testing.assert_allclose(trial.costs, [0.0, 0.02, 0.01])


def test_one_for_each_user_is_told_where_it_brings_more_than_the_best_for_all():
    (row,) = judge_choices(experiment(by_taste=True), columns=FEATURES, pricing=PRICING, seed=0).to_dicts()
    assert row["verdict"] == "choose" and row["beyond_best_value_low"] > 0
    assert 200 < row["chosen_value"] < 260  # a quarter of the users more come back, less two of a hundred for cost
    assert row["sentence"].startswith("Choose per user")


def test_where_one_serves_everybody_best_it_is_named():
    (row,) = judge_choices(experiment(by_taste=False), columns=FEATURES, pricing=PRICING, seed=0).to_dicts()
    assert (row["verdict"], row["best_fixed"]) == ("one for all", "x/mail")
    assert row["sentence"].startswith("x/mail for all will do")


def test_treatments_that_chance_did_not_choose_or_with_chances_by_user_are_not_compared():
    pairs = experiment(by_taste=True)
    by_rule = pairs.with_columns(pl.lit(value=False).alias("is_drawn"))
    by_user = pairs.with_columns(pl.col("arm_propensity") * (1 + 0.1 * (pl.col("user_sk") % 2)))
    for unfit in (by_rule, by_user, pairs.clear()):
        assert judge_choices(unfit, columns=FEATURES, pricing=PRICING, seed=0).is_empty()
    assert set(PAIRS) <= set(pairs.columns)


def test_no_more_rows_are_fitted_than_any_learner_takes(monkeypatch):
    monkeypatch.setattr(choices, "MOST_ROWS", 6_000)
    (row,) = judge_choices(experiment(by_taste=True), columns=FEATURES, pricing=PRICING, seed=0).to_dicts()
    assert row["n_users"] <= 6_000
    assert row["verdict"] == "choose"


def test_a_return_is_worth_what_was_thought_else_what_was_spent_else_what_the_settings_say():
    rows = pl.DataFrame({"is_return": [True, True, False], "value": [30.0, None, 10.0], "spend": [8.0, 4.0, 90.0]})
    unknown = pl.lit(None, dtype=pl.Float64)
    half = Pricing(margin_share=0.5, value_per_active_day=3.0)

    assert worth_of_return(rows, pricing=half).profit == 10.0
    assert worth_of_return(rows.with_columns(unknown.alias("value")), pricing=half).profit == 3.0
    bare = rows.with_columns(unknown.alias("value"), unknown.alias("spend"))
    assert worth_of_return(bare, pricing=half).profit == 1.5
    assert worth_of_return(bare, pricing=Pricing(margin_share=0.5, value_per_active_day=0.0)).profit is None


@pytest.mark.parametrize(
    ("spend", "worth", "said"),
    [
        (20.0, 20.0, "less what contacts cost, a return bringing a profit of 20.00, the mean spend of those who"),
        (None, 15.0, "a return bringing a profit of 15.00, by value.value_per_active_day in the settings)"),
    ],
)
def test_cost_counts_where_an_import_does_not_tell_what_a_return_is_worth(spend, worth, said):
    """Mail brings back twelve of a hundred, push ten; push is free, and mail costs a tenth of a return."""
    pairs = experiment(by_taste=False, other=0.10).with_columns(
        pl.lit(None, dtype=pl.Float64).alias("value"),
        pl.when("is_return").then(pl.lit(spend, dtype=pl.Float64)).alias("spend"),
        pl.when(pl.col("strategy_id") == "x/mail").then(worth / 10).otherwise(0.0).alias("cost"),
    )
    pricing = Pricing(margin_share=1.0, value_per_active_day=15.0)
    (row,) = judge_choices(pairs, columns=FEATURES, pricing=pricing, seed=0).to_dicts()

    assert row["best_fixed"] == "x/push"
    assert row["best_value"] == pytest.approx(100, abs=25)
    assert said in row["sentence"]


def test_costs_that_are_not_on_record_are_said_to_be_missing():
    pairs = experiment(by_taste=False)
    none = pairs.with_columns(pl.lit(None, dtype=pl.Float64).alias("cost"))
    of_one = pairs.with_columns(pl.when(pl.col("strategy_id") == "x/mail").then("cost").alias("cost"))

    def said(rows):
        return judge_choices(rows, columns=FEATURES, pricing=PRICING, seed=0)["sentence"][0]

    assert "(what contacts cost is not on record)" in said(none)
    assert "bringing no profit, as thought at entry)" in said(pairs.with_columns(pl.lit(0.0).alias("value")))
    assert "100.00, as thought at entry; what x/push costs is not on record)" in said(of_one)
