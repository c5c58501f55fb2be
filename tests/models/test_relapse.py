from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from dagster_project.errors import WinbackError
from dagster_project.models.relapse import fit_relapse, relapse_covariates, second_lifetime_value
from dagster_project.models.returns import RETURN_SCHEMA
from dagster_project.models.value import fit_value

from .simulated import HORIZON_DAYS, training_frame, users_now

THRESHOLD_DAYS = 20.0


def returns_frame(n: int, *, offer_effect: float = 1.0, offer_known: float = 0.0, seed: int = 1) -> pl.DataFrame:
    """Returns whose last active day has a hazard of 1/50 a day (× effect if an offer brought them), seen 150 days."""
    rng = np.random.default_rng(seed)
    offer, known = rng.random(n) < 0.5, rng.random(n) < offer_known
    engaged = np.ceil(rng.exponential(50 / np.where(offer, offer_effect, 1.0)))
    lost_after = engaged + THRESHOLD_DAYS
    absence = rng.integers(30, 200, n)
    return pl.DataFrame(
        {
            "user_id": [f"u{i:05d}" for i in range(n)],
            "returned_on": [date(2024, 1, 1) + timedelta(days=int(i % 7)) for i in range(n)],
            "spell_days": np.minimum(lost_after, 150).astype(np.int64),
            "relapsed": lost_after <= 150,
            "absence_days": absence,
            "n_active_days_before": rng.integers(1, 9, n),
            "n_returns_before": rng.integers(0, 3, n),
            "churn_threshold_days": np.full(n, THRESHOLD_DAYS),
            "came_by_offer": pl.Series(np.where(known, offer, None).tolist(), dtype=pl.Boolean),
        },
        schema=RETURN_SCHEMA,
    )


def back(**days: int) -> pl.DataFrame:
    return returns_frame(1).with_columns(**{name: pl.lit(value) for name, value in days.items()})


@pytest.mark.parametrize("n", [80, 1500])
def test_the_chance_of_a_relapse_is_that_of_the_simulated_world(n: int) -> None:
    model = fit_relapse(returns_frame(n))
    assert model.kind == ("cox" if n == 1500 else "kaplan_meier")
    found = model.relapse_probability(back(), horizon_days=28)[0]
    assert found == pytest.approx(1 - np.exp(-(56 - THRESHOLD_DAYS) / 50), abs=0.05 if n == 1500 else 0.15)


def test_an_offer_that_brings_the_fickle_shows_as_a_hazard_ratio() -> None:
    model = fit_relapse(returns_frame(1500, offer_effect=2.0, offer_known=0.7))
    (row,) = model.summary.filter(pl.col("covariate") == "came_by_offer").to_dicts()
    assert row["low"] < 2.0 < row["high"] * 1.15
    assert row["hr"] == pytest.approx(2.0, rel=0.25)
    chances = [
        model.relapse_probability(back().with_columns(came_by_offer=pl.lit(flag)), horizon_days=28)[0]
        for flag in (False, True)
    ]
    assert chances[0] < chances[1]


def test_unknown_offers_are_no_covariate() -> None:
    assert "came_by_offer" not in fit_relapse(returns_frame(400)).summary["covariate"].to_list()


def test_few_returns_or_none_lost_are_refused_in_words() -> None:
    safe = returns_frame(60).with_columns(relapsed=pl.lit(False))
    for returns in (returns_frame(10), safe, returns_frame(5).clear()):
        model = fit_relapse(returns)
        assert model.kind == "refused"
        assert "at least 20 returns are needed" in str(model.note)
        assert model.relapse_probability(back(), horizon_days=28).to_list() == [None]


def test_who_cannot_be_silent_long_enough_by_then_cannot_relapse() -> None:
    model = fit_relapse(returns_frame(400))
    patient = back().with_columns(churn_threshold_days=pl.lit(60.0))
    assert model.relapse_probability(patient, horizon_days=28).to_list() == [0.0]


def test_a_return_from_the_future_is_refused() -> None:
    with pytest.raises(WinbackError, match="after the day they are seen from"):
        fit_relapse(returns_frame(30).with_columns(spell_days=pl.lit(-1, dtype=pl.Int64)))


def test_the_order_of_returns_does_not_matter() -> None:
    returns = returns_frame(300)
    first, second = fit_relapse(returns), fit_relapse(returns.reverse())
    assert first.summary.equals(second.summary)
    np.testing.assert_array_equal(first.cumulative_hazard, second.cumulative_hazard)


def test_second_lifetime_value_is_money_of_the_return_and_of_the_days_that_follow() -> None:
    training, now = training_frame(400), users_now(300)
    worth = fit_value(training, now, horizon_days=HORIZON_DAYS, value_per_active_day=1.0)
    features = relapse_covariates(now.filter("is_lapsed"))
    lasting, fleeting = (
        second_lifetime_value(features, worth=worth, relapse=fit_relapse(returns), within_days=365)
        for returns in (returns_frame(400), returns_frame(400, offer_effect=4.0, offer_known=0.0, seed=2))
    )
    one_day = worth.value_if_returned(features) / worth.active_days(features)
    assert (lasting.to_numpy() > one_day).all()
    assert lasting.sum() > fleeting.sum()
    assert lasting.is_finite().all()
    whole_year = one_day * (1 + 365)
    assert (lasting.to_numpy() < whole_year).all()


def test_without_a_relapse_model_there_is_no_second_lifetime_value() -> None:
    now = users_now(30)
    worth = fit_value(training_frame(50), now, horizon_days=HORIZON_DAYS, value_per_active_day=1.0)
    refused = fit_relapse(returns_frame(3))
    assert second_lifetime_value(relapse_covariates(now), worth=worth, relapse=refused).null_count() == 30
