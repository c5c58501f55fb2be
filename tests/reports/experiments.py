"""Experiments read from literal users, for the tests of pages."""

from datetime import date

import numpy as np
import polars as pl
from outcomes.builders import entries

from dagster_project.outcomes.faults import FAULTS
from dagster_project.outcomes.power import POWER_SCHEMA
from dagster_project.outcomes.readout import ReadoutRules, read_experiments
from dagster_project.outcomes.second_life import second_lives
from dagster_project.outcomes.vocabulary import HORIZONS
from dagster_project.reports.experiment_pages import OutcomeContent

NIGHT = date(2024, 6, 1)
DECIDED_ON = {"spring": date(2024, 5, 31), "winter": date(2024, 5, 2), "autumn": date(2024, 4, 1)}
POWER = pl.DataFrame(
    [("whats_new", 12.5, 0.05, 0.1, 0.01, 42_201, 3_400, None, 0.021, "…")], schema=POWER_SCHEMA, orient="row"
)


def three_experiments() -> OutcomeContent:
    """`winter` helps the young and makes the lost complain, `autumn` has two arms, good and bad, `spring` is broken."""
    known = pl.concat([winter(), autumn()])
    broken = entries(10, experiment_id="spring", assigned_on=date(2024, 5, 1))
    fault = pl.DataFrame([("spring", "no control", "Nobody was held out.")], schema=FAULTS, orient="row")
    every = pl.concat([known, broken])
    found = read_experiments(every, fault, rules=ReadoutRules(decision_days=28, margin_share=1))
    since = pl.col("experiment_id").replace_strict(DECIDED_ON, return_dtype=pl.Date)
    return OutcomeContent(
        experiments=found.experiments.with_columns(since.alias("decided_on")),
        decisions=found.decisions,
        balance=found.balance,
        readouts=found.readouts,
        money=found.money,
        second_life=second_lives(known),
        power=POWER,
    )


def winter() -> pl.DataFrame:
    """Half of 4,000 treated: fifteen points more of the young come back, and a tenth of the lost complain."""
    rng = np.random.default_rng(3)
    n = 4_000
    treated, young = rng.random(n) < 0.5, rng.random(n) < 0.5
    back = rng.random(n) < 0.2 + 0.15 * young * treated
    complained = ~young & treated & (rng.random(n) < 0.1)
    return entries(
        n,
        experiment_id="winter",
        arm=np.where(treated, "treat", "control"),
        propensity=0.5,
        stage=np.where(young, "churned_early", "lost"),
        strategy_id="whats_new",
        returned_after=[3 if b else None for b in back],
        complained_after=[8 if b else None for b in complained],
        opted_out_after=[500] + [None] * (n - 1),  # known, and nobody's within any horizon
        value_if_returned=30.0,
        **{f"cost_{days}": np.where(treated, 0.1, 0.0) for days in HORIZONS},
    )


def autumn() -> pl.DataFrame:
    """Arms a, which helps, and b, which keeps away."""
    rng = np.random.default_rng(4)
    n = 9_000
    arm = np.array(["a", "a", "b", "control"])[rng.integers(4, size=n)]
    back = rng.random(n) < 0.2 + 0.1 * (arm == "a") - 0.1 * (arm == "b")
    return entries(
        n,
        experiment_id="autumn",
        arm=arm,
        propensity=np.where(arm == "a", 0.5, 0.25),
        returned_after=[3 if b else None for b in back],
    )
