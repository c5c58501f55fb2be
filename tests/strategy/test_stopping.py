from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from dagster_project.strategy.harm import (
    HARMS,
    harm_evidence,
    log_evidence,
    nights_at_pace,
    nights_to_stop,
)
from dagster_project.strategy.stopping import NO_STOPS, night_stops, stop_reasons, stopped

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
            "propensity": np.where(treated, 0.8, 0.2),
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


def test_a_strategy_that_is_tried_again_is_judged_by_what_was_assigned_since() -> None:
    harmful, mended = _outcomes(-1.5, seed=1), _outcomes(1.0, seed=2)
    later = mended.with_columns(pl.col("assigned_on") + pl.duration(days=7 * N_NIGHTS))
    both = pl.concat([harmful, later])
    assert list(stopped(both)) == ["s"]
    assert stopped(both, since={"s": FIRST_ON + timedelta(days=7 * N_NIGHTS)}) == {}


def test_a_stop_lasts_whatever_is_seen_later_until_it_is_tried_again() -> None:
    found_on, later_on = date(2026, 4, 1), date(2026, 4, 2)
    harmful = _outcomes(-1.5, seed=1)

    first = night_stops(NO_STOPS, harmful, retried_from={}, as_of=found_on)
    assert first.select("strategy_id", "stopped_on").rows() == [("s", found_on)]

    # The experiment is broken for a night, so that nothing is randomised: that lifts no stop.
    broken = harmful.with_columns(pl.lit(value=False).alias("is_randomised"))
    assert night_stops(first, broken, retried_from={}, as_of=later_on).equals(first)
    assert night_stops(first, harmful.clear(), retried_from={}, as_of=later_on).equals(first)

    # Seen again, it keeps its date; named too early, it stays as well.
    assert night_stops(first, harmful, retried_from={}, as_of=later_on).equals(first)
    assert night_stops(first, broken, retried_from={"s": found_on}, as_of=later_on).equals(first)
    assert night_stops(first, broken, retried_from={"s": date(2026, 5, 1)}, as_of=later_on).equals(first)

    assert night_stops(first, harmful, retried_from={"s": later_on}, as_of=later_on).is_empty()


def test_a_stop_says_since_when_and_what_ends_it() -> None:
    stops = night_stops(NO_STOPS, _outcomes(-2.0, seed=1, n=1000), retried_from={}, as_of=date(2026, 4, 1))
    said = stop_reasons(stops)["s"]
    assert said.startswith("s is stopped: of 9,")
    assert said.endswith("Stopped on 2026-04-01, until strategies.retried_from names a later night.")


def _harms(opted_out: float, *, seed: int, held_out: float = 0.002, n: int = 400) -> pl.DataFrame:
    """Outcomes without an effect on returns, where so many of the contacted and of the held out opt out."""
    rows = _outcomes(0.0, seed=seed, n=n)
    draws = pl.Series(np.random.default_rng([seed, 2]).random(rows.height))
    return rows.with_columns((draws < pl.when("is_treated").then(opted_out).otherwise(held_out)).alias("is_opted_out"))


def test_a_strategy_that_makes_users_opt_out_is_stopped_and_says_so() -> None:
    said = stopped(_harms(0.04, seed=1))
    assert list(said) == ["s"]
    assert "held out 0.2 % (1 points more are tolerated)" in said["s"]
    assert "% opted out" in said["s"]


def test_as_many_leavings_as_are_tolerated_stop_a_strategy_in_at_most_one_of_twenty_cases() -> None:
    worlds = 200
    wrongly = sum(bool(stopped(_harms(0.012, seed=seed))) for seed in range(worlds))
    assert wrongly <= 0.05 * worlds


def test_harms_that_no_source_tells_of_stop_nothing() -> None:
    rows = _outcomes(0.0, seed=1).with_columns(pl.lit(None, dtype=pl.Boolean).alias("is_opted_out"))
    assert stopped(rows) == {}
    assert harm_evidence(rows, harm=HARMS[1]) == {}


def _unequal(*, seed: int) -> pl.DataFrame:
    """An import without an effect: rare returners were treated with chance .8, frequent ones with .2."""
    rng = np.random.default_rng(seed)
    n = 4_000
    is_frequent = np.arange(n) % 2 == 0
    chance = np.where(is_frequent, 0.2, 0.8)
    treated = rng.random(n) < chance
    return pl.DataFrame(
        {
            "strategy_id": ["s"] * n,
            "experiment_id": ["import"] * n,
            "assigned_on": [FIRST_ON] * n,
            "p_return": [0.2] * n,
            "is_treated": treated,
            "propensity": np.where(treated, chance, 1 - chance),
            "is_return": rng.random(n) < np.where(is_frequent, 0.3, 0.1),
            "is_randomised": [True] * n,
        }
    )


def test_chances_that_hang_on_how_often_users_return_are_not_taken_for_harm() -> None:
    plain = _unequal(seed=1).with_columns(pl.lit(None, dtype=pl.Float64).alias("propensity"))
    assert list(stopped(plain)) == ["s"]  # were nothing known of the chances
    assert sum(bool(stopped(_unequal(seed=seed))) for seed in range(100)) <= 5


def test_the_nights_told_at_the_pace_of_late_are_those_of_its_users() -> None:
    rows = _outcomes(0.0, seed=1)
    late = rows.filter(pl.col("assigned_on") > FIRST_ON + timedelta(days=7 * (N_NIGHTS - 1) - 28))
    n_treated = int(late["is_treated"].sum())
    n = late["assigned_on"].n_unique()
    wanted = nights_to_stop(
        -0.5,
        p_return=float(late["p_return"].to_numpy().mean()),
        n_treated=n_treated / n,
        n_held_out=(late.height - n_treated) / n,
    )
    assert nights_at_pace(rows, lift=-0.5) == {"s": wanted}
    assert nights_at_pace(rows.clear(), lift=-0.5) == {}


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


def _of_two(harmful: float, *, seed: int) -> pl.DataFrame:
    """A campaign of two strategies whose held out name neither: `bad` has this lift, `good` has none."""
    bad, good = _outcomes(harmful, seed=seed, name="bad"), _outcomes(0.0, seed=seed + 1000, name="good")
    treated = good.filter("is_treated")
    held_out = bad.with_columns(pl.when("is_treated").then("strategy_id").alias("strategy_id"))
    return pl.concat([held_out, treated])


def test_what_harms_is_stopped_by_a_control_that_names_no_strategy_and_what_does_not_is_not() -> None:
    rows = _of_two(-1.0, seed=3)
    assert list(stopped(rows)) == ["bad"]
    alone = _outcomes(-1.0, seed=3, name="bad")
    own, shared = harm_evidence(alone)["bad"], harm_evidence(rows)["bad"]
    assert (shared.log_evidence, shared.n_held_out) == (pytest.approx(own.log_evidence), own.n_held_out)
    assert nights_at_pace(rows, lift=-1.0)["bad"] == nights_at_pace(alone, lift=-1.0)["bad"]


def test_a_control_shared_by_two_strategies_stops_neither_wrongly_more_often() -> None:
    worlds = 200
    wrongly = [set(stopped(_of_two(0.0, seed=seed))) for seed in range(worlds)]
    for name in ("bad", "good"):
        assert sum(name in one for one in wrongly) <= 0.05 * worlds


def test_the_control_of_another_experiment_says_nothing() -> None:
    rows = _of_two(-1.0, seed=3).with_columns(
        pl.when("is_treated").then("experiment_id").otherwise(pl.lit("another")).alias("experiment_id")
    )
    assert stopped(rows) == {}
