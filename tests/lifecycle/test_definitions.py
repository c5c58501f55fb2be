import math
from datetime import date

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_project.errors import DataQualityError
from dagster_project.lifecycle.cadence import Cadence
from dagster_project.lifecycle.definitions import (
    agreement,
    churn_labels,
    churn_thresholds,
    regret_rates,
)
from dagster_project.lifecycle.parameters import StageRules

from .builders import day, users_active_on


def rules_with(*, primary="calendar", data_driven_days=40, horizon_days=20, calendar_days=30):
    return StageRules(
        cadence=Cadence(5, math.log(10), 0.5, 0.0),
        horizon_days=horizon_days,
        calendar_days=calendar_days,
        data_driven_days=data_driven_days,
        primary=primary,
    )


def labels_of(activity, *, until, **rules):
    return churn_labels(users_active_on(activity, until=until), as_of=day(until), rules=rules_with(**rules))


def literal_labels(*rows: tuple[int | None, bool | None, bool | None, bool | None]) -> pl.DataFrame:
    columns = ("days_silent", "is_churned_calendar", "is_churned_cadence", "is_churned_data_driven")
    return pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.Boolean) | {"days_silent": pl.Int32}, orient="row")


@pytest.mark.parametrize(
    ("primary", "data_driven_days", "expected"),
    [
        ("calendar", 40, 30.0),
        ("data_driven", 40, 40.0),
        ("data_driven", None, 30.0),
        ("cadence", 40, 10 * math.exp(1.6448536 * 0.5)),
    ],
)
def test_the_churn_threshold_is_the_primary_definitions(primary, data_driven_days, expected):
    users = users_active_on({"a": [0]}, until=5)
    rules = rules_with(primary=primary, data_driven_days=data_driven_days)

    assert churn_thresholds(users, rules=rules)["churn_threshold_days"].to_list() == [pytest.approx(expected)]


def test_only_a_silence_longer_than_the_threshold_is_churn():
    labels = labels_of({"thirty days": [10], "thirty-one": [9], "never active": []}, until=40)

    assert dict(zip(labels["user_id"], labels["is_churned"], strict=True)) == {
        "never active": False,
        "thirty days": False,
        "thirty-one": True,
    }


def test_a_definition_without_a_number_of_days_says_nothing_of_active_users():
    labels = labels_of({"a": [0], "never active": []}, until=100, data_driven_days=None)

    assert labels["is_churned_data_driven"].to_list() == [None, False]


def test_a_core_event_after_the_last_visible_day_is_refused():
    users = users_active_on({"a": [11]}, until=11)

    with pytest.raises(DataQualityError, match="1 users have a core event after 2024-01-11"):
        churn_labels(users, as_of=date(2024, 1, 11), rules=rules_with())


def test_agreement_and_kappa_of_four_users_by_hand():
    labels = literal_labels(
        (50, True, True, True),
        (50, True, False, True),
        (5, False, False, False),
        (5, False, False, True),
        (None, False, False, False),
    )

    rows = {row[:2]: row[2:] for row in agreement(labels).iter_rows()}
    # calendar 2 of 4, cadence 1 of 4, equal on 3: chance (2*1 + 2*3)/16 = .5, kappa (.75 - .5)/.5.
    assert rows["calendar", "cadence"] == (4, 0.75, 0.5)
    # calendar 2 of 4, data-driven 3 of 4, equal on 3: chance (2*3 + 2*1)/16 = .5.
    assert rows["calendar", "data_driven"] == (4, 0.75, 0.5)
    # cadence 1 of 4, data-driven 3 of 4, equal on 2: chance (1*3 + 3*1)/16 = .375.
    assert rows["cadence", "data_driven"] == (4, 0.5, pytest.approx(0.2))


def test_kappa_is_unknown_where_chance_alone_agrees_and_where_a_definition_is_silent():
    frame = agreement(literal_labels((5, False, False, None), (6, False, False, None)))

    assert frame.rows() == [
        ("calendar", "cadence", 2, 1.0, None),
        ("calendar", "data_driven", 0, None, None),
        ("cadence", "data_driven", 0, None, None),
    ]


@given(st.lists(st.tuples(st.just(9), st.booleans(), st.booleans(), st.booleans()), min_size=1))
def test_kappa_is_one_at_best_and_one_only_in_full_agreement(rows):
    for _, _, _, share, kappa in agreement(literal_labels(*rows)).iter_rows():
        assert 0 <= share <= 1
        assert kappa is None or (kappa <= 1 and (kappa == 1) == (share == 1))


ACTIVITY = {
    "back the day after the cutoff": [0, 101],
    "back on the last day": [0, 120],
    "back before the cutoff": [0, 95],
    "gone": [0],
    "silent thirty-five days, gone": [65],
    "silent thirty-five days, back": [65, 110],
    "never active": [],
}


def regret_of(activity=ACTIVITY, **options):
    rules = rules_with()
    then, now = users_active_on(activity, until=100), users_active_on(activity, until=120)
    frame = regret_rates(then, now, as_of=day(120), rules=rules, **options)
    return {row["definition"]: row for row in frame.iter_rows(named=True)}


def test_regret_is_the_share_of_the_churned_who_came_back_within_the_horizon():
    regret = regret_of()

    # Calendar (30 days) and cadence (22.8) call five churned, data-driven (40) the three silent since day 0.
    counts = {name: (row["n_churned"], row["n_returned"]) for name, row in regret.items()}
    assert counts == {"calendar": (5, 3), "cadence": (5, 3), "data_driven": (3, 2)}
    assert regret["calendar"]["regret_rate"] == 0.6
    assert (regret["calendar"]["cutoff_on"], regret["calendar"]["horizon_days"]) == (day(100), 20)
    assert [row["is_primary"] for row in regret.values()] == [True, False, False]


def test_users_contacted_meanwhile_are_left_out_of_the_regret():
    contacted = pl.DataFrame({"user_sk": [0, 0, 3]})

    assert regret_of(contacted=contacted)["data_driven"]["n_churned"] == 1
    assert regret_of(contacted=contacted)["data_driven"]["n_returned"] == 1


def test_regret_of_nobody_is_unknown_not_zero():
    row = regret_of({"active": [100]})["calendar"]

    assert (row["n_churned"], row["regret_rate"], row["regret_rate_low"]) == (0, None, None)
