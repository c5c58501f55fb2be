import math
from datetime import date

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagster_project.lifecycle.cadence import Cadence
from dagster_project.lifecycle.parameters import DEFINITIONS, StageRules
from dagster_project.lifecycle.stages import (
    PHASE_OF_STAGE,
    PHASES,
    STAGE_COLUMNS,
    STAGES,
    assign_stages,
    with_previous,
)

from .builders import day, users_active_on

UNTIL = 400
DOWNWARD = (
    "cooling",
    "at_risk",
    "dormant",
    "churned_early",
    "relapsed",
    "churned_mid",
    "churned_late",
    "lost",
)


def rules_with(*, usual_gap=10.0, threshold=40, horizon_days=30, primary="calendar", between=0.0):
    return StageRules(
        cadence=Cadence(5, math.log(usual_gap), 0.5, between),
        horizon_days=horizon_days,
        calendar_days=threshold,
        data_driven_days=25,
        primary=primary,
    )


def stages_of(activity, *, until=UNTIL, rules=None):
    return assign_stages(users_active_on(activity, until=until), as_of=day(until), rules=rules or rules_with())


def row_of(days, *, until=UNTIL, rules=None):
    return stages_of({"a": days}, until=until, rules=rules).row(0, named=True)


# Usual gap 10, threshold 40, horizon 30: cooling in (10, 20], at risk (20, 30], dormant (30, 40] silent days.
@pytest.mark.parametrize(
    ("days", "stage", "entered_on"),
    [
        ([], "prospect", 0),
        ([400], "new", 400),
        ([390], "new", 390),
        ([389], "onboarding_stalled", 400),
        ([360], "onboarding_stalled", 371),
        ([380, 395], "growing", 395),
        ([370, 375, 400], "growing", 400),
        ([369, 375, 399], "active", 400),
        ([300, 305, 310, 320, 330, 339, 348, 357, 366, 375, 384, 393], "active", 331),
        ([300, 311, 322, 333, 344, 355, 366, 377, 388, 399], "active", 331),
        ([300, 311, 322, 333, 345, 355, 366, 377, 388, 399], "active", 345),
        ([300, 330, 350, 390], "active", 390),
        ([300, 310, 389], "reactivated_trial", 389),
        ([300, 390, 395], "reactivated_trial", 390),
        ([300, 390, 393, 395], "reactivated_sustained", 395),
        ([300, 390, 392, 394, 396], "reactivated_sustained", 394),
        ([200, 340, 342, 380], "reactivated_sustained", 380),
        ([200, 339, 348, 357, 366, 375, 384, 393], "active", 400),
        ([300, 345, 365], "reactivated_trial", 345),
        ([370, 380, 389], "cooling", 400),
        ([360, 370, 380], "cooling", 391),
        ([360, 370, 379], "at_risk", 400),
        ([360, 370], "at_risk", 391),
        ([360, 365, 369], "dormant", 400),
        ([350, 355, 360], "dormant", 391),
        ([350, 355, 359], "churned_early", 400),
        ([330], "churned_early", 371),
        ([329], "churned_mid", 400),
        ([300], "churned_mid", 371),
        ([299], "churned_late", 400),
        ([180], "churned_late", 281),
        ([179], "lost", 400),
        ([0], "lost", 221),
        ([100, 200, 359], "relapsed", 400),
        ([100, 200, 205, 330], "relapsed", 371),
        ([100, 200, 205, 329], "churned_mid", 400),
    ],
)
def test_each_stage_and_its_first_day_by_hand(days, stage, entered_on):
    row = row_of(days)

    assert (row["stage"], row["stage_entered_on"]) == (stage, day(entered_on))
    assert row["days_in_stage"] == UNTIL - entered_on


def test_a_churned_user_has_a_date_a_factor_and_the_returns_so_far():
    row = row_of([0, 50, 55, 100, 340])

    assert (row["is_churned"], row["days_silent"], row["churned_on"]) == (True, 60, day(381))
    assert (row["n_returns"], row["returned_on"]) == (3, day(340))
    assert row["churn_factor"] == pytest.approx(6.0)
    assert row["phase"] == "churned"


def test_a_fractional_threshold_is_crossed_on_the_next_whole_day():
    rules = rules_with(primary="cadence")
    threshold = row_of([0], rules=rules)["churn_threshold_days"]

    assert threshold == pytest.approx(22.76, abs=0.01)
    assert row_of([378], rules=rules)["is_churned"] is False
    assert row_of([377], rules=rules)["churned_on"] == day(400)


def test_a_threshold_under_the_usual_gap_leaves_no_declining_stage():
    rules = rules_with(usual_gap=30, threshold=5)

    assert row_of([300, 390, 395], rules=rules)["stage"] == "reactivated_trial"
    assert row_of([391, 392, 395], rules=rules)["stage"] == "growing"
    assert row_of([391, 392, 394], rules=rules)["stage"] == "churned_early"


def test_a_prospect_without_any_date_has_no_first_day():
    users = users_active_on({"a": []}, until=5).with_columns(known_on=pl.lit(None, dtype=pl.Date))
    row = assign_stages(users, as_of=day(5), rules=rules_with()).row(0, named=True)

    assert (row["stage"], row["stage_entered_on"], row["days_in_stage"]) == ("prospect", None, None)
    assert (row["is_churned"], row["days_silent"], row["churn_factor"]) == (False, None, None)
    assert (row["usual_gap_days"], row["n_returns"]) == (pytest.approx(10), 0)


def test_columns_types_and_row_order_are_those_of_the_table():
    frame = stages_of({"b": [1], "a": [], "c": [1, 90]})

    assert tuple(frame.columns) == STAGE_COLUMNS
    assert frame["user_id"].to_list() == ["a", "b", "c"]
    assert frame.schema["days_silent"] == frame.schema["days_in_stage"] == frame.schema["n_returns"] == pl.Int32
    assert frame.schema["churned_on"] == frame.schema["stage_entered_on"] == pl.Date


def test_no_users_give_an_empty_table_of_the_same_shape():
    assert stages_of({}).schema == stages_of({"a": [1]}).schema
    assert stages_of({}).height == 0


def test_yesterdays_stage_is_put_beside_todays_and_newcomers_have_none():
    activity = {"a": [389], "b": [400], "c": []}
    yesterday = stages_of(activity, until=399).filter(pl.col("user_id") != "b")
    today = with_previous(stages_of(activity), yesterday)

    assert today["previous_stage"].to_list() == ["new", None, "prospect"]
    assert tuple(today.columns) == STAGE_COLUMNS


def test_every_stage_belongs_to_one_of_five_phases():
    assert len(STAGES) == 15
    assert set(PHASE_OF_STAGE.values()) == set(PHASES)


any_rules = st.builds(
    rules_with,
    usual_gap=st.floats(1, 120),
    threshold=st.integers(0, 200),
    horizon_days=st.integers(1, 90),
    primary=st.sampled_from(DEFINITIONS),
    between=st.floats(0, 1.5),
)
any_users = st.lists(
    st.one_of(st.sets(st.integers(0, 400), max_size=12), st.just({400}), st.just({0})),
    min_size=1,
    max_size=12,
).map(lambda users: {f"u{number:02}": sorted(days) for number, days in enumerate(users)})


@settings(deadline=None)
@given(any_users, any_rules)
def test_every_user_is_in_exactly_one_stage_and_churn_is_one_phase(activity, rules):
    frame = stages_of(activity, rules=rules)

    assert frame["user_id"].to_list() == sorted(activity)
    assert frame["stage"].is_in(STAGES).all()
    for row in frame.iter_rows(named=True):
        silent_beyond = row["days_silent"] is not None and row["days_silent"] > row["churn_threshold_days"]
        assert row["is_churned"] == silent_beyond == (row["phase"] == "churned")
        assert row["is_churned"] == row[f"is_churned_{rules.primary_definition}"]
        assert (row["churned_on"] is not None) == row["is_churned"]
        assert row["phase"] == PHASE_OF_STAGE[row["stage"]]
        assert (row["stage"] == "prospect") == (activity[row["user_id"]] == [])
        assert (row["returned_on"] is None) == (row["n_returns"] == 0)


@settings(deadline=None)
@given(any_users, any_rules)
def test_a_stage_is_entered_between_the_first_sight_of_the_user_and_today(activity, rules):
    frame = stages_of(activity, rules=rules)

    for row in frame.iter_rows(named=True):
        first = min(activity[row["user_id"]], default=0)
        assert 0 <= row["days_in_stage"] <= UNTIL - first
        assert row["churned_on"] is None or row["stage_entered_on"] >= row["churned_on"]


short_histories = st.lists(st.sets(st.integers(0, 80), min_size=1, max_size=9), min_size=5, max_size=30).map(
    lambda users: {f"u{number:02}": sorted(days) for number, days in enumerate(users)}
)


def nights_of(activity, *, nights, rules):
    """Each user's rows, night by night from the user's first on."""
    rows: dict[str, list[tuple[int, dict[str, object]]]] = {user: [] for user in activity}
    for night in nights:
        for row in stages_of(activity, until=night, rules=rules).iter_rows(named=True):
            if night >= activity[row["user_id"]][0]:
                rows[row["user_id"]].append((night, row))
    return rows


@settings(deadline=None, max_examples=10)
@given(short_histories, any_rules)
def test_longer_silence_never_leads_back_to_an_earlier_stage_of_decline(activity, rules):
    rank = dict(zip(DOWNWARD, (0, 1, 2, 3, 3, 4, 5, 6), strict=True))
    not_declining = -1

    for rows in nights_of(activity, nights=(*range(80, 120, 4), *range(120, 800, 60)), rules=rules).values():
        ranks = [rank.get(row["stage"], not_declining) for _, row in rows]
        assert ranks == sorted(ranks)


@settings(deadline=None, max_examples=5)
@given(short_histories, st.integers(7, 20), st.integers(7, 40), st.integers(3, 20))
def test_the_first_day_of_a_stage_is_what_a_replay_of_all_nights_shows(activity, gap, threshold, horizon):
    # No spread between users, so the usual gap stays what it is while gaps come in.
    rules = rules_with(usual_gap=gap + 0.3, threshold=threshold, horizon_days=horizon)

    for rows in nights_of(activity, nights=range(100), rules=rules).values():
        entered_on, stage = day(rows[0][0]), rows[0][1]["stage"]
        for night, row in rows[1:]:
            if row["stage"] != stage or row["returned_on"] == day(night):
                entered_on, stage = day(night), row["stage"]
            if stage != "reactivated_sustained":
                assert row["stage_entered_on"] == entered_on


def silenced(*rows: tuple[int, str, int, date | None]) -> pl.DataFrame:
    schema = {"user_sk": pl.Int64, "kind": pl.String, "paused_days": pl.Int32, "reached_on": pl.Date}
    return pl.DataFrame(rows, schema=schema, orient="row")


def test_nobody_is_called_churned_while_no_message_can_reach_them():
    activity = {"purged": [0, 10, 20], "reached": [0, 10, 20], "gone": [0, 10, 20]}
    users = users_active_on(activity, until=65)
    purged, reached = (users.filter(pl.col("user_id") == name)["user_sk"][0] for name in ("purged", "reached"))
    paused = silenced(
        (purged, "token_purge", 40, None), (purged, "messages", 38, None), (reached, "token_purge", 20, day(45))
    )

    made = assign_stages(users, as_of=day(65), rules=rules_with(), paused=paused)

    columns = ("user_id", "days_silent", "is_churned", "churned_on", "is_measurement_gap", "is_unreached")
    assert made.select(columns).rows() == [
        ("gone", 45, True, made["churned_on"][0], False, False),
        ("purged", 5, False, None, False, True),
        ("reached", 25, False, None, False, False),
    ]


def test_the_clock_of_a_user_stands_still_for_no_more_days_than_the_silence_has():
    users = users_active_on({"hidden": [0, 10, 20]}, until=65)
    key = users["user_sk"][0]

    made = assign_stages(
        users,
        as_of=day(65),
        rules=rules_with(),
        paused=silenced((key, "events", 40, None), (key, "messages", 40, None)),
    )

    assert made.select("days_silent", "is_measurement_gap", "is_unreached").rows() == [(0, True, True)]


def test_the_clock_of_a_user_whom_an_outage_silenced_stands_still():
    activity = {"hidden": [0, 10, 20], "gone": [0, 10, 20], "here": [0, 10, 20, 60]}
    users = users_active_on(activity, until=65)
    hidden_sk = users.filter(pl.col("user_id") == "hidden")["user_sk"][0]
    paused = silenced((hidden_sk, "events", 30, None), (hidden_sk, "events", 5, None))

    plain = assign_stages(users, as_of=day(65), rules=rules_with())
    made = assign_stages(users, as_of=day(65), rules=rules_with(), paused=paused)

    assert made.select("user_id", "stage", "days_silent", "is_churned", "is_measurement_gap").rows() == [
        ("gone", "churned_early", 45, True, False),
        ("here", "active", 5, False, False),
        ("hidden", "active", 10, False, True),
    ]
    assert plain.filter(pl.col("user_id") != "hidden").equals(made.filter(pl.col("user_id") != "hidden"))


def test_without_outages_nobody_has_a_measurement_gap_or_is_unreached():
    made = stages_of({"a": [0, 400], "b": [0]})

    assert made.select("is_measurement_gap", "is_unreached").rows() == [(False, False)] * 2
