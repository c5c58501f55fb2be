import json
from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from dagster_project.models.contracts.night import ContractNight, ContractSpec, fit_contracts

from .simulated import AS_OF, true_churn, weibull_contracts

FAST = ("kaplan_meier", "cox", "hazard_logistic")
SPEC = ContractSpec(as_of=AS_OF, horizon_days=60, candidates=FAST)


def is_sound(night: ContractNight) -> bool:
    p = night.scores["p_churn"]
    json.dumps(night.metrics, allow_nan=False)
    return p.null_count() == 0 and bool(p.is_finite().all()) and bool(p.is_between(0, 1).all())


@pytest.fixture(scope="module")
def contracts() -> pl.DataFrame:
    return weibull_contracts(1500)


@pytest.fixture(scope="module")
def night(contracts: pl.DataFrame) -> ContractNight:
    return fit_contracts(contracts, spec=SPEC)


def test_running_contracts_get_the_true_probability(contracts: pl.DataFrame, night: ContractNight) -> None:
    running = contracts.filter(pl.col("ended_on").is_null()).sort("user_id")
    tenure = (pl.lit(AS_OF) - pl.col("started_on")).dt.total_days()
    age = running.select(tenure.cast(pl.Float64)).to_series().to_numpy()
    truth = true_churn(running["strain"].to_numpy(), (running["plan"] == "long").to_numpy(), age, horizon=60)
    p = night.scores["p_churn"].to_numpy()
    assert night.scores["user_id"].to_list() == running["user_id"].to_list()
    assert np.corrcoef(p, truth)[0, 1] > 0.9
    assert p.mean() == pytest.approx(truth.mean(), abs=0.03)
    assert is_sound(night)


def test_candidates_are_compared_on_a_part_of_the_contracts_and_all_are_learnt_from(
    contracts: pl.DataFrame, night: ContractNight, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dagster_project.models.contracts.night.FEWEST_JUDGED_ENDS", 100)
    part = fit_contracts(contracts, spec=replace(SPEC, max_judged=700))
    assert part.winner == night.winner
    assert part.evaluations["ibs"].to_list() != night.evaluations["ibs"].to_list()
    assert part.scores.equals(night.scores)


def test_a_part_with_few_ends_is_not_judged_on(contracts: pl.DataFrame, night: ContractNight) -> None:
    whole = fit_contracts(contracts, spec=replace(SPEC, max_judged=700))
    assert whole.evaluations.equals(night.evaluations)


def test_causes_add_to_the_whole(night: ContractNight) -> None:
    summed = night.cause_scores.group_by("user_id").agg(pl.col("p_churn").sum()).sort("user_id")
    assert summed["p_churn"].to_list() == pytest.approx(night.scores["p_churn"].to_list())
    assert sorted(night.cause_scores["cause"].unique()) == ["involuntary", "too_expensive"]


def test_the_same_bytes_whatever_the_rows_order_and_the_keys(contracts: pl.DataFrame, night: ContractNight) -> None:
    shuffled = contracts.sample(fraction=1, shuffle=True, seed=9).with_columns(user_sk=pl.col("user_sk") * 7 + 3)
    again = fit_contracts(shuffled, spec=SPEC)
    assert again.scores.drop("user_sk").equals(night.scores.drop("user_sk"))
    assert again.metrics == night.metrics


def test_several_contracts_of_a_user_combine_to_any_end(contracts: pl.DataFrame, night: ContractNight) -> None:
    running = contracts.filter(pl.col("ended_on").is_null()).sort("user_id").head(2)
    pair = contracts.with_columns(
        pl.col("user_id").replace(running["user_id"][1], running["user_id"][0]),
        pl.col("user_sk").replace(running["user_sk"][1], running["user_sk"][0]),
    )
    joined = fit_contracts(pair, spec=SPEC)
    row = joined.scores.filter(user_id=running["user_id"][0]).row(0, named=True)
    single = night.scores["p_churn"].head(2).to_list()
    assert row["n_contracts"] == 2
    assert row["p_churn"] == pytest.approx(1 - (1 - single[0]) * (1 - single[1]), abs=0.02)


@pytest.mark.parametrize("share_ended", [0, 99])
def test_too_few_ends_give_one_rate_and_a_sentence(contracts: pl.DataFrame, share_ended: int) -> None:
    ended = contracts.filter(pl.col("ended_on").is_not_null()).head(share_ended)
    few = pl.concat([contracts.filter(pl.col("ended_on").is_null()), ended])
    night = fit_contracts(few, spec=SPEC)
    assert night.winner == "base_rate"
    assert night.notes[0].startswith(f"Only {share_ended} contracts have ended, a churn model needs 100")
    assert night.scores["p_churn"].n_unique() == 1
    assert is_sound(night)


def test_nobody_under_contract_and_no_contract_at_all(contracts: pl.DataFrame) -> None:
    assert fit_contracts(contracts.filter(pl.col("ended_on").is_not_null()), spec=SPEC).scores.is_empty()
    assert fit_contracts(contracts.clear(), spec=SPEC).scores.is_empty()


def test_odd_covariates_do_no_harm(contracts: pl.DataFrame) -> None:
    odd = contracts.with_columns(
        plan=pl.lit("only"),
        constant=pl.lit(1.0),
        empty=pl.lit(None, dtype=pl.Float64),
        holes=pl.when(pl.col("noise") > 0).then(float("nan")).otherwise("noise"),
        words=pl.when(pl.col("noise") > 1).then(None).otherwise(pl.lit("w")),
        user_id=pl.col("user_id").cast(pl.Int64).cast(pl.String),
        born=pl.lit(AS_OF - timedelta(days=9)),
    )
    night = fit_contracts(odd, spec=SPEC)
    assert is_sound(night)
    assert night.refused["column"].to_list() == ["born"]


def test_a_covariate_that_separates_the_ends_is_refused_or_bounded(contracts: pl.DataFrame) -> None:
    split = contracts.with_columns(flag=pl.when(pl.col("ended_on").is_null()).then(0).otherwise(1))
    night = fit_contracts(split, spec=SPEC)
    assert night.refused["column"].to_list() == ["flag"]
    assert is_sound(night)
