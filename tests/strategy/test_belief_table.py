from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from dagster_project.strategy.belief_table import belief_table
from dagster_project.strategy.catalogue import Catalogue, load_catalogue
from dagster_project.strategy.learning import OUTCOMES, beliefs_from
from dagster_project.strategy.priors import Beliefs, load_priors

AS_OF = date(2026, 6, 1)


def test_before_any_outcome_the_table_tells_the_priors(catalogue: Catalogue) -> None:
    made = belief_table(Beliefs(load_priors()), catalogue=catalogue)
    assert made["lift"].to_list() == pytest.approx(made["lift_before"].to_list())
    assert made["evidence_grade"].unique().to_list() == ["prior"]
    assert made["n_outcomes"].sum() == 0
    assert made["harm_probability"].is_between(0.03, 0.8).all()
    assert made.select("strategy_id", "channel").is_unique().all()


def test_outcomes_of_harm_move_the_lift_below_zero(catalogue: Catalogue) -> None:
    rng = np.random.default_rng(5)
    n = 6000
    treated = rng.random(n) < 0.5
    p = 1 / (1 + np.exp(-(np.log(0.2 / 0.8) - 0.5 * treated)))
    outcomes = pl.DataFrame(
        {
            "strategy_id": ["whats_new"] * n,
            "channel": ["email"] * n,
            "experiment_id": ["e"] * n,
            "assigned_on": [AS_OF - timedelta(days=20)] * n,
            "p_return": [0.2] * n,
            "is_treated": treated,
            "is_return": rng.random(n) < p,
            "is_randomised": [True] * n,
        }
    )
    padded = pl.concat([OUTCOMES.to_frame(), outcomes], how="diagonal_relaxed").select(list(OUTCOMES))
    beliefs = beliefs_from(load_priors(), padded, catalogue=catalogue, as_of=AS_OF)

    row = belief_table(beliefs, catalogue=catalogue).row(
        by_predicate=(pl.col("strategy_id") == "whats_new") & (pl.col("channel") == "email"), named=True
    )

    assert row["lift_before"] > 0 > row["lift"]
    assert row["harm_probability"] > 0.95
    assert row["n_outcomes"] == n
    assert row["evidence_grade"] == "randomised"


def test_the_nights_to_stop_harm_are_told_per_strategy_and_unknown_without_an_experiment() -> None:
    beliefs = Beliefs(load_priors())
    made = belief_table(beliefs, catalogue=load_catalogue(), nights={"whats_new": 23})

    told = dict(made.group_by("strategy_id").agg(pl.col("nights_to_stop").unique()).iter_rows())
    assert told["whats_new"] == [23]
    assert told["price_save"] == [None]
