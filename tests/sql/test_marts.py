"""Marts: what a night sees of each user."""

import math
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

Run = Callable[..., pl.DataFrame]
AS_OF = date(2024, 6, 30)  # a Sunday
KEYS = [{"user_sk": 1, "user_id": "a"}, {"user_sk": 2, "user_id": "b"}, {"user_sk": 3, "user_id": "c"}]
STATE = {
    "user_sk": 1,
    "first_seen_on": AS_OF - timedelta(days=101),
    "first_on": AS_OF - timedelta(days=100),
    "second_on": AS_OF - timedelta(days=60),
    "last_on": AS_OF - timedelta(days=20),
    "n_active_days": 3,
    "n_core_events": 6,
    "n_events": 9,
    "amount": Decimal(30),
    "n_gaps": 2,
    "gap_days_sum": 80,
    "gap_log_milli_sum": 7378,
    "gap_log_milli_sq_sum": 27717442,  # not what two gaps of 40 give: a mean of 3.689, a variance of 0.25
    "max_gap_days": 40,
    "last_gap_days": 40,
    "long_gaps": [{"ended_on": AS_OF - timedelta(days=20), "gap_days": 40, "n_active_days_before": 2}],
}


WINDOWS = {
    "user_sk": 1,
    "n_active_days_7d": 0,
    "n_active_days_30d": 2,
    "n_active_days_90d": 3,
    "n_active_days_180d": 3,
    "n_events_30d": 4,
    "n_events_90d": 7,
    "amount_90d": 5.0,
    "amount_180d": 5.0,
    "amount_last_day": 4.0,
    "n_items_180d": 8,
    "n_categories_180d": 4,
    "n_weekend_days_180d": 1,
}


def user_day(user_sk: int, age_days: int, n_core_events: int = 1, amount: int | None = None) -> dict[str, Any]:
    counts = {"n_events": n_core_events + 1, "n_core_events": n_core_events, "n_items": 2, "n_categories": 1}
    day = AS_OF - timedelta(days=age_days)
    return {"user_sk": user_sk, "dt": day, **counts, "amount": None if amount is None else Decimal(amount)}


def test_users_are_those_with_an_event_or_a_profile(run: Run) -> None:
    profiles = [
        {"user_sk": 1, "country": "AT", "dt": date(2024, 1, 1)},
        {"user_sk": 3, "country": "CH", "dt": None},
    ]
    inputs = {"ingest.user_keys": KEYS, "intermediate.user_states": [STATE], "staging.users": profiles}

    made = run("marts.users", inputs, as_of=AS_OF)

    assert made.select("user_id", "known_on", "country", "n_active_days", "amount_total", "n_gaps").rows() == [
        ("a", date(2024, 1, 1), "AT", 3, 30.0, 2),
        ("c", None, "CH", 0, None, 0),
    ]
    assert made["long_gaps"].to_list() == [STATE["long_gaps"], None]
    assert made.schema["n_active_days"] == pl.Int32()


def test_of_several_rows_of_a_profile_the_newest_delivery_counts(run: Run) -> None:
    profiles = [
        {"user_sk": 1, "country": "AT", "dt": date(2024, 1, 1), "delivery": 1},
        {"user_sk": 1, "country": "CH", "dt": date(2024, 2, 1), "delivery": 2},
    ]

    made = run("marts.users", {"ingest.user_keys": KEYS, "staging.users": profiles}, as_of=AS_OF)

    assert made.select("user_id", "country", "known_on").rows() == [("a", "CH", date(2024, 2, 1))]


def test_windows_of_a_user(run: Run) -> None:
    days = [user_day(1, 20, amount=4), user_day(1, 29), user_day(1, 30, 0), user_day(1, 89, amount=1), user_day(1, 180)]
    days += [user_day(1, 280, amount=2), user_day(1, 365)]

    made = run("marts.user_windows", {"intermediate.user_days": days}, as_of=AS_OF).row(0, named=True)

    assert made == {
        "user_sk": 1,
        "n_active_days_7d": 0,
        "n_active_days_30d": 2,
        "n_active_days_90d": 3,
        "n_active_days_180d": 3,
        "n_active_days_365d": 5,
        "n_active_days_season_ago": 1,
        "n_events_30d": 4,
        "n_events_90d": 7,
        "amount_30d": 4.0,
        "amount_90d": 5.0,
        "amount_180d": 5.0,
        "amount_last_day": 4.0,
        "n_items_180d": 8,
        "n_categories_180d": 4,
        "n_weekend_days_180d": 1,  # Monday 10 June, Saturday 1 June, Tuesday 2 April
    }


def test_links_count_each_other_user_once_and_never_the_user(run: Run) -> None:
    links = [
        {"user_sk": 1, "other_user_id": other, "kind": kind} for other in "abc" for kind in ("friend", "household")
    ]
    states = [{**STATE, "user_sk": 2, "last_on": AS_OF - timedelta(days=29)}, {**STATE, "user_sk": 3, "last_on": None}]
    inputs = {"ingest.user_keys": KEYS, "staging.links": links, "intermediate.user_states": states}

    made = run("marts.user_links", inputs, as_of=AS_OF)

    assert made.rows() == [(1, 2, 1)]


def test_features_of_a_user(run: Run) -> None:
    inputs = {
        "ingest.user_keys": KEYS,
        "intermediate.user_states": [STATE],
        "marts.user_windows": [WINDOWS],
        "marts.user_messages": [{"user_sk": 1, "n_sent_90d": 4, "n_delivered_90d": 2, "n_opened_90d": 1}],
        "marts.user_links": [{"user_sk": 1, "n_links": 4, "n_active_links": 1}],
        "staging.users": [{"user_sk": 1, "country": "AT"}, {"user_sk": 2, "country": "CH"}],
    }

    made = run("marts.user_features", inputs, as_of=AS_OF).row(0, named=True)

    assert {name: value for name, value in made.items() if value is not None} == {
        "user_sk": 1,
        "user_id": "a",
        "silence_days": 20,
        "tenure_days": 100,
        "recency_share": 0.2,
        "n_active_days": 3,
        "n_core_events": 6,
        "active_days_per_week": pytest.approx(21 / 101),
        "n_active_days_7d": 0,
        "n_active_days_30d": 2,
        "n_active_days_90d": 3,
        "n_active_days_180d": 3,
        "active_days_trend_30d": 2.0,
        "active_days_trend_90d": 2.0,
        "n_events_30d": 4,
        "n_events_90d": 7,
        "mean_gap_days": 40.0,
        "log_gap_mean": pytest.approx(3.689),
        "log_gap_sd": pytest.approx(0.5),
        "shrunk_gap_days": pytest.approx(math.exp(3.689)),  # the only user is the population
        "max_gap_days": 40,
        "last_gap_days": 40,
        "gap_trend": 1.0,
        "silence_per_gap": 0.5,
        "silence_per_shrunk_gap": pytest.approx(20 / math.exp(3.689)),
        "n_returns_7d": 1,
        "n_returns_30d": 1,
        "amount_total": 30.0,
        "amount_90d": 5.0,
        "amount_per_active_day": 10.0,
        "amount_last_day": 4.0,
        "amount_trend_90d": 2.0,
        "n_items_180d": 8,
        "n_categories_180d": 4,
        "weekend_share_180d": pytest.approx(1 / 3),
        "n_sent_90d": 4,
        "open_share_90d": 0.5,
        "active_link_share": 0.25,
        "country_share": 0.5,
    }


def test_features_of_a_user_with_one_day_are_null_where_they_cannot_be_known(run: Run) -> None:
    state = {
        "user_sk": 2,
        **dict.fromkeys(("first_seen_on", "first_on", "last_on"), AS_OF),
        **dict.fromkeys(("n_active_days", "n_core_events", "n_events"), 1),
        **dict.fromkeys(("n_gaps", "gap_days_sum", "gap_log_milli_sum", "gap_log_milli_sq_sum"), 0),
    }
    never = {**state, "user_sk": 3, "first_on": None, "last_on": None, "n_active_days": 0}

    made = run(
        "marts.user_features", {"ingest.user_keys": KEYS, "intermediate.user_states": [state, never]}, as_of=AS_OF
    )

    assert made["user_id"].to_list() == ["b"]
    unknown = [name for name, value in made.row(0, named=True).items() if value is None]
    assert unknown == [
        *("active_days_trend_30d", "active_days_trend_90d", "n_active_days_season_ago"),
        *("mean_gap_days", "log_gap_mean", "log_gap_sd", "shrunk_gap_days", "max_gap_days", "last_gap_days"),
        *("gap_trend", "silence_per_gap", "silence_per_shrunk_gap"),
        *("amount_total", "amount_90d", "amount_per_active_day", "amount_last_day", "amount_trend_90d"),
        "weekend_share_180d",
        *("n_sent_90d", "open_share_90d", "click_share_90d", "failed_share_90d", "n_opted_out"),
        *("days_since_response", "active_link_share"),
        *("age_years", "days_since_signup", "country_share", "acquisition_share"),
    ]


def test_outcomes_are_the_active_days_of_the_window(run: Run) -> None:
    days = [user_day(1, 0, amount=3), user_day(1, 13, amount=4), user_day(1, 14), user_day(2, 5, 0), user_day(3, 13)]

    made = run("marts.user_outcomes", {"intermediate.user_days": days}, as_of=AS_OF, window_days=14)

    assert made.rows() == [
        (1, AS_OF - timedelta(days=13), 2, 7.0),
        (3, AS_OF - timedelta(days=13), 1, None),
    ]


def test_daily_activity_of_half_a_year(run: Run) -> None:
    days = [user_day(1, 0, amount=3), user_day(2, 0, 0), user_day(1, 179), user_day(1, 180)]

    made = run("marts.daily_activity", {"intermediate.user_days": days}, as_of=AS_OF)

    assert made.rows() == [(AS_OF - timedelta(days=179), 1, 1, 2, None), (AS_OF, 2, 1, 3, 3.0)]
