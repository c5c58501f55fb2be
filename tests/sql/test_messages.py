"""Message facts on literal rows: fates, machine opens, copies, and what is known of each endpoint."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest

Run = Callable[..., pl.DataFrame]
Row = dict[str, Any]
NOON = datetime.fromisoformat("2024-06-10T12:00:07")
AS_OF = NOON.date()


def event(name: str, seconds: float = 0, *, days: int = 0, user: int = 1, message: str = "m", **more: Any) -> Row:
    moment = NOON + timedelta(days=days, seconds=seconds)
    plain = {"user_sk": user, "channel": "email", "message_id": message, "event": name, "row_hash": 1}
    return {**plain, "occurred_at": moment, "dt": moment.date(), **more}


def steps(run: Run, *events: Row) -> pl.DataFrame:
    return run("intermediate.message_steps", {"staging.message_events": list(events)})


def step(name: str, seconds: float = 0, *, days: int = 0, user: int = 1, message: str = "m", **more: Any) -> Row:
    moment = NOON + timedelta(days=days, seconds=seconds)
    plain = {"user_sk": user, "channel": "email", "message_id": message, "dt": moment.date()}
    return {**plain, f"{name}_at": moment, **more}


@pytest.mark.parametrize(
    ("more", "seconds", "is_machine"),
    [
        ({}, 5, True),
        ({}, 6, False),
        ({}, 0, True),
        ({}, -1, True),  # scanned while it is taken, before the answer that it is delivered
        ({"channel": "push"}, 2, True),
        ({"channel": "push"}, 3, False),
        ({"channel": "push"}, -1, True),
        ({"channel": "in_app"}, 0.5, False),
        ({"channel": "in_app"}, -1, False),
        ({"code": "Prefetched by proxy"}, 4000, True),
        ({"code": "GoogleImageProxy"}, 4000, False),
    ],
)
def test_an_open_is_a_machines_where_no_human_could_be_so_quick(
    run: Run, more: dict[str, Any], seconds: float, is_machine: bool
) -> None:
    channel = {"channel": more.get("channel", "email")}

    made = steps(run, event("delivered", **channel), event("opened", seconds, **more)).row(0, named=True)

    assert (made["machine_opened_at"] is not None, made["opened_at"] is not None) == (is_machine, not is_machine)


@pytest.mark.parametrize(
    ("sent", "delivered", "opened", "is_machine"),
    [
        (0, 4, 3, True),  # a scanner between the sending and the delivery
        (0, 40, 30, True),
        (0, 4, 10, False),
        (10, 0, 13, True),  # the sending is stamped after the delivery: five seconds from the later of the two
        (0, None, 5, True),
        (0, None, 6, False),
        (None, None, 1, False),
    ],
)
def test_an_open_is_compared_with_the_delivery_and_the_sending(
    run: Run, sent: float | None, delivered: float | None, opened: float, is_machine: bool
) -> None:
    arrivals = [event(name, at) for name, at in (("sent", sent), ("delivered", delivered)) if at is not None]

    made = steps(run, *arrivals, event("opened", opened)).row(0, named=True)

    assert (made["machine_opened_at"] is not None, made["opened_at"] is not None) == (is_machine, not is_machine)


def test_a_clock_of_whole_minutes_says_nothing_of_machines(run: Run) -> None:
    made = steps(run, event("delivered", -7), event("opened", -7))

    assert made.select("machine_opened_at", "opened_at").rows() == [(None, NOON - timedelta(seconds=7))]


def test_opens_of_many_users_in_one_second_are_a_machines(run: Run) -> None:
    burst = [event("opened", 900 + n / 100, user=n, campaign_id="c") for n in range(10)]
    later = [event("opened", 2000 + 60 * n, user=20 + n, campaign_id="c") for n in range(5)]
    other = [event("opened", 900, user=30, campaign_id="other")]

    made = steps(run, *burst, *later, *other)

    assert made.filter(pl.col("machine_opened_at").is_not_null())["user_sk"].to_list() == list(range(10))
    assert made["opened_at"].count() == 6


def test_a_busy_second_of_a_large_campaign_is_not_a_machines(run: Run) -> None:
    crowd = [event("opened", n * 3.3, user=n, campaign_id="c", row_hash=n) for n in range(3000)]
    second = [event("opened", 400, user=5000 + n, campaign_id="c") for n in range(9)]

    assert steps(run, *crowd, *second)["machine_opened_at"].count() == 0


def test_one_id_on_two_users_is_two_messages_and_a_stray_open_has_no_send(run: Run) -> None:
    made = steps(run, event("sent"), event("opened", 60, user=2))

    assert made.select("user_sk", "sent_at", "opened_at").rows() == [
        (1, NOON, None),
        (2, None, NOON + timedelta(seconds=60)),
    ]


def test_a_day_keeps_the_reason_of_its_last_failure(run: Run) -> None:
    made = steps(run, event("failed", code="4.4.2"), event("bounced", 9, code="5.1.1"), event("opened", -99, code="x"))

    assert made.select("code", "failed_at", "bounced_at").rows() == [("5.1.1", NOON, NOON + timedelta(seconds=9))]


def test_a_day_counts_each_message_once_for_each_of_its_events(run: Run) -> None:
    rows = [
        {**step("sent"), "delivered_at": NOON, "clicked_at": NOON},
        step("sent", message="n"),
        step("machine_opened", message="o"),
        step("bounced", message="p", days=1),
    ]

    made = run("intermediate.message_days", {"intermediate.message_steps": rows})

    assert made.select(
        "dt", "n_sent", "n_delivered", "n_opened", "n_machine_opened", "n_clicked", "n_bounced"
    ).rows() == [
        (AS_OF, 2, 1, 0, 1, 1, 0),
        (AS_OF + timedelta(days=1), 0, 0, 0, 0, 0, 1),
    ]


def test_a_message_sent_again_on_another_day_is_no_copy_of_itself(run: Run) -> None:
    rows = [
        step("sent", message="a", content_id="c"),
        step("sent", message="a", content_id="c", days=1),
        step("sent", message="b", content_id="c", days=2),
        step("sent", message="b", content_id="c", days=3),
        step("sent", message="b", content_id="c", days=32),
        step("sent", message="b", content_id="c", days=3, user=2),
        step("sent", message="b", content_id="c", days=4, user=2, channel="push"),
    ]

    made = run("intermediate.message_days", {"intermediate.message_steps": rows})

    told = made.sort("user_sk", "dt").select("user_sk", "dt", "n_duplicates").rows()
    assert [(user, (dt - AS_OF).days, n) for user, dt, n in told] == [
        (1, 0, 0),
        (1, 1, 0),
        (1, 2, 1),
        (1, 3, 1),
        (1, 32, 0),
        (2, 3, 0),
        (2, 4, 1),
    ]


def test_content_is_a_copy_for_thirty_days_on_any_channel_and_for_that_user_only(run: Run) -> None:
    rows = [
        step("sent", message="a", content_id="c"),
        step("sent", message="b", content_id="c", days=30, channel="push"),
        step("sent", 1, message="d", content_id="c", days=60, channel="push"),
        step("sent", message="e", content_id="c", days=1, user=2),
        step("sent", message="f", days=1),
        step("sent", message="g", days=1),
    ]

    made = run("intermediate.message_days", {"intermediate.message_steps": rows})

    assert made.filter(pl.col("n_duplicates") > 0).select("user_sk", "channel", "dt").rows() == [
        (1, "push", AS_OF + timedelta(days=30))
    ]


@pytest.mark.parametrize(
    ("events", "fate"),
    [
        ([("sent", 0)], "sent"),
        ([("opened", -60), ("sent", 0)], "opened"),
        ([("sent", 0), ("delivered", 1), ("machine_opened", 2)], "delivered"),
        ([("sent", 0), ("machine_opened", 2)], "delivered"),
        ([("sent", 0), ("complained", 99)], "delivered"),
        ([("sent", 0), ("delivered", 1), ("bounced", 99)], "bounced"),
        ([("sent", 0), ("failed", 1), ("delivered", 99)], "delivered"),
        ([("sent", 0), ("failed", 1), ("bounced", 99)], "bounced"),
        ([("sent", 0), ("failed", 1), ("clicked", 99)], "clicked"),
        ([("converted", 9), ("clicked", 5)], "converted"),
    ],
)
def test_the_fate_is_the_furthest_event_in_whatever_order_they_came(
    run: Run, events: list[tuple[str, float]], fate: str
) -> None:
    rows = [step(name, seconds) for name, seconds in events]

    assert run("marts.messages", {"intermediate.message_steps": rows}, as_of=AS_OF)["fate"].to_list() == [fate]


def test_a_message_says_what_is_odd_about_it(run: Run) -> None:
    rows = [
        step("sent", message="a", content_id="c"),
        step("opened", -60, message="a", days=-1),
        step("opened", message="b"),
        step("sent", message="d", days=-29, content_id="c"),
        step("sent", message="old", days=-180),
        step("opened", message="old"),
    ]

    made = run("marts.messages", {"intermediate.message_steps": rows}, as_of=AS_OF)

    assert made.select("message_id", "is_send_seen", "is_out_of_order", "is_duplicate_content").rows() == [
        ("a", True, True, True),
        ("b", False, False, False),
        ("d", True, False, False),
    ]


def test_an_endpoint_counts_anew_from_each_proof_of_life(run: Run) -> None:
    rows = [
        step("sent", message="a", endpoint="x"),
        step("delivered", 50, message="a", endpoint="x"),
        step("sent", 60, message="b", endpoint="x"),
        step("sent", 60, message="c", endpoint="y"),
        step("unsubscribed", 70, message="c"),
    ]

    made = run("intermediate.channel_states", {"intermediate.message_steps": rows})

    assert made.select("endpoint", "n_sent", "n_sent_since_alive", "n_unsubscribed").rows() == [
        ("", 0, 0, 1),
        ("x", 2, 1, 0),
        ("y", 1, 1, 0),
    ]


def test_failures_are_counted_by_code_and_since_the_proof_of_life(run: Run) -> None:
    before = {
        "user_sk": 1,
        "channel": "email",
        "endpoint": "x",
        "event": "failed",
        "code": "4.4.2",
        "n_failed": 3,
        "first_failed_at": NOON,
        "last_failed_at": NOON,
        "n_since_alive": 2,
        "first_since_alive_at": NOON,
    }
    rows = [
        step("delivered", 50, message="a", endpoint="x", days=1),
        step("failed", 60, message="b", endpoint="x", days=1, code="5.1.1"),
        step("failed", 50, message="c", endpoint="x", days=1, code="4.4.2"),
    ]
    inputs = {"intermediate.message_steps": rows, "intermediate.failure_states_before": [before]}

    made = run("intermediate.failure_states", inputs)

    assert made.select("code", "n_failed", "n_since_alive", "first_since_alive_at").rows() == [
        ("4.4.2", 4, 0, None),
        ("5.1.1", 1, 1, NOON + timedelta(days=1, seconds=60)),
    ]


def test_a_code_that_another_failure_of_the_day_followed_is_kept_and_counts_for_nothing(run: Run) -> None:
    told = {"user_sk": 1, "channel": "sms", "message_id": "m", "event": "failed", "endpoint": "x", "dt": AS_OF}
    events = [
        {**told, "code": "21610", "occurred_at": NOON},
        {**told, "code": "30003", "occurred_at": NOON + timedelta(seconds=60)},
    ]
    rows = [step("failed", 60, channel="sms", endpoint="x", code="30003")]
    inputs = {"intermediate.message_steps": rows, "staging.message_events": events}

    made = run("intermediate.failure_states", inputs)

    assert made.select("code", "n_failed", "n_since_alive", "last_failed_at").rows() == [
        ("21610", 0, 0, NOON),
        ("30003", 1, 1, NOON + timedelta(seconds=60)),
    ]


def test_the_newest_event_of_each_kind_on_a_channel(run: Run) -> None:
    state = {"user_sk": 1, "channel": "email", "n_opened": 0, "n_delivered": 0}
    failure = {"user_sk": 1, "channel": "email", "endpoint": "", "event": "bounced"}
    inputs = {
        "intermediate.channel_states": [
            {**state, "endpoint": "x", "last_sent_at": NOON, "n_sent": 3},
            {**state, "endpoint": "y", "last_sent_at": NOON - timedelta(days=1), "n_sent": 2},
        ],
        "intermediate.failure_states": [
            {**failure, "code": "550", "n_failed": 1, "last_failed_at": NOON - timedelta(days=1)},
            {**failure, "code": "421", "n_failed": 2, "last_failed_at": NOON},
            {**failure, "code": "550", "n_failed": 0, "last_failed_at": NOON + timedelta(days=1), "event": "failed"},
        ],
    }

    made = run("marts.channel_events", inputs)

    assert made.rows() == [
        (1, "email", "bounced", NOON, "421", None, 3),
        (1, "email", "sent", NOON, None, "x", 5),
    ]


def test_messages_of_a_user(run: Run) -> None:
    day = {"user_sk": 1, "channel": "email", "n_sent": 4, "n_delivered": 3, "n_opened": 2, "n_clicked": 1}
    day = {**day, "n_failed": 1, "n_bounced": 1, "dt": AS_OF}
    state = {"user_sk": 1, "endpoint": "", "n_unsubscribed": 1, "n_complained": 1}
    inputs = {
        "intermediate.message_days": [day, {**day, "dt": AS_OF - timedelta(days=90)}],
        "intermediate.channel_states": [
            {**state, "channel": "email", "last_opened_at": NOON, "last_clicked_at": NOON - timedelta(days=9)},
            {**state, "channel": "push", "last_machine_opened_at": NOON + timedelta(days=1)},
        ],
    }

    made = run("marts.user_messages", inputs, as_of=AS_OF)

    assert made.rows() == [(1, 4, 3, 2, 1, 2, 4, AS_OF)]


def test_what_is_odd_is_counted_by_channel(run: Run) -> None:
    def message(user: int, message_id: str, **more: Any) -> Row:
        plain = {"user_sk": user, "channel": "email", "message_id": message_id, "is_send_seen": True}
        return {**plain, "is_out_of_order": False, "is_duplicate_content": False, **more}

    rows = [
        message(1, "a", machine_opened_at=NOON, is_duplicate_content=True),
        message(2, "a", machine_opened_at=NOON, opened_at=NOON, is_send_seen=False),
        message(1, "b", failed_at=NOON, is_out_of_order=True),
        message(1, "b", channel="sms", failed_at=NOON, code="UNDELIV"),
    ]

    made = run("marts.message_quality", {"marts.messages": rows})

    assert made.rows() == [("email", 3, 1, 1, 1, 2, 1, 1, 1, 1), ("sms", 1, 0, 0, 0, 0, 0, 0, 0, 1)]
