"""Provider outages and token purges in literal sends: what is told, and of which place."""

from collections.abc import Iterable
from typing import Any

import polars as pl

from dagster_project.outages.deliveries import DeliveryOutage, find_delivery_outages
from dagster_project.outages.sends import with_faults
from outages.sends import FIRST, N_DAYS, Rows, at, at_noon, by_hour, failed, on, outcomes, sent

OFFICE_HOURS = range(8, 18)


def outages(rows: Iterable[dict[str, Any]], hourly: pl.DataFrame | None = None) -> list[DeliveryOutage]:
    sends = outcomes(rows)
    times = at_noon(sends) if hourly is None else hourly
    return find_delivery_outages(sends, times, first_on=FIRST, as_of=on(N_DAYS - 1))


def found(
    rows: Iterable[dict[str, Any]], hourly: pl.DataFrame | None = None
) -> list[tuple[str, str, str | None, str | None, int, int]]:
    return [
        (o.kind, o.stratum.channel, o.stratum.platform, o.stratum.app_version, o.fall.start, o.fall.end)
        for o in outages(rows, hourly)
    ]


def quiet(*, but: tuple[int, ...] = (), **more: Any) -> Rows:
    days = [day for day in range(N_DAYS) if day not in but]
    usual = [row for day in days for row in sent(day, 40, **more)]
    return usual + [row for day in days[::2] for row in failed(day, 1, "UNAVAILABLE", **more)]


def test_a_quiet_log_has_none() -> None:
    assert found(quiet()) == []


def test_days_on_which_a_provider_refuses_most_messages_are_its_outage() -> None:
    refused = failed(90, 35, "UNAVAILABLE") + failed(91, 35, "UNAVAILABLE") + sent(90, 5) + sent(91, 5)

    assert found([*quiet(but=(90, 91)), *refused]) == [("messages", "push", None, None, 90, 92)]


def test_an_outage_of_one_platform_is_told_of_that_platform_and_runs_to_the_night() -> None:
    refused = failed(119, 40, "InternalServerError")
    told = outages([*quiet(but=(119,)), *refused, *quiet(platform="android")])

    assert [(o.stratum.platform, o.fall.start, o.fall.end, o.is_running) for o in told] == [("ios", 119, 120, True)]


def test_a_broken_version_of_the_app_is_told_and_not_its_platform() -> None:
    old, new = quiet(version="2.0"), quiet(version="2.1", but=(90, 91))
    refused = failed(90, 40, "InvalidApnsCredential", version="2.1") + failed(91, 40, "BadTopic", version="2.1")

    assert found([*old, *new, *refused, *quiet(platform="android")]) == [("messages", "push", "ios", "2.1", 90, 92)]


def test_a_version_whose_tokens_die_is_told_and_not_its_platform() -> None:
    deaths = [row for day in range(10, N_DAYS, 5) for row in failed(day, 1, "BadDeviceToken", version="2.0")]
    purged = [row for day in range(80, 87) for row in failed(day, 8, "BadDeviceToken", version="2.1")]

    assert found([*quiet(version="2.0"), *quiet(version="2.1"), *deaths, *purged]) == [
        ("token_purge", "push", "ios", "2.1", 80, 81)
    ]


def test_tokens_of_users_seen_on_the_very_day_make_no_second_purge() -> None:
    deaths = [row for day in range(10, N_DAYS, 5) for row in failed(day, 1, "BadDeviceToken", hour=8)]
    purged = [row for day in range(80, 87) for row in failed(day, 12, "BadDeviceToken")]
    seen_that_day = [
        row for after in range(1, 8) for row in failed(80 + after, 4, "BadDeviceToken", hour=9, after=after)
    ]

    assert found([*quiet(), *deaths, *purged, *seen_that_day]) == [("token_purge", "push", None, None, 81, 82)]


def test_some_hours_of_a_day_are_told_by_the_hour_though_the_day_went_well() -> None:
    refused = [row for hour in (9, 10, 11) for row in failed(90, 4, "UNAVAILABLE", hour=hour)]

    told = outages([*quiet(but=(90,)), *sent(90, 28), *refused], by_hour(OFFICE_HOURS, 4))

    assert [(o.fall.start, o.fall.end, o.start_at, o.end_at) for o in told] == [(90, 91, at(90, 9), at(90, 12))]
    assert (told[0].fall.observed, told[0].is_running) == (12, False)


def test_two_outages_of_one_day_are_two() -> None:
    refused = [row for hour in (8, 9, 16, 17) for row in failed(90, 6, "UNAVAILABLE", hour=hour)]

    told = outages([*quiet(but=(90,)), *sent(90, 36), *refused], by_hour(OFFICE_HOURS, 6))

    assert sorted((o.start_at, o.end_at) for o in told if o.start_at and o.end_at) == [
        (at(90, 8), at(90, 10)),
        (at(90, 16), at(90, 18)),
    ]


def test_an_outage_runs_until_a_message_gets_through_again() -> None:
    refused = [row for hour in (15, 16, 17) for row in failed(119, 4, "UNAVAILABLE", hour=hour)]
    until_then = [*quiet(but=(119,)), *sent(119, 28), *refused]

    runs, over = (outages(until_then, by_hour(hours, 4)) for hours in (OFFICE_HOURS, range(8, 19)))

    assert [(o.start_at, o.end_at, o.is_running) for o in runs] == [(at(119, 15), None, True)]
    assert [(o.start_at, o.end_at, o.is_running) for o in over] == [(at(119, 15), at(119, 18), False)]


def test_a_log_of_dates_is_told_by_days() -> None:
    refused = failed(90, 40, "UNAVAILABLE", hour=0)

    told = outages([*quiet(but=(90,)), *refused], by_hour([0], 40))

    assert [(o.fall.start, o.fall.end, o.start_at) for o in told] == [(90, 91, None)]


def test_an_old_list_that_bounces_is_no_outage_of_the_provider() -> None:
    bounced = [{**row, "alive_on": None} for row in failed(90, 200, "5.1.1", channel="email")]

    assert found([*quiet(channel="email"), *bounced]) == []


def test_users_who_have_unfollowed_or_whose_mailbox_is_full_are_no_outage_either() -> None:
    unfollowed = failed(90, 60, "43004", channel="wechat")
    full = failed(90, 60, "4.2.2", channel="email")

    assert found([*quiet(channel="wechat"), *unfollowed, *quiet(channel="email"), *full]) == []


def test_no_messages_no_outage() -> None:
    assert found([]) == []


def test_only_a_permanent_failure_of_a_dead_endpoint_is_a_death_and_the_user_s_window_is_nobody_s_fault() -> None:
    codes = ["550 5.1.1 User unknown", "450 4.1.1 unverified address", "4.4.2", "oops", "45015"]
    rows = outcomes(
        row for code in codes for row in failed(9, 1, code, channel="wechat" if code == "45015" else "email")
    )
    told = with_faults(rows)

    assert told["is_dead"].to_list() == [True, False, False, False, False]
    assert told["is_refused"].to_list() == [False, True, True, True, False]
