"""Days on which users answered, told us something or closed a door."""

from collections.abc import Callable
from datetime import UTC, date, datetime

import polars as pl
import pytest

Run = Callable[..., pl.DataFrame]
DAY = date(2024, 1, 5)


def test_answers_and_closed_doors_of_a_day_stand_in_one_row(run: Run) -> None:
    message = {"user_sk": 1, "dt": DAY, "n_opened": 0, "n_clicked": 0, "n_unsubscribed": 0, "n_complained": 0}
    found = run(
        "intermediate.response_days",
        {
            "intermediate.message_days": [
                {**message, "channel": "email", "n_opened": 2},
                {**message, "channel": "push", "n_unsubscribed": 1},
                {**message, "user_sk": 2, "channel": "push"},
            ],
            "intermediate.signal_days": [
                {"user_sk": 1, "dt": DAY, "event_type": "app_remove", "signal": "app_removed", "n_events": 1},
                {"user_sk": 3, "dt": DAY, "event_type": "crash", "signal": "app_error", "n_events": 1},
            ],
        },
    )

    flags = ["is_opened", "is_clicked", "is_opted_out", "is_complained", "is_app_removed", "is_shared"]
    assert found.select("user_sk", *flags).rows() == [(1, True, False, True, False, True, False)]


@pytest.mark.parametrize(
    ("event_type", "is_shared"),
    [
        ("share", True),
        ("item_shared", True),
        ("InviteSent", False),  # words are told apart by spaces, dashes and underscores
        ("invite_sent", True),
        ("referral", True),
        ("分享商品", True),
        ("market_share_viewed", True),  # a word is a word: name such events in another way, or leave them out
        ("shareholder_view", False),
        ("purchase", False),
    ],
)
def test_shares_are_told_by_the_word_in_the_type(run: Run, event_type: str, is_shared: bool) -> None:
    event = {"user_sk": 1, "dt": DAY, "occurred_at": datetime(2024, 1, 5, tzinfo=UTC), "event_type": event_type}

    assert run("intermediate.response_days", {"staging.events": [event]}).height == is_shared


def test_scores_are_summed_by_kind_and_complaints_and_deletions_are_harm(run: Run) -> None:
    said = {"user_sk": 1, "dt": DAY, "occurred_at": datetime(2024, 1, 5, tzinfo=UTC)}
    given = [
        ("nps", 9.0),
        ("nps", 7.0),
        ("nps", 1e15),
        ("csat", 4.0),
        ("csat", -2.0),
        ("csat", None),
        ("complaint", None),
        ("deletion_request", None),
    ]
    feedback = [{**said, "kind": kind, "score": score, "row_hash": i} for i, (kind, score) in enumerate(given)]

    found = run("intermediate.response_days", {"staging.feedback": feedback}).row(0, named=True)

    assert (found["nps_sum"], found["nps_n"]) == (16.0, 2)
    assert (found["csat_sum"], found["csat_max"], found["csat_n"]) == (4.0, 4.0, 1)
    assert (found["is_complained"], found["is_opted_out"]) == (True, True)


def test_a_ticket_is_no_answer(run: Run) -> None:
    ticket = {"user_sk": 1, "dt": DAY, "occurred_at": datetime(2024, 1, 5, tzinfo=UTC), "kind": "ticket", "row_hash": 1}

    assert run("intermediate.response_days", {"staging.feedback": [ticket]}).is_empty()
