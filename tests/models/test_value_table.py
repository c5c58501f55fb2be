import polars as pl
import pytest

from dagster_project.models.value import fit_value
from dagster_project.models.value_table import VALUE_COMPARISON_SCHEMA, compare_values

from .simulated import HORIZON_DAYS, training_frame


def test_every_reference_stands_beside_the_shipped_forecast() -> None:
    test = training_frame(1200, n_cutoffs=1).with_columns(amount_total=pl.col("n_active_days") * 20.0)
    model = fit_value(training_frame(1200), test, horizon_days=HORIZON_DAYS, value_per_active_day=1.0)
    table = compare_values(test, test["is_active"].cast(pl.Float64).to_numpy(), model=model)
    assert table.schema == VALUE_COMPARISON_SCHEMA
    assert table["candidate"].unique(maintain_order=True).to_list() == [
        "shipped",
        "mbg_nbd_gamma_gamma",
        "shrunk_mean",
        "history_total",
    ]
    assert table["population"].to_list() == ["all", "lapsed"] * 4
    shipped = table.row(0, named=True)
    assert shipped["actual_total"] == test["amount_next"].sum()
    assert shipped["predicted_over_actual"] == pytest.approx(1.0, abs=0.1)
    assert shipped["normalised_gini"] == table.filter(population="all")["normalised_gini"].max()
    assert table.filter(candidate="history_total", population="all")["predicted_total"][0] == test["amount_total"].sum()


def test_the_order_of_users_does_not_matter_and_nobody_lapsed_leaves_their_rows_out() -> None:
    test = training_frame(200, n_cutoffs=1).with_columns(is_lapsed=pl.lit(False))
    model = fit_value(test, test, horizon_days=HORIZON_DAYS, value_per_active_day=1.0)
    p_active = test["is_active"].cast(pl.Float64) * 0.5 + 0.2
    table = compare_values(test, p_active.to_numpy(), model=model)
    assert table["population"].unique().to_list() == ["all"]
    assert compare_values(test.reverse(), p_active.reverse().to_numpy(), model=model).equals(table)
