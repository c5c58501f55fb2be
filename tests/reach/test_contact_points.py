from datetime import datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_project.reach.contact_points import contact_points

USERS = pl.DataFrame({"user_sk": [1, 2], "user_id": ["b", "a"]})
CHANNELS = ["email", "push"]


def _at(day: int) -> datetime:
    return datetime(2026, 1, day)  # noqa: DTZ001


def _consents(*rows: tuple[int, str, str, int]) -> pl.DataFrame:
    return pl.DataFrame(
        [(sk, channel, status, _at(day), "opt_in") for sk, channel, status, day in rows],
        schema={
            "user_sk": pl.Int64,
            "channel": pl.String,
            "status": pl.String,
            "changed_at": pl.Datetime("us"),
            "basis": pl.String,
        },
        orient="row",
    )


def _events(*rows: tuple[int, str, str, int, str | None]) -> pl.DataFrame:
    return pl.DataFrame(
        [(sk, channel, event, _at(day), code) for sk, channel, event, day, code in rows],
        schema={
            "user_sk": pl.Int64,
            "channel": pl.String,
            "event": pl.String,
            "occurred_at": pl.Datetime("us"),
            "code": pl.String,
        },
        orient="row",
    )


def _rules(consents: pl.DataFrame | None, events: pl.DataFrame | None) -> dict[tuple[str, str], str | None]:
    points = contact_points(USERS, consents, events, channels=CHANNELS)
    names = {1: "b", 2: "a"}
    return {
        (names[sk], channel): rule for sk, channel, rule in points.select("user_sk", "channel", "rule_id").iter_rows()
    }


def test_without_tables_nothing_is_known() -> None:
    points = contact_points(USERS, None, None, channels=CHANNELS)
    assert points.height == 0
    assert points.schema == pl.Schema(
        {
            "user_sk": pl.Int64,
            "channel": pl.String,
            "reach": pl.String,
            "consent_basis": pl.String,
            "rule_id": pl.String,
            "citation": pl.String,
            "until": pl.Date,
            "code": pl.String,
        }
    )


def test_a_granted_channel_is_ok_with_its_basis_and_a_missing_one_is_closed() -> None:
    points = contact_points(USERS, _consents((2, "email", "granted", 1)), None, channels=CHANNELS)
    assert points.select("user_sk", "channel", "reach", "consent_basis", "rule_id").rows() == [
        (2, "email", "ok", "opt_in", None),
        (2, "push", "unknown", None, "consent.missing"),
        (1, "email", "unknown", None, "consent.missing"),
        (1, "push", "unknown", None, "consent.missing"),
    ]


@pytest.mark.parametrize(
    "status", ["withdrawn", "revoked", "opted_out", "unsubscribed", "denied", "refused", " Denied "]
)
def test_every_form_of_no_is_a_no(status: str) -> None:
    points = contact_points(USERS, _consents((2, "email", status, 1)), None, channels=CHANNELS)
    row = points.row(0, named=True)
    assert (row["reach"], row["rule_id"], row["until"]) == ("revoked", "consent.withdrawn", None)
    assert row["citation"] == "GDPR Art. 7(3); PIPL Art. 15; CAN-SPAM §5(a)(4)"
    assert row["consent_basis"] is None


@pytest.mark.parametrize("status", ["pending", "", None])
def test_a_status_we_do_not_know_is_not_consent(status: str | None) -> None:
    rules = _rules(_consents((2, "email", status, 1)), None)  # type: ignore[arg-type]
    assert rules["a", "email"] == "consent.unclear"


def test_the_latest_consent_wins() -> None:
    rules = _rules(
        _consents(
            (2, "email", "withdrawn", 1),
            (2, "email", "granted", 2),
            (2, "push", "granted", 1),
            (2, "push", "withdrawn", 2),
        ),
        None,
    )
    assert (rules["a", "email"], rules["a", "push"]) == (None, "consent.withdrawn")


@pytest.mark.parametrize("first", ["granted", "withdrawn"])
def test_of_two_consents_at_one_instant_the_stricter_wins(first: str) -> None:
    second = "withdrawn" if first == "granted" else "granted"
    rules = _rules(_consents((2, "email", first, 1), (2, "email", second, 1)), None)
    assert rules["a", "email"] == "consent.withdrawn"


@pytest.mark.parametrize(("day", "rule"), [(1, None), (2, "consent.withdrawn"), (3, "consent.withdrawn")])
def test_an_unsubscription_counts_unless_a_grant_came_after_it(day: int, rule: str | None) -> None:
    rules = _rules(_consents((2, "email", "granted", 2)), _events((2, "email", "unsubscribed", day, None)))
    assert rules["a", "email"] == rule


def test_an_unsubscription_closes_its_channel_without_a_consents_table() -> None:
    assert _rules(None, _events((2, "email", "unsubscribed", 1, None))) == {("a", "email"): "consent.withdrawn"}


def test_a_complaint_stops_every_channel_for_good() -> None:
    rules = _rules(
        _consents((2, "email", "granted", 5), (2, "push", "granted", 5)), _events((2, "push", "complained", 1, None))
    )
    assert (rules["a", "email"], rules["a", "push"]) == ("complaint.stop", "complaint.stop")
    assert _rules(None, _events((2, "sms", "complained", 1, None))) == {
        ("a", "email"): "complaint.stop",
        ("a", "push"): "complaint.stop",
        ("a", "sms"): "complaint.stop",
    }


def test_a_failure_with_no_sign_of_life_after_it_is_a_dead_channel_with_its_code() -> None:
    events = _events(
        (2, "push", "delivered", 1, None),
        (2, "push", "failed", 2, "UNREGISTERED"),
        (2, "push", "failed", 1, "QUOTA"),
        (1, "push", "bounced", 1, "5.1.1"),
        (1, "push", "opened", 2, None),
    )
    points = contact_points(USERS, None, events, channels=CHANNELS)
    assert points.select("user_sk", "channel", "reach", "rule_id", "citation", "code").rows() == [
        (2, "push", "dead", "reach.dead", None, "UNREGISTERED"),
        (1, "push", "ok", None, None, None),
    ]


def test_a_channel_that_was_only_sent_to_is_unknown_and_open() -> None:
    points = contact_points(USERS, None, _events((2, "email", "sent", 1, None)), channels=CHANNELS)
    assert points.select("user_sk", "reach", "rule_id").rows() == [(2, "unknown", None)]


def test_tables_by_user_id_with_zoned_times_give_the_same_answer() -> None:
    consents, events = _consents((2, "email", "granted", 2)), _events((2, "email", "unsubscribed", 3, None))
    by_id = [
        frame.join(USERS, on="user_sk").drop("user_sk").with_columns(pl.col(at).dt.replace_time_zone("UTC"))
        for frame, at in ((consents, "changed_at"), (events, "occurred_at"))
    ]
    assert contact_points(USERS, *by_id, channels=CHANNELS).equals(
        contact_points(USERS, consents, events, channels=CHANNELS), null_equal=True
    )


def test_rows_of_users_who_are_not_there_are_left_out() -> None:
    assert _rules(None, _events((9, "email", "complained", 1, None))) == {}


_EVENT = st.tuples(
    st.sampled_from([1, 2]),
    st.sampled_from(["email", "push"]),
    st.sampled_from(["sent", "delivered", "opened", "failed", "bounced", "unsubscribed", "complained"]),
    st.integers(1, 4),
    st.sampled_from([None, "x", "y"]),
)
_CONSENT = st.tuples(
    st.sampled_from([1, 2]),
    st.sampled_from(["email", "push"]),
    st.sampled_from(["granted", "withdrawn", "odd"]),
    st.integers(1, 4),
)


@given(st.lists(_EVENT, max_size=8), st.lists(_CONSENT, max_size=6), st.randoms())
def test_row_order_and_repeated_rows_do_not_matter(events: list, consents: list, random) -> None:  # type: ignore[no-untyped-def,type-arg]
    told = contact_points(USERS, _consents(*consents), _events(*events), channels=CHANNELS)
    events, consents = events * 2, consents * 2
    random.shuffle(events)
    random.shuffle(consents)
    retold = contact_points(USERS.reverse(), _consents(*consents), _events(*events), channels=CHANNELS)
    assert told.equals(retold, null_equal=True)
    assert told.select("user_sk", "channel").is_unique().all()
    assert told.filter(pl.col("rule_id").is_null())["reach"].is_in(["ok", "unknown"]).all()
