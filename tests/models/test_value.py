import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_project.models.value import evaluate_value, fit_value

from .simulated import HORIZON_DAYS, training_frame, users_now


def no_amounts(frame: pl.DataFrame) -> pl.DataFrame:
    nothing = pl.lit(None, dtype=pl.Float64)
    return frame.with_columns(nothing.alias(c) for c in ("amount_per_active_day", "amount_next") if c in frame.columns)


def test_the_mean_of_those_active_is_right_for_lapsed_and_others() -> None:
    training, now = training_frame(1500), users_now(1500)
    model = fit_value(training, now, horizon_days=HORIZON_DAYS, value_per_active_day=1.0)
    active = training.filter("is_active")
    for is_lapsed in (True, False):
        group = active.filter(is_lapsed=is_lapsed)
        assert model.active_days(group).mean() == pytest.approx(group["n_active_days_next"].mean(), rel=0.05)
        assert model.value_if_returned(group).sum() == pytest.approx(group["amount_next"].sum(), rel=0.05)


def test_own_spend_counts_where_it_forecasts_and_not_where_it_is_noise() -> None:
    training, now = training_frame(1500), users_now(2)
    rng = np.random.default_rng(1)
    own = rng.choice([5.0, 50.0], training.height)
    spender = training.with_columns(
        amount_per_active_day=pl.Series(own), amount_next=pl.col("n_active_days_next") * pl.Series(own)
    )
    noise = spender.with_columns(amount_next=pl.col("n_active_days_next") * 20.0)
    pair = now.with_columns(
        amount_per_active_day=pl.Series([5.0, 50.0]), n_active_days=pl.lit(4), tenure_days=pl.lit(160)
    ).with_columns(is_lapsed=pl.lit(False))
    faithful = fit_value(spender, now, horizon_days=28, value_per_active_day=1.0).value_if_returned(pair)
    doubtful = fit_value(noise, now, horizon_days=28, value_per_active_day=1.0).value_if_returned(pair)
    assert faithful[1] / faithful[0] > 2.5
    assert doubtful[1] / doubtful[0] < 1.01


def test_without_amounts_an_active_day_has_the_value_set_for_it() -> None:
    training, now = no_amounts(training_frame(300)), no_amounts(users_now(5))
    model = fit_value(training, now, horizon_days=28, value_per_active_day=3.0)
    np.testing.assert_allclose(model.value_if_returned(now), 3.0 * model.active_days(now))


def test_one_wholesale_order_does_not_set_what_everyone_is_worth() -> None:
    now = users_now(1000)
    giant = pl.when(pl.col("user_id") == "u00007").then(1e6).otherwise(20.0)
    no_window = now.with_columns(_outcomes()).clear()
    plain = fit_value(no_window, now, horizon_days=28, value_per_active_day=1.0)
    skewed_users = now.with_columns(amount_per_active_day=giant)
    skewed = fit_value(no_window, skewed_users, horizon_days=28, value_per_active_day=1.0)
    assert skewed.value_if_returned(skewed_users).max() == pytest.approx(plain.value_if_returned(now).max())


def _outcomes() -> list[pl.Expr]:
    return [
        pl.lit(None, dtype=pl.Date).alias("cutoff"),
        pl.lit(None, dtype=pl.Boolean).alias("is_active"),
        pl.lit(None, dtype=pl.Int32).alias("n_active_days_next"),
        pl.lit(None, dtype=pl.Float64).alias("amount_next"),
    ]


@given(
    amounts=st.lists(st.floats(-1e9, 1e9) | st.none() | st.just(float("inf")), min_size=1, max_size=8),
    days=st.integers(1, 400),
)
def test_values_are_finite_and_never_negative(amounts: list[float | None], days: int) -> None:
    now = pl.DataFrame(
        {
            "user_id": [str(i) for i in range(len(amounts))],
            "n_active_days": [1 + i * days for i in range(len(amounts))],
            "tenure_days": [days * i * 3 for i in range(len(amounts))],
            "is_lapsed": [True] * len(amounts),
            "amount_per_active_day": pl.Series(amounts, dtype=pl.Float64),
        }
    )
    training = now.with_columns(_outcomes()).with_columns(
        is_active=pl.lit(True), n_active_days_next=pl.lit(2), amount_next=pl.col("amount_per_active_day")
    )
    for learned_from in (training, training.clear()):
        model = fit_value(learned_from, now, horizon_days=28, value_per_active_day=1.0)
        value, n_days = model.value_if_returned(now), model.active_days(now)
        assert np.isfinite(value).all()
        assert (value >= 0).all()
        assert ((n_days >= 1) & (n_days <= 28)).all()


def test_totals_and_order_of_a_forecast_that_knows_the_truth() -> None:
    test = training_frame(800, n_cutoffs=1)
    model = fit_value(training_frame(800), test, horizon_days=28, value_per_active_day=1.0)
    rows = evaluate_value(test, test["is_active"].cast(pl.Float64).to_numpy(), model=model)
    assert rows["measure"].to_list() == ["events", "value"]
    assert rows["predicted_over_actual"].to_list() == pytest.approx([1.0, 1.0], abs=0.06)
    assert rows["normalised_gini"].min() > 0.8
    assert rows["actual_total"].to_list() == [test["n_active_days_next"].sum(), test["amount_next"].sum()]
