"""Arm sizes that chance made, and others, asked every night."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from dagster_project.outcomes.ratios import sample_ratio_p

FIRST_ON = date(2026, 1, 1)
USUAL = {"treat": 0.85, "control": 0.10, "explore": 0.05}


def _ledger(
    *,
    seed: int,
    nights: int,
    n: int = 40,
    shares: dict[str, float] | None = None,
    kept: dict[str, float] | None = None,
    noted: dict[str, float] | None = None,
    first_on: date = FIRST_ON,
) -> pl.DataFrame:
    """`n` entries a night, drawn by `shares`, of which the part `kept` of each arm is there, with shares as `noted`."""
    rng = np.random.default_rng(seed)
    drawn = shares or USUAL
    arm = rng.choice(list(drawn), nights * n, p=np.array(list(drawn.values())) / sum(drawn.values()))
    night = np.repeat(np.arange(nights), n)
    stays = rng.random(nights * n) < [(kept or {}).get(one, 1.0) for one in arm]
    told = {**drawn, "explore": 0.01, **(noted or {})}
    frame = pl.DataFrame(
        {
            "arm": arm,
            "assigned_on": [first_on + timedelta(days=int(one)) for one in night],
            "propensity": [told[one] for one in arm],
        }
    )
    return frame.filter(pl.Series(stays))


def test_a_sound_ledger_that_is_asked_every_night_of_a_year_is_next_to_never_called_broken() -> None:
    # A chi-square test at .001, asked as often, was wrong in 2.3 % of years.
    ps = [sample_ratio_p(_ledger(seed=seed, nights=365)) or 0 for seed in range(300)]
    assert sum(p < 0.001 for p in ps) <= 1
    assert sum(p < 0.05 for p in ps) <= 0.05 * len(ps)


@pytest.mark.parametrize(
    ("kept", "nights"),
    [({"control": 0.8}, 365), ({"treat": 0.8}, 365), ({"explore": 1 / 3}, 90), ({"control": 0.0}, 90)],
)
def test_arms_of_which_a_part_is_missing_are_found(kept: dict[str, float], nights: int) -> None:
    found = [(sample_ratio_p(_ledger(seed=seed, nights=nights, kept=kept)) or 0) < 0.001 for seed in range(20)]
    assert all(found)


def test_what_is_found_stays_found() -> None:
    broken = _ledger(seed=1, nights=60, kept={"control": 0.3})
    mended = _ledger(seed=2, nights=365, first_on=FIRST_ON + timedelta(days=60))
    p = sample_ratio_p(broken)
    assert p is not None
    assert p < 0.001
    assert (sample_ratio_p(pl.concat([broken, mended])) or 0) <= p


def test_shares_that_change_are_each_judged_by_their_own_days() -> None:
    old = _ledger(seed=1, nights=90)
    new = _ledger(
        seed=2,
        nights=90,
        shares={"treat": 0.6, "control": 0.3, "explore": 0.1},
        first_on=FIRST_ON + timedelta(days=90),
    )
    assert (sample_ratio_p(pl.concat([old, new])) or 0) > 0.05


def test_words_that_were_added_are_expected_from_then_on() -> None:
    two = _ledger(seed=1, nights=90, shares={"control": 0.1, "a": 0.45, "b": 0.45})
    three = _ledger(
        seed=2,
        nights=90,
        shares={"control": 0.1, "a": 0.3, "b": 0.3, "c": 0.3},
        first_on=FIRST_ON + timedelta(days=90),
    )
    assert (sample_ratio_p(pl.concat([two, three])) or 0) > 0.05
    lost = three.filter((pl.col("arm") != "c") | (pl.int_range(pl.len()) % 2 == 0))
    assert (sample_ratio_p(pl.concat([two, lost])) or 0) < 0.001


def test_the_order_of_the_rows_means_nothing_and_one_arm_alone_cannot_be_judged() -> None:
    rows = _ledger(seed=1, nights=30)
    assert sample_ratio_p(rows) == pytest.approx(sample_ratio_p(rows.reverse()))
    assert sample_ratio_p(rows.filter(pl.col("arm") == "treat")) is None
    assert sample_ratio_p(rows.filter(pl.col("arm") == "explore")) is None
