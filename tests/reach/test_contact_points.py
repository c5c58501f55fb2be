from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagster_project.compliance.packs import shipped_law_book
from dagster_project.project import Project
from dagster_project.reach.caps import Cap
from dagster_project.reach.contact_points import ContactFacts, GateRules
from dagster_project.reach.contact_points import contact_points as gated

USERS = pl.DataFrame({"user_sk": [1, 2], "user_id": ["b", "a"]})
CHANNELS = ["email", "push"]
RULES = GateRules(
    book=shipped_law_book(),
    channels=CHANNELS,
    send_on=date(2026, 2, 1),
    ready_at=datetime(2026, 2, 1, 3),  # noqa: DTZ001
    categories=frozenset({"winback", "offers"}),
)


def contact_points(
    users: pl.DataFrame, consents: pl.DataFrame | None, message_events: pl.DataFrame | None, **more: Any
) -> pl.DataFrame:
    return gated(users, ContactFacts(consents=consents, message_events=message_events, **more), rules=RULES)


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
    points = contact_points(USERS, consents, events)
    names = {1: "b", 2: "a"}
    return {
        (names[sk], channel): rule for sk, channel, rule in points.select("user_sk", "channel", "rule_id").iter_rows()
    }


def test_without_tables_nothing_is_known() -> None:
    points = contact_points(USERS, None, None)
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
            "quiet_start": pl.Int32,
            "quiet_end": pl.Int32,
        }
    )


def test_a_granted_channel_is_ok_with_its_basis_and_a_missing_one_is_closed() -> None:
    points = contact_points(USERS, _consents((2, "email", "granted", 1)), None)
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
    points = contact_points(USERS, _consents((2, "email", status, 1)), None)
    row = points.row(0, named=True)
    assert (row["reach"], row["rule_id"], row["until"]) == ("revoked", "consent.withdrawn", None)
    assert row["citation"] == "House rule after GDPR Art. 7(3), PIPL Art. 15 and CAN-SPAM, 15 U.S.C. 7704(a)(4)"
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
    points = contact_points(USERS, None, events)
    assert points.select("user_sk", "channel", "reach", "rule_id", "citation", "code").rows() == [
        (2, "push", "dead", "reach.dead", "Our own records: reach.endpoints", "UNREGISTERED"),
        (1, "push", "ok", None, None, None),
    ]


def test_a_channel_that_was_only_sent_to_is_unknown_and_open() -> None:
    points = contact_points(USERS, None, _events((2, "email", "sent", 1, None)))
    assert points.select("user_sk", "reach", "rule_id").rows() == [(2, "unknown", None)]


def test_zoned_times_give_the_same_answer() -> None:
    consents, events = _consents((2, "email", "granted", 2)), _events((2, "email", "unsubscribed", 3, None))
    zoned = [
        frame.with_columns(pl.col(at).dt.replace_time_zone("UTC"))
        for frame, at in ((consents, "changed_at"), (events, "occurred_at"))
    ]
    assert contact_points(USERS, *zoned).equals(contact_points(USERS, consents, events), null_equal=True)


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


@settings(deadline=None)
@given(st.lists(_EVENT, max_size=8), st.lists(_CONSENT, max_size=6), st.randoms())
def test_row_order_and_repeated_rows_do_not_matter(events: list, consents: list, random) -> None:  # type: ignore[no-untyped-def,type-arg]
    told = contact_points(USERS, _consents(*consents), _events(*events))
    events, consents = events * 2, consents * 2
    random.shuffle(events)
    random.shuffle(consents)
    retold = contact_points(USERS.reverse(), _consents(*consents), _events(*events))
    assert told.equals(retold, null_equal=True)
    assert told.select("user_sk", "channel").is_unique().all()
    assert told.filter(pl.col("rule_id").is_null())["reach"].is_in(["ok", "unknown"]).all()


def _one(consent: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The row of user 1 on email, whose only consent row holds what is given."""
    plain = {"user_sk": 1, "channel": "email", "status": "granted", "changed_at": _at(1), "basis": "consent"}
    users = pl.DataFrame({"user_sk": [1], "user_id": ["b"], **more.pop("user", {})})
    rows = [plain | consent] if consent is not None else []
    points = contact_points(users, pl.DataFrame(rows, infer_schema_length=None), None, **more)
    return points.filter(pl.col("channel") == "email").row(0, named=True)


def _why(row: dict[str, Any]) -> tuple[str | None, date | None]:
    return row["rule_id"], row["until"]


def test_a_pause_closes_until_its_end_and_then_what_was_said_before_holds() -> None:
    assert _why(_one({"status": "paused", "paused_until": date(2026, 2, 2)})) == ("user.paused", date(2026, 2, 2))
    assert _why(_one({"status": "paused", "paused_until": None})) == ("user.paused", None)
    both = pl.DataFrame(
        {
            "user_sk": [1, 1],
            "channel": ["email", "email"],
            "status": ["granted", "paused"],
            "changed_at": [_at(1), _at(2)],
            "basis": ["consent", None],
            "paused_until": [None, date(2026, 2, 1)],
        }
    )
    assert contact_points(USERS.head(1), both, None)["rule_id"].to_list() == [None, "consent.missing"]
    lifted = both.with_columns(pl.Series("changed_at", [_at(3), _at(2)]), pl.lit(None).alias("paused_until"))
    assert contact_points(USERS.head(1), lifted, None)["rule_id"].to_list() == [None, "consent.missing"]


@pytest.mark.parametrize(
    ("categories", "rule"), [(None, None), ([], None), (["news", " Winback "], None), (["news"], "user.topics")]
)
def test_topics_must_name_messages_like_ours_if_they_name_any(categories: list[str] | None, rule: str | None) -> None:
    assert _one({"categories": categories})["rule_id"] == rule


def test_the_users_own_hours_are_handed_on_and_what_cannot_be_read_closes() -> None:
    row = _one({"quiet_start": "21:00", "quiet_end": "9:30"})
    assert (row["rule_id"], row["quiet_start"], row["quiet_end"]) == (None, 1260, 570)
    assert _one({"quiet_start": "late", "quiet_end": "9:30"})["rule_id"] == "user.hours_unclear"
    assert _one({"quiet_start": "21:00", "quiet_end": None})["rule_id"] == "user.hours_unclear"


def test_two_rows_of_one_instant_hold_the_strictest_of_each_term() -> None:
    rows = pl.DataFrame(
        {
            "user_sk": [1, 1],
            "channel": ["email", "email"],
            "status": ["granted", "granted"],
            "changed_at": [_at(1), _at(1)],
            "basis": ["consent", "consent"],
            "categories": [["offers"], ["news"]],
        }
    )
    assert contact_points(USERS.head(1), rows, None)["rule_id"].to_list() == ["user.topics", "consent.missing"]


def test_a_word_for_all_channels_speaks_for_each() -> None:
    assert _rules(_consents((1, "all", "granted", 1), (1, "push", "withdrawn", 2)), None) == {
        ("a", "email"): "consent.missing",
        ("a", "push"): "consent.missing",
        ("b", "email"): None,
        ("b", "push"): "consent.withdrawn",
    }


def test_deletion_and_complaint_stop_every_channel_at_once() -> None:
    stops = pl.DataFrame(
        {"user_sk": [1, 2], "complained_at": [None, _at(31)], "deletion_requested_at": [_at(31), None]}
    )
    points = contact_points(USERS, _consents((1, "email", "granted", 31)), None, stops=stops)
    assert points.select("user_sk", "rule_id").unique().sort("user_sk").rows() == [
        (1, "deletion.stop"),
        (2, "complaint.stop"),
    ]


def test_the_law_of_the_country_decides_which_basis_counts() -> None:
    def rule(country: str | None, basis: str) -> str | None:
        return _one({"basis": basis}, user={"country": [country]})["rule_id"]  # type: ignore[no-any-return]

    assert rule("DE", "existing_customer") is None
    assert rule("CN", "existing_customer") == "consent.basis"
    assert rule("DE", "legitimate_interest") == "consent.basis"
    assert rule("CN", "consent") is None


def test_a_minor_is_left_alone_until_the_birthday_unless_a_parent_agreed() -> None:
    def row(born_on: date, basis: str = "consent", country: str = "US") -> dict[str, Any]:
        return _one({"basis": basis}, user={"birth_on": [born_on], "country": [country]})

    # the house rules ask for sixteen years, the stricter of the two packs
    assert _why(row(date(2010, 2, 2))) == ("minors.age", date(2026, 2, 2))
    assert row(date(2010, 2, 2))["citation"] == "House rule after GDPR Art. 8(1)"
    assert _why(row(date(2010, 2, 1))) == (None, None)
    assert _why(row(date(2010, 2, 2), "parental_consent")) == (None, None)
    assert _why(row(date(2012, 2, 29))) == ("minors.age", date(2028, 2, 29))
    assert _why(row(date(2011, 3, 1))) == ("minors.age", date(2027, 3, 1))


def test_in_china_nobody_under_eighteen_is_written_to_whatever_a_parent_says() -> None:
    def row(born_on: date, basis: str) -> dict[str, Any]:
        return _one({"basis": basis}, user={"birth_on": [born_on], "country": ["CN"]})

    told = row(date(2008, 2, 2), "parental_consent")
    assert _why(told) == ("minors.age", date(2026, 2, 2))
    assert told["citation"].startswith("Regulations on the Protection of Minors in Cyberspace (State Council Order 766")
    assert _why(row(date(2008, 2, 1), "consent")) == (None, None)


def test_a_users_own_weekly_maximum_counts_on_its_channel_until_the_week_has_passed() -> None:
    sends = pl.DataFrame(
        {
            "user_sk": [1, 1],
            "channel": ["email", "push"],
            "sent_at": [datetime(2026, 1, 27, 12), datetime(2026, 1, 31)],  # noqa: DTZ001
            "category": [None, None],
        },
        schema_overrides={"category": pl.String},
    )
    assert _why(_one({"max_per_week": 1}, sends=sends)) == ("user.weekly_maximum", date(2026, 2, 4))
    assert _why(_one({"max_per_week": 2}, sends=sends)) == (None, None)
    assert _why(_one({"max_per_week": 0})) == ("user.weekly_maximum", None)


def test_too_many_complaints_close_a_channel_to_all_who_may_be_written_to() -> None:
    def rules(n_delivered: int, n_complained: int, dt: date = date(2026, 1, 31)) -> list[str | None]:
        counts = {"channel": ["email"], "dt": [dt], "n_delivered": [n_delivered], "n_complained": [n_complained]}
        points = contact_points(USERS, None, None, complaints=pl.DataFrame(counts))
        return points.filter(pl.col("channel") == "email")["rule_id"].to_list()

    assert rules(1000, 3) == ["complaints.rate", "complaints.rate"]
    assert rules(1000, 2) == []
    assert rules(999, 50) == []
    assert rules(1000, 3, date(2026, 1, 1)) == []


def test_endpoints_where_given_say_what_is_dead() -> None:
    events = _events((2, "push", "failed", 2, "QUOTA"), (1, "push", "unsubscribed", 2, None))
    endpoints = pl.DataFrame(
        {
            "user_sk": [2, 2, 1],
            "channel": ["push", "email", "push"],
            "reach": ["ok", "dead", "ok"],
            "code": [None, "5.1.1", None],
        }
    )
    points = contact_points(USERS, None, events, endpoints=endpoints)
    assert points.select("user_sk", "channel", "reach", "rule_id", "code").rows() == [
        (2, "email", "dead", "reach.dead", "5.1.1"),
        (2, "push", "ok", None, None),
        (1, "push", "revoked", "consent.withdrawn", None),
    ]


HOUSE_WITHDRAWAL = "House rule after GDPR Art. 7(3), PIPL Art. 15 and CAN-SPAM, 15 U.S.C. 7704(a)(4)"


def _endpoint(channel: str, reach: str, **more: Any) -> dict[str, Any]:
    plain = {"user_sk": 1, "channel": channel, "reach": reach, "code": None, "failure_class": None, "rule_id": None}
    return {**plain, "until": None, **more}


def _gate(*endpoints: dict[str, Any], consents: pl.DataFrame | None = None) -> list[tuple[Any, ...]]:
    schema = {"failure_class": pl.String, "rule_id": pl.String, "until": pl.Date, "code": pl.String}
    given = pl.DataFrame(list(endpoints), schema_overrides=schema)
    points = contact_points(USERS.head(1), consents, None, endpoints=given)
    return points.select("channel", "reach", "rule_id", "citation", "until", "code").rows()


def test_a_stop_is_the_users_word_with_its_citation_and_no_dead_channel() -> None:
    stop = {"failure_class": "permission_revoked", "rule_id": "twilio.opted_out", "code": "21610"}

    assert _gate(_endpoint("sms", "revoked", **stop)) == [
        ("sms", "revoked", "consent.revoked_at_provider", HOUSE_WITHDRAWAL, None, "21610")
    ]


def test_what_the_user_told_us_is_no_word_to_the_provider() -> None:
    withdrawn = _consents((1, "email", "withdrawn", 1), (1, "push", "granted", 1))

    assert _gate(_endpoint("email", "revoked"), consents=withdrawn)[0][:4] == (
        "email",
        "revoked",
        "consent.withdrawn",
        HOUSE_WITHDRAWAL,
    )
    # withdrawn, and then a word that we do not know: the ledger keeps the opt-out, the gate says why itself
    unclear = _consents((1, "email", "odd", 1), (1, "push", "granted", 1))
    assert _gate(_endpoint("email", "revoked"), consents=unclear)[0][2] == "consent.unclear"


def test_a_quota_closes_until_its_end_and_a_window_until_the_users_next_act() -> None:
    month = {"rule_id": "aliyun.month", "code": "isv.MONTH_LIMIT_CONTROL", "until": date(2026, 3, 1)}
    window = {"rule_id": "wechat.window_closed", "code": "45015"}
    over = {"rule_id": "push.rate", "code": "429", "until": RULES.send_on}

    found = _gate(
        _endpoint("sms", "capped", **month),
        _endpoint("wechat", "capped", **window),
        _endpoint("push", "capped", **over),
    )

    push, sms, wechat = found
    assert push[:3] == ("push", "unknown", None)
    assert sms[:3] == ("sms", "capped", "reach.capped")
    assert sms[3].startswith("Alibaba Cloud SMS, error codes of SendSms")
    assert sms[4:] == (date(2026, 3, 1), "isv.MONTH_LIMIT_CONTROL")
    assert wechat[:3] == ("wechat", "capped", "reach.capped")
    assert wechat[3].startswith("WeChat, Global return codes")
    assert wechat[4:] == (None, "45015")


def test_without_a_ledger_a_refusal_for_a_stop_is_no_dead_channel_either() -> None:
    points = contact_points(USERS, None, _events((1, "sms", "delivered", 1, None), (1, "sms", "failed", 2, "21610")))

    assert points.select("reach", "rule_id", "citation", "code").rows() == [
        ("revoked", "consent.revoked_at_provider", HOUSE_WITHDRAWAL, "21610")
    ]


def test_a_channels_own_weekly_cap_closes_that_channel_alone(tmp_path: Path) -> None:
    (tmp_path / "winback.toml").write_text(
        "[sources.events]\npath = 'e.csv'\n"
        "columns = { user_id = 'u', occurred_at = 't', event_type = 'k' }\n"
        "[channels.email]\ncost = 0.1\n[channels.sms]\ncost = 0.2\nmax_touches_per_week = 1\n",
        encoding="utf-8",
    )
    rules = Project.load(tmp_path / "winback.toml").gate_rules(date(2026, 6, 1))
    users = pl.DataFrame({"user_sk": [1], "user_id": ["a"]})
    sends = pl.DataFrame(
        {"user_sk": [1], "channel": ["sms"], "sent_at": [datetime(2026, 5, 29)], "category": [None]},  # noqa: DTZ001
        schema_overrides={"sent_at": pl.Datetime("us"), "category": pl.String},
    )
    made = gated(users, ContactFacts(sends=sends), rules=rules)
    assert made.filter(pl.col("rule_id").is_not_null()).select("channel", "rule_id").rows() == [("sms", "cap.channel")]


def test_the_cap_of_a_stage_closes_all_channels_of_its_users_until_the_window_has_passed() -> None:
    users = pl.DataFrame({"user_sk": [1, 2], "user_id": ["a", "b"], "stage": ["lost", "dormant"]})
    sends = pl.DataFrame(
        {"user_sk": [1, 2], "channel": ["email"] * 2, "sent_at": [datetime(2026, 1, 30)] * 2, "category": [None] * 2},  # noqa: DTZ001
        schema_overrides={"sent_at": pl.Datetime("us"), "category": pl.String},
    )
    cap = Cap(rule_id="cap.stage", max_messages=1, hours=168, stages=frozenset({"lost"}))
    made = gated(users, ContactFacts(sends=sends), rules=replace(RULES, caps=(cap,)))
    assert made.select("user_sk", "channel", "rule_id", "reach", "until").rows() == [
        (1, "email", "cap.stage", "capped", date(2026, 2, 6)),
        (1, "push", "cap.stage", "capped", date(2026, 2, 6)),
    ]
