"""What the trust tables read, on literal rows."""

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from typing import Any

import polars as pl
import pytest

Run = Callable[..., pl.DataFrame]
Row = dict[str, Any]
AS_OF = date(2024, 7, 14)  # fourteen days after a month's end


def moment(age_days: int) -> datetime:
    return datetime.combine(AS_OF - timedelta(days=age_days), time(12))


def message(message_id: str, age_days: int, fate: str = "sent", user: int = 1, **more: Any) -> Row:
    at = moment(age_days)
    plain = {"user_sk": user, "channel": "email", "message_id": message_id, "fate": fate, "first_at": at}
    return {**plain, "sent_at": at, "is_duplicate_content": False, **more}


def active(age_days: int, user: int = 1, n_core_events: int = 1) -> Row:
    return {"user_sk": user, "dt": AS_OF - timedelta(days=age_days), "n_core_events": n_core_events}


def test_a_record_counts_what_arrived_and_what_was_answered(run: Run) -> None:
    rows = [
        message("a", 2, "opened", opened_at=moment(2)),
        message("b", 10, "delivered", is_duplicate_content=True),
        message("c", 40, "bounced"),
        message("d", 40, "failed", opened_at=moment(40), complained_at=moment(39)),
        message("e", 100, "delivered", machine_opened_at=moment(100)),
        message("f", 100, "sent", user=2),
    ]

    made = run("marts.message_records", {"marts.messages": rows}, as_of=AS_OF)

    assert made.columns[2:] == [
        "n_sent", "n_arrived", "n_responded", "n_complained", "n_duplicates", "n_sent_7d", "n_sent_28d", "n_sent_90d"
    ]  # fmt: skip
    assert made.rows() == [
        (1, "email", 5, 4, 2, 1, 1, 1, 2, 4),
        (2, "email", 1, 1, 0, 0, 0, 0, 0, 0),
    ]


def test_failures_are_counted_by_code_and_day(run: Run) -> None:
    rows = [
        message("a", 3, "bounced", code="5.1.1"),
        message("b", 3, "failed", code="5.1.1"),
        message("c", 3, "failed"),
        message("d", 3, "delivered", code="4.2.2"),
    ]

    made = run("marts.message_failures", {"marts.messages": rows}, as_of=AS_OF)

    day = AS_OF - timedelta(days=3)
    assert made.rows() == [(1, "email", "5.1.1", day, 2), (1, "email", None, day, 1)]


def windows(run: Run, messages: list[Row], days: list[Row], horizon: int = 30) -> pl.DataFrame:
    inputs = {"marts.messages": messages} | ({"intermediate.user_days": days} if days else {})
    return run("marts.pressure_windows", inputs, as_of=AS_OF, window_days=horizon)


def test_the_newest_week_ends_seven_days_before_the_night(run: Run) -> None:
    rows = [message(str(age), age, "delivered") for age in (6, 7, 13, 14, 34, 35)]

    made = windows(run, rows, [active(0), active(6), active(7), active(14), active(41), active(42)])

    newest = made.row(0, named=True)
    assert newest["cutoff_on"] == AS_OF - timedelta(days=14)
    assert (newest["n_arrived_7d"], newest["n_arrived_28d"]) == (2, 4)
    assert (newest["n_active_days_before"], newest["n_active_days_after"]) == (2, 2)
    assert (newest["back_after_days"], newest["is_closed"]) == (1, False)
    assert made["n_arrived_28d"].to_list() == [4, 0, 0, 0, 0]
    assert made["is_closed"].to_list() == [False, True, True, True, True]
    assert made["cutoff_on"].to_list()[1:] == [
        date(2024, 5, 31),
        date(2024, 4, 30),
        date(2024, 3, 31),
        date(2024, 2, 29),
    ]


@pytest.mark.parametrize(("horizon", "back"), [(31, [2, None, None, None, None]), (32, [2, 32, None, None, None])])
def test_a_return_after_the_horizon_is_none(run: Run, horizon: int, back: list[int | None]) -> None:
    made = windows(run, [message("a", 35, "delivered")], [active(5)], horizon=horizon)

    assert made["back_after_days"].to_list() == back


def test_failures_are_no_pressure_and_repeats_are_irrelevant(run: Run) -> None:
    rows = [
        message("a", 8, "failed"),
        message("b", 8, "delivered", is_duplicate_content=True),
        message("c", 8, "clicked", clicked_at=moment(7)),
    ]

    newest = windows(run, rows, []).row(0, named=True)

    assert (newest["n_arrived_7d"], newest["n_irrelevant_7d"], newest["n_clicked_7d"]) == (2, 1, 1)


def test_a_content_that_fifty_got_and_nobody_clicked_is_irrelevant(run: Run) -> None:
    dull = [message(str(n), 8, "delivered", user=n, content_id="dull") for n in range(50)]
    liked = [message(f"l{n}", 8, "delivered", user=n, content_id="liked") for n in range(50)]
    liked[0] |= {"fate": "clicked", "clicked_at": moment(8)}
    rare = [message(f"r{n}", 8, "delivered", user=n, content_id="rare") for n in range(49)]

    newest = windows(run, [*dull, *liked, *rare], []).filter(pl.col("window_index") == 0)

    assert newest["n_irrelevant_7d"].unique().to_list() == [1]


def test_who_was_not_written_to_has_no_window(run: Run) -> None:
    assert windows(run, [message("a", 6)], [active(20, user=2)]).is_empty()


def day(age_days: int, user: int = 1, channel: str = "email", **more: int) -> Row:
    names = ("sent", "delivered", "opened", "machine_opened", "clicked", "converted", "failed", "bounced")
    zeros = {f"n_{name}": 0 for name in (*names, "unsubscribed", "complained", "duplicates")}
    return {**zeros, "user_sk": user, "channel": channel, "dt": AS_OF - timedelta(days=age_days), **more}


def test_weeks_end_with_the_night_and_users_of_two_channels_count_once(run: Run) -> None:
    rows = [
        day(0, n_sent=2, n_failed=1, n_bounced=1),
        day(6, n_sent=1, channel="push"),
        day(7, n_sent=1, n_opened=1),
        day(181, n_clicked=1),
        day(182, n_sent=9),
    ]

    made = run("marts.message_weeks", {"intermediate.message_days": rows}, as_of=AS_OF)

    of_all = made.filter(pl.col("channel") == "all").select("week_start", "week_end", "n_users", "n_sent", "n_failed")
    starts = [AS_OF - timedelta(days=days) for days in (181, 13, 6)]
    assert of_all.rows() == [
        (starts[0], starts[0] + timedelta(days=7), 0, 0, 0),
        (starts[1], starts[1] + timedelta(days=7), 1, 1, 0),
        (starts[2], AS_OF + timedelta(days=1), 1, 3, 2),
    ]
    assert made.filter(pl.col("channel") == "push")["n_sent"].to_list() == [1]


def test_outcomes_by_platform_code_and_whether_who_clicked_stayed(run: Run) -> None:
    rows = [
        message("a", 60, "clicked", clicked_at=moment(60)),
        message("b", 60, "clicked", user=2, clicked_at=moment(60)),
        message("c", 60, "opened", opened_at=moment(60)),
        message("d", 60, "bounced", code="5.1.1"),
        message("e", 60, "failed"),
        message("f", 5, "delivered"),
    ]
    events = [
        {"user_sk": 1, "platform": "ios", "occurred_at": moment(50), "dt": moment(50).date(), "row_hash": 1},
        {"user_sk": 1, "platform": "web", "occurred_at": moment(70), "dt": moment(70).date(), "row_hash": 2},
    ]
    days = [active(31), active(60, user=2), active(29, user=2)]

    made = run(
        "marts.message_outcomes",
        {"marts.messages": rows, "staging.events": events, "intermediate.user_days": days},
        as_of=AS_OF,
        window_days=30,
    )

    counts = made.select(
        "channel", "platform", "code", "is_closed", "n_sent", "n_arrived", "n_opened", "n_clicked", "n_stayed"
    )
    assert sorted(counts.rows(), key=str) == sorted(
        [
            ("email", "ios", "5.1.1", True, 1, 0, 0, 0, 0),
            ("email", "ios", "no code", True, 1, 0, 0, 0, 0),
            ("email", "ios", None, False, 1, 1, 0, 0, 0),
            ("email", "ios", None, True, 2, 2, 2, 1, 1),
            ("email", "unknown", None, True, 1, 1, 1, 1, 0),
        ],
        key=str,
    )


def test_the_first_removal_of_the_app_counts_whatever_its_case(run: Run) -> None:
    def happened(event_type: str, age_days: int, user: int = 1) -> Row:
        at = moment(age_days)
        return {"user_sk": user, "event_type": event_type, "occurred_at": at, "dt": at.date(), "row_hash": age_days}

    rows = [
        happened("App_Remove", 5),
        happened("uninstalled", 3),
        happened("uninstall", 180, user=2),
        happened("app_removal_survey", 4, user=3),
    ]

    made = run("marts.app_removals", {"staging.events": rows}, as_of=AS_OF)

    assert made.rows() == [(1, moment(5))]
