"""The facts from which reasons are read: signals in the source's words, messages and habits around the silence."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

Run = Callable[..., pl.DataFrame]
AS_OF = date(2024, 6, 30)
LAST = date(2024, 3, 31)


def event(kind: str, **more: Any) -> dict[str, Any]:
    plain = {
        "user_sk": 1,
        "occurred_at": datetime.fromisoformat("2024-03-01T12:00"),
        "dt": date(2024, 3, 1),
        "event_type": kind,
    }
    return {**plain, "row_hash": 1, **more}


def account(user_sk: int, known_on: date, **more: Any) -> dict[str, Any]:
    return {"user_sk": user_sk, "user_id": f"u{user_sk}", "known_on": known_on, **more}


def message(event: str, on: date, **more: Any) -> dict[str, Any]:
    at = datetime.fromisoformat(f"{on}T09:00")
    row = {"user_sk": 1, "message_id": "m", "channel": "push", "event": event, "occurred_at": at, "dt": on}
    return {**row, "row_hash": 1, **more}


@pytest.mark.parametrize(
    ("name", "signal"),
    [
        ("app_error", "app_error"),
        ("Payment-Declined", "payment_failed"),
        ("card_refused", "payment_failed"),
        ("app_removed", "app_removed"),
        ("uninstall", "app_removed"),
        ("应用卸载", "app_removed"),
        ("闪退", "app_error"),
    ],
)
def test_the_name_of_an_event_tells_of_trouble(run: Run, name: str, signal: str) -> None:
    made = run("intermediate.signal_days", {"staging.events": [event(name)]})

    assert made.select("event_type", "signal", "n_events").rows() == [(name, signal, 1)]


def test_an_ordinary_event_tells_of_no_trouble(run: Run) -> None:
    names = ["view", "terrorist_film_watched", "payment", "card_added", "removed_from_basket"]

    assert run("intermediate.signal_days", {"staging.events": [event(name) for name in names]}).is_empty()


def test_categories_are_counted_from_core_events_only(run: Run) -> None:
    rows = [event("buy", category="tea"), event("buy", category="tea", row_hash=2), event("see", category="tea")]

    made = run("intermediate.category_days", {"staging.events": [*rows, event("buy", row_hash=3)]})

    assert made.select("category", "n_core_events").rows() == [("tea", 2)]


def test_a_contract_that_is_continued_dearer_has_not_ended(run: Run) -> None:
    first = {"user_sk": 1, "user_id": "u1", "row_hash": 1, "started_on": date(2024, 1, 1), "price": 10.0}
    rows = [
        {**first, "ended_on": date(2024, 2, 1), "end_reason": "price change"},
        {**first, "row_hash": 2, "started_on": date(2024, 2, 1), "price": 12.0, "ended_on": date(2024, 3, 1)},
        {**first, "user_sk": 2, "ended_on": date(2024, 3, 2), "end_reason": "moved"},
    ]

    made = run("marts.reason_signals", {"marts.contracts": rows}, as_of=AS_OF)

    assert made.select("user_sk", "happened_on", "signal", "words", "score").rows() == [
        (1, date(2024, 2, 1), "price_raised", None, 1.2),
        (1, date(2024, 3, 1), "contract_ended", None, None),
        (2, date(2024, 3, 2), "contract_ended", "moved", None),
    ]


def test_only_the_younger_account_of_a_person_is_new(run: Run) -> None:
    users = [
        account(1, date(2024, 1, 1), person_key="p"),
        account(2, date(2024, 4, 1), person_key="p"),
        account(3, date(2024, 4, 1)),
        account(4, date(2024, 4, 2)),
    ]
    links = [{"user_sk": 3, "other_user_id": "u4", "kind": "Same_Device"}]

    made = run("marts.reason_signals", {"marts.users": users, "staging.links": links}, as_of=AS_OF)

    assert made.select("user_sk", "happened_on", "signal").rows() == [
        (1, date(2024, 4, 1), "new_account"),
        (3, date(2024, 4, 2), "new_account"),
    ]


def test_feedback_consents_and_opt_outs_keep_the_words_of_their_source(run: Run) -> None:
    said = {"user_sk": 1, "occurred_at": datetime.fromisoformat("2024-03-01"), "dt": date(2024, 3, 1), "kind": "ticket"}
    consent = {
        "user_sk": 1,
        "channel": "push",
        "changed_at": datetime.fromisoformat("2024-03-02"),
        "dt": date(2024, 3, 2),
    }
    inputs = {
        "staging.feedback": [{**said, "category": "bug", "text": "it fails", "row_hash": 1}] * 2,
        "staging.consents": [{**consent, "status": "revoked", "source": "phone"}, {**consent, "status": "granted"}],
        "staging.message_events": [message("complained", date(2024, 3, 3)), message("opened", date(2024, 3, 3))],
    }

    made = run("marts.reason_signals", inputs, as_of=AS_OF)

    assert made.select("happened_on", "signal", "channel", "words", "text", "n_times").rows() == [
        (date(2024, 3, 1), "ticket", None, "bug", "it fails", 2),
        (date(2024, 3, 2), "consent_withdrawn", "push", "phone", None, 1),
        (date(2024, 3, 3), "complained_of_message", "push", None, None, 1),
    ]


def test_messages_are_counted_up_to_the_last_active_day_and_after_it(run: Run) -> None:
    counts = [(300, 1, 0, 0), (100, 1, 0, 1), (3, 1, 1, 0), (-10, 1, 0, 1), (-20, 0, 1, 1)]
    days = [
        {
            "user_sk": 1,
            "channel": "push",
            "dt": LAST - timedelta(days=before),
            "n_sent": n_sent,
            "n_delivered": n_delivered,
            "n_failed": n_failed,
            "n_bounced": 0,
        }
        for before, n_sent, n_delivered, n_failed in counts
    ]
    states = [{"user_sk": 1, "last_on": LAST}]

    inputs = {"intermediate.message_days": days, "intermediate.user_states": states}
    made = run("marts.departure_messages", inputs, as_of=AS_OF).row(0, named=True)

    assert made == {
        "user_sk": 1,
        "channel": "push",
        "n_sent": 4,
        "n_sent_before": 2,
        "n_sent_28d": 1,
        "n_delivered_since": 1,
        "n_failed_since": 2,
    }


def test_growing_gaps_have_a_positive_slope(run: Run) -> None:
    offsets = [0, 1, 3, 7, 15, 32]
    first = LAST - timedelta(days=32)
    days = [{"user_sk": 1, "dt": first + timedelta(days=day), "n_core_events": 1} for day in offsets]
    states = [{"user_sk": 1, "first_on": first, "last_on": LAST, "n_active_days": 6}]

    inputs = {"intermediate.user_days": days, "intermediate.user_states": states}
    made = run("marts.departure_habits", inputs, as_of=AS_OF).row(0, named=True)

    assert (made["n_gaps"], made["n_first_week_days"]) == (5, 3)
    assert made["last_gap_ratio"] == pytest.approx(17 * 4 / 15)
    assert made["gap_growth_per_day"] == pytest.approx(0.0827, abs=1e-3)
    assert made["gap_days_ss"] == pytest.approx(635.2)
    assert made["gap_growth_per_day"] / (made["gap_residual_ss"] / 3 / made["gap_days_ss"]) ** 0.5 > 3


def test_gaps_that_are_all_alike_do_not_grow(run: Run) -> None:
    first = LAST - timedelta(days=28)
    days = [{"user_sk": 1, "dt": first + timedelta(days=7 * week), "n_core_events": 1} for week in range(5)]
    states = [{"user_sk": 1, "first_on": first, "last_on": LAST, "n_active_days": 5}]

    inputs = {"intermediate.user_days": days, "intermediate.user_states": states}
    made = run("marts.departure_habits", inputs, as_of=AS_OF).row(0, named=True)

    assert (made["gap_growth_per_day"], made["gap_residual_ss"]) == (0, 0)


def test_the_own_category_is_that_of_the_earlier_days(run: Run) -> None:
    early, late = LAST - timedelta(days=60), LAST - timedelta(days=5)
    categories = [
        {"user_sk": 1, "dt": early, "category": "tea", "n_core_events": 3},
        {"user_sk": 1, "dt": early, "category": "tin", "n_core_events": 1},
        {"user_sk": 1, "dt": late, "category": "tea", "n_core_events": 1},
        {"user_sk": 1, "dt": late, "category": "hat", "n_core_events": 3},
    ]
    days = [{"user_sk": 1, "dt": day, "n_core_events": 1, "amount": Decimal(10)} for day in (early, late)]
    states = [{"user_sk": 1, "first_on": early, "last_on": LAST, "n_active_days": 2}]

    inputs = {
        "intermediate.category_days": categories,
        "intermediate.user_days": days,
        "intermediate.user_states": states,
    }
    made = run("marts.departure_habits", inputs, as_of=AS_OF).row(0, named=True)

    assert (made["own_category_share_early"], made["own_category_share_late"]) == (0.75, 0.25)
    assert made["n_late_categorised"] == 4
    assert made["gap_growth_per_day"] is None


def test_traits_are_the_newest_known(run: Run) -> None:
    platform = {"user_sk": 1, "platform": "ios", "dt": date(2024, 3, 1)}
    contract = {"user_sk": 1, "user_id": "u1", "row_hash": 1, "started_on": date(2024, 1, 1), "plan": "basic"}
    said = {"user_sk": 1, "kind": "nps", "occurred_at": datetime.fromisoformat("2024-03-01"), "row_hash": 1}
    inputs = {
        "intermediate.platform_days": [
            platform,
            {**platform, "platform": "web", "dt": date(2024, 4, 1)},
            {**platform, "platform": None, "dt": date(2024, 5, 1)},
        ],
        "marts.contracts": [contract, {**contract, "plan": "plus", "started_on": date(2024, 2, 1), "row_hash": 2}],
        "staging.feedback": [
            {**said, "score": 10.0, "occurred_at": datetime.fromisoformat("2024-01-01")},
            *({**said, "user_sk": key, "score": float(key)} for key in (1, 2, 3)),
            {**said, "user_sk": 3, "kind": "ticket", "score": 1.0},
        ],
    }

    made = run("marts.departure_traits", inputs, as_of=AS_OF)

    assert made.rows() == [(1, "web", "plus", "low"), (2, None, None, "middle"), (3, None, None, "high")]
