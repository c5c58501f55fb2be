"""Provider outages and token purges in literal sends."""

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any

import polars as pl

from dagster_project.outages.deliveries import find_delivery_outages, with_deaths

FIRST = date(2024, 1, 1)
N_DAYS = 120
SCHEMA = {
    "dt": pl.Date,
    "channel": pl.String,
    "platform": pl.String,
    "code": pl.String,
    "is_failed": pl.Boolean,
    "alive_on": pl.Date,
    "user_sk": pl.Int64,
    "n_messages": pl.Int64,
}


def sent(
    day: int, n: int, *, channel: str = "push", platform: str = "ios", after: int = 7, **more: Any
) -> dict[str, Any]:
    alive_on = FIRST + timedelta(days=day - after) if day >= after else None
    at = {"dt": FIRST + timedelta(days=day), "alive_on": alive_on, "channel": channel, "platform": platform}
    return {"is_failed": False, "code": None, "user_sk": None, "n_messages": n, **at, **more}


def failed(day: int, n: int, code: str, **more: Any) -> dict[str, Any]:
    return sent(day, n, code=code, is_failed=True, user_sk=1, **more)


def found(rows: Iterable[dict[str, Any]]) -> list[tuple[str, str, str | None, int, int]]:
    outages = find_delivery_outages(
        pl.DataFrame(list(rows), schema=SCHEMA), first_on=FIRST, as_of=FIRST + timedelta(days=N_DAYS - 1)
    )
    return [(o.kind, o.channel, o.platform, o.fall.start, o.fall.end) for o in outages]


def quiet(**more: Any) -> list[dict[str, Any]]:
    usual = [sent(day, 40, **more) for day in range(N_DAYS)]
    return [*usual, *(failed(day, 1, "UNAVAILABLE", **more) for day in range(0, N_DAYS, 2))]


def test_a_quiet_log_has_none() -> None:
    assert found(quiet()) == []


def test_days_on_which_a_provider_refuses_most_messages_are_its_outage() -> None:
    refused = [failed(day, 35, "UNAVAILABLE") for day in (90, 91)]
    rest = [row for row in quiet() if row["dt"] not in (FIRST + timedelta(days=90), FIRST + timedelta(days=91))]

    assert found([*rest, *refused, sent(90, 5), sent(91, 5)]) == [("messages", "push", None, 90, 92)]


def test_an_outage_of_one_platform_is_told_of_that_platform() -> None:
    ios = [row for row in quiet() if row["dt"] != FIRST + timedelta(days=119)]

    assert found([*ios, failed(119, 40, "InternalServerError"), *quiet(platform="android")]) == [
        ("messages", "push", "ios", 119, 120)
    ]


def test_an_old_list_that_bounces_is_no_outage_of_the_provider() -> None:
    bounced = [failed(90, 200, "5.1.1", channel="email", alive_on=None)]

    assert found([*quiet(channel="email"), *bounced]) == []


def test_tokens_that_die_between_two_messages_around_one_day_were_purged() -> None:
    deaths = [failed(day, 1, "UNREGISTERED") for day in range(10, N_DAYS, 5)]
    purged = [failed(day, 12, "UNREGISTERED") for day in range(80, 87)]

    assert found([*quiet(), *deaths, *purged]) == [("token_purge", "push", None, 80, 81)]


def test_a_campaign_after_a_long_pause_finds_more_dead_tokens_and_is_no_purge() -> None:
    deaths = [failed(day, 1, "UNREGISTERED") for day in range(10, N_DAYS)]
    campaign = [sent(90, 400, after=60), failed(90, 90, "UNREGISTERED", after=60)]
    earlier = [sent(70, 400, after=60), failed(70, 90, "UNREGISTERED", after=60)]

    assert found([*quiet(), *deaths, *campaign, *earlier]) == []


def test_no_messages_no_outage() -> None:
    assert found([]) == []


def test_only_a_permanent_failure_of_a_dead_endpoint_is_a_death() -> None:
    codes = ["550 5.1.1 User unknown", "450 4.1.1 unverified address", "4.4.2", "oops"]
    rows = pl.DataFrame([failed(9, 1, code, channel="email") for code in codes], schema=SCHEMA)

    assert with_deaths(rows)["is_dead"].to_list() == [True, False, False, False]
