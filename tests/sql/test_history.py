"""Days and states of users: what is counted, and how a state is folded forward."""

import math
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import polars as pl

Run = Callable[..., pl.DataFrame]
DAYS, STATES, BEFORE = "intermediate.user_days", "intermediate.user_states", "intermediate.user_states_before"


def event(user_sk: int, day: int, hour: int, event_type: str, amount: str | None = None, **more: Any) -> dict[str, Any]:
    return {
        "user_sk": user_sk,
        "occurred_at": datetime.fromisoformat(f"2024-01-{day:02}T{hour:02}:00"),
        "dt": date(2024, 1, day),
        "event_type": event_type,
        "amount": Decimal(amount) if amount else None,
        **more,
    }


def user_day(user_sk: int, day: int, n_core_events: int = 1, amount: str | None = None) -> dict[str, Any]:
    counts = {"n_events": n_core_events + 1, "n_core_events": n_core_events}
    return {"user_sk": user_sk, "dt": date(2024, 1, day), **counts, "amount": Decimal(amount) if amount else None}


def log_milli(days: int) -> int:
    return round(1000 * math.log(days))


EVENTS = [
    event(1, 1, 8, "buy", "2.50", item="tea", category="food"),
    event(1, 1, 9, "buy", None, item="tea", category="drink"),
    event(1, 1, 23, "refund", "-1"),
    event(2, 1, 5, "look"),
]


def test_a_day_counts_core_events_apart_from_others_and_takes_refunds_off(run: Run) -> None:
    made = run(DAYS, {"staging.events": EVENTS})

    assert made.drop("first_at", "last_at").rows() == [
        (1, date(2024, 1, 1), 3, 2, Decimal("1.5000"), None, 1, 2),
        (2, date(2024, 1, 1), 1, 0, None, None, 0, 0),
    ]
    assert [time.hour for time in made.select("first_at", "last_at").row(0)] == [8, 23]


def test_without_core_events_in_the_settings_every_event_counts(run: Run) -> None:
    made = run(DAYS, {"staging.events": EVENTS}, core_events=[""], counts_all=True)

    assert made["n_core_events"].to_list() == [3, 1]


def test_a_state_from_nothing(run: Run) -> None:
    days = [user_day(1, 1, 2, "1"), user_day(1, 3, 0), user_day(1, 4, 1, "2"), user_day(1, 20), user_day(2, 5, 0)]

    made = run(STATES, {DAYS: days})

    assert made.to_dicts() == [
        {
            "user_sk": 1,
            "first_seen_on": date(2024, 1, 1),
            "first_on": date(2024, 1, 1),
            "second_on": date(2024, 1, 4),
            "last_on": date(2024, 1, 20),
            "n_active_days": 3,
            "n_core_events": 4,
            "n_events": 8,
            "amount": Decimal("3.0000"),
            "n_gaps": 2,
            "gap_days_sum": 19,
            "gap_log_milli_sum": log_milli(3) + log_milli(16),
            "gap_log_milli_sq_sum": log_milli(3) ** 2 + log_milli(16) ** 2,
            "max_gap_days": 16,
            "last_gap_days": 16,
            "long_gaps": [{"ended_on": date(2024, 1, 20), "gap_days": 16, "n_active_days_before": 2}],
        },
        {
            "user_sk": 2,
            "first_seen_on": date(2024, 1, 5),
            **dict.fromkeys(("first_on", "second_on", "last_on", "amount")),
            **dict.fromkeys(("n_active_days", "n_core_events", "n_gaps", "gap_days_sum"), 0),
            **dict.fromkeys(("gap_log_milli_sum", "gap_log_milli_sq_sum"), 0),
            **dict.fromkeys(("max_gap_days", "last_gap_days", "long_gaps")),
            "n_events": 1,
        },
    ]


def test_a_state_folds_the_new_days_onto_the_one_before(run: Run) -> None:
    before = {
        "user_sk": 1,
        "first_seen_on": date(2023, 12, 1),
        "first_on": date(2023, 12, 24),
        "last_on": date(2023, 12, 24),
        "n_active_days": 1,
        "n_core_events": 5,
        "n_events": 9,
        "amount": Decimal(7),
        **dict.fromkeys(("n_gaps", "gap_days_sum", "gap_log_milli_sum", "gap_log_milli_sq_sum"), 0),
    }
    quiet = {**before, "user_sk": 3}

    made = run(STATES, {BEFORE: [before, quiet], DAYS: [user_day(1, 3), user_day(1, 5, 1, "1"), user_day(2, 5)]})

    grown = made.row(0, named=True)
    assert (grown["second_on"], grown["last_on"]) == (date(2024, 1, 3), date(2024, 1, 5))
    assert (grown["n_active_days"], grown["n_core_events"], grown["n_events"]) == (3, 7, 13)
    assert (grown["n_gaps"], grown["gap_days_sum"], grown["max_gap_days"], grown["last_gap_days"]) == (2, 12, 10, 2)
    assert grown["amount"] == Decimal("8.0000")
    assert grown["long_gaps"] == [{"ended_on": date(2024, 1, 3), "gap_days": 10, "n_active_days_before": 1}]
    assert made["user_sk"].to_list() == [1, 2, 3]
    assert made.row(2, named=True) == {**quiet, **dict.fromkeys(set(made.columns) - set(quiet))}


def test_a_user_who_had_no_active_day_gets_a_first_one(run: Run) -> None:
    days = [user_day(1, 1, 0)]
    first = run(STATES, {DAYS: days}).to_dicts()[0]

    made = run(STATES, {BEFORE: [{k: v for k, v in first.items() if v is not None}], DAYS: [user_day(1, 9)]})

    assert made.select("first_seen_on", "first_on", "second_on", "n_gaps").row(0) == (
        date(2024, 1, 1),
        date(2024, 1, 9),
        None,
        0,
    )
