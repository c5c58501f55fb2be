"""Uplift on the lake of a whole night: what of a campaign is read, and what is known of its users before it."""

import json
from pathlib import Path

import polars as pl
import pytest

from dagster_project.defs import uplift
from dagster_project.models.uplift import judging, night
from dagster_project.models.uplift.history import POOLED
from dagster_project.models.uplift.tables import UPLIFT_SCORES, UPLIFT_VERDICTS
from defs.worlds import NIGHT, Company, plain


@pytest.fixture(scope="module")
def company(past: Company, tmp_path_factory: pytest.TempPathFactory) -> Company:
    return past.copy(tmp_path_factory.mktemp("uplift") / "copy")


def test_a_campaign_of_few_is_thin_and_nobody_gets_a_score(company: Company) -> None:
    verdicts = company.project.read(UPLIFT_VERDICTS.table, as_of=NIGHT)
    assert POOLED in verdicts["strategy_id"].to_list()
    assert verdicts["verdict"].unique().to_list() == ["thin"]
    assert (verdicts["n_treated"] > 0).all() and (verdicts["n_control"] > 0).all()
    assert company.project.read(UPLIFT_SCORES.table, as_of=NIGHT).is_empty()


def test_whoever_was_assigned_is_seen_as_of_a_day_before_and_followed_for_a_horizon(company: Company) -> None:
    project = company.project
    horizon_days = project.rules(NIGHT).horizon_days
    history = uplift.read_history(project, NIGHT, horizon_days=horizon_days)
    pooled = history.pairs.filter(pl.col("strategy_id") == POOLED)
    rows = uplift.looked_up(project, pooled)

    assert rows.height == pooled.height
    assert (rows["snapshot_on"] < rows["assigned_on"]).all()
    days = (
        project.seen("intermediate.user_days", as_of=NIGHT).filter(pl.col("n_core_events") > 0).select("user_sk", "dt")
    )
    for row in rows.head(40).iter_rows(named=True):
        own = days.filter(pl.col("user_sk") == row["user_sk"])["dt"]
        since = [(day - row["assigned_on"]).days for day in own]
        assert row["is_return"] == any(0 <= day < horizon_days for day in since)
        before = [day for day in own if day <= row["snapshot_on"]]
        assert row["silence_days"] == (row["snapshot_on"] - max(before)).days


def test_a_campaign_that_is_large_enough_is_judged(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (judging, night):
        monkeypatch.setattr(module, "LEAST_ROWS", 10)
    monkeypatch.setattr(judging, "LEAST_OUTCOMES", 1)
    verdicts = uplift.make_uplift(company.project, NIGHT)[UPLIFT_VERDICTS.table]
    (pooled,) = verdicts.filter(pl.col("strategy_id") == POOLED).to_dicts()
    assert pooled["verdict"] in ("average", "ships")
    assert pooled["gain_low"] < pooled["gain"] < pooled["gain_high"]
    assert pooled["average_effect_low"] < pooled["average_effect"] < pooled["average_effect_high"]
    assert json.loads(pooled["faults"]) == []


def test_without_a_randomised_past_both_tables_are_empty(tmp_path: Path) -> None:
    rows = "".join(f"u{i % 9},2024-0{1 + i % 6}-{1 + i % 27:02d} 10:00:00,visit\n" for i in range(200))
    made = plain(tmp_path, rows)
    as_of = made.project.settings.first_as_of or NIGHT.replace(year=2024, month=6, day=28)
    made.run(as_of)
    assert made.project.read(UPLIFT_VERDICTS.table, as_of=as_of).is_empty()
    assert made.project.read(UPLIFT_SCORES.table, as_of=as_of).is_empty()
