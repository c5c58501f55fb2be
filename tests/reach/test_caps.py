from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_project.reach.caps import SENDS, Cap, capped_points, counted_sends
from dagster_project.reach.persons import of_persons

AT = datetime(2026, 6, 2, 3)  # noqa: DTZ001
USERS = pl.DataFrame({"user_sk": [1, 2], "law": ["default", "default+cn"]})
WEEK = Cap(rule_id="cap.week", max_messages=2, hours=168)


def _sends(*rows: tuple[int, str, float]) -> pl.DataFrame:
    """User, channel, hours before AT."""
    return pl.DataFrame(
        [(sk, channel, AT - timedelta(hours=hours)) for sk, channel, hours in rows], schema=SENDS, orient="row"
    )


def _capped(sends: pl.DataFrame, *caps: Cap) -> list[tuple[object, ...]]:
    return capped_points(sends, USERS, caps=caps, channels=["email", "push"], at=AT).rows()


def test_a_cap_over_all_channels_closes_all_until_one_message_has_left_the_window() -> None:
    # 167 hours ago leaves the window one hour after AT: on 2 June, so 3 June is the first whole day
    assert _capped(_sends((1, "email", 167), (1, "push", 10), (2, "email", 1)), WEEK) == [
        (1, "email", "cap.week", None, date(2026, 6, 3)),
        (1, "push", "cap.week", None, date(2026, 6, 3)),
    ]


def test_a_message_exactly_as_old_as_the_window_no_longer_counts() -> None:
    assert _capped(_sends((1, "email", 168), (1, "push", 10)), WEEK) == []


def test_a_cap_of_one_channel_or_one_law_binds_only_there() -> None:
    cap = Cap(rule_id="cap.law", max_messages=1, hours=48, channels=frozenset({"sms", "push"}), citation="Art. 1")
    assert _capped(_sends((1, "push", 1), (2, "email", 1)), cap) == [(1, "push", "cap.law", "Art. 1", date(2026, 6, 5))]
    law = Cap(rule_id="cap.law", max_messages=1, hours=48, laws=frozenset({"default+cn"}))
    assert [row[0] for row in _capped(_sends((1, "push", 1), (2, "email", 1)), law)] == [2, 2]


def test_a_cap_of_none_closes_for_everybody_without_end() -> None:
    cap = Cap(rule_id="cap.week", max_messages=0, hours=168)
    assert _capped(_sends(), cap) == [
        (sk, channel, "cap.week", None, None) for sk in (1, 2) for channel in ("email", "push")
    ]


def test_of_two_caps_the_one_that_lasts_longest_is_named() -> None:
    day = Cap(rule_id="cap.day", max_messages=1, hours=24)
    assert {row[2:] for row in _capped(_sends((1, "email", 1), (1, "email", 100)), WEEK, day)} == {
        ("cap.week", None, date(2026, 6, 5))
    }


def test_listed_contacts_count_unless_a_message_confirms_them() -> None:
    listed = pl.DataFrame(
        {
            "user_sk": [1, 2],
            "channel": ["email", "email"],
            "assigned_at": [datetime(2026, 6, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)],
        }
    )
    sends = _sends((1, "email", 8)).with_columns(pl.lit(None, dtype=pl.String).alias("category"))
    assert counted_sends(sends, listed, exempt=frozenset()).rows() == [
        (1, "email", datetime(2026, 6, 1, 19)),  # noqa: DTZ001
        (2, "email", datetime(2026, 6, 2)),  # noqa: DTZ001
    ]


def test_messages_of_exempt_kinds_do_not_count() -> None:
    sends = _sends((1, "email", 8), (1, "email", 9)).with_columns(pl.Series("category", ["Transactional", "offers"]))
    assert counted_sends(sends, None, exempt=frozenset({"transactional"}))["sent_at"].to_list() == [
        datetime(2026, 6, 1, 18)  # noqa: DTZ001
    ]


@given(st.lists(st.integers(0, 400), max_size=12), st.integers(1, 4), st.sampled_from([24, 72, 168]))
def test_one_more_message_never_breaks_a_cap_and_is_allowed_again_from_until_on(
    ages_hours: list[int], max_messages: int, hours: int
) -> None:
    cap = Cap(rule_id="cap.day", max_messages=max_messages, hours=hours)
    sends = _sends(*((1, "email", float(age)) for age in ages_hours))

    def n_with_one_more(at: datetime) -> int:
        return 1 + sum(at - timedelta(hours=hours) < sent <= at for sent in sends["sent_at"])

    found = _capped(sends, cap)
    assert (n_with_one_more(AT) > max_messages) == bool(found)
    for *_, until in found:
        assert isinstance(until, date)
        assert n_with_one_more(datetime(until.year, until.month, until.day)) <= max_messages  # noqa: DTZ001


@pytest.mark.parametrize("hours_ahead", [1, 40])
def test_a_contact_planned_after_the_lists_are_out_counts_as_well(hours_ahead: int) -> None:
    cap = Cap(rule_id="cap.day", max_messages=1, hours=24)
    assert {row[0] for row in _capped(_sends((1, "email", -hours_ahead)), cap)} == {1}


def test_a_cap_of_a_stage_protects_only_users_in_it() -> None:
    cap = Cap(rule_id="cap.stage", max_messages=1, hours=168, stages=frozenset({"lost"}))
    users = USERS.with_columns(stage=pl.Series(["lost", "dormant"]))
    made = capped_points(_sends((1, "email", 1), (2, "email", 1)), users, caps=[cap], channels=["email"], at=AT)
    assert made.select("user_sk", "cap_rule").rows() == [(1, "cap.stage")]


def test_a_message_to_one_account_of_a_person_counts_at_all_of_them() -> None:
    persons = pl.DataFrame({"user_sk": [1, 2, 3, 4, 5], "person_key": ["p", "p", "", "", None]})
    sends = _sends((1, "email", 5), (3, "email", 5))
    at = AT - timedelta(hours=5)
    assert of_persons(sends, persons).rows() == [(1, "email", at), (2, "email", at), (3, "email", at)]
    assert of_persons(_sends(), persons).rows() == []
