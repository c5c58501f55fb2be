from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_project.compliance.hours import (
    Hours,
    clock_windows,
    has_open_hour,
    is_allowed,
    minutes_open,
    open_hours,
    send_moment,
)
from dagster_project.compliance.zones import Place, country_zones

NIGHT = (21 * 60, 8 * 60)
DAY = Hours(opens=9 * 60, closes=20 * 60, quiet=(NIGHT,))


def _moment(zone: str, hours: Hours, ready: str, *, hour: int = 12) -> str | None:
    found = send_moment(Place((zone,), "zone"), hours, wanted_minute=hour * 60, ready_at=datetime.fromisoformat(ready))
    return None if found is None else found.isoformat()


def test_a_quiet_window_may_run_over_midnight_and_equal_ends_are_the_whole_day() -> None:
    always = Hours(opens=0, closes=1440, quiet=(NIGHT,))
    assert [always.allow(minute) for minute in (479, 480, 1259, 1260)] == [False, True, True, False]
    assert not any(Hours(opens=0, closes=1440, quiet=((600, 600),)).allow(minute) for minute in (0, 600, 1439))
    assert [DAY.allow(minute) for minute in (539, 540, 1199, 1200)] == [False, True, True, False]


def test_caution_widens_quiet_hours_at_both_ends_but_not_the_hours_of_the_channel() -> None:
    allowed = [minute for minute in range(0, 1440, 60) if DAY.allow(minute, caution_minutes=120)]
    assert (allowed[0], allowed[-1]) == (10 * 60, 18 * 60)


def test_the_hour_in_which_clocks_are_put_forward_does_not_exist_and_is_not_chosen() -> None:
    early = Hours(opens=2 * 60, closes=3 * 60)
    assert _moment("America/New_York", early, "2026-03-08T00:00:00-05:00") == "2026-03-09T02:00:00-04:00"
    half = Hours(opens=2 * 60, closes=4 * 60)
    assert _moment("America/New_York", half, "2026-03-08T00:00:00-05:00", hour=2) == "2026-03-08T03:00:00-04:00"


def test_of_an_hour_that_comes_twice_the_first_is_chosen_unless_it_has_passed() -> None:
    early = Hours(opens=60, closes=2 * 60)
    assert _moment("America/New_York", early, "2026-11-01T00:00:00-04:00") == "2026-11-01T01:00:00-04:00"
    assert _moment("America/New_York", early, "2026-11-01T01:30:00-04:00") == "2026-11-02T01:00:00-05:00"


def test_a_half_hour_change_of_the_clocks_is_followed() -> None:
    # Lord Howe Island goes from +10:30 to +11 on 4 October 2026
    assert _moment("Australia/Lord_Howe", DAY, "2026-10-03T00:00:00+10:30") == "2026-10-03T12:00:00+10:30"
    assert _moment("Australia/Lord_Howe", DAY, "2026-10-04T00:00:00+10:30") == "2026-10-04T12:00:00+11:00"


def test_a_day_that_a_country_skips_is_skipped() -> None:
    # Samoa had no 30 December 2011
    assert _moment("Pacific/Apia", DAY, "2011-12-29T21:00:00-10:00") == "2011-12-31T12:00:00+14:00"


def test_hours_that_never_agree_are_known_beforehand() -> None:
    russia = Place(country_zones()["RU"], "country")
    narrow = Hours(opens=10 * 60, closes=19 * 60)
    ready_at = datetime(2026, 6, 1, tzinfo=UTC)
    assert not has_open_hour(russia, narrow, ready_at=ready_at)
    assert send_moment(russia, narrow, wanted_minute=720, ready_at=ready_at) is None
    assert has_open_hour(Place(country_zones()["US"], "country"), DAY, ready_at=ready_at)


@pytest.mark.parametrize(("start", "end"), [("21:00", None), (None, "8:00"), ("late", "8:00"), ("25:00", "8:00")])
def test_own_hours_that_cannot_be_read_are_refused(start: str | None, end: str | None) -> None:
    with pytest.raises(ValueError, match=r"quiet hours|clock time"):
        clock_windows(start, end)
    assert clock_windows(None, "") == ()
    assert clock_windows("21:00", "9:30") == ((1260, 570),)


@given(
    st.sampled_from(list(country_zones().values())),
    st.datetimes(datetime(2015, 1, 1), datetime(2032, 1, 1)),  # noqa: DTZ001
    st.integers(0, 23),
    st.tuples(st.integers(0, 12), st.integers(13, 24)),
    st.lists(st.tuples(st.integers(0, 1439), st.integers(0, 1439)), max_size=2),
)
def test_every_moment_found_is_allowed_on_every_clock_and_not_before_the_lists_are_out(
    zones: tuple[str, ...], ready: datetime, hour: int, day: tuple[int, int], quiet: list[tuple[int, int]]
) -> None:
    place, ready_at = Place(zones, "country"), ready.replace(tzinfo=UTC)
    hours = Hours(opens=day[0] * 60, closes=day[1] * 60, quiet=tuple(quiet))
    found = send_moment(place, hours, wanted_minute=hour * 60, ready_at=ready_at)
    if has_open_hour(place, hours, ready_at=ready_at):
        assert found is not None
    if found is not None:
        assert is_allowed(place, hours, at=found)
        assert ready_at <= found < ready_at + timedelta(days=5)
        for name in zones:
            clock = found.astimezone(ZoneInfo(name))
            assert day[0] <= clock.hour < day[1]
            minute = clock.hour * 60 + clock.minute
            assert not any(s <= minute < e if s < e else minute >= s or minute < e for s, e in quiet)


SPLIT = Hours(opens=9 * 60, closes=21 * 60, quiet=((12 * 60 + 30, 15 * 60),))
BERLIN = Place(("Europe/Berlin",), "zone")


def test_open_hours_are_the_full_hours_outside_quiet_ones() -> None:
    found = open_hours(BERLIN, SPLIT, ready_at=datetime(2026, 6, 2, 1, tzinfo=UTC))

    assert [hour for hour in range(24) if found[hour]] == [9, 10, 11, 12, 15, 16, 17, 18, 19, 20]


@pytest.mark.parametrize(("at", "minutes"), [("12:00", 29), ("11:15", 44), ("20:00", 59), ("12:29", 0)])
def test_a_message_may_go_until_a_quiet_hour_comes_or_the_clock_hour_ends(at: str, minutes: int) -> None:
    moment = datetime.fromisoformat(f"2026-06-02T{at}:00").replace(tzinfo=ZoneInfo("Europe/Berlin"))

    assert minutes_open(BERLIN, SPLIT, at=moment) == minutes
