from datetime import date, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagster_project.strategy.holidays import Holiday, easter, holidays_of, load_holidays
from dagster_project.strategy.occasions import known_occasions, occasions_near, with_occasions

USERS = {"user_sk": pl.Int64, "birth_on": pl.Date, "signed_up_on": pl.Date, "country": pl.String}


def near(*users: tuple[object, ...], on: date, days_ahead: int = 0) -> list[tuple[int, str]]:
    rows = [(sk, *user) for sk, user in enumerate(users, start=1)]
    return occasions_near(pl.DataFrame(rows, schema=USERS, orient="row"), on=on, days_ahead=days_ahead).rows()


def test_a_birthday_and_an_anniversary_come_round_once_a_year() -> None:
    users = ((date(1990, 6, 2), date(2024, 6, 3), None), (date(1990, 6, 1), None, None))
    assert near(*users, on=date(2026, 6, 2)) == [(1, "birthday")]
    assert near(*users, on=date(2026, 6, 1), days_ahead=2) == [
        (1, "birthday"),
        (1, "signup_anniversary"),
        (2, "birthday"),
    ]


def test_the_day_itself_is_no_anniversary_and_nobody_has_a_birthday_before_being_born() -> None:
    assert near((date(2026, 6, 2), date(2026, 6, 2), None), on=date(2026, 6, 2)) == []
    assert near((date(2090, 6, 2), None, None), on=date(2026, 6, 2)) == []


def test_who_was_born_on_the_29th_of_february_is_greeted_on_1_march_where_the_year_has_none() -> None:
    born = (date(2000, 2, 29), None, None)
    days = [date(2026, 2, 28), date(2026, 3, 1), date(2028, 2, 29), date(2028, 3, 1)]
    assert [near(born, on=on) for on in days] == [[], [(1, "birthday")], [(1, "birthday")], []]


def test_a_window_may_reach_into_the_next_year() -> None:
    assert near((date(1990, 1, 2), None, "FR"), on=date(2026, 12, 30), days_ahead=4) == [
        (1, "birthday"),
        (1, "new_year"),
    ]


@pytest.mark.parametrize(
    ("on", "countries", "occasion"),
    [
        (date(2026, 2, 17), {"CN", "中国"}, "spring_festival"),
        (date(2027, 9, 15), {"CN", "中国"}, "mid_autumn"),
        (date(2026, 11, 11), {"CN", "中国"}, "singles_day"),
        (date(2026, 11, 26), {"US"}, "thanksgiving"),
        (date(2026, 4, 5), {"US", "uk", "Germany", "FR"}, "easter"),
        (date(2026, 4, 12), {"GR"}, "easter"),
        (date(2026, 3, 15), {"uk"}, "mothers_day"),
        (date(2026, 5, 10), {"US", "Germany"}, "mothers_day"),
        (date(2026, 7, 14), {"FR"}, "national_day"),
    ],
)
def test_a_holiday_is_kept_in_its_countries_however_they_are_written(
    on: date, countries: set[str], occasion: str
) -> None:
    written = ["CN", "中国", "US", "uk", "Germany", "FR", "GR", "Atlantis", None]
    found = near(*((None, None, country) for country in written), on=on)
    assert {written[sk - 1] for sk, name in found if name == occasion} == countries


def test_easter_is_that_of_the_published_tables() -> None:
    western = [date(2000, 4, 23), date(2008, 3, 23), date(2011, 4, 24), date(2024, 3, 31), date(2038, 4, 25)]
    eastern = [date(2000, 4, 30), date(2008, 4, 27), date(2011, 4, 24), date(2024, 5, 5), date(2038, 4, 25)]
    assert [easter(day.year, church="western") for day in western] == western
    assert [easter(day.year, church="eastern") for day in eastern] == eastern


def test_every_rule_gives_at_most_one_day_a_year_and_names_its_source() -> None:
    for holiday in load_holidays():
        assert holiday.source
        years = {year: list(holiday.days(year)) for year in range(2010, 2051)}
        assert all(len(days) == 1 and days[0].year == year for year, days in years.items()), holiday.id
        assert len(list(holiday.days(2060))) == (0 if holiday.dates else 1)


def test_no_country_keeps_two_days_under_one_name_in_a_year() -> None:
    for year in (2026, 2027):
        kept = [pair for pairs in holidays_of(year).values() for pair in pairs]
        assert sorted(kept) == sorted(set(kept))


def test_a_rule_that_is_none_is_refused() -> None:
    given_ = {"id": "x", "en": "X", "zh": "X", "countries": ["FR"], "source": "none"}
    for wrong in ({}, {"month": 1}, {"month": 1, "day": 2, "church": "western"}):
        with pytest.raises(ValueError, match="are no rule"):
            Holiday.model_validate(given_ | wrong)


def test_absent_columns_give_no_occasion() -> None:
    alone = pl.DataFrame({"user_sk": [1]})
    assert occasions_near(alone, on=date(2026, 12, 25), days_ahead=7).rows() == []
    assert with_occasions(alone, on=date(2026, 12, 25), days_ahead=7)["occasions"].to_list() == [None]


def test_candidates_keep_their_order_and_get_a_list() -> None:
    users = pl.DataFrame({"user_sk": [3, 1, 2], "country": ["US", None, "GB"], "birth_on": [date(1990, 12, 26)] * 3})
    listed = with_occasions(users, on=date(2026, 12, 25), days_ahead=1)
    assert listed.select("user_sk", "occasions").rows() == [
        (3, ["birthday", "christmas"]),
        (1, ["birthday"]),
        (2, ["birthday", "boxing_day", "christmas"]),
    ]


_DAY = st.dates(date(1950, 1, 1), date(2040, 12, 31))


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.none() | _DAY, st.none() | _DAY, st.sampled_from([None, "CN", "US", "xx"])), max_size=6),
    st.dates(date(2012, 1, 1), date(2049, 1, 1)),
    st.integers(0, 9),
)
def test_a_window_holds_what_its_single_days_hold(users: list[tuple[object, ...]], on: date, days_ahead: int) -> None:
    days = [near(*users, on=on + timedelta(days=ahead)) for ahead in range(days_ahead + 1)]
    assert near(*users, on=on, days_ahead=days_ahead) == sorted({pair for day in days for pair in day})
    assert {name for day in days for _, name in day} <= known_occasions()
