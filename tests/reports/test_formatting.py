from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_project.reports import formatting as fmt


def test_counts_have_thousands_separators() -> None:
    assert fmt.count(1234567) == "1,234,567"


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_is_an_en_dash(value: float | None) -> None:
    assert fmt.count(value) == "–"
    assert fmt.decimal(value) == "–"
    assert fmt.percent(value) == "–"
    assert fmt.money(value, currency="EUR") == "–"


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        (0.1234, "12.3%"),
        (0.0, "0.0%"),
        (1.0, "100.0%"),
        (0.0001, "<0.1%"),
        (0.9999, ">99.9%"),
        (-0.00001, "0.0%"),
    ],
)
def test_shares_are_percentages_that_do_not_claim_all_or_none(share: float, shown: str) -> None:
    assert fmt.percent(share) == shown


def test_money_loses_its_cents_when_it_is_large() -> None:
    assert fmt.money(Decimal("1234.5"), currency="EUR") == "1,234.50 EUR"
    assert fmt.money(12345.67, currency="GBP") == "12,346 GBP"
    assert fmt.money(-0.001, currency="EUR") == "0.00 EUR"


def test_an_interval_stands_behind_its_value_where_there_is_one() -> None:
    assert fmt.with_interval(0.123, 0.081, 0.17) == "12.3% (8.1 to 17.0%)"
    assert fmt.with_interval(0.123, None, 0.17) == "12.3%"


def test_moments_keep_their_offset_and_lose_their_seconds() -> None:
    assert fmt.timestamp("2026-03-02T19:00:00+01:00") == "2026-03-02 19:00 +01:00"
    assert fmt.timestamp("2026-03-02 19:00:00") == "2026-03-02 19:00"
    assert fmt.timestamp("at once") == "at once"
    assert fmt.timestamp(None) == "–"


def test_days_are_written_out() -> None:
    assert fmt.day(date(2026, 3, 2)) == "2 March 2026"


def test_nouns_follow_their_number() -> None:
    assert fmt.counted(1, "user") == "1 user"
    assert fmt.counted(0, "user") == "0 users"
    assert fmt.counted(None, "user") == "– users"


@given(st.floats(min_value=0, max_value=1))
def test_only_nothing_is_shown_as_nothing_and_only_all_as_all(share: float) -> None:
    shown = fmt.percent(share)
    assert (shown == "0.0%") == (share == 0)
    assert (shown == "100.0%") == (share == 1)
