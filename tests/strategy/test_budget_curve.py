import polars as pl
import pytest

from dagster_project.strategy.budget_curve import CURVE, SHARES, budget_curve

OPTIONS = pl.DataFrame(
    [(user, "s", "email", 10.0 / user, 1.0) for user in range(1, 11)],
    schema=["user_sk", "strategy_id", "channel", "expected_profit", "expected_cost"],
    orient="row",
)
USERS = OPTIONS["user_sk"]


def test_more_money_buys_the_next_best_contacts_until_none_is_left() -> None:
    made = budget_curve(OPTIONS, USERS, limits={}, spent=4.0)
    assert made["share_of_tonight"].to_list() == list(SHARES)
    by_share = {row["share_of_tonight"]: row for row in made.iter_rows(named=True)}
    assert by_share[1.0]["n_contacts"] == 4
    assert by_share[1.0]["expected_profit"] == pytest.approx(10 + 5 + 10 / 3 + 2.5)
    assert 2.0 - 1e-6 <= by_share[1.0]["shadow_price"] <= 2.5 + 1e-6
    assert by_share[5.0]["n_contacts"] == 10
    assert by_share[5.0]["spent"] == 10.0
    assert by_share[5.0]["shadow_price"] == pytest.approx(0, abs=1e-6)
    profits = made["expected_profit"].to_list()
    assert profits == sorted(profits)


def test_other_limits_of_the_night_stay() -> None:
    made = budget_curve(OPTIONS, USERS, limits={"contacts": 2.0, "budget": 4.0}, spent=4.0)
    assert made["n_contacts"].max() == 2


def test_a_sample_stands_for_many_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dagster_project.strategy.budget_curve.SAMPLE_USERS", 2000)
    many = pl.DataFrame({"user_sk": range(20_000)}).with_columns(
        pl.lit("s").alias("strategy_id"),
        pl.lit("email").alias("channel"),
        ((pl.col("user_sk") * 7919) % 1000 / 100).alias("expected_profit"),
        pl.lit(1.0).alias("expected_cost"),
    )
    whole = many.filter(pl.col("expected_profit") > 0)["expected_profit"].sort(descending=True).head(5000).sum()
    made = budget_curve(many, many["user_sk"], limits={}, spent=5000.0).filter(pl.col("share_of_tonight") == 1.0)
    assert made["expected_profit"].item() == pytest.approx(whole, rel=0.03)


def test_where_nothing_pays_or_costs_there_is_no_curve() -> None:
    assert budget_curve(OPTIONS.clear(), USERS, limits={}, spent=4.0).equals(CURVE.to_frame())
    assert budget_curve(OPTIONS, USERS, limits={}, spent=0.0).equals(CURVE.to_frame())
