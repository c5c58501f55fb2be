"""The report's section on what the limits of a night cost."""

import polars as pl
import pytest

from dagster_project.reports.prices import about_prices, price_table
from dagster_project.strategy.market import PRICES

NIGHT = pl.DataFrame(
    [
        ("budget", 60.0, 59.5, 0.5),
        ("contacts", 5000.0, 369.0, 0.0),
        ("channel.email", 300.0, 300.0, 0.34),
        ("profit", 680.0, 646.0, None),
    ],
    schema=PRICES,
    orient="row",
)


def test_each_limit_has_its_use_and_the_price_of_one_more() -> None:
    table = price_table(NIGHT, currency="EUR")

    assert table is not None
    assert table.rows == (
        ("budget", "59.50 EUR", "60.00 EUR", "0.50 EUR per 1 EUR"),
        ("contacts of all channels", "369", "5,000", "0.00 EUR per 1,000"),
        ("email", "300", "300", "340.00 EUR per 1,000"),
    )
    assert table.marked == frozenset({0, 2})


def test_without_limits_there_is_no_table() -> None:
    assert price_table(NIGHT.tail(1), currency="EUR") is None


@pytest.mark.parametrize(
    ("prices", "said"),
    [
        (NIGHT, "95.0% of what no other list within the same limits could exceed"),
        (NIGHT, "raise the dearest first"),
        (NIGHT.tail(1), "more budget or room would earn nothing"),
        (NIGHT.tail(1).with_columns(limit=0.0, used=0.0), "No contact was expected to pay tonight"),
    ],
)
def test_the_sentence_says_how_near_the_bound_and_what_held_the_night_back(prices: pl.DataFrame, said: str) -> None:
    assert said in about_prices(prices, currency="EUR")
