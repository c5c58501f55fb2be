"""Whom an outage silences, and for how long."""

from datetime import date, datetime, time
from typing import Any

import polars as pl

from dagster_project.outages.night import OUTAGES
from dagster_project.outages.silence import known_by, silenced_by_events, silenced_by_messages, spoilt_users
from outages.sends import outcomes

START = date(2024, 3, 1)


def outages(*rows: dict[str, Any]) -> pl.DataFrame:
    plain = {**dict.fromkeys(OUTAGES.names()), "outage_id": "o", "kind": "events", "start_on": START}
    return pl.DataFrame([{**plain, **row} for row in rows], schema=OUTAGES)


def seen(*rows: tuple[int, str, str | None, date]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {
                "user_sk": sk,
                "user_id": f"u{sk}",
                "last_on": on,
                "platform": platform,
                "app_version": version,
                "country": "DE",
            }
            for sk, platform, version, on in rows
        ],
        schema_overrides={"user_sk": pl.Int64, "app_version": pl.String},
    )


def sends(*rows: dict[str, Any]) -> pl.DataFrame:
    return outcomes({"is_failed": True, "n_messages": 1, **row} for row in rows)


def hour(number: int) -> datetime:
    return datetime.combine(START, time(number))


def thresholds(*days: float) -> pl.DataFrame:
    return pl.DataFrame({"user_sk": range(1, len(days) + 1), "churn_threshold_days": days})


def test_users_of_the_place_who_had_not_lapsed_are_silenced_while_it_runs() -> None:
    users = seen(
        (1, "ios", "1.0", date(2024, 2, 20)),
        (2, "web", None, date(2024, 2, 20)),
        (3, "ios", "2.0", date(2024, 2, 20)),
        (4, "ios", "1.0", date(2024, 1, 1)),
        (5, "ios", "1.0", date(2024, 3, 3)),
    )
    broken = outages({"platform": "ios", "app_version": "1.0"})

    made = silenced_by_events(broken, users, thresholds(30, 30, 30, 30, 30), as_of=date(2024, 6, 8))

    assert made.rows() == [
        (1, "u1", "o", "events", date(2024, 2, 20), 100),
        (5, "u5", "o", "events", date(2024, 3, 3), 97),
    ]


def test_a_closed_outage_gives_back_its_days_until_the_threshold_has_passed_without_them() -> None:
    users = seen((1, "ios", None, date(2024, 2, 29)), (2, "ios", None, date(2024, 2, 29)))
    broken = outages({"platform": "ios", "end_on": date(2024, 3, 11)})

    made = silenced_by_events(broken, users, thresholds(30, 29), as_of=date(2024, 4, 9))

    assert made.select("user_sk", "paused_days").rows() == [(1, 10)]


def test_who_was_seen_again_after_the_outage_is_not_silenced() -> None:
    users = seen((1, "ios", None, date(2024, 3, 11)))

    made = silenced_by_events(outages({"end_on": date(2024, 3, 11)}), users, thresholds(30), as_of=date(2024, 3, 20))

    assert made.rows() == []


def test_a_dead_token_of_the_purge_is_ours_until_the_user_is_active_again() -> None:
    users = seen(
        (1, "ios", None, date(2024, 2, 1)), (2, "ios", None, date(2024, 3, 20)), (3, "ios", None, date(2024, 2, 1))
    )
    fixed = {"channel": "push", "platform": "ios", "dt": date(2024, 3, 9)}
    before, after = date(2024, 2, 25), date(2024, 3, 2)
    failed = sends(
        {**fixed, "user_sk": 1, "code": "BadDeviceToken", "alive_on": before},
        {**fixed, "user_sk": 2, "code": "BadDeviceToken", "alive_on": before},
        {**fixed, "user_sk": 3, "code": "BadDeviceToken", "alive_on": after},
    )
    purge = outages({"kind": "token_purge", "channel": "push", "platform": "ios", "end_on": date(2024, 3, 2)})

    made = silenced_by_messages(purge, users, failed)

    assert made.rows() == [(1, "u1", "o", "token_purge", date(2024, 2, 1), 0)]


def test_a_message_refused_in_a_provider_outage_is_ours() -> None:
    users = seen((1, "ios", None, date(2024, 2, 1)), (2, "ios", None, date(2024, 2, 1)))
    fixed = {"channel": "email", "platform": "ios", "code": "4.4.2"}
    failed = sends(
        {**fixed, "user_sk": 1, "dt": date(2024, 3, 1)},
        {**fixed, "user_sk": 2, "dt": date(2024, 3, 2)},
        {**fixed, "user_sk": 2, "dt": date(2024, 3, 1), "code": "5.1.1"},
    )
    refused = outages({"kind": "messages", "channel": "email", "end_on": date(2024, 3, 2)})

    assert silenced_by_messages(refused, users, failed)["user_id"].to_list() == ["u1"]


def test_an_outage_of_some_hours_silences_only_those_who_were_written_to_within_them() -> None:
    users = seen(*((user, "ios", None, date(2024, 2, 1)) for user in (1, 2, 3)))
    fixed = {"channel": "push", "platform": "ios", "code": "UNAVAILABLE", "dt": START}
    failed = sends(*({**fixed, "user_sk": user, "hour_at": hour(7 + user)} for user in (1, 2, 3)))
    hours = {"start_at": hour(9), "end_at": hour(10)}

    over = outages({"kind": "messages", "channel": "push", "end_on": date(2024, 3, 2), **hours})
    running = outages({"kind": "messages", "channel": "push", **hours, "end_at": None})

    assert silenced_by_messages(over, users, failed)["user_id"].to_list() == ["u2"]
    assert sorted(silenced_by_messages(running, users, failed)["user_id"]) == ["u2", "u3"]


def test_an_outage_of_a_version_silences_those_who_had_it_when_they_were_written_to() -> None:
    users = seen((1, "ios", "2.0", date(2024, 2, 1)), (2, "ios", "2.1", date(2024, 2, 1)))
    fixed = {"channel": "push", "platform": "ios", "code": "UNAVAILABLE", "dt": START}
    failed = sends(
        {**fixed, "user_sk": 1, "app_version": "2.0"},
        {**fixed, "user_sk": 2, "app_version": "2.1"},
        {**fixed, "user_sk": 2, "app_version": None},
    )
    broken = outages({"kind": "messages", "channel": "push", "platform": "ios", "app_version": "2.0"})

    assert silenced_by_messages(broken, users, failed)["user_id"].to_list() == ["u1"]


def test_an_outage_that_ended_later_was_running_on_an_earlier_day() -> None:
    later = outages({"end_on": date(2024, 3, 11)}, {"outage_id": "p", "start_on": date(2024, 3, 9)})

    made = known_by(later, as_of=date(2024, 3, 5))

    assert made.select("outage_id", "end_on").rows() == [("o", None)]


def test_every_user_of_the_place_is_left_out_of_labels_whose_window_meets_the_outage() -> None:
    users = seen((1, "ios", None, date(2024, 2, 1)), (2, "web", None, date(2024, 2, 1)))
    broken = outages({"platform": "ios", "end_on": date(2024, 3, 11)})

    def spoilt(cutoff: date) -> list[int]:
        return spoilt_users(broken, users, cutoff=cutoff, horizon_days=30)["user_sk"].to_list()

    assert spoilt(date(2024, 1, 30)) == []
    assert spoilt(date(2024, 1, 31)) == [1]
    assert spoilt(date(2024, 3, 10)) == [1]
    assert spoilt(date(2024, 3, 11)) == []
