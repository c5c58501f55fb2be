from itertools import zip_longest

from hypothesis import given
from hypothesis import strategies as st

from dagster_project.lifecycle.data_driven import data_driven_days, return_shares

from .builders import day, users_active_on

UNTIL = 60


def shares_of(activity, *, until=UNTIL, horizon_days=10):
    return return_shares(users_active_on(activity, until=until), as_of=day(until), horizon_days=horizon_days)


def counts_at(shares, silence_days):
    return shares.row(silence_days - 7, named=True)


def test_every_day_from_a_week_to_a_year_has_a_row():
    assert shares_of({"a": [0]})["silence_days"].to_list() == list(range(7, 366))


def test_who_is_silent_at_seven_days_and_who_of_them_returns_within_ten_by_hand():
    shares = shares_of(
        {
            "back on day 8 of silence": [0, 8, 60],
            "back on day 17, the last that counts": [0, 17, 60],
            "back on day 18, too late": [0, 18, 60],
            "never back": [0],
            "back on day 7, not silent any more": [0, 7, 14, 60],
        }
    )

    # Second gaps (52, 43, 42, 46 days) were still silent at 7 and came back after day 17 of the silence.
    assert counts_at(shares, 7) == {
        "silence_days": 7,
        "n_silences": 8,
        "n_returned": 2,
        "return_share": 0.25,
    }


def test_a_follow_up_still_open_counts_neither_as_return_nor_as_silence():
    # Seven days of silence and ten of follow-up: the return on day 9 is known, the tenth day is not over.
    open_still = shares_of({"a": [0, 9]}, until=16)
    closed = shares_of({"a": [0, 9]}, until=17)

    assert (counts_at(open_still, 7)["n_silences"], counts_at(open_still, 7)["return_share"]) == (0, None)
    assert (counts_at(closed, 7)["n_silences"], counts_at(closed, 7)["n_returned"]) == (1, 1)


def test_the_smallest_number_of_days_with_few_enough_returns_is_chosen():
    activity = {f"back after {gap}": [0, gap] for gap in range(10, 20)} | {"gone": [0]}

    # Silent at 18 and back on 19: one of two (the other is gone); at 19 nobody who is left comes back.
    shares = shares_of(activity, until=30)
    assert data_driven_days(shares, max_return_share=0.5, min_silences=1) == 18
    assert data_driven_days(shares, max_return_share=0.1, min_silences=1) == 19


def test_no_number_of_days_when_returns_stay_common_or_silences_few():
    always_back = shares_of({"a": [0, 50], "b": [0, 49]}, until=55, horizon_days=50)
    one_silence = shares_of({"a": [0]})

    assert data_driven_days(always_back, max_return_share=0.1, min_silences=1) is None
    assert data_driven_days(one_silence, max_return_share=0.1) is None
    assert data_driven_days(one_silence, max_return_share=0.1, min_silences=1) == 7


@given(
    st.lists(st.sets(st.integers(0, 120), max_size=8), min_size=1, max_size=8),
    st.integers(1, 40),
    st.integers(7, 100),
)
def test_counts_equal_those_of_a_walk_over_every_silence(days_of_users, horizon, silence):
    until = 120
    shares = shares_of(
        {f"u{n}": sorted(days) for n, days in enumerate(days_of_users)}, until=until, horizon_days=horizon
    )
    silent = returned = 0
    for days in map(sorted, days_of_users):
        for start, end in zip_longest(days, days[1:]):
            is_silent = end is None or end - start > silence
            if is_silent and start + silence + horizon <= until:
                silent += 1
                returned += end is not None and end - start <= silence + horizon

    row = counts_at(shares, silence)
    assert (row["n_silences"], row["n_returned"]) == (silent, returned)


@given(st.lists(st.integers(61, 200), max_size=6))
def test_nothing_after_the_last_visible_day_moves_a_share(future_days):
    activity = {"a": [0, 9, 30], "b": [5, 50]}
    later = {user: [*days, *future_days] for user, days in activity.items()}

    assert shares_of(later).equals(shares_of(activity))
