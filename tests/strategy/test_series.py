"""Series, pauses and words: what the ledger of earlier nights allows tonight."""

from datetime import date, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_project.strategy.catalogue import Catalogue, load_catalogue
from dagster_project.strategy.ledger import ASSIGNMENTS, contacts, listed_contacts
from dagster_project.strategy.series import (
    ANSWERS,
    CONTACTS,
    REST_DAYS,
    Past,
    known_to_every_account,
    next_options,
    pauses,
    standings,
    step_words,
)

AS_OF = date(2026, 6, 1)
SEND_ON = AS_OF + timedelta(days=1)
CATALOGUE = load_catalogue()
SERIES = "escalating_three"


def past(*rows: tuple[int, str, int], answered: int | None = None, channel: str = "email") -> Past:
    """Contacts of user 1: days before the send day, strategy, step; and days before it of the last answer."""
    words = {
        (strategy, step): template
        for strategy, of, step, word, template in step_words(CATALOGUE).iter_rows()
        if of == channel and (word == 1 or strategy == SERIES)
    }
    contacted = [
        (1, SEND_ON - timedelta(days=ago), strategy, channel, step, words.get((strategy, step), f"{strategy}_{ago}"))
        for ago, strategy, step in rows
    ]
    answers = [] if answered is None else [(1, SEND_ON - timedelta(days=answered))]
    return Past(
        contacts=pl.DataFrame(contacted, schema=CONTACTS, orient="row"),
        answers=pl.DataFrame(answers, schema=ANSWERS, orient="row"),
    )


def options(*strategies: str, channel: str = "email") -> pl.DataFrame:
    rows = [(1, one, channel, CATALOGUE.by_id[one].dose.max_touches) for one in strategies]
    return pl.DataFrame(rows, schema=["user_sk", "strategy_id", "channel", "max_touches"], orient="row")


def tonight(
    before: Past, *strategies: str, channel: str = "email", min_days: int = 7
) -> tuple[list[tuple[str, int, str]], date | None]:
    """What is left of the options (strategy, step, words), and until when the user is left alone."""
    standing = standings(before, catalogue=CATALOGUE, min_days_between=min_days)
    left = next_options(options(*strategies, channel=channel), standing, before, catalogue=CATALOGUE)
    cool = dict(pauses(standing, left, as_of=AS_OF).iter_rows())
    return left.select("strategy_id", "step", "template_id").rows(), cool.get(1)


def test_a_person_rests_on_every_account_until_one_of_them_answers() -> None:
    users = pl.DataFrame({"user_sk": [1, 2, 3], "person_key": ["p", "p", ""]})
    before = known_to_every_account(past((3, "whats_new", 1), answered=9), users)

    standing = standings(before, catalogue=CATALOGUE, min_days_between=7)
    assert standing.select("user_sk", "last_contact_on", "n_unanswered").rows() == [
        (1, SEND_ON - timedelta(days=3), 1),
        (2, SEND_ON - timedelta(days=3), 1),
    ]

    answered = pl.DataFrame([(2, SEND_ON - timedelta(days=1))], schema=ANSWERS, orient="row")
    heard = known_to_every_account(Past(contacts=before.contacts, answers=answered), users)
    assert standings(heard, catalogue=CATALOGUE, min_days_between=7)["n_unanswered"].to_list() == [0, 0]


def test_without_a_past_everything_begins_with_its_first_words() -> None:
    assert tonight(past(), SERIES, "whats_new") == (
        [(SERIES, 1, "escalating_three_1"), ("whats_new", 1, "whats_new_letter")],
        None,
    )


def test_the_next_step_is_due_after_the_days_between_and_until_then_nothing_else_goes_out() -> None:
    step = [(SERIES, 2, "escalating_three_2")]

    assert tonight(past((6, SERIES, 1)), SERIES, "whats_new") == (step, SEND_ON + timedelta(days=1))
    assert tonight(past((7, SERIES, 1)), SERIES, "whats_new") == (step, None)


def test_the_next_step_of_a_series_may_come_before_the_days_between_other_contacts() -> None:
    assert tonight(past((7, SERIES, 1)), SERIES, min_days=30) == ([(SERIES, 2, "escalating_three_2")], None)


@pytest.mark.parametrize("answered", [7, 3])
def test_an_answer_ends_the_series(answered: int) -> None:
    left, cool = tonight(past((7, SERIES, 1), answered=answered), SERIES, "whats_new")

    assert (left, cool) == ([("whats_new", 1, "whats_new_letter")], None)


def test_an_answer_before_the_series_does_not_end_it() -> None:
    assert tonight(past((7, SERIES, 1), answered=8), SERIES)[0] == [(SERIES, 2, "escalating_three_2")]


def test_the_last_step_ends_the_series_and_it_never_begins_again() -> None:
    whole = past((60, SERIES, 1), (53, SERIES, 2), (46, SERIES, 3), answered=40)

    assert tonight(whole, SERIES, "whats_new")[0] == [("whats_new", 1, "whats_new_letter")]


def test_a_series_without_words_for_the_next_step_on_tonights_channel_gives_way() -> None:
    left, cool = tonight(past((8, SERIES, 1)), SERIES, "whats_new", channel="wechat")

    assert (left, cool) == ([("whats_new", 1, "whats_new_note")], None)


def test_a_series_whose_strategy_no_longer_fits_gives_way_after_the_usual_pause() -> None:
    assert tonight(past((6, SERIES, 1)), "whats_new")[1] == SEND_ON + timedelta(days=1)
    assert tonight(past((7, SERIES, 1)), "whats_new") == ([("whats_new", 1, "whats_new_letter")], None)


def test_no_words_go_out_twice() -> None:
    assert tonight(past((400, "sunset", 1), answered=300), "whats_new", "sunset")[0] == [
        ("whats_new", 1, "whats_new_letter")
    ]
    assert tonight(past((400, "whats_new", 1), answered=300), "whats_new")[0] == [
        ("whats_new", 1, "whats_new_letter_b")
    ]
    assert tonight(past((400, "whats_new", 1), answered=300), "whats_new", channel="push")[0] == [
        ("whats_new", 1, "whats_new_note")
    ]


@pytest.mark.parametrize(("n_unanswered", "days"), [(1, 7), (2, 14), (3, 14), (4, REST_DAYS), (7, REST_DAYS)])
def test_pauses_grow_with_contacts_that_nobody_answered(n_unanswered: int, days: int) -> None:
    before = past(*((2 + 20 * place, f"old_{place}", 1) for place in range(n_unanswered)))

    assert tonight(before, "whats_new")[1] == SEND_ON + timedelta(days=days - 2)


def test_an_answer_makes_pauses_usual_again() -> None:
    before = past(*((7 + 20 * place, f"old_{place}", 1) for place in range(5)), answered=6)

    assert tonight(before, "whats_new")[1] is None


def test_after_three_unanswered_contacts_another_strategy_must_speak() -> None:
    asked = past((80, "whats_new", 1), (60, "old_a", 1), (40, "old_b", 1), channel="push")

    assert tonight(asked, "whats_new", "sunset")[0] == [("sunset", 1, "sunset_letter")]


def test_never_two_nights_in_a_row_whatever_the_settings_say() -> None:
    assert tonight(past((1, "old", 1)), "whats_new", min_days=0)[1] == SEND_ON + timedelta(days=1)
    assert tonight(past((2, "old", 1)), "whats_new", min_days=0)[1] is None


@given(
    st.lists(st.tuples(st.integers(1, 120), st.sampled_from([SERIES, "whats_new", "sunset"])), max_size=6),
    st.none() | st.integers(1, 120),
    st.integers(0, 30),
)
def test_whoever_is_written_to_got_nothing_the_night_before_and_never_these_words(
    contacted: list[tuple[int, str]], answered: int | None, min_days: int
) -> None:
    before = past(*((ago, strategy, 1) for ago, strategy in contacted), answered=answered)

    left, cool = tonight(before, SERIES, "whats_new", "sunset", min_days=min_days)

    assert not {words for _, _, words in left} & set(before.contacts["template_id"])
    assert len({strategy for strategy, _, _ in left}) == len(left)
    if left and cool is None:
        assert min((ago for ago, _ in contacted), default=99) >= min(max(min_days, 2), 7)


def test_words_of_a_series_stand_in_the_order_of_the_file_and_single_messages_may_use_any(
    catalogue: Catalogue,
) -> None:
    words = step_words(catalogue)

    assert words.filter(strategy_id=SERIES, channel="email").select("step", "template_id").rows() == [
        (1, "escalating_three_1"),
        (2, "escalating_three_2"),
        (3, "escalating_three_3"),
    ]
    assert words.filter(strategy_id="sunset").select("channel", "step", "template_id").rows() == [
        ("email", 1, "sunset_letter"),
        ("wechat", 1, "sunset_note"),
    ]


def test_the_ledger_tells_contacts_and_fills_in_what_old_nights_did_not_note() -> None:
    """The held out rest as if they had been written to, so that both arms come up as often."""
    users = pl.DataFrame({"user_sk": [7, 8], "user_id": ["a", "b"]})
    ledger = pl.DataFrame(
        [
            {"user_id": "a", "arm": "treat", "strategy_id": SERIES, "channel": "email", "step": None},
            {
                "user_id": "a",
                "arm": "explore",
                "strategy_id": SERIES,
                "channel": "email",
                "step": 2,
                "template_id": "x",
            },
            {"user_id": "b", "arm": "control", "strategy_id": SERIES, "channel": "email", "step": 1},
            {"user_id": "gone", "arm": "treat", "strategy_id": SERIES, "channel": "email", "step": 1},
        ],
        schema=ASSIGNMENTS,
    ).with_columns(
        assigned_at=pl.lit("2026-05-02").str.to_datetime(time_zone="UTC"),
    )

    made = contacts(ledger, users, catalogue=CATALOGUE)

    on = date(2026, 5, 2)
    assert made.rows() == [
        (7, on, SERIES, "email", 1, "escalating_three_1"),
        (7, on, SERIES, "email", 2, "x"),
        (8, on, SERIES, "email", 1, "escalating_three_1"),
    ]
    assert listed_contacts(ledger, users).select("user_sk").unique().to_series().to_list() == [7]
