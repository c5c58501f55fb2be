"""Facts that outages are found in: where days were spent, who came back, what became of messages."""

from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import polars as pl
import pytest

Run = Callable[..., pl.DataFrame]
AS_OF = date(2024, 6, 30)
USERS = [
    {"user_sk": 1, "user_id": "a", "country": "DE"},
    {"user_sk": 2, "user_id": "b", "country": "DE"},
    {"user_sk": 3, "user_id": "c"},
]


def event(
    user_sk: int, hour: int, platform: str | None, version: str | None = None, kind: str = "buy"
) -> dict[str, Any]:
    at = datetime.fromisoformat(f"2024-06-01T{hour:02}:00")
    place = {"platform": platform, "app_version": version}
    return {"user_sk": user_sk, "occurred_at": at, "dt": at.date(), "event_type": kind, "row_hash": hour, **place}


def day(
    user_sk: int, month: int, number: int, platform: str | None = "ios", version: str | None = None
) -> dict[str, Any]:
    return {"user_sk": user_sk, "dt": date(2024, month, number), "platform": platform, "app_version": version}


def message(user_sk: int, name: str, number: int, what: str, code: str | None = None) -> dict[str, Any]:
    at = datetime.fromisoformat(f"2024-06-{number:02}T12:00")
    fixed = {"channel": "push", "row_hash": len(what)}
    return {
        "user_sk": user_sk,
        "message_id": name,
        "occurred_at": at,
        "dt": at.date(),
        "event": what,
        "code": code,
        **fixed,
    }


def test_a_day_was_spent_where_its_last_core_event_with_a_platform_was(run: Run) -> None:
    events = [
        event(1, 8, "web"),
        event(1, 9, "ios", "1.1"),
        event(1, 10, None),
        event(1, 11, "android", kind="look"),
        event(2, 9, None),
        event(3, 9, "web", kind="look"),
    ]

    made = run("intermediate.platform_days", {"staging.events": events})

    assert made.rows() == [(1, date(2024, 6, 1), "ios", "1.1"), (2, date(2024, 6, 1), None, None)]


def test_return_flows_count_users_by_where_they_were_and_when_they_came_next(run: Run) -> None:
    days = [
        day(1, 6, 1),
        day(1, 6, 3, "web"),
        day(2, 6, 1),
        day(2, 6, 3),
        day(3, 6, 1),
        {**day(3, 1, 1), "dt": date(2023, 1, 1)},
    ]

    made = run("marts.return_flows", {"intermediate.platform_days": days, "marts.users": USERS}, as_of=AS_OF)

    assert sorted(made.rows(), key=str) == sorted(
        [
            (date(2024, 6, 1), "ios", None, "DE", 0, date(2024, 6, 3), 2),
            (date(2024, 6, 1), "ios", None, None, 0, None, 1),
            (date(2024, 6, 3), "ios", None, "DE", 3, None, 1),
            (date(2024, 6, 3), "web", None, "DE", 3, None, 1),
        ],
        key=str,
    )


def test_gaps_before_a_day_are_rounded_up(run: Run) -> None:
    days = [day(1, *on) for on in ((1, 1), (1, 2), (1, 5), (1, 12), (1, 26), (2, 25), (6, 1))]

    made = run("marts.return_flows", {"intermediate.platform_days": days, "marts.users": USERS}, as_of=AS_OF)

    assert made.sort("dt")["previous_gap"].to_list() == [0, 1, 3, 7, 14, 30, 366]


def test_users_are_last_seen_where_their_last_active_day_was(run: Run) -> None:
    days = [day(1, 6, 1, "web"), day(1, 6, 3, "ios", "2.0"), day(2, 6, 2, None)]

    made = run("marts.last_platforms", {"intermediate.platform_days": days, "marts.users": USERS}, as_of=AS_OF)

    assert made.rows() == [
        (1, "a", date(2024, 6, 3), "ios", "2.0", "DE"),
        (2, "b", date(2024, 6, 2), None, None, "DE"),
    ]


def test_messages_are_told_by_outcome_and_by_the_last_one_that_got_through(run: Run) -> None:
    events = [
        message(1, "m1", 1, "sent"),
        message(1, "m1", 1, "delivered"),
        message(2, "m2", 1, "sent"),
        message(1, "m3", 5, "sent"),
        message(1, "m3", 6, "failed", "Unregistered"),
        message(1, "m4", 9, "sent"),
        message(1, "m4", 9, "bounced", "x"),
        message(1, "m1", 9, "unsubscribed"),
    ]

    made = send_outcomes(run, events, [day(1, 5, 20, "web")])

    alive, web = date(2024, 6, 1), ("web", None)
    assert sorted(made.rows(), key=str) == sorted(
        [
            (date(2024, 6, 1), "push", *web, None, False, None, None, None, None, 1),
            (date(2024, 6, 1), "push", None, None, None, False, None, None, None, None, 1),
            (date(2024, 6, 5), "push", *web, "Unregistered", True, alive, 1, noon(5), None, 1),
            (date(2024, 6, 9), "push", *web, "x", True, alive, 1, noon(9), None, 1),
        ],
        key=str,
    )


def test_messages_are_told_by_where_the_user_was_last_seen_before_them(run: Run) -> None:
    events = [message(1, f"m{number}", number, "failed", "x") for number in (1, 5, 9)]
    days = [day(1, 6, 3, "ios", "1.0"), day(1, 6, 5, "ios", "1.1"), day(1, 6, 7, "android", "2.0")]

    made = send_outcomes(run, events, days)

    assert made.select("dt", "platform", "app_version", "next_seen_on").rows() == [
        (date(2024, 6, 1), "ios", "1.0", date(2024, 6, 3)),
        (date(2024, 6, 5), "ios", "1.0", date(2024, 6, 5)),
        (date(2024, 6, 9), "android", "2.0", None),
    ]


@pytest.mark.parametrize(("platform", "alive"), [("ios", 7), ("web", 1), (None, 1)])
def test_a_push_token_lived_when_its_app_was_used(run: Run, platform: str | None, alive: int) -> None:
    events = [message(1, "m1", 1, "delivered"), message(1, "m2", 9, "failed", "Unregistered")]

    made = send_outcomes(run, events, [day(1, 6, 7, platform), day(1, 6, 9, platform)])

    assert made["alive_on"].to_list() == [None, date(2024, 6, alive)]


def test_a_mail_address_is_not_proved_by_the_use_of_an_app(run: Run) -> None:
    events = [
        {**message(1, "m1", 1, "delivered"), "channel": "email"},
        {**message(1, "m2", 9, "bounced", "5.1.1"), "channel": "email"},
    ]

    assert send_outcomes(run, events, [day(1, 6, 7)])["alive_on"].to_list() == [None, date(2024, 6, 1)]


def test_messages_are_counted_by_the_hour_in_which_they_were_sent_and_by_version(run: Run) -> None:
    events = [
        message(1, "m1", 1, "sent"),
        {**message(1, "m1", 1, "failed", "x"), "occurred_at": datetime.fromisoformat("2024-06-01T13:05")},
        message(1, "m2", 1, "sent"),
        message(2, "m3", 1, "sent"),
        message(1, "m4", 3, "sent"),
    ]
    days = [day(1, 5, 20, "ios", "1.0"), day(1, 6, 2, "ios", "1.1")]

    steps = run("intermediate.message_steps", {"staging.message_events": events})
    inputs = {"intermediate.message_steps": steps.to_dicts(), "intermediate.platform_days": days}
    made = run("marts.hourly_sends", inputs, as_of=AS_OF)

    assert sorted(made.rows(), key=str) == sorted(
        [
            (noon(1), "push", "ios", "1.0", 2),
            (noon(1), "push", None, None, 1),
            (noon(3), "push", "ios", "1.1", 1),
        ],
        key=str,
    )


def send_outcomes(run: Run, events: list[dict[str, Any]], days: list[dict[str, Any]]) -> pl.DataFrame:
    steps = run("intermediate.message_steps", {"staging.message_events": events})
    inputs = {"intermediate.message_steps": steps.to_dicts(), "intermediate.platform_days": days}
    return run("marts.send_outcomes", inputs, as_of=AS_OF)


def noon(number: int) -> datetime:
    return datetime.fromisoformat(f"2024-06-{number:02}T12:00")
