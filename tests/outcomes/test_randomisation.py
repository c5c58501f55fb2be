"""Arm sizes and arms before entry as chance gives them, and weights where chances differ."""

from datetime import date

import numpy as np
import polars as pl
import pytest

from dagster_project.outcomes.randomisation import balance_p, inverse_propensities
from dagster_project.outcomes.ratios import sample_ratio_p
from outcomes.builders import entries


def test_arms_of_the_drawn_sizes_pass_and_others_do_not() -> None:
    even = entries(1_000, arm=["treat", "control"] * 500, propensity=0.5)
    assert sample_ratio_p(even) == pytest.approx(1)
    assert sample_ratio_p(even.with_columns(pl.lit(None, dtype=pl.Float64).alias("propensity"))) is None
    tenth = even.with_columns(pl.when(pl.col("arm") == "treat").then(0.9).otherwise(0.1).alias("propensity"))
    assert (sample_ratio_p(tenth) or 0) < 1e-9


def test_sizes_are_judged_by_each_users_own_chance_where_chances_differ() -> None:
    rng = np.random.default_rng(5)
    n = 20_000
    chance = rng.choice([0.2, 0.8], n)
    treated = rng.random(n) < chance
    frame = entries(n, arm=np.where(treated, "treat", "control"), propensity=np.where(treated, chance, 1 - chance))

    assert (sample_ratio_p(frame) or 0) > 0.01
    assert (sample_ratio_p(frame.filter((pl.col("arm") == "treat") | (pl.int_range(n) % 8 > 0))) or 0) < 0.001


def test_few_users_are_not_called_different_before_entry() -> None:
    frame = entries(130, arm=["control"] * 30 + ["treat"] * 100, n_active_days_before=[0] * 30 + [0] * 90 + [1] * 10)

    assert (balance_p(frame, baseline="control") or 0) > 0.05
    assert balance_p(frame.tail(110), baseline="control") is None


def test_arms_are_not_called_alike_by_days_that_are_not_on_record() -> None:
    began = date(2024, 3, 1)
    arms = ["control", "treat"] * 100
    late = entries(200, arm=arms, n_active_days_before=[0, 0, 1, 1] * 50, assigned_on=date(2024, 3, 29))
    early = entries(200, arm=arms, assigned_on=date(2024, 3, 28))
    uneven = early.with_columns(n_active_days_before=(pl.col("arm") == "treat").cast(pl.Int64))

    assert balance_p(late, baseline="control", records_from=began) == 1.0
    assert balance_p(early, baseline="control", records_from=began) is None
    assert balance_p(early, baseline="control") == 1.0
    assert balance_p(pl.concat([early, late]), baseline="control", records_from=began) == 1.0
    assert (balance_p(uneven, baseline="control", records_from=began) or 0) < 0.001


def test_weights_are_there_only_where_chances_differ_within_an_arm() -> None:
    plain = entries(4, arm=["treat", "treat", "control", "control"], propensity=[0.9, 0.9, 0.1, 0.1])
    assert inverse_propensities(plain) is None

    unequal = entries(4, arm=["treat", "treat", "control", "control"], propensity=[0.25, 0.75, 0.5, 0.5])
    weights = inverse_propensities(unequal)
    assert weights is not None
    assert weights.tolist() == pytest.approx([1.5, 0.5, 1, 1])
