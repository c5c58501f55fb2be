"""Quiet hours: the user's own, at the time of sending, in the user's zone."""

from datetime import datetime

import polars as pl
import pytest

from dagster_project.reach.conduct import BREACHES_SCHEMA, quiet_hour_breaches

ZONES = pl.DataFrame({"user_sk": [1, 2, 3], "timezone": ["Asia/Shanghai", "Europe/Berlin", "Mars/Olympus"]})
NO_SENDS = {"user_sk": pl.Int64, "channel": pl.String, "sent_at": pl.Datetime("us")}


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-07-{text}")


def sends(*rows: tuple[int, str, datetime]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=NO_SENDS, orient="row")


def consents(*rows: tuple[int, str, datetime, str | None, str | None]) -> pl.DataFrame:
    names = ["user_sk", "channel", "changed_at", "quiet_start", "quiet_end"]
    types = [pl.Int64, pl.String, pl.Datetime("us"), pl.String, pl.String]
    return pl.DataFrame(rows, schema=dict(zip(names, types, strict=True)), orient="row")


def test_the_night_is_that_of_the_users_own_zone() -> None:
    noon_utc = at("01T12:59")  # 20:59 in Shanghai
    rows = sends((1, "push", noon_utc), (1, "push", at("01T13:00")), (1, "push", at("02T00:00")), (2, "push", noon_utc))

    assert quiet_hour_breaches(rows, ZONES, None).rows() == [(1, "push", 1)]


def test_mail_does_not_ring_unless_the_user_asked_for_quiet() -> None:
    rows = sends((2, "email", at("05T21:30")))  # 23:30 in Berlin
    asked = consents((2, "email", at("01T00:00"), "22:00", "07:00"))

    assert quiet_hour_breaches(rows, ZONES, None).is_empty()
    assert quiet_hour_breaches(rows, ZONES, asked).rows() == [(2, "email", 1)]


def test_the_word_that_held_at_the_sending_counts() -> None:
    rows = sends((2, "push", at("05T10:30")))  # 12:30 in Berlin
    later = consents((2, "push", at("06T00:00"), "12:00", "14:00"))
    before = consents((2, "push", at("04T00:00"), "12:00", "14:00"))
    lifted = consents((2, "push", at("04T00:00"), "12:00", "14:00"), (2, "push", at("05T00:00"), None, None))

    assert quiet_hour_breaches(rows, ZONES, later).is_empty()
    assert quiet_hour_breaches(rows, ZONES, before).rows() == [(2, "push", 1)]
    assert quiet_hour_breaches(rows, ZONES, lifted).is_empty()


def test_a_zone_that_does_not_exist_and_a_clock_that_cannot_be_break_nothing() -> None:
    rows = sends((3, "push", at("05T00:30")), (2, "push", at("05T00:30")))
    odd = consents((2, "push", at("01T00:00"), "25:99", "soon"))

    assert quiet_hour_breaches(rows, ZONES, odd).rows() == [(2, "push", 1)]


@pytest.mark.parametrize(
    ("start", "end", "sent_at", "n_breaches"),
    [
        ("00:00", "24:00", "05T10:00", 1),
        ("12:00", "12:00", "05T10:00", 1),
        ("12:00", "12:00", "05T09:59", 1),
        ("12:00", "24:00", "05T10:00", 1),
        ("12:00", "24:00", "05T09:59", 0),
        (" 12:00 ", "13:00", "05T10:00", 1),
        ("12:00", None, "05T10:00", 0),  # one end alone cannot be read: the night holds
        ("12:00", None, "05T20:00", 1),
    ],
)
def test_hours_are_read_as_the_gate_reads_them(start: str, end: str | None, sent_at: str, n_breaches: int) -> None:
    rows = sends((2, "push", at(sent_at)))  # Berlin, two hours ahead
    asked = consents((2, "push", at("01T00:00"), start, end))

    assert quiet_hour_breaches(rows, ZONES, asked)["n_quiet_breaches"].sum() == n_breaches


def test_hours_asked_for_on_all_channels_hold_on_each() -> None:
    rows = sends((2, "push", at("05T10:30")), (2, "email", at("05T10:30")))
    asked = consents((2, "all", at("04T00:00"), "12:00", "14:00"))

    assert quiet_hour_breaches(rows, ZONES, asked).rows() == [(2, "email", 1), (2, "push", 1)]


def test_no_message_is_no_breach() -> None:
    made = quiet_hour_breaches(sends(), ZONES, None)

    assert (made.schema, made.height) == (BREACHES_SCHEMA, 0)
