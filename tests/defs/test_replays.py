"""The same night again, elsewhere, later, after a crash, among others: the same bytes."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from dagster_project.defs import models
from defs.worlds import LAST, NIGHT, Company, known_until, run, world, write

NEXT = NIGHT + timedelta(days=1)
BACKFILL = {"dagster/backfill": "a backtest"}


def test_the_same_night_again_gives_the_same_bytes(copied: Company, past: Company) -> None:
    ledger = copied.ledger()

    copied.run(NIGHT)

    assert copied.hashes(NIGHT) == past.hashes(NIGHT)
    assert copied.ledger() == ledger
    assert sorted(path.name for path in (copied.folder / "reports").iterdir()) == [NIGHT.isoformat(), "assets"]


def test_a_fresh_folder_that_knows_the_future_makes_the_same_bytes(past: Company, tmp_path: Path) -> None:
    knowing = write(known_until(world(), LAST), tmp_path / "knowing")

    knowing.run(NIGHT)

    assert knowing.hashes(NIGHT) == past.hashes(NIGHT)


def test_later_deliveries_and_later_nights_leave_a_night_as_it_was(copied: Company, past: Company) -> None:
    write(known_until(world(), LAST), copied.folder)
    first_night = copied.ledger()[NIGHT.isoformat()]

    copied.run(NEXT)
    copied.run(NIGHT)

    assert copied.hashes(NIGHT) == past.hashes(NIGHT)
    ledger = copied.ledger()
    assert list(ledger) == [NIGHT.isoformat(), NEXT.isoformat()]
    assert ledger[NIGHT.isoformat()] == first_night
    the_next_night_scores_with_the_model_in_service(copied)
    the_next_night_leaves_those_alone_whom_the_night_before_wrote_to(copied)
    the_control_group_stays_what_it_is(copied)


def the_next_night_scores_with_the_model_in_service(company: Company) -> None:
    first, second = (company.metrics(night) for night in (NIGHT, NEXT))

    assert second["models"]["trained_as_of"] == NIGHT.isoformat()
    assert second["models"]["model_key"] == first["models"]["model_key"]
    assert second["drift"]["verdict"] == "unjudged"
    assert len(list((company.folder / "data" / "models").glob("*.json"))) == 1


def the_next_night_leaves_those_alone_whom_the_night_before_wrote_to(company: Company) -> None:
    written_to = set(company.csv(NIGHT, "cohorts.csv")["user_id"])
    again = written_to & set(company.csv(NEXT, "cohorts.csv")["user_id"])
    rules = company.csv(NEXT, "suppressed.csv").filter(pl.col("user_id").is_in(written_to))

    assert again == set()
    assert rules["rule_id"].value_counts().sort("count", descending=True).row(0)[0] == "cap.cool_down"
    # sent the day after the night, so seven days of rest end on the eighth
    assert rules.filter(pl.col("rule_id") == "cap.cool_down")["until"].unique().to_list() == ["2024-06-17"]


def the_control_group_stays_what_it_is(company: Company) -> None:
    held_out = set(company.csv(NIGHT, "holdout.csv")["user_id"])

    assert held_out & set(company.csv(NEXT, "cohorts.csv")["user_id"]) == set()


def test_a_backfill_is_a_backtest_that_writes_nothing_to_the_ledger(copied: Company, past: Company) -> None:
    ledger = copied.ledger()
    older = [NIGHT - timedelta(days=1), NIGHT]

    for night in older:
        copied.run(night, tags=BACKFILL)

    assert copied.ledger() == ledger
    assert copied.hashes(NIGHT) == past.hashes(NIGHT)
    assert copied.csv(older[0], "cohorts.csv").height > 0


def test_a_night_that_broke_off_can_be_run_again(
    past: Company, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object, **__: object) -> Mapping[str, pl.DataFrame]:
        raise RuntimeError("the machine went away")

    company = write(known_until(world(), NIGHT), tmp_path / "again")
    with monkeypatch.context() as broken:
        broken.setattr(models, "fit_night", crash)
        assert not run(company.settings, NIGHT).success
    assert not company.reports(NIGHT).exists()

    company.run(NIGHT)

    assert company.hashes(NIGHT) == past.hashes(NIGHT)
