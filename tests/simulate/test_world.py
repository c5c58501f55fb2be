from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from dagster_project.errors import WinbackError
from dagster_project.simulate import REASONS, TABLE_SCHEMAS, Outage, World, WorldSpec, simulate_world

at = datetime.fromisoformat

SPEC = WorldSpec(n_users=4_000, seed=11)


@pytest.fixture(scope="module")
def world() -> World:
    return simulate_world(SPEC)


def days(count: int) -> date:
    return SPEC.first_on + timedelta(days=count)


def test_the_same_parameters_give_the_same_world() -> None:
    first, second = (simulate_world(WorldSpec(n_users=300, seed=5)) for _ in range(2))
    for name in first.tables:
        assert first.tables[name].equals(second.tables[name]), name
    for name in first.truth:
        assert first.truth[name].equals(second.truth[name]), name


def test_another_seed_gives_another_world() -> None:
    first, second = (simulate_world(WorldSpec(n_users=300, seed=seed)) for seed in (5, 6))
    assert not first.tables["events"].equals(second.tables["events"])


@pytest.mark.parametrize("table", list(TABLE_SCHEMAS))
def test_every_table_has_the_canonical_columns_and_rows(world: World, table: str) -> None:
    assert dict(world.tables[table].schema) == {k: pl.Schema({k: v})[k] for k, v in TABLE_SCHEMAS[table].items()}
    assert world.tables[table].height > 0


@pytest.mark.parametrize(
    ("table", "required"),
    [
        ("events", ["user_id", "occurred_at", "event_type", "event_id"]),
        ("users", ["user_id", "signed_up_at", "country", "timezone"]),
        ("subscriptions", ["user_id", "started_at", "plan", "price"]),
        ("message_events", ["user_id", "message_id", "channel", "event", "occurred_at", "endpoint"]),
        ("consents", ["user_id", "channel", "status", "changed_at", "source"]),
        ("feedback", ["user_id", "occurred_at", "kind"]),
        ("links", ["user_id", "other_user_id", "kind", "since"]),
        ("assignments", ["user_id", "experiment_id", "arm", "assigned_at", "propensity", "strategy_id"]),
    ],
)
def test_required_columns_are_never_null(world: World, table: str, required: list[str]) -> None:
    assert world.tables[table].select(required).null_count().row(0) == (0,) * len(required)


@pytest.mark.parametrize("table", list(TABLE_SCHEMAS))
def test_every_user_of_every_table_has_a_profile(world: World, table: str) -> None:
    known = world.tables["users"]["user_id"].implode()
    assert world.tables[table].filter(~pl.col("user_id").is_in(known)).height == 0


def test_users_are_one_row_each_and_so_is_their_truth(world: World) -> None:
    assert world.tables["users"]["user_id"].n_unique() == SPEC.n_users
    assert world.truth["users"]["user_id"].to_list() == world.tables["users"]["user_id"].to_list()


def test_purchases_and_only_purchases_have_a_positive_amount(world: World) -> None:
    events = world.tables["events"]
    purchases = events.filter(pl.col("event_type") == "purchase")["amount"]
    assert purchases.null_count() == 0
    assert purchases.is_finite().all()
    assert purchases.min() >= 0.01  # type: ignore[operator]
    assert events.filter(pl.col("event_type") != "purchase")["amount"].null_count() == (events.height - purchases.len())


def test_everything_happens_between_the_first_and_the_last_business_day(world: World) -> None:
    zone = ZoneInfo("Europe/Berlin")
    end = datetime(2024, 1, 1, tzinfo=zone) + timedelta(days=SPEC.n_days)
    start_utc, end_utc = at("2023-12-31 23:00"), end.astimezone(ZoneInfo("UTC")).replace(tzinfo=None)
    for table, column in (("events", "occurred_at"), ("message_events", "occurred_at"),
                          ("feedback", "occurred_at"), ("consents", "changed_at")):  # fmt: skip
        times = world.tables[table][column]
        assert times.min() >= start_utc, table  # type: ignore[operator]
        assert times.max() < end_utc, table  # type: ignore[operator]
    last = world.tables["events"]["occurred_at"].max()
    assert last.date() == days(SPEC.n_days - 1)  # type: ignore[union-attr]


def test_nobody_is_active_before_joining(world: World) -> None:
    first = world.tables["events"].group_by("user_id").agg(pl.col("occurred_at").min())
    joined = first.join(world.tables["users"], on="user_id")
    assert joined.filter(pl.col("occurred_at") < pl.col("signed_up_at")).height == 0


def test_prospects_have_a_profile_and_no_event(world: World) -> None:
    prospects = world.truth["users"].filter("is_prospect")
    assert prospects.height > 100
    assert world.tables["events"].join(prospects, on="user_id", how="semi").height == 0


def test_every_reason_of_leaving_occurs_and_only_leavers_and_hidden_users_have_one(world: World) -> None:
    users = world.truth["users"]
    assert set(users["true_reason"].drop_nulls()) == set(REASONS)
    has_reason = pl.col("true_reason").is_not_null()
    assert users.filter(has_reason != (pl.col("has_left") | pl.col("is_measurement_gap"))).height == 0
    assert users.filter("has_left")["left_on"].null_count() == 0
    assert users.filter(~pl.col("has_left"))["left_on"].null_count() == users.filter(~pl.col("has_left")).height


def test_who_has_left_is_silent_since_the_day_of_leaving(world: World) -> None:
    left = world.truth["users"].filter("has_left").select("user_id", "left_on")
    used = world.tables["events"].filter(pl.col("event_type").is_in(["app_open", "view", "purchase"]))
    after = used.join(left, on="user_id").filter(pl.col("occurred_at").dt.date() > pl.col("left_on"))
    assert after.height == 0


def test_a_finished_outage_leaves_a_hole_in_its_platform_only(world: World) -> None:
    day = pl.col("occurred_at")
    inside = world.tables["events"].filter(day >= at("2024-10-27 12:00"), day < at("2024-11-01 12:00"))
    counts = dict(inside["platform"].value_counts().iter_rows())
    assert "ios" not in counts
    assert counts["android"] > 100


def test_a_running_outage_hides_users_who_never_left_and_still_click() -> None:
    spec = WorldSpec(n_users=4_000, seed=3, stuck_version_share=0.3, routine_sends_per_month=4)
    world = simulate_world(spec)
    hidden = world.truth["users"].filter("is_measurement_gap").select("user_id")
    since = at("2025-04-26 00:00")
    late = pl.col("occurred_at") >= since
    used = pl.col("event_type").is_in(["app_open", "view", "purchase"])
    seen = world.tables["events"].filter(late, used).join(hidden, on="user_id", how="semi")
    clicked = world.tables["message_events"].filter(late, pl.col("event") == "clicked")
    assert hidden.height > 50
    assert seen.height == 0
    assert clicked.join(hidden, on="user_id", how="semi").height > 0


def test_a_world_without_outages_hides_nobody() -> None:
    world = simulate_world(WorldSpec(n_users=500, outages=()))
    assert not world.truth["users"]["is_measurement_gap"].any()


def test_a_provider_outage_refuses_every_message_of_its_channel() -> None:
    outage = Outage(kind="messages", start_day=100, end_day=103, channel="email")
    world = simulate_world(WorldSpec(n_users=2_000, outages=(outage,)))
    during = world.tables["message_events"].filter(
        pl.col("channel") == "email",
        pl.col("occurred_at").is_between(at("2024-04-10 01:00"), at("2024-04-12 19:00")),
    )
    assert during.filter(pl.col("event") == "delivered").height == 0
    assert set(during.filter(pl.col("event") == "bounced")["code"]) == {"4.4.2"}


def test_an_outage_of_some_hours_and_one_of_a_version_refuse_only_what_was_sent_then_and_there() -> None:
    hours = Outage(kind="messages", start_day=100, end_day=102, channel="push", start_hour=15, end_hour=12)
    version = Outage(kind="messages", start_day=305, end_day=315, platform="android", app_version="3.3.0")
    plain, broken = (
        simulate_world(WorldSpec(n_users=3_000, outages=outages)).tables["message_events"]
        for outages in ((), (hours, version))
    )

    refused = (
        broken.filter(pl.col("code").is_in(["UNAVAILABLE", "ServiceUnavailable", "4.4.2", "EXPIRED", "-1"]))
        .join(plain.filter(pl.col("event") == "delivered"), on="message_id", how="semi")
        .with_columns(
            pl.col("occurred_at").is_between(at("2024-04-10 13:00"), at("2024-04-11 10:01")).alias("is_hours")
        )
    )
    assert set(refused.filter("is_hours")["channel"]) == {"push"}
    late = refused.filter(~pl.col("is_hours"))
    assert late["occurred_at"].is_between(at("2024-10-31 23:00"), at("2024-11-10 23:00")).all()
    assert 10 < late.height < 500
    delivered = broken.filter(pl.col("channel") == "push", pl.col("event") == "delivered")
    assert delivered.filter(pl.col("occurred_at").is_between(at("2024-04-10 13:01"), at("2024-04-11 09:59"))).is_empty()


def test_an_outage_of_events_has_no_hours() -> None:
    with pytest.raises(WinbackError, match="from hour 9 to hour 12"):
        Outage(kind="events", start_day=1, end_day=2, start_hour=9, end_hour=12)


def test_contact_brings_more_people_back_and_the_truth_says_how_many() -> None:
    world = simulate_world(WorldSpec(n_users=12_000, seed=2, response_scale=2.5))
    used = world.tables["events"].filter(pl.col("event_type").is_in(["app_open", "view", "purchase"]))
    start, end = at("2025-02-14 23:00"), at("2025-03-14 23:00")
    back = used.filter(pl.col("occurred_at") >= start, pl.col("occurred_at") < end).select("user_id").unique()
    rows = world.tables["assignments"].with_columns(returned=pl.col("user_id").is_in(back["user_id"].implode()))
    rate = {arm: rows.filter(pl.col("arm") == arm)["returned"].mean() for arm in ("treat", "control")}
    truth = world.truth["campaign"].filter(pl.col("strategy_id") == "*")["true_effect_probability"].item()
    assert truth > 0.06
    assert rate["treat"] - rate["control"] == pytest.approx(truth, abs=0.02)  # type: ignore[operator]


def test_each_arm_returns_exactly_as_its_potential_outcome_says(world: World) -> None:
    truth = world.truth["campaign_users"]
    start, end = at("2025-02-14 23:00"), at("2025-03-14 23:00")
    used = world.tables["events"].filter(
        pl.col("event_type").is_in(["app_open", "view", "purchase"]),
        pl.col("occurred_at") >= start,
        pl.col("occurred_at") < end,
    )
    expected = pl.when("is_treated").then("returns_with_contact").otherwise("returns_without_contact")
    wrong = truth.filter(pl.col("user_id").is_in(used["user_id"].implode()) != expected)
    assert wrong.height == 0


def test_the_assignment_is_random_with_the_logged_propensity(world: World) -> None:
    rows = world.tables["assignments"]
    assert rows["propensity"].unique().to_list() == [0.5]
    assert rows.filter(pl.col("arm") == "treat").height / rows.height == pytest.approx(0.5, abs=0.05)
    assert rows["user_id"].is_unique().all()


def test_a_message_reaches_nobody_whose_endpoint_is_dead(world: World) -> None:
    truth = world.truth["campaign_users"].filter(~pl.col("is_reached"))
    assert truth.height > 10
    assert truth["lift_log_odds"].abs().max() == 0
    assert (truth["returns_with_contact"] == truth["returns_without_contact"]).all()


def test_dead_endpoints_answer_with_permanent_codes_and_no_delivery(world: World) -> None:
    dead = world.truth["endpoints"].filter(pl.col("token_died_on").is_not_null() & pl.col("token_renewed_on").is_null())
    later = (
        world.tables["message_events"]
        .join(dead, on=["user_id", "channel"])
        .filter(pl.col("occurred_at").dt.date() > pl.col("token_died_on"))
    )
    assert later.height > 50
    assert later.filter(pl.col("event").is_in(["delivered", "opened", "clicked"])).height == 0


def test_nobody_is_sent_anything_after_opting_out(world: World) -> None:
    out = world.truth["endpoints"].filter(pl.col("opted_out_on").is_not_null())
    sent = world.tables["message_events"].filter(pl.col("event") == "sent")
    late = sent.join(out, on=["user_id", "channel"]).filter(pl.col("occurred_at").dt.date() > pl.col("opted_out_on"))
    assert late.height == 0


def test_a_switched_identity_goes_on_under_another_id_of_the_same_person(world: World) -> None:
    pairs = world.truth["users"].filter(pl.col("successor_of").is_not_null())
    keys = world.tables["users"].select("user_id", "person_key", "birth_on")
    joined = (
        pairs.select("user_id", "successor_of")
        .join(keys, on="user_id")
        .join(keys, left_on="successor_of", right_on="user_id", suffix="_before")
    )
    assert joined.height == world.truth["users"].filter(pl.col("true_reason") == "identity_switch").height
    assert joined.filter(pl.col("person_key") != pl.col("person_key_before")).height == 0
    assert joined["person_key"].null_count() < joined.height / 2


def test_reason_shares_can_be_set() -> None:
    spec = WorldSpec(n_users=800, reason_shares={"delivery_dead": 1.0}, stuck_version_share=0.0)
    users = simulate_world(spec).truth["users"]
    assert set(users["first_reason"].drop_nulls()) == {"delivery_dead"}


def test_a_reason_that_needs_a_row_has_evidence_only_where_the_row_is(world: World) -> None:
    dead = world.truth["users"].filter(pl.col("true_reason") == "delivery_dead", pl.col("has_evidence"))
    refused = world.tables["message_events"].filter(pl.col("code").is_not_null()).select("user_id")
    assert dead.height > 30
    assert dead.join(refused, on="user_id", how="anti").height == 0
    assert not world.truth["users"].filter(pl.col("true_reason") == "unknown")["has_evidence"].any()


@pytest.mark.parametrize("n_users", [1, 2, 50])
def test_a_tiny_world_has_all_tables(n_users: int) -> None:
    world = simulate_world(WorldSpec(n_users=n_users))
    assert list(world.tables) == list(TABLE_SCHEMAS)
    assert world.tables["users"].height == n_users


def test_a_short_world_has_neither_campaign_nor_late_shocks() -> None:
    world = simulate_world(WorldSpec(n_users=200, n_days=90))
    assert world.tables["assignments"].height == 0
    assert world.truth["outages"].height == 0
    assert world.tables["events"]["occurred_at"].max() < at("2024-03-30 23:00")  # type: ignore[operator]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"n_users": 0}, "0 users"),
        ({"n_days": 10}, "10 days"),
        ({"leaver_share": 1.5}, "leaver_share = 1.5"),
        ({"reason_shares": {"boredom": 1.0}}, "boredom"),
    ],
)
def test_an_impossible_world_is_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(WinbackError, match=message):
        WorldSpec(**wrong)  # type: ignore[arg-type]


def test_whoever_is_away_for_a_dead_endpoint_still_has_one(world: World) -> None:
    dead = world.truth["users"].filter(pl.col("true_reason") == "delivery_dead").select("user_id")
    still = world.truth["endpoints"].filter(pl.col("token_died_on").is_not_null(), pl.col("token_renewed_on").is_null())
    assert dead.height > 30
    assert dead.join(still, on="user_id", how="anti").height == 0


def test_machine_opens_come_as_the_mail_arrives_and_leave_all_else_as_it_was() -> None:
    plain, fetched = (
        simulate_world(WorldSpec(n_users=400, seed=5, machine_open_share=share)).tables for share in (0.0, 0.5)
    )

    more = fetched["message_events"].join(
        plain["message_events"], on=["message_id", "event", "occurred_at"], how="anti"
    )

    assert more["event"].unique().to_list() == ["opened"]
    assert more["channel"].unique().to_list() == ["email"]
    assert fetched["message_events"].height == plain["message_events"].height + more.height
    assert more.height > 100
    assert all(fetched[name].equals(plain[name]) for name in plain if name != "message_events")


def test_a_lost_wechat_account_and_one_that_stopped_following_are_refused_by_their_own_codes() -> None:
    world = simulate_world(WorldSpec(n_users=4000, seed=12, outages=()))
    refused = world.tables["message_events"].filter(pl.col("code").is_in(["40003", "43004"]))
    told = refused.join(world.truth["users"].select("user_id", "first_reason"), on="user_id", how="left")

    lost, shut = (told.filter(pl.col("code") == code)["first_reason"] for code in ("40003", "43004"))

    assert set(lost) == {"delivery_dead"}
    assert shut.len() > lost.len()


def test_a_leaver_for_want_of_reach_has_evidence_only_where_the_dead_channel_refused() -> None:
    world = simulate_world(WorldSpec(n_users=4000, seed=12, outages=()))
    leavers = world.truth["users"].filter((pl.col("true_reason") == "delivery_dead") & pl.col("has_evidence"))
    dead = (
        world.truth["endpoints"].join(leavers, on="user_id").filter(pl.col("token_died_on") <= pl.col("first_left_on"))
    )
    refused = world.tables["message_events"].filter(pl.col("event").is_in(["failed", "bounced"]))

    with_refusal = dead.join(refused, on=["user_id", "channel"], how="semi")["user_id"]

    assert set(leavers["user_id"]) == set(with_refusal)
