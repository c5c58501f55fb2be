"""From facts to reasons: literal users, and what their evidence makes of them."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest

from dagster_project.reasons import REASONS
from dagster_project.reasons.judge import REASON_SCHEMA, Facts, judge_reasons
from dagster_project.reasons.wording import sentences

AS_OF = date(2024, 12, 31)
LEFT = date(2024, 6, 30)
FIRST = date(2023, 6, 30)
ALL_TABLES = ("events", "users", "subscriptions", "message_events", "consents", "feedback", "links")
SIGNALS = {
    "user_sk": pl.Int64,
    "happened_on": pl.Date,
    "signal": pl.String,
    "channel": pl.String,
    "words": pl.String,
    "text": pl.String,
    "score": pl.Float64,
    "n_times": pl.Int64,
}
MESSAGES = {
    "user_sk": pl.Int64,
    "channel": pl.String,
    "n_sent": pl.Int64,
    "n_sent_before": pl.Int64,
    "n_sent_28d": pl.Int64,
    "n_delivered_since": pl.Int64,
    "n_failed_since": pl.Int64,
}
ENDPOINTS = {
    "user_sk": pl.Int64,
    "channel": pl.String,
    "reach": pl.String,
    "failure_class": pl.String,
    "code": pl.String,
    "first_seen_on": pl.Date,
    "last_seen_on": pl.Date,
    "last_delivered_on": pl.Date,
    "first_failed_on": pl.Date,
    "died_on": pl.Date,
    "n_failed_since_delivered": pl.Int64,
}
GAPS = pl.List(pl.Struct({"ended_on": pl.Date, "gap_days": pl.Int64, "n_active_days_before": pl.Int64}))


def signal(signal: str, day: int = 0, *, user_sk: int = 1, **more: Any) -> dict[str, Any]:
    """A signal so many days after the last active day."""
    return {"user_sk": user_sk, "happened_on": LEFT + timedelta(days=day), "signal": signal, "n_times": 1, **more}


def facts(
    signals: Sequence[dict[str, Any]] = (), *, channels: Sequence[dict[str, Any]] = (), n_users: int = 1, **more: Any
) -> Facts:
    """Users 1 to n who came for a year and left on one day; `channels` have the columns of MESSAGES and ENDPOINTS."""
    keys = list(range(1, n_users + 1))
    ids = [f"u{key:03d}" for key in keys]
    users = pl.DataFrame(
        {"user_sk": keys, "user_id": ids, "first_on": FIRST, "long_gaps": [more.pop("long_gaps", [])] * n_users},
        schema_overrides={"long_gaps": GAPS},
    )
    silent = (AS_OF - LEFT).days
    stages = pl.DataFrame({"user_sk": keys, "user_id": ids}).with_columns(
        days_silent=pl.lit(silent),
        usual_gap_days=pl.lit(7.0),
        churn_threshold_days=pl.lit(30.0),
        is_churned=pl.lit(True),
    )
    habits = pl.DataFrame({"user_sk": keys}).with_columns(
        first_on=pl.lit(FIRST),
        last_on=pl.lit(LEFT),
        n_active_days=pl.lit(50),
        n_gaps=pl.lit(49),
        gap_growth_per_day=pl.lit(0.0),
        gap_days_ss=pl.lit(1.0),
        gap_residual_ss=pl.lit(20.0),
        n_late_categorised=pl.lit(0),
        own_category_share_late=pl.lit(None, dtype=pl.Float64),
        own_category_share_early=pl.lit(0.7),
        n_days_season_ago=pl.lit(0),
    )
    given = {
        "users": users,
        "stages": stages,
        "signals": pl.DataFrame(list(signals), schema=SIGNALS),
        "messages": pl.DataFrame([{name: row[name] for name in MESSAGES} for row in channels], schema=MESSAGES),
        "endpoints": pl.DataFrame([{name: row[name] for name in ENDPOINTS} for row in channels], schema=ENDPOINTS),
        "habits": habits,
        "tables": ALL_TABLES,
        **more,
    }
    return Facts(**given)


def only(given: Facts) -> dict[str, Any]:
    found = judge_reasons(given, as_of=AS_OF)
    assert found.height == 1
    return found.row(0, named=True)


DEAD = {
    "user_sk": 1,
    "channel": "push",
    "n_sent": 9,
    "n_sent_before": 4,
    "n_sent_28d": 1,
    "n_delivered_since": 0,
    "n_failed_since": 3,
    "reach": "dead",
    "failure_class": "endpoint_dead",
    "code": "UNREGISTERED",
    "first_seen_on": FIRST,
    "last_seen_on": LEFT + timedelta(days=40),
    "last_delivered_on": LEFT - timedelta(days=5),
    "first_failed_on": LEFT + timedelta(days=9),
    "died_on": LEFT + timedelta(days=9),
    "n_failed_since_delivered": 3,
}
PASSING = {"reach": "ok", "failure_class": "provider", "code": "UNAVAILABLE", "died_on": None}
ALIVE = {"reach": "ok", "failure_class": None, "code": None, "died_on": None, "first_failed_on": None}


@pytest.mark.parametrize(
    ("given", "reason", "decided_by"),
    [
        ([signal("new_account", 3)], "identity_switch", "new_account"),
        ([signal("app_removed", 1)], "uninstalled", "app_removed"),
        ([signal("consent_withdrawn", words="iOS settings")], "permission_revoked", "device_switch_off"),
        ([signal("opted_out", -2, channel="email")], "message_fatigue", "opted_out_of_messages"),
        ([signal("complaint", text="You write far too often")], "message_fatigue", "said_too_often"),
        ([signal("contract_ended", 2, words="card declined")], "payment_failure", "contract_unpaid"),
        ([signal("contract_ended", 2, words="Pricing")], "price_or_plan", "contract_too_dear"),
        ([signal("exit_survey", 5, text="太贵了")], "price_or_plan", "said_price"),
        ([signal("ticket", -3, text="the app keeps crashing")], "service_failure", "said_service"),
        ([signal("deletion_request", 3)], "privacy_concern", "deletion_request"),
        ([signal("exit_survey", 5, words="irrelevant")], "content_irrelevant", "said_content"),
        ([signal("exit_survey", 5, words="got what I came for")], "goal_completed_or_seasonal", "said_goal"),
        ([signal("exit_survey", 5, words="switched to a rival")], "competitor_or_life_change", "said_elsewhere"),
        ([signal("exit_survey", 5, text="please close my account")], "explicit_stop", "said_stop"),
        ([signal("deletion_request", 3, text="delete my account")], "explicit_stop", "said_stop"),
        ([], "unknown", "posterior"),
        ([signal("exit_survey", 5, text="hello")], "unknown", "posterior"),
    ],
)
def test_each_reason_is_found_by_its_evidence(given: list[dict[str, Any]], reason: str, decided_by: str) -> None:
    found = only(facts(given))

    assert (found["reason"], found["decided_by"]) == (reason, decided_by)


def test_evidence_far_from_the_leaving_proves_nothing() -> None:
    assert only(facts([signal("exit_survey", -90, words="price")]))["reason"] == "unknown"
    assert only(facts([signal("ticket", 120, words="bug")]))["reason"] == "unknown"


def test_the_first_strong_evidence_wins_and_all_of_it_is_kept() -> None:
    found = only(facts([signal("exit_survey", 5, words="price"), signal("ticket", -3, words="payment")]))

    assert (found["reason"], found["decided_by"]) == ("payment_failure", "said_payment")
    assert [(piece["id"], piece["on"]) for piece in json.loads(found["evidence"])] == [
        ("said_payment", "2024-06-27"),
        ("said_price", "2024-07-05"),
    ]


def test_an_opt_out_by_a_privacy_request_is_no_fatigue() -> None:
    given = [signal("opted_out", 1), signal("consent_withdrawn", 1, words="privacy_request")]

    assert only(facts(given))["reason"] == "privacy_concern"


def test_a_dead_endpoint_is_told_from_lost_interest() -> None:
    assert only(facts(channels=[DEAD]))["reason"] == "delivery_dead"
    assert only(facts(channels=[{**DEAD, **PASSING}]))["reason"] == "unknown"
    assert only(facts(channels=[{**DEAD, **ALIVE, "last_delivered_on": AS_OF}]))["reason"] == "unknown"


def test_an_app_that_was_removed_is_no_dead_endpoint() -> None:
    assert only(facts([signal("app_removed", 1)], channels=[DEAD]))["reason"] == "uninstalled"
    assert only(facts(channels=[{**DEAD, "code": "Unregistered"}]))["reason"] == "uninstalled"


def test_what_the_user_says_outweighs_a_death_that_may_be_chance() -> None:
    """Of the others who said why they left some lost a channel long before: deaths by chance are usual here."""
    late = {**DEAD, "last_delivered_on": LEFT + timedelta(days=25), "died_on": LEFT + timedelta(days=60)}
    before = {"last_delivered_on": LEFT - timedelta(days=200), "died_on": LEFT - timedelta(days=170)}
    lost = [{**DEAD, **before, "user_sk": key} for key in range(2, 41)]
    reached = [{**DEAD, **ALIVE, "user_sk": key, "last_delivered_on": AS_OF} for key in range(41, 201)]
    words = [signal("exit_survey", 5, words="price", user_sk=key) for key in range(1, 201)]

    silent = only(facts(channels=[late]))
    said = judge_reasons(facts(words, channels=[late, *lost, *reached], n_users=200), as_of=AS_OF)

    assert silent["decided_by"] == "main_channel_probably_dead_by_then"
    assert said["reason"].unique().to_list() == ["price_or_plan"]


def test_who_was_silenced_by_an_outage_has_a_measurement_gap_though_not_churned() -> None:
    given = facts()
    stages = given.stages.with_columns(is_churned=pl.lit(False))
    silenced = pl.DataFrame({"user_sk": [1]}, schema={"user_sk": pl.Int64})

    found = only(facts(stages=stages, silenced=silenced))

    assert (found["reason"], found["decided_by"]) == ("measurement_gap", "silenced_by_outage")


def test_who_no_message_reached_since_a_purge_is_named_so_though_not_churned() -> None:
    """Their clock stands still: by it they were seen ten days ago, long after the channel died."""
    given = facts(channels=[DEAD])
    stages = given.stages.with_columns(is_churned=pl.lit(False), days_silent=pl.lit(10))
    unreached = pl.DataFrame({"user_sk": [1], "silent_since": [LEFT]}, schema_overrides={"user_sk": pl.Int64})

    found = only(facts(channels=[DEAD], stages=stages, unreached=unreached))

    assert (found["reason"], found["decided_by"]) == ("delivery_dead", "main_channel_dead")
    assert judge_reasons(facts(channels=[DEAD], stages=stages), as_of=AS_OF).is_empty()


def test_the_reason_of_an_earlier_leaving_is_taken_where_nothing_is_said_of_this_one() -> None:
    back = LEFT - timedelta(days=60)
    gap = [{"ended_on": back, "gap_days": 90, "n_active_days_before": 20}]
    said = {**signal("exit_survey", words="price"), "happened_on": back - timedelta(days=88)}

    found = only(facts([said], long_gaps=gap))

    assert (found["reason"], json.loads(found["evidence"])[0]["is_earlier"]) == ("price_or_plan", True)
    assert only(facts([said]))["reason"] == "unknown"


def test_where_everybody_writes_tickets_a_ticket_is_no_proof() -> None:
    stayed = facts(n_users=200)
    stages = stayed.stages.with_columns(
        is_churned=pl.col("user_sk") == 1,
        days_silent=pl.when(pl.col("user_sk") == 1).then("days_silent").otherwise(1).cast(pl.Int32),
    )
    span = (AS_OF - FIRST).days
    tickets = [
        {**signal("ticket", user_sk=key, words="bug"), "happened_on": FIRST + timedelta(days=day)}
        for key in range(2, 201)
        for day in range(0, span, 30)
    ]
    mine = signal("ticket", -3, words="bug")

    rare = judge_reasons(facts([mine], stages=stages, n_users=200), as_of=AS_OF).row(0, named=True)
    usual = judge_reasons(facts([mine, *tickets], stages=stages, n_users=200), as_of=AS_OF).row(0, named=True)

    assert (rare["reason"], usual["reason"]) == ("service_failure", "unknown")


def test_a_table_that_is_absent_leaves_the_rest_as_it_is() -> None:
    found = only(facts([signal("app_removed", 1)], tables=("events",)))

    assert found["reason"] == "uninstalled"


def test_nothing_after_the_night_counts() -> None:
    later = {**signal("exit_survey", words="price"), "happened_on": AS_OF + timedelta(days=1)}
    slow = facts([later])
    stages = slow.stages.with_columns(usual_gap_days=pl.lit(200.0))

    assert only(facts([later], stages=stages))["reason"] == "unknown"


def test_probabilities_sum_to_one_and_agree_with_the_confidence() -> None:
    found = judge_reasons(facts([signal("exit_survey", 5, words="price")], n_users=3), as_of=AS_OF)
    shares = found.select([f"p_{reason}" for reason in REASONS])

    assert found.schema == REASON_SCHEMA
    assert shares.sum_horizontal().to_list() == pytest.approx([1.0] * 3)
    for row in found.iter_rows(named=True):
        assert row[f"p_{row['reason']}"] == pytest.approx(row["reason_confidence"])


def test_keys_and_their_order_do_not_matter() -> None:
    given = facts([signal("exit_survey", 5, words="price"), signal("opted_out", user_sk=2)], n_users=4)
    turned = {
        name: (frame.with_columns((5 - pl.col("user_sk")).alias("user_sk")).reverse())
        for name, frame in vars(given).items()
        if isinstance(frame, pl.DataFrame)
    }
    other = Facts(**{**vars(given), **turned})

    first, second = (judge_reasons(one, as_of=AS_OF).drop("user_sk") for one in (given, other))

    assert first.equals(second)


def test_nobody_who_left_gives_an_empty_table_with_its_columns() -> None:
    stages = facts().stages.with_columns(is_churned=pl.lit(False))

    found = judge_reasons(facts(stages=stages), as_of=AS_OF)

    assert (found.height, found.schema) == (0, REASON_SCHEMA)


def test_a_sentence_names_the_piece_that_decided() -> None:
    found = judge_reasons(
        facts([signal("exit_survey", 5, words="price"), signal("ticket", -3, words="payment")], n_users=2), as_of=AS_OF
    ).with_columns(reason_confidence=pl.lit(0.876))

    assert sentences(found).rows() == [
        ("u001", "Probably left for a failed payment (88 % sure): the user spoke of a payment.")
    ]


def test_what_is_not_sure_is_not_said() -> None:
    found = judge_reasons(facts([signal("exit_survey", 5, words="price")]), as_of=AS_OF)

    assert sentences(found.with_columns(reason_confidence=pl.lit(0.5))).is_empty()


def test_dead_delivery_stays_strong_where_it_is_usual() -> None:
    """A log on which every leaver's channel died, and on which those who stayed show it too."""
    given = facts(channels=[{**DEAD, "user_sk": key} for key in range(1, 101)], n_users=100)
    stays = pl.col("user_sk") > 50
    shared = replace(given, stages=given.stages.with_columns(is_churned=~stays))

    found = judge_reasons(shared, as_of=AS_OF)

    assert found["reason"].unique().to_list() == ["delivery_dead"]


@pytest.mark.parametrize(
    ("kind", "score", "text"),
    [
        ("nps", 10, "great customer service, love it"),
        ("nps", 10, "价格便宜很喜欢"),
        ("csat", 5, "the content is great"),
        ("nps", 9, "not bored at all"),
        ("nps", 10, "you write every day, wonderful"),
        ("nps", 10, "found what I needed"),
        ("csat", 5, "so much better than another app"),
    ],
)
def test_praise_is_no_reason_to_leave(kind: str, score: float, text: str) -> None:
    found = only(facts([signal(kind, score=score, text=text)]))

    assert (found["reason"], json.loads(found["evidence"])) == ("unknown", [])


def test_a_promoter_among_promoters_of_ten_is_no_complaint() -> None:
    others = [signal("nps", user_sk=key, score=10) for key in range(2, 9)]
    found = judge_reasons(facts([signal("nps", score=9, text="the price is fine"), *others], n_users=8), as_of=AS_OF)

    assert found["reason"].to_list() == ["unknown"] * 8
    assert json.loads(found["evidence"][0]) == []


@pytest.mark.parametrize(("kind", "score"), [("nps", 2), ("nps", 6), ("csat", 2), ("nps", None), ("csat", None)])
def test_words_beside_a_low_score_or_none_are_a_complaint(kind: str, score: float | None) -> None:
    found = only(facts([signal(kind, score=score, text="way too expensive")]))

    assert (found["reason"], found["decided_by"]) == ("price_or_plan", "said_price")


def test_words_beside_a_score_that_is_low_among_the_others_are_a_complaint() -> None:
    others = [signal("csat", user_sk=key, score=9) for key in range(2, 9)]
    found = judge_reasons(facts([signal("csat", score=5, text="too expensive"), *others], n_users=8), as_of=AS_OF)

    assert found["reason"].to_list() == ["price_or_plan", *["unknown"] * 7]
