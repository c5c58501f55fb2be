from datetime import date

import polars as pl
import pytest

from dagster_project.errors import DataQualityError
from dagster_project.models.contracts.durations import measure_spans, observed

AS_OF = date(2024, 3, 31)


def contracts(*rows: tuple[str, date, date | None], **columns: list[object]) -> pl.DataFrame:
    schema = {"user_id": pl.String, "started_on": pl.Date, "ended_on": pl.Date}
    frame = pl.DataFrame(rows, schema=schema, orient="row").with_columns(user_sk=pl.int_range(pl.len()))
    return frame.with_columns(**{name: pl.Series(values) for name, values in columns.items()})


def test_whole_days_with_a_first_day_that_counts() -> None:
    frame = contracts(
        ("a", date(2024, 3, 1), date(2024, 3, 11)),
        ("b", date(2024, 3, 1), date(2024, 3, 1)),
        ("c", date(2024, 3, 1), None),
        ("d", date(2024, 3, 31), None),
    )
    spans = measure_spans(frame, as_of=AS_OF)
    assert spans["duration"].to_list() == [10, 1, 30, 0]
    assert spans["event"].to_list() == [True, True, False, False]
    assert observed(spans)["user_id"].to_list() == ["a", "b", "c"]


def test_months_count_begun_for_ends_and_completed_for_running() -> None:
    frame = contracts(
        ("a", date(2024, 1, 15), date(2024, 2, 15)),
        ("b", date(2024, 1, 15), date(2024, 2, 16)),
        ("c", date(2024, 1, 15), None),
    )
    assert measure_spans(frame, as_of=AS_OF, unit="month")["duration"].to_list() == [1, 2, 2]


def test_a_price_change_goes_on_as_one_contract() -> None:
    frame = contracts(
        ("a", date(2024, 1, 1), date(2024, 1, 31)),
        ("a", date(2024, 2, 1), date(2024, 2, 20)),
        ("b", date(2024, 1, 1), date(2024, 1, 31)),
        ("b", date(2024, 2, 10), None),
        price=[5.0, 6.0, 5.0, 5.0],
    )
    spans = measure_spans(frame, as_of=AS_OF)
    assert spans.select("user_id", "entry", "duration", "event", "price").rows() == [
        ("a", 0, 31, False, 5.0),
        ("a", 31, 50, True, 6.0),
        ("b", 0, 30, True, 5.0),
        ("b", 0, 50, False, 5.0),
    ]


def test_observed_from_moves_the_entry_and_drops_what_ended_before() -> None:
    frame = contracts(
        ("a", date(2024, 1, 1), date(2024, 3, 1)),
        ("b", date(2024, 1, 1), date(2024, 1, 20)),
        ("c", date(2024, 3, 1), None),
        observed_from=[date(2024, 2, 1)] * 3,
    )
    spans = measure_spans(frame, as_of=AS_OF)
    assert spans.select("user_id", "entry", "duration").rows() == [("a", 31, 60), ("c", 0, 30)]


@pytest.mark.parametrize(
    ("started", "ended", "said"),
    [
        (date(2024, 3, 2), date(2024, 3, 1), "negative duration"),
        (date(2024, 4, 2), None, "dated after 2024-03-31"),
        (date(2024, 3, 2), date(2024, 4, 1), "dated after 2024-03-31"),
    ],
)
def test_impossible_dates_are_named_with_their_user(started: date, ended: date | None, said: str) -> None:
    with pytest.raises(DataQualityError, match=f"{said}.*user 007"):
        measure_spans(contracts(("007", started, ended)), as_of=AS_OF)


def test_a_missing_column_is_named() -> None:
    with pytest.raises(DataQualityError, match="ended_on"):
        measure_spans(contracts(("a", AS_OF, None)).drop("ended_on"), as_of=AS_OF)


def test_the_order_of_rows_does_not_matter() -> None:
    frame = contracts(*[(f"{i % 5}", date(2024, 1, 1 + i), date(2024, 2, 1 + i)) for i in range(20)])
    shuffled = frame.sample(fraction=1, shuffle=True, seed=3)
    key = ["user_id", "contract_on", "entry", "duration"]
    assert measure_spans(frame, as_of=AS_OF).select(key).equals(measure_spans(shuffled, as_of=AS_OF).select(key))
