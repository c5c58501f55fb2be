from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from dagster_project.strategy.stopping import harm_evidence, log_evidence, nights_to_stop, stopped

FIRST_ON = date(2026, 1, 5)
N_NIGHTS = 12


def _outcomes(
    lift: float,
    *,
    seed: int,
    n: int = 200,
    drift: float = 0.0,
    name: str = "s",
    nights: int = N_NIGHTS,
) -> pl.DataFrame:
    """`n` users a night, some of them held out, in a world where the strategy has this lift."""
    rng = np.random.default_rng(seed)
    night = np.repeat(np.arange(nights), n)
    p, treated = rng.beta(2, 10, n * nights), rng.random(n * nights) >= 0.2
    odds = np.log(p / (1 - p)) + drift + treated * lift
    return pl.DataFrame(
        {
            "strategy_id": [name] * len(p),
            "experiment_id": ["global_holdout"] * len(p),
            "arm": np.where(treated, "treat", "control"),
            "assigned_on": [FIRST_ON + timedelta(days=7 * int(one)) for one in night],
            "p_return": p,
            "is_treated": treated,
            "is_return": rng.random(len(p)) < 1 / (1 + np.exp(-odds)),
            "is_randomised": [True] * len(p),
        }
    )


def test_a_strategy_without_harm_is_ever_stopped_in_at_most_one_of_twenty_series_of_nights() -> None:
    worlds = 400
    wrongly = sum(bool(stopped(_outcomes(0.0, seed=seed))) for seed in range(worlds))
    assert wrongly <= 0.05 * worlds


def test_a_forecast_that_is_off_for_everybody_is_not_taken_for_harm() -> None:
    worlds = 100
    wrongly = sum(bool(stopped(_outcomes(0.0, drift=-0.5, seed=seed))) for seed in range(worlds))
    assert wrongly <= 0.05 * worlds


def test_harm_is_stopped_within_the_nights_that_the_power_calculation_says() -> None:
    lift, power = -0.8, 0.8
    nights = nights_to_stop(lift, p_return=2 / 12, n_treated=160, n_held_out=40, power=power)
    assert nights is not None
    assert 2 <= nights <= N_NIGHTS
    worlds = 100
    found = sum(bool(stopped(_outcomes(lift, seed=seed, nights=nights))) for seed in range(worlds))
    # The calculation looks at the last night alone; the rule may speak before it.
    assert power - 0.08 <= found / worlds


def test_the_sentence_says_what_was_seen_and_how_sure_that_is() -> None:
    said = stopped(_outcomes(-2.0, seed=1, n=1000))
    assert list(said) == ["s"]
    assert said["s"].startswith("s is stopped: of 9,")
    assert "came back" in said["s"]
    assert "at most 5 of 100" in said["s"]


def test_once_stopped_it_stays_so_until_it_is_tried_again() -> None:
    harmful, mended = _outcomes(-1.5, seed=1), _outcomes(1.0, seed=2)
    later = mended.with_columns(pl.col("assigned_on") + pl.duration(days=7 * N_NIGHTS))
    both = pl.concat([harmful, later])
    assert list(stopped(both)) == ["s"]
    assert stopped(both, since={"s": FIRST_ON + timedelta(days=7 * N_NIGHTS)}) == {}


def test_each_strategy_is_judged_by_its_own_outcomes() -> None:
    rows = pl.concat([_outcomes(-1.5, seed=1, name="bad"), _outcomes(0.5, seed=2, name="good")])
    assert list(stopped(rows)) == ["bad"]
    assert list(harm_evidence(rows)) == ["bad", "good"]


def test_drawn_and_observed_outcomes_stop_nothing() -> None:
    rows = _outcomes(-1.5, seed=1)
    explored = rows.with_columns(pl.when("is_treated").then(pl.lit("explore")).otherwise("arm").alias("arm"))
    assert stopped(explored) == {}
    assert stopped(rows.with_columns(pl.lit(value=False).alias("is_randomised"))) == {}
    assert stopped(rows.with_columns(pl.lit(None, dtype=pl.String).alias("strategy_id"))) == {}
    assert stopped(rows.clear()) == {}


@pytest.mark.parametrize("is_return", [True, False])
def test_outcomes_that_are_all_alike_stop_nothing(*, is_return: bool) -> None:
    assert stopped(_outcomes(0.0, seed=1).with_columns(pl.lit(is_return).alias("is_return"))) == {}


def test_the_order_of_the_rows_means_nothing() -> None:
    rows = _outcomes(-0.5, seed=1)
    assert harm_evidence(rows)["s"].log_evidence == pytest.approx(harm_evidence(rows.reverse())["s"].log_evidence)


def test_evidence_is_nothing_without_outcomes_and_grows_with_harm() -> None:
    assert log_evidence(np.array([0.0]), np.array([0.0])) == pytest.approx([0.0])
    against = log_evidence(np.array([-2.0, -6.0, -12.0]), np.full(3, 10.0))
    assert list(against) == sorted(against)
    assert log_evidence(np.array([12.0]), np.array([10.0]))[0] < 0


def test_larger_harm_and_more_users_are_found_sooner_and_no_harm_never() -> None:
    def nights(lift: float, n: float = 500) -> int | None:
        return nights_to_stop(lift, p_return=0.1, n_treated=0.9 * n, n_held_out=0.1 * n)

    large, small, few = nights(-1.0), nights(-0.5), nights(-0.5, 200)
    assert large is not None
    assert small is not None
    assert few is not None
    assert large < small < few
    assert nights(0.0) is None
    assert nights(0.3) is None
    assert nights_to_stop(-0.5, p_return=0.1, n_treated=100, n_held_out=0) is None
