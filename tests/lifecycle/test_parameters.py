import polars as pl
import pytest

from dagster_project.lifecycle.parameters import LifecycleChoices, estimate_rules, lifecycle_parameters

from .builders import day, users_active_on


def choices_with(**changes):
    chosen = {"horizon_days": None, "calendar_days": 90, "max_return_share": 0.1, "primary": "data_driven"}
    return LifecycleChoices(**(chosen | changes))


def rules_of(activity, *, until, **changes):
    users = users_active_on(activity, until=until)
    return estimate_rules(users, as_of=day(until), choices=choices_with(**changes))


def test_rules_follow_from_the_users_of_one_day():
    activity = {f"u{n}": [0, 20] for n in range(40)}
    rules = rules_of(activity, until=100)

    # Forty silences end on day 20, forty began then. At 20 days only the latter are left, and none returns.
    assert (rules.horizon_days, rules.data_driven_days, rules.primary_definition) == (40, 20, "data_driven")


def test_without_a_number_from_the_data_the_calendar_stands_in():
    rules = rules_of({"a": [0, 20]}, until=30)

    assert (rules.data_driven_days, rules.primary, rules.primary_definition) == (
        None,
        "data_driven",
        "calendar",
    )


def test_the_parameters_are_one_row_of_fixed_types_even_where_unknown():
    frame = lifecycle_parameters(rules_of({"a": [0]}, until=30, horizon_days=21), as_of=day(30))
    row = frame.row(0, named=True)

    assert frame.height == 1
    assert frame.schema["data_driven_days"] == pl.Int32
    assert (row["as_of"], row["n_users_with_gaps"], row["horizon_days"], row["calendar_days"]) == (
        day(30),
        0,
        21,
        90,
    )
    assert row["usual_gap_days"] == pytest.approx(30)
    assert (row["data_driven_days"], row["primary_definition"]) == (None, "calendar")


def test_events_after_the_last_visible_day_change_no_rule():
    activity = {"a": [0, 9, 30], "b": [5, 50]}
    later = {user: [*days, 80, 99] for user, days in activity.items()}

    assert rules_of(later, until=60) == rules_of(activity, until=60)
