"""What an endpoint's past proves, on literal histories, and against the truth of simulated worlds."""

from datetime import date, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from dagster_project.reach.endpoints import endpoints
from reach.worlds import FAILURES, STATES, channel_facts, keyed, sightings_of, users_of, world_of

AS_OF = date(2024, 6, 30)
USERS = pl.DataFrame({"user_sk": [1, 2], "user_id": ["b", "a"]})
TIMES = (
    *("first_seen_at", "last_seen_at", "last_sent_at", "last_delivered_at", "last_alive_at", "last_unsubscribed_at"),
    *("last_complained_at", "first_sent_since_alive_at"),
)
STATE_SCHEMA = {
    "user_sk": pl.Int64,
    "channel": pl.String,
    "endpoint": pl.String,
    **dict.fromkeys(TIMES, pl.Datetime("us")),
    "n_sent": pl.Int64,
    "n_sent_since_alive": pl.Int64,
}
FAILURE_SCHEMA = {
    "user_sk": pl.Int64,
    "channel": pl.String,
    "endpoint": pl.String,
    "event": pl.String,
    "code": pl.String,
    "n_since_alive": pl.Int64,
    "first_since_alive_at": pl.Datetime("us"),
    "last_failed_at": pl.Datetime("us"),
}


def at(age_days: float) -> datetime:
    return datetime.combine(AS_OF, datetime.min.time()) + timedelta(hours=12) - timedelta(days=age_days)


def state(
    endpoint: str = "x", *, alive: float | None = None, sent: float | None = 1, channel: str = "email", **more: Any
) -> dict[str, Any]:
    seen = [at(age) for age in (alive, sent) if age is not None]
    plain = {"user_sk": 1, "channel": channel, "endpoint": endpoint, "n_sent": 1, "n_sent_since_alive": 0}
    times = {"first_seen_at": min(seen), "last_seen_at": max(seen), "last_sent_at": None if sent is None else at(sent)}
    lives = {} if alive is None else {"last_alive_at": at(alive), "last_delivered_at": at(alive)}
    return {**plain, **times, **lives, **more}


def failure(
    code: str, endpoint: str = "x", *, first: float = 5, last: float = 5, n: int = 1, channel: str = "email"
) -> dict[str, Any]:
    plain = {"user_sk": 1, "channel": channel, "endpoint": endpoint, "event": "failed", "code": code}
    return {**plain, "n_since_alive": n, "first_since_alive_at": at(first), "last_failed_at": at(last)}


def ledger(
    states: list[dict[str, Any]],
    failures: list[dict[str, Any]] | None = None,
    *,
    consents: list[tuple[str, float]] | None = None,
    seen: float | None = None,
    consented: str = "email",
    channels: tuple[str, ...] = (),
) -> pl.DataFrame:
    given = [(1, consented, status, at(age)) for status, age in consents or ()]
    schema = {"user_sk": pl.Int64, "channel": pl.String, "status": pl.String, "changed_at": pl.Datetime("us")}
    return endpoints(
        USERS,
        pl.DataFrame(states, schema=STATE_SCHEMA),
        pl.DataFrame(failures or [], schema=FAILURE_SCHEMA),
        consents=pl.DataFrame(given, schema=schema, orient="row") if consents is not None else None,
        sightings=pl.DataFrame({"user_sk": [1], "last_seen_on": [None if seen is None else at(seen).date()]}),
        as_of=AS_OF,
        timezone="UTC",
        channels=channels,
    )


UNPROVEN = "Nothing proves or disproves that messages arrive."
HELD_BACK = "A quota held the last message back on 2024-06-29 (4.7.28)."
TWO_DAYS_AGO = "Messages arrive, the last proof is of 2024-06-28."


@pytest.mark.parametrize(
    ("states", "failures", "reach", "explanation"),
    [
        ([state(alive=3)], [], "ok", "Messages arrive, the last proof is of 2024-06-27."),
        ([state(alive=9)], [failure("5.1.1")], "dead", "The endpoint died on 2024-06-25 (5.1.1)."),
        ([state()], [failure("5.1.6")], "dead", "The endpoint died on 2024-06-25 (5.1.6)."),
        ([state(alive=3)], [failure("5.1.1")], "ok", "Messages arrive, the last proof is of 2024-06-27."),
        ([state(alive=9)], [failure("4.1.1")], "ok", "Messages arrive, the last proof is of 2024-06-21."),
        ([state(alive=9)], [failure("5.7.1")], "ok", "Messages arrive, the last proof is of 2024-06-21."),
        (
            [state(alive=40)],
            [failure("4.4.2", first=19, last=5, n=3)],
            "stale",
            "The last 3 messages failed, the newest on 2024-06-25 (4.4.2).",
        ),
        (
            [state(alive=40)],
            [failure("4.4.2", first=18, last=5, n=3)],
            "ok",
            "Messages arrive, the last proof is of 2024-05-21.",
        ),
        (
            [state(alive=40)],
            [failure("4.4.2", first=19, last=5, n=2)],
            "ok",
            "Messages arrive, the last proof is of 2024-05-21.",
        ),
        (
            [state(alive=90, n_sent_since_alive=3, first_sent_since_alive_at=at(30))],
            [],
            "stale",
            "Nothing arrived of 3 messages since 2024-05-31.",
        ),
        ([state(alive=90)], [failure("4.7.28", last=1)], "capped", HELD_BACK),
        ([state(alive=90)], [failure("4.7.28", last=3)], "ok", "Messages arrive, the last proof is of 2024-04-01."),
        ([state()], [], "ok", "Messages arrive, the last proof is of 2024-06-29."),
        ([state()], [failure("4.4.2")], "unknown", UNPROVEN),
        ([state(alive=9), state("y")], [failure("5.1.1")], "unknown", UNPROVEN),
        ([state(alive=9), state("y", alive=2)], [failure("5.1.1")], "ok", TWO_DAYS_AGO),
        ([state(), state("", alive=2)], [failure("5.1.1")], "ok", TWO_DAYS_AGO),
        (
            [state(alive=9, last_complained_at=at(4))],
            [failure("5.1.1")],
            "suppressed",
            "The user complained on 2024-06-26.",
        ),
        ([state(alive=9, last_unsubscribed_at=at(4))], [], "revoked", "The user opted out on 2024-06-26."),
    ],
)  # fmt: skip
def test_an_endpoint_is(
    states: list[dict[str, Any]], failures: list[dict[str, Any]], reach: str, explanation: str
) -> None:
    assert ledger(states, failures).select("reach", "explanation").rows() == [(reach, explanation)]


def test_a_permission_taken_back_is_not_a_dead_device() -> None:
    made = ledger([state(channel="wechat", alive=9)], [failure("43101", channel="wechat")])

    assert made.select("reach", "failure_class", "is_permanent", "code").rows() == [
        ("revoked", "permission_revoked", True, "43101")
    ]


TWO_NUMBERS = [state("old", channel="sms", alive=9), state("new", channel="sms", alive=1)]


@pytest.mark.parametrize("code", ["21610", '{"status":400,"code":21610}', "isv.CUSTOMER_REFUSED", "MX:0012"])
def test_a_stop_stands_though_another_number_answers(code: str) -> None:
    made = ledger(TWO_NUMBERS, [failure(code, "old", channel="sms")])

    assert made.select("reach", "failure_class", "code", "died_on").rows() == [
        ("revoked", "permission_revoked", code, None)
    ]
    assert made["explanation"].to_list() == ["The user opted out on 2024-06-25."]


def test_a_stop_stands_though_the_same_number_answers_later() -> None:
    made = ledger([state(channel="sms", alive=1)], [failure("21610", channel="sms", n=0)])

    assert made["reach"].to_list() == ["revoked"]


@pytest.mark.parametrize(
    ("status", "age", "channel", "reach"),
    [
        ("granted", 4, "sms", "ok"),
        ("granted", 4, "All ", "ok"),
        ("granted", 5, "sms", "revoked"),
        ("granted", 6, "sms", "revoked"),
        ("withdrawn", 4, "sms", "revoked"),
    ],
)
def test_only_a_later_grant_lifts_a_stop(status: str, age: float, channel: str, reach: str) -> None:
    failures = [failure("21610", "old", channel="sms")]
    made = ledger(TWO_NUMBERS, failures, consents=[(status, age)], consented=channel)

    assert made["reach"].to_list() == [reach]


def test_a_permission_given_back_is_told_by_a_proof_of_life() -> None:
    made = ledger([state(channel="wechat", alive=1)], [failure("43101", channel="wechat", n=0)])

    assert made["reach"].to_list() == ["ok"]


@pytest.mark.parametrize(
    ("code", "failed", "seen", "reach", "until"),
    [
        ("45015", 20, None, "capped", None),
        ("45015", 20, 25, "capped", None),
        ("45015", 20, 20, "capped", None),  # of one day nobody knows which came first
        ("45015", 20, 19, "ok", None),
        ("45047", 1, None, "capped", None),
        ("45009", 2, None, "capped", date(2024, 7, 1)),
        ("45009", 3, None, "ok", None),
    ],
)
def test_a_window_is_shut_until_the_users_next_act_and_a_quota_for_days(
    code: str, failed: float, seen: float | None, reach: str, until: date | None
) -> None:
    failures = [failure(code, channel="wechat", first=failed, last=failed)]
    made = ledger([state(channel="wechat", alive=40)], failures, seen=seen)

    assert made.select("reach", "until").rows() == [(reach, until)]


def test_a_later_fault_does_not_open_a_window() -> None:
    failures = [failure("45015", channel="wechat", last=4), failure("-1", channel="wechat", last=1)]
    made = ledger([state(channel="wechat", alive=40)], failures)

    assert made.select("reach", "code", "rule_id", "explanation").rows() == [
        ("capped", "45015", "wechat.window_closed", "Shut on 2024-06-26 (45015) until the user's next act opens it.")
    ]


@pytest.mark.parametrize("code", ["isv.MONTH_LIMIT_CONTROL", "ID:0143"])
@pytest.mark.parametrize(("failed", "reach", "until"), [(29, "capped", date(2024, 7, 1)), (30, "ok", None)])
def test_a_limit_of_the_month_lasts_to_its_end(code: str, failed: float, reach: str, until: date | None) -> None:
    failures = [failure(code, channel="sms", first=failed, last=failed)]
    made = ledger([state(channel="sms", alive=40)], failures)

    assert made.select("reach", "until").rows() == [(reach, until)]


def test_a_word_for_all_channels_speaks_for_each_and_makes_no_channel_of_its_own() -> None:
    states = [state(alive=9), state(channel="push", alive=9)]
    made = ledger(states, consents=[("withdrawn", 3)], consented="all", channels=("sms",))

    assert made.select("channel", "reach").rows() == [("email", "revoked"), ("push", "revoked"), ("sms", "revoked")]


@pytest.mark.parametrize(("seen", "is_active_after"), [(4, True), (5, False), (None, False)])
def test_whoever_is_seen_after_the_death_was_lost_by_technology(seen: float | None, is_active_after: bool) -> None:
    made = ledger([state()], [failure("5.1.1")], seen=seen)

    assert made["is_active_after"].to_list() == [is_active_after]
    assert ("technical" in made["explanation"][0]) == is_active_after


@pytest.mark.parametrize(
    ("consents", "reach"),
    [
        ([("granted", 3)], "ok"),
        ([("granted", 4)], "revoked"),
        ([("granted", 3), ("withdrawn", 3)], "revoked"),
        ([("granted", 2), ("withdrawn", 3)], "ok"),
        ([("Opted_In ", 3)], "ok"),
    ],
)
def test_only_a_later_grant_lifts_an_opt_out(consents: list[tuple[str, float]], reach: str) -> None:
    made = ledger([state(alive=9, last_unsubscribed_at=at(4))], consents=consents)

    assert made["reach"].to_list() == [reach]


def test_a_channel_known_from_consent_alone_is_unknown() -> None:
    made = ledger([], consents=[("granted", 3)])

    assert made.select("user_id", "channel", "reach", "n_failed_since_delivered").rows() == [
        ("b", "email", "unknown", 0)
    ]


def test_what_names_no_endpoint_counts_for_the_newest() -> None:
    made = ledger([state("old", sent=50), state("new", sent=4)], [failure("5.1.1", ""), failure("5.1.1", "old")])

    assert made.select("reach", "endpoint").rows() == [("dead", "new")]


@pytest.mark.parametrize(
    ("seed", "changes"),
    [
        (11, {}),
        (12, {"routine_sends_per_month": 3.0, "purge_share": 0.8}),
        (13, {"transient_failure_share": 0.05, "yearly_email_death_share": 0.2, "n_days": 400}),
        (14, {"background_opt_out_share": 0.15, "evidence_share": 0.5}),
    ],
)
def test_reachability_is_right_for_nearly_every_endpoint_of_a_world(seed: int, changes: dict[str, Any]) -> None:
    world = world_of(seed, **changes)
    facts = channel_facts(world)
    made = endpoints(
        users_of(world),
        facts[STATES],
        facts[FAILURES],
        consents=keyed(world, "consents"),
        sightings=sightings_of(world),
        as_of=world.spec.first_on + timedelta(days=world.spec.n_days - 1),
        timezone=world.spec.business_timezone,
    )
    last_sent = (
        world.tables["message_events"]
        .filter(pl.col("event") == "sent")
        .group_by("user_id", "channel")
        .agg(pl.col("occurred_at").max().dt.date().alias("last_sent_on"))
    )
    shut = pl.col("reach").is_in(["dead", "revoked", "suppressed", "stale"]).fill_null(value=False)
    judged = (
        world.truth["endpoints"]
        .join(made.select("user_id", "channel", "reach"), on=["user_id", "channel"], how="left")
        .join(last_sent, on=["user_id", "channel"], how="left")
        .with_columns(is_right=shut != pl.col("is_reachable"))
    )
    # nobody wrote to it since it died: there is nothing to know it from
    untold = pl.col("token_died_on").is_not_null() & (
        pl.col("last_sent_on") >= pl.col("token_died_on")
    ).not_().fill_null(value=True)

    assert judged.filter(~untold)["is_right"].mean() >= 0.98
    assert judged["is_right"].mean() >= 0.93
    assert judged.filter(~untold).height >= 0.9 * judged.height


def test_neither_row_order_nor_the_inner_keys_reach_the_ledger() -> None:
    world = world_of(13, n_days=300)
    facts = channel_facts(world)
    given = [users_of(world), facts[STATES], facts[FAILURES], keyed(world, "consents"), sightings_of(world)]

    def made(users: pl.DataFrame, states: pl.DataFrame, failures: pl.DataFrame, *rest: pl.DataFrame) -> pl.DataFrame:
        more = {"consents": rest[0], "sightings": rest[1], "as_of": AS_OF, "timezone": "UTC"}
        return endpoints(users, states, failures, **more).drop("user_sk")

    turned = [frame.reverse().with_columns(1_000_000 - pl.col("user_sk")) for frame in given]

    assert made(*given).equals(made(*turned))


def test_when_an_endpoint_died_is_told_though_the_user_opted_out_as_well() -> None:
    """A passing failure before it is no death."""
    failures = [failure("4.4.2", first=9, last=9), failure("5.1.1", first=5)]
    found = ledger([state(alive=20)], failures, consents=[("withdrawn", 3)]).row(0, named=True)

    assert (found["reach"], found["died_on"], found["first_failed_on"]) == (
        "revoked",
        at(5).date(),
        at(9).date(),
    )
