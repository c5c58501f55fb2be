"""Whether the events reach the night, by how they used to come."""

from datetime import date, timedelta

import pytest

from dagster_project.freshness import freshness

MONDAY = date(2024, 1, 1)
DAILY = [MONDAY + timedelta(days=n) for n in range(40)]
CLOSED_ON_WEEKENDS = [day for day in DAILY if day.weekday() < 5]


@pytest.mark.parametrize(
    ("days", "as_of", "days_behind", "is_stale"),
    [
        (DAILY, date(2024, 2, 9), 0, False),
        (DAILY, date(2024, 2, 10), 1, True),
        (CLOSED_ON_WEEKENDS, date(2024, 1, 28), 2, False),
        (CLOSED_ON_WEEKENDS, date(2024, 2, 12), 3, True),
        ([MONDAY], MONDAY, 0, False),
        ([MONDAY], date(2024, 1, 3), 2, True),
    ],
    ids=["daily", "daily, a day late", "a weekend", "a Monday too", "the only day", "after the only day"],
)
def test_events_are_late_when_the_silence_is_longer_than_any_of_late(
    days: list[date], as_of: date, days_behind: int, is_stale: bool
) -> None:
    found = freshness(days, as_of=as_of)

    assert (found.days_behind, found.is_stale) == (days_behind, is_stale)
    assert (found.note is not None) == is_stale


def test_later_days_and_their_order_change_nothing() -> None:
    as_of = date(2024, 1, 20)

    assert freshness(reversed(DAILY), as_of=as_of) == freshness(DAILY[:20], as_of=as_of)


def test_a_break_of_last_year_hides_no_outage() -> None:
    with_a_break = [MONDAY - timedelta(days=120), *[MONDAY + timedelta(days=n) for n in range(100)]]

    assert freshness(with_a_break, as_of=with_a_break[-1]).usual_days == 1


def test_the_note_names_the_day_and_the_distance() -> None:
    note = freshness(DAILY, as_of=date(2024, 2, 10)).note

    assert note is not None
    assert note.startswith("The newest event is of 2024-02-09, 1 day before the night")


def test_a_night_before_all_days_has_no_answer() -> None:
    with pytest.raises(ValueError, match="no day with an event up to 2023-12-31"):
        freshness(DAILY, as_of=date(2023, 12, 31))
