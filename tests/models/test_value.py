import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagster_project.models.value import evaluate_value, fit_value

from .simulated import AS_OF, HORIZON_DAYS, training_frame, users_now


def no_amounts(frame: pl.DataFrame) -> pl.DataFrame:
    nothing = pl.lit(None, dtype=pl.Float64)
    return frame.with_columns(nothing.alias(c) for c in ("amount_per_active_day", "amount_next") if c in frame.columns)


def test_the_total_of_those_active_is_right() -> None:
    training, now = training_frame(600), users_now(600)
    model = fit_value(training, now, horizon_days=HORIZON_DAYS, value_per_active_day=1.0)
    active = training.filter("is_active")
    assert model.active_days(active).sum() == pytest.approx(active["n_active_days_next"].sum(), rel=0.1)
    assert model.value_if_returned(active).sum() == pytest.approx(active["amount_next"].sum(), rel=0.1)


def test_own_spend_counts() -> None:
    training, now = training_frame(300), users_now(300)
    own = np.random.default_rng(1).choice([5.0, 50.0], 300)
    spender = now.with_columns(amount_per_active_day=pl.Series(own))
    pair = now.head(2).with_columns(amount_per_active_day=pl.Series([5.0, 50.0]), n_active_days=pl.lit(4))
    alike = pair.with_columns(tenure_days=pl.lit(160), silence_days=pl.lit(20), interest=pl.lit(0.0))
    value = fit_value(training.clear(), spender, horizon_days=28, value_per_active_day=1.0).value_if_returned(alike)
    assert value[1] / value[0] > 2.5


def test_one_user_and_no_user_are_no_trouble() -> None:
    one = users_now(1)
    model = fit_value(training_frame(1).clear(), one, horizon_days=28, value_per_active_day=1.0)
    assert np.isfinite(model.value_if_returned(one)).all()
    nobody = fit_value(training_frame(1).clear(), one.clear(), horizon_days=28, value_per_active_day=1.0)
    assert nobody.value_if_returned(one.clear()).shape == (0,)


def test_a_log_of_refunds_only_is_worth_nothing() -> None:
    refunds = pl.lit(-3.0).alias("amount_per_active_day")
    now, training = (
        users_now(50).with_columns(refunds),
        training_frame(50).with_columns(refunds, amount_next=pl.lit(-3.0)),
    )
    model = fit_value(training, now, horizon_days=28, value_per_active_day=1.0)
    assert model.value_if_returned(now).tolist() == [0.0] * 50


def test_the_order_of_rows_does_not_matter() -> None:
    training, now = training_frame(150), users_now(150)
    first, second = (
        fit_value(frame, rows, horizon_days=28, value_per_active_day=1.0).value_if_returned(now)
        for frame, rows in ((training, now), (training.reverse(), now.reverse()))
    )
    np.testing.assert_allclose(first, second, rtol=1e-9)


def test_outcomes_of_the_rows_to_score_are_never_read() -> None:
    training, test = training_frame(150), training_frame(150, n_cutoffs=1)
    other = test.with_columns(amount_next=pl.lit(9e6), n_active_days_next=pl.lit(28), is_active=pl.lit(True))
    first, second = (
        fit_value(training, rows, horizon_days=28, value_per_active_day=1.0).value_if_returned(test)
        for rows in (test, other)
    )
    np.testing.assert_array_equal(first, second)


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


@settings(max_examples=25, deadline=None)
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
            "silence_days": [days * i for i in range(len(amounts))],
            "is_lapsed": [True] * len(amounts),
            "amount_per_active_day": pl.Series(amounts, dtype=pl.Float64),
        }
    )
    training = now.with_columns(_outcomes()).with_columns(
        cutoff=pl.lit(AS_OF),
        is_active=pl.lit(True),
        n_active_days_next=pl.lit(2),
        amount_next=pl.col("amount_per_active_day"),
    )
    for learned_from in (training, training.clear()):
        model = fit_value(learned_from, now, horizon_days=28, value_per_active_day=1.0)
        value, n_days = model.value_if_returned(now), model.active_days(now)
        assert np.isfinite(value).all()
        assert (value >= 0).all()
        assert ((n_days >= 1) & (n_days <= 28)).all()


def test_totals_and_order_of_a_forecast_that_knows_the_truth() -> None:
    test = training_frame(500, n_cutoffs=1)
    model = fit_value(training_frame(500), test, horizon_days=28, value_per_active_day=1.0)
    rows = evaluate_value(test, test["is_active"].cast(pl.Float64).to_numpy(), model=model)
    assert rows["measure"].to_list() == ["events", "value"]
    assert rows["predicted_over_actual"].to_list() == pytest.approx([1.0, 1.0], abs=0.1)
    assert rows["normalised_gini"].min() > 0.75
    assert rows["actual_total"].to_list() == [test["n_active_days_next"].sum(), test["amount_next"].sum()]
