"""Harm charged to the messages before it, on literal hours."""

from datetime import date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_project.reach.fatigue import (
    CHARGE_SCHEMA,
    HARM_CHARGES_SCHEMA,
    HARM_SCHEMA,
    charge_harms,
    find_harms,
    harm_by_category,
)

NOON = datetime(2026, 3, 10, 12)  # noqa: DTZ001
MESSAGES = {
    "user_sk": pl.Int64,
    "channel": pl.String,
    "message_id": pl.String,
    "sent_at": pl.Datetime("us"),
    "failed_at": pl.Datetime("us"),
    "code": pl.String,
    "unsubscribed_at": pl.Datetime("us"),
    "complained_at": pl.Datetime("us"),
}
NO_REMOVALS = pl.DataFrame(schema={"user_sk": pl.Int64, "occurred_at": pl.Datetime("us")})
NOBODY_ACTIVE = pl.DataFrame(schema={"user_sk": pl.Int64, "last_on": pl.Date})


def messages(*rows: dict[str, object]) -> pl.DataFrame:
    return pl.DataFrame([{name: row.get(name) for name in MESSAGES} for row in rows], schema=MESSAGES)


def sent(message_id: str, hours_before: float, channel: str = "push", user_sk: int = 1) -> dict[str, object]:
    at = NOON - timedelta(hours=hours_before)
    return {"user_sk": user_sk, "channel": channel, "message_id": message_id, "sent_at": at}


def harm(kind: str = "uninstall", channel: str | None = None, message_id: str | None = None) -> pl.DataFrame:
    return pl.DataFrame([(1, kind, channel, message_id, NOON)], schema=HARM_SCHEMA, orient="row")


def charges(frame: pl.DataFrame) -> dict[str | None, float]:
    return {row["message_id"]: round(row["charge"], 6) for row in frame.iter_rows(named=True)}


def test_an_opt_out_from_within_a_message_is_that_messages_alone() -> None:
    said = harm("opt_out", "email", "a")

    made = charge_harms(messages(sent("a", 50, "email"), sent("b", 1, "email")), said)

    assert charges(made) == {"a": 1.0}


def test_of_two_messages_a_day_apart_the_later_bears_twice_the_charge() -> None:
    made = charge_harms(messages(sent("a", 25), sent("b", 1)), harm())

    assert charges(made) == {"a": pytest.approx(1 / 3, abs=1e-6), "b": pytest.approx(2 / 3, abs=1e-6)}


def test_messages_older_than_the_window_or_after_the_harm_bear_nothing() -> None:
    made = charge_harms(messages(sent("old", 72.1), sent("edge", 72), sent("after", -0.1)), harm())

    assert charges(made) == {"edge": 1.0}


def test_a_withdrawal_of_one_channel_is_not_charged_to_another() -> None:
    made = charge_harms(messages(sent("a", 2, "push"), sent("b", 2, "email")), harm("opt_out", "email"))

    assert charges(made) == {"b": 1.0}


def test_harm_without_a_message_before_it_is_charged_to_no_message() -> None:
    made = charge_harms(messages(sent("others", 1, user_sk=2)), harm())

    assert charges(made) == {None: 1.0}


@given(st.lists(st.floats(-100, 200), max_size=8), st.booleans())
def test_the_charges_of_one_harm_sum_to_one(hours: list[float], is_of_push: bool) -> None:
    rows = [sent(str(place), hour, "push" if place % 2 else "email") for place, hour in enumerate(hours)]

    made = charge_harms(messages(*rows), harm(channel="push" if is_of_push else None))

    assert made["charge"].sum() == pytest.approx(1.0)
    assert made.equals(charge_harms(messages(*reversed(rows)), harm(channel="push" if is_of_push else None)))


def test_harms_are_read_from_messages_consents_and_removals() -> None:
    rows = messages(
        sent("a", 5, "email") | {"unsubscribed_at": NOON},
        sent("b", 5, "email", user_sk=2) | {"complained_at": NOON},
        sent("c", 5, "push", user_sk=3) | {"failed_at": NOON, "code": "Unregistered"},
    )
    consents = pl.DataFrame(
        {
            "user_sk": [1, 1, 4, 5],
            "channel": ["email", "sms", "Push ", "push"],
            "status": ["withdrawn", "withdrawn", "Revoked", "granted"],
            "changed_at": [NOON + timedelta(hours=2), NOON, NOON, NOON],
        }
    )
    removals = pl.DataFrame({"user_sk": [6, 6], "occurred_at": [NOON, NOON - timedelta(days=1)]})

    found = find_harms(rows, consents, removals, NOBODY_ACTIVE)

    assert found.rows() == [
        (1, "opt_out", "email", "a", NOON),  # said again two hours later in consents
        (1, "opt_out", "sms", None, NOON),
        (2, "complaint", "email", "b", NOON),
        (3, "uninstall", None, None, NOON),
        (4, "opt_out", "push", None, NOON),
        (6, "uninstall", None, None, NOON - timedelta(days=1)),
    ]


def test_a_withdrawal_of_all_channels_is_one_of_each() -> None:
    said = pl.DataFrame({"user_sk": [1], "channel": [" All"], "status": ["withdrawn"], "changed_at": [NOON]})

    found = find_harms(messages(sent("a", 5, "push")), said, NO_REMOVALS, NOBODY_ACTIVE, channels=["email", "sms"])

    assert found.select("kind", "channel").rows() == [("opt_out", "email"), ("opt_out", "push"), ("opt_out", "sms")]


@pytest.mark.parametrize(
    ("channel", "code", "n_uninstalls"),
    [
        ("push", "UNREGISTERED", 1),
        ("push", '{"error":{"code":404,"details":[{"errorCode":"UNREGISTERED"}]}}', 1),
        ("push", "messaging/registration-token-not-registered", 1),
        ("push", "NotRegistered", 1),
        ("push", "BadDeviceToken", 0),
        ("web_push", "NotRegistered", 0),
        ("email", "Unregistered", 0),
    ],
)
def test_a_removal_is_read_by_the_rule_of_the_refusal_and_not_by_one_word(
    channel: str, code: str, n_uninstalls: int
) -> None:
    rows = messages(sent("c", 5, channel) | {"failed_at": NOON, "code": code})

    assert find_harms(rows, None, NO_REMOVALS, NOBODY_ACTIVE).height == n_uninstalls


@pytest.mark.parametrize(("last_on", "n_uninstalls"), [(date(2026, 3, 9), 1), (date(2026, 3, 11), 0)])
def test_a_dead_token_followed_by_activity_is_no_removal(last_on: date, n_uninstalls: int) -> None:
    rows = messages(sent("c", 5) | {"failed_at": NOON, "code": "UNREGISTERED"})
    active = pl.DataFrame({"user_sk": [1], "last_on": [last_on]})

    assert find_harms(rows, None, NO_REMOVALS, active).height == n_uninstalls


def test_the_share_charged_to_a_kind_of_message_has_its_interval() -> None:
    charged = pl.DataFrame(
        {"kind": ["opt_out"] * 2, "channel": ["email", None], "category": ["news", None], "charge": [2.0, 1.0]}
    )
    arrived = pl.DataFrame({"channel": ["email"], "category": ["news"], "n_messages": [100]})

    found = harm_by_category(charged, arrived).rows()

    assert found[0][:6] == ("opt_out", "email", "news", 100, 2.0, 0.02)
    assert found[0][6:] == (pytest.approx(0.0055, abs=1e-4), pytest.approx(0.0700, abs=1e-4))
    assert found[1] == ("opt_out", None, None, None, 1.0, None, None, None)


def test_no_messages_and_no_harm_give_no_rows() -> None:
    nothing = find_harms(messages(), None, NO_REMOVALS, NOBODY_ACTIVE)

    made = charge_harms(messages(), nothing)

    assert (nothing.schema, nothing.height) == (HARM_SCHEMA, 0)
    assert (made.schema, made.height) == (CHARGE_SCHEMA, 0)
    by_category = harm_by_category(made.with_columns(category=pl.lit(None, dtype=pl.String)), pl.DataFrame())
    assert (by_category.schema, by_category.height) == (HARM_CHARGES_SCHEMA, 0)
