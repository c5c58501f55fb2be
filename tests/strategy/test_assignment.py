from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagster_project.compliance.packs import shipped_law_book
from dagster_project.strategy.assignment import Decisions, Known, decide
from dagster_project.strategy.catalogue import Catalogue, load_catalogue
from dagster_project.strategy.hands import Hands
from dagster_project.strategy.priors import Beliefs, load_priors
from dagster_project.strategy.rules import ChannelRules, DecisionRules
from dagster_project.strategy.series import ANSWERS, CONTACTS, NO_PAST, Past

AS_OF = date(2026, 6, 1)
Frame = Callable[..., pl.DataFrame]
Night = Callable[..., Decisions]


@pytest.fixture(scope="session")
def night(candidates: Frame, contact_points: Frame, catalogue: Catalogue, rules: DecisionRules) -> Night:
    def run(
        *users: dict[str, Any],
        points: tuple[dict[str, Any], ...] = (),
        past: Past = NO_PAST,
        frame: pl.DataFrame | None = None,
        catalogue: Catalogue = catalogue,
        **changes: Any,
    ) -> Decisions:
        return decide(
            candidates(*users) if frame is None else frame,
            contact_points(*points),
            catalogue=catalogue,
            rules=replace(rules, **changes),
            as_of=AS_OF,
            past=past,
        )

    return run


def _past(contacted: list[tuple[int, date]], *, answered_on: date | None = None) -> Past:
    """Contacts (user_sk, day) by a strategy of one message that is not in the catalogue."""
    rows = [(user, on, "old", "email", 1, f"old_{on}") for user, on in contacted]
    answers = [(user, answered_on) for user in {user for user, _ in contacted}]
    return Past(
        contacts=pl.DataFrame(rows, schema=CONTACTS, orient="row"),
        answers=pl.DataFrame(answers, schema=ANSWERS, orient="row"),
    )


def _only_reason(decisions: Decisions) -> tuple[str, str | None, date | None, str]:
    assert (decisions.exported.height, decisions.holdout.height) == (0, 0)
    row = decisions.suppressed.row(0, named=True)
    return row["rule_id"], row["citation"], row["until"], row["explanation"]


def test_the_most_profitable_option_goes_out(night: Night) -> None:
    decisions = night({"value_if_returned": 300.0}, {"is_churned": False}, {"stage": "lost"})
    assert decisions.exported.select("user_id", "arm", "strategy_id", "channel", "n_options").rows() == [
        ("u1", "treat", "concierge", "email", 12),
        ("u3", "treat", "sunset", "email", 1),
    ]
    assert (decisions.holdout.height, decisions.suppressed.height) == (0, 0)


def test_the_consent_basis_of_the_chosen_channel_is_carried(night: Night) -> None:
    points = (
        {"user_sk": 1, "channel": "email", "consent_basis": "opt_in"},
        {"user_sk": 1, "channel": "push", "consent_basis": "contract"},
    )
    assert night({}, points=points).exported["consent_basis"].to_list() == ["opt_in"]


def test_everyone_held_out_is_in_the_holdout_with_what_they_would_have_had(night: Night) -> None:
    decisions = night({"value_if_returned": 180.0}, control_share=1.0)
    assert decisions.holdout.rows(named=True) == [
        {
            "user_id": "u1",
            "experiment_id": "global_holdout",
            "arm": "control",
            "would_be_strategy": "price_save",
        }
    ]
    of_all = decisions.assignments.filter(pl.col("experiment_id") == "global_holdout")
    assert of_all.rows(named=True) == [
        {
            "user_id": "u1",
            "experiment_id": "global_holdout",
            "arm": "control",
            "assigned_at": datetime(2026, 6, 2, tzinfo=UTC),
            "propensity": 1.0,
            "strategy_id": "price_save",
            "channel": "email",
            "as_of": AS_OF,
            "step": 1,
            "template_id": "price_save_letter",
            "is_contacted": False,
            "is_churned": True,
            "stage": "churned_early",
            "reason": None,
            "value_tier": "low",
            "p_return": 0.2,
            "value_if_returned": 180.0,
            "expected_cost": 0.0,
            "uplift": pytest.approx(0.0337, abs=1e-4),
            "fit_content": 0.0,
            "fit_reason": 0.0,
        }
    ]


def test_explorers_get_each_of_their_options_with_a_logged_propensity(night: Night) -> None:
    users = [{"stage": "churned_late", "value_if_returned": None} for _ in range(300)]
    exported = night(*users, explore_share=0.5, control_share=0.2).exported
    explored = exported.filter(pl.col("arm") == "explore")
    counts = dict(explored["strategy_id"].value_counts().iter_rows())
    assert set(counts) == {"exit_survey", "explore", "whats_new"}
    # By Thompson's rule: what is likelier to be best is drawn more often, and nothing is given up.
    assert counts["whats_new"] == max(counts.values())
    assert min(counts.values()) > 5
    by_option = explored.group_by("strategy_id", "channel").agg(pl.col("propensity").first(), pl.len())
    # The survey goes by e-mail alone, the two others by push as well: five options.
    assert by_option.height == 5
    assert by_option["propensity"].sum() == pytest.approx(0.5)
    assert by_option["propensity"].min() >= 0.5 * 0.2 / 5
    treated = exported.filter(pl.col("arm") == "treat")
    assert treated["strategy_id"].unique().to_list() == ["whats_new"]
    assert treated["propensity"].unique().to_list() == [pytest.approx(0.3)]


def test_a_user_with_every_channel_closed_is_suppressed_by_the_strongest_rule(night: Night) -> None:
    points = (
        {"user_sk": 1, "channel": "email", "rule_id": "reach.dead"},
        {"user_sk": 1, "channel": "push", "rule_id": "consent.withdrawn", "citation": "GDPR Art. 7(3)"},
    )
    assert _only_reason(night({}, points=points)) == (
        "consent.withdrawn",
        "GDPR Art. 7(3)",
        None,
        "Withdrew consent: the channels of the fitting strategies stay closed.",
    )


def test_a_closed_channel_of_the_only_fitting_strategy_is_named(night: Night) -> None:
    points = ({"user_sk": 1, "channel": "email", "rule_id": "reach.dead"},)
    assert _only_reason(night({"stage": "lost"}, points=points))[0] == "reach.dead"


def test_a_pause_lasts_until_the_days_between_are_over(night: Night) -> None:
    def recent(*days: int) -> Past:
        return _past([(1, date(2026, 5, day)) for day in days], answered_on=date(2026, 5, 10))

    assert _only_reason(night({}, past=recent(3, 27), min_days_between=7)) == (
        "cap.cool_down",
        "Setting caps.min_days_between",
        date(2026, 6, 3),
        "Written to lately: the next message may go out from 2026-06-03.",
    )
    assert night({}, past=recent(26), min_days_between=7).exported.height == 1


def test_who_has_had_every_message_that_fits_is_told_so(night: Night) -> None:
    asked = Past(
        contacts=pl.DataFrame(
            [(1, date(2025, 1, 1), "sunset", "email", 1, "sunset_letter")], schema=CONTACTS, orient="row"
        ),
        answers=ANSWERS.to_frame(),
    )

    assert _only_reason(night({"stage": "lost"}, past=asked)) == (
        "content.all_said",
        "Our own records: strategy.assignments",
        None,
        "Has had every message that fits, or did not answer the strategies that would send another.",
    )


def test_a_series_goes_on_with_its_next_words_and_the_ledger_notes_them(night: Night) -> None:
    asked = Past(
        contacts=pl.DataFrame(
            [(1, date(2026, 5, 26), "escalating_three", "email", 1, "escalating_three_1")],
            schema=CONTACTS,
            orient="row",
        ),
        answers=ANSWERS.to_frame(),
    )

    told = night({}, {"value_if_returned": 180.0}, past=asked)

    assert told.exported.select("user_id", "strategy_id", "step", "template_id", "n_options").row(0) == (
        *("u1", "escalating_three", 2, "escalating_three_2", 1),
    )
    assert told.exported["strategy_id"].to_list() != ["escalating_three"] * 2
    assert told.assignments.select("user_id", "step").row(0) == ("u1", 2)


def test_a_user_with_known_hours_is_written_to_then_and_others_at_the_strategys(
    candidates: Frame, contact_points: Frame, catalogue: Catalogue, rules: DecisionRules
) -> None:
    shares = [0.5 if hour == 9 else 0.5 / 23 for hour in range(24)]
    send_hours = pl.DataFrame(
        {"user_sk": [2], "hour_shares": [shares], "timezone": ["Europe/Berlin"]},
        schema_overrides={"hour_shares": pl.List(pl.Float32)},
    )
    everyone = candidates({"timezone": "Europe/Berlin"}, {"timezone": "Europe/Berlin"})

    told = decide(
        everyone, contact_points(), catalogue=catalogue, rules=rules, as_of=AS_OF, known=Known(send_hours=send_hours)
    ).exported

    assert told.select("hour_basis", pl.col("send_at").str.slice(11, 2)).rows() == [("strategy", "18"), ("user", "09")]


def test_deliberate_silence_speaks_before_any_message(night: Night) -> None:
    assert _only_reason(night({"p_return": 0.85})) == (
        "strategy.none_eligible",
        "Our own judgement: strategy quiet_period",
        None,
        "Quiet period: a return is likely without any message.",
    )


def test_what_does_not_pay_is_not_sent(night: Night) -> None:
    dear = {"email": ChannelRules(cost=50.0)}
    assert _only_reason(night({"stage": "lost"}, channels=dear)) == (
        "strategy.none_profitable",
        "Our own judgement: expected profit, setting value.caution",
        None,
        "The best option, Sunset by email, would earn -49.97 after costs: nothing is sent.",
    )


def test_a_user_without_an_estimate_or_a_fitting_strategy_is_told_apart(night: Night) -> None:
    unpriced = "The chance of a return could not be estimated, so no strategy could be priced."
    unmeant = "No strategy with a configured channel is meant for this stage and silence."
    rule, triggers = "strategy.none_eligible", "Our own judgement: the triggers of the strategies"
    assert _only_reason(night({"p_return": None})) == (rule, triggers, None, unpriced)
    assert _only_reason(night({"stage": "dormant"})) == (rule, triggers, None, unmeant)
    no_channels: dict[str, ChannelRules] = {}
    assert _only_reason(night({}, channels=no_channels)) == (rule, triggers, None, unmeant)


def test_the_budget_goes_to_the_highest_profits_and_ties_to_the_first_user_id(night: Night) -> None:
    users = ({"user_id": "c"}, {"user_id": "b"}, {"user_id": "a"}, {"user_id": "d", "value_if_returned": 150.0})
    decisions = night(*users, max_contacts=2)
    assert decisions.exported["user_id"].to_list() == ["a", "d"]
    assert decisions.suppressed.select("user_id", "rule_id", "until").rows() == [
        ("b", "budget.night", date(2026, 6, 3)),
        ("c", "budget.night", date(2026, 6, 3)),
    ]


def test_a_full_channel_is_named(night: Night) -> None:
    full = {"email": ChannelRules(cost=0.0, capacity=0)}
    assert _only_reason(night({"stage": "lost"}, channels=full)) == (
        "capacity.channel",
        "Setting channels.email.capacity",
        date(2026, 6, 3),
        "No room left on email at this rank (Sunset would earn 0.03).",
    )


def test_a_night_without_churned_users_has_empty_frames_with_all_columns(night: Night) -> None:
    empty, full = night({"is_churned": False}), night({}, {"p_return": None})
    assert empty.exported.schema == full.exported.schema
    assert empty.holdout.schema == full.holdout.schema
    assert empty.suppressed.schema == full.suppressed.schema
    assert empty.assignments.schema == full.assignments.schema
    assert [empty.exported.height, empty.holdout.height, empty.suppressed.height, empty.assignments.height] == [0] * 4


_RULE_IDS = ["complaint.stop", "consent.withdrawn", "consent.missing", "consent.unclear", "reach.dead"]
_USER = st.fixed_dictionaries(
    {
        "stage": st.sampled_from(["active", "churned_early", "churned_mid", "churned_late", "lost", "relapsed"]),
        "is_churned": st.sampled_from([True, True, True, False]),
        "days_silent": st.integers(0, 900),
        "churned_on": st.dates(date(2026, 1, 1), AS_OF),
        "p_return": st.none() | st.floats(0, 1),
        "value_if_returned": st.none() | st.floats(0, 500),
        "timezone": st.sampled_from([None, "Asia/Shanghai", "Mars"]),
        "person_key": st.sampled_from([None, "p1", "p2"]),
        "email_rule": st.none() | st.sampled_from(_RULE_IDS),
        "push_rule": st.none() | st.sampled_from(_RULE_IDS),
        "contacted_on": st.none() | st.dates(date(2026, 5, 1), AS_OF),
    }
)
_LIMIT = st.none() | st.integers(0, 4)
_ANY_STRATEGY = st.sampled_from(sorted(one.id for one in load_catalogue().sending))
_HANDS = st.builds(
    Hands,
    pinned=st.lists(_ANY_STRATEGY, max_size=2, unique=True).map(tuple),
    max_contacts=st.dictionaries(_ANY_STRATEGY, st.integers(1, 3), max_size=3),
    waiting=st.frozensets(_ANY_STRATEGY, max_size=2),
    control_shares=st.dictionaries(_ANY_STRATEGY, st.floats(0.1, 0.9), max_size=3),
)


def _world(users: list[dict[str, Any]], points: Frame, candidates: Frame) -> tuple[pl.DataFrame, pl.DataFrame, Past]:
    extra = {"email_rule", "push_rule", "contacted_on"}
    closed = points(
        *(
            {"user_sk": sk, "channel": channel, "rule_id": user[f"{channel}_rule"]}
            for sk, user in enumerate(users, start=1)
            for channel in ("email", "push")
        )
    )
    contacted = [(sk, user["contacted_on"]) for sk, user in enumerate(users, start=1) if user["contacted_on"]]
    return candidates(*({k: v for k, v in user.items() if k not in extra} for user in users)), closed, _past(contacted)


@settings(deadline=None, max_examples=60)
@given(
    users=st.lists(_USER, min_size=1, max_size=12),
    email_capacity=_LIMIT,
    max_contacts=_LIMIT,
    budget=st.none() | st.floats(0, 5),
    shares=st.sampled_from([(0.0, 0.0), (0.3, 0.3), (0.1, 0.9)]),
    salt=st.sampled_from(["a", "b", "c"]),
    hourly=st.none() | st.integers(1, 2),
    hands=_HANDS,
)
def test_every_churned_user_ends_in_exactly_one_place_and_no_limit_is_broken(
    users: list[dict[str, Any]],
    email_capacity: int | None,
    max_contacts: int | None,
    budget: float | None,
    shares: tuple[float, float],
    salt: str,
    hourly: int | None,
    hands: Hands,
    candidates: Frame,
    contact_points: Frame,
    catalogue: Catalogue,
) -> None:
    everyone, closed, past = _world(users, contact_points, candidates)
    rules = DecisionRules(
        salt=salt,
        channels={
            "email": ChannelRules(
                cost=0.3, capacity=email_capacity, hourly_capacity=hourly, open_hour=9, close_hour=18
            ),
            "push": ChannelRules(cost=0.1),
        },
        margin_share=0.5,
        book=shipped_law_book(),
        beliefs=Beliefs(load_priors()),
        business_timezone="Europe/London",
        control_share=shares[0],
        explore_share=shares[1],
        budget_per_night=budget,
        max_contacts=max_contacts,
        hands=hands,
    )
    told = decide(everyone, closed, catalogue=catalogue, rules=rules, as_of=AS_OF, past=past)

    placed = [*told.exported["user_id"], *told.holdout["user_id"], *told.suppressed["user_id"]]
    assert sorted(placed) == sorted(everyone.filter("is_churned")["user_id"])
    of_all = told.assignments.filter(pl.col("experiment_id") == rules.experiment_id)
    assert sorted(of_all["user_id"]) == sorted([*told.exported["user_id"], *told.holdout["user_id"]])
    assert set(told.awaiting["user_id"]) <= set(told.suppressed["user_id"])
    assert not set(told.exported["strategy_id"]) & hands.waiting
    for strategy_id, most in hands.max_contacts.items():
        assert (told.exported["strategy_id"] == strategy_id).sum() <= most
    hours = Counter(
        datetime.fromisoformat(at).astimezone(UTC).replace(minute=0)
        for at in told.exported.filter(pl.col("channel") == "email")["send_at"]
    )
    assert max(hours.values(), default=0) <= (hourly or len(everyone))

    sent = told.exported.join(everyone.select("user_sk", "days_silent", "stage"), on="user_sk")
    assert set(sent["arm"]) <= {"treat", "explore"}
    assert set(told.holdout["arm"]) <= {"control"}
    assert sent.join(closed.filter(pl.col("rule_id").is_not_null()), on=["user_sk", "channel"]).height == 0
    cool = past.contacts.filter(pl.col("contact_on") > date(2026, 5, 26))
    assert sent.join(cool, on="user_sk").height == 0
    assert max_contacts is None or sent.height <= max_contacts
    assert email_capacity is None or (sent["channel"] == "email").sum() <= email_capacity
    assert budget is None or sent["expected_cost"].sum() <= budget + 1e-9
    assert (sent.filter(pl.col("arm") == "treat")["expected_profit"] > 0).all()
    hours = sent.filter(pl.col("channel") == "email")["send_at"].str.slice(11, 2).cast(pl.Int64)
    assert ((hours >= 9) & (hours < 18)).all()
    assert sent.null_count().select("send_at", "propensity", "strategy_id", "channel").row(0) == (0, 0, 0, 0)
    assert told.suppressed.null_count().select("rule_id", "explanation").row(0) == (0, 0)


def test_neither_row_order_nor_user_sk_values_change_the_decision(night: Night) -> None:
    users = [{"user_id": f"u{i:03d}", "p_return": i / 200, "value_if_returned": float(i % 7 * 40)} for i in range(150)]
    renumbered = [user | {"user_sk": 1000 - sk} for sk, user in enumerate(users)]
    limits: dict[str, Any] = {"control_share": 0.2, "explore_share": 0.2, "max_contacts": 60}
    told, retold = night(*users, **limits), night(*reversed(renumbered), **limits)
    assert told.exported.drop("user_sk").equals(retold.exported.drop("user_sk"), null_equal=True)
    assert told.suppressed.equals(retold.suppressed, null_equal=True)
    assert told.holdout.equals(retold.holdout)
    assert told.assignments.equals(retold.assignments)


def test_users_silenced_by_an_outage_of_ours_are_suppressed_whatever_their_stage(
    night: Night, candidates: Frame
) -> None:
    frame = candidates({}, {"stage": "active", "is_churned": False}, {})
    silenced = frame.with_columns(pl.Series("is_measurement_gap", [True, True, None]))
    decisions = night({}, frame=silenced)
    assert decisions.exported["user_id"].to_list() == ["u3"]
    assert decisions.suppressed.select("user_id", "rule_id", "citation", "until").rows() == [
        ("u1", "measurement_gap", "Our own records: outages.outages", None),
        ("u2", "measurement_gap", "Our own records: outages.outages", None),
    ]


def test_users_whom_a_purge_left_without_a_way_are_handed_over_for_repair(night: Night, candidates: Frame) -> None:
    frame = candidates({}, {"stage": "dormant", "is_churned": False}, {"stage": "dormant", "is_churned": False})
    unreached = frame.with_columns(
        pl.Series("is_unreached", [None, True, True]), pl.Series("evidence.asked_to_stop", [None, None, True])
    )
    decisions = night({}, frame=unreached)
    assert decisions.exported["user_id"].to_list() == ["u1"]
    assert decisions.suppressed.select("user_id", "rule_id", "citation", "until").rows() == [
        ("u2", "unreached", "Our own records: outages.silenced_users", None),
        ("u3", "strategy.none_eligible", "Our own judgement: strategy do_not_contact", None),
    ]
    assert decisions.suppressed["explanation"][0].startswith("The only address died in a purge of ours")
    assert decisions.handover.select("user_id", "strategy_id", "handover", "stage").rows() == [
        ("u2", "repair_address", "repairs", "dormant")
    ]
    assert "ask for a new one at the next login or by post" in decisions.handover["explanation"][0]


def test_where_law_asks_for_equal_offers_none_hangs_on_a_prediction(night: Night) -> None:
    decisions = night(*({"country": country, "value_if_returned": 180.0} for country in ("CN", "DE")))
    chosen = dict(decisions.exported.select("user_id", "strategy_id").iter_rows())
    assert chosen["u2"] == "price_save"
    assert not load_catalogue().by_id[chosen["u1"]].has_offer
    assert decisions.exported.select("user_id", "law", "offer_basis").rows() == [
        ("u1", "default+cn", None),
        ("u2", "default+eu", None),
    ]


def _discount_by_stage(equal_basis: str | None, **bounds: float) -> Catalogue:
    """A discount and a letter without one, each for everybody of the stage."""
    known = load_catalogue()
    price_save, letter = known.by_id["price_save"], known.by_id["guided_restart"]
    nothing_more = {"min_value_if_returned": None, "max_p_return": None, **bounds}
    discount = price_save.model_copy(
        update={
            "offer": price_save.offer.model_copy(update={"equal_basis": equal_basis}),
            "trigger": price_save.trigger.model_copy(update=nothing_more),
        }
    )
    return Catalogue(strategies=(letter, discount))


def test_under_equal_offers_a_discount_by_stage_goes_to_nobody_unless_an_equal_basis_is_stated(night: Night) -> None:
    stage = [{"country": "CN", "value_if_returned": 20.0 * n} for n in range(1, 21)]
    free = night(*(user | {"country": "DE"} for user in stage), catalogue=_discount_by_stage(None)).exported
    assert sorted(free["strategy_id"].unique()) == [
        "guided_restart",
        "price_save",
    ]  # by profit, where no law forbids it

    bare = night(*stage, catalogue=_discount_by_stage(None)).exported
    assert bare["strategy_id"].unique().to_list() == ["guided_restart"]
    assert bare["offer_basis"].null_count() == bare.height

    basis = "five euros for each churned user"
    stated = night(*stage, catalogue=_discount_by_stage(basis)).exported
    assert stated["strategy_id"].unique().to_list() == ["price_save"]
    said = f"No offer hangs on a prediction about the user: {basis} (PIPL Art. 24(1))."
    assert stated["offer_basis"].unique().to_list() == [said]


def test_an_equal_basis_does_not_cover_a_trigger_by_prediction(night: Night) -> None:
    bounded = _discount_by_stage("five euros for each churned user", max_p_return=0.35)
    exported = night({"country": "CN", "value_if_returned": 180.0}, catalogue=bounded).exported
    assert exported["strategy_id"].to_list() == ["guided_restart"]


def test_a_strategy_whose_words_a_law_forbids_is_not_used_there(night: Night) -> None:
    closed = {("price_save", "email"): frozenset({"default+eu"})}
    users = ({"country": country, "value_if_returned": 180.0} for country in ("DE", "US"))
    chosen = night(*users, closed_content=closed).exported
    assert chosen.filter(pl.col("user_id") == "u1")["strategy_id"].item() != "price_save"
    assert chosen.filter(pl.col("user_id") == "u2")["strategy_id"].item() == "price_save"


def test_a_user_with_no_hour_left_is_suppressed_with_the_citation_of_the_hours(night: Night) -> None:
    late = {"email": ChannelRules(cost=0.0, open_hour=22, close_hour=24)}
    assert _only_reason(night({"country": "US", "timezone": "America/Chicago"}, channels=late)) == (
        "hours.none",
        "House rule after 47 CFR 64.1200(c)(1)",
        None,
        "No hour is left that the channel, the law and the user all allow.",
    )


def test_users_who_are_still_here_take_no_more_than_their_share_of_the_places(night: Night, candidates: Frame) -> None:
    here = [{"is_churned": False, "stage": "at_risk", "p_return": None, "churned_on": None}] * 40
    users = candidates(*here, *({} for _ in range(40))).with_columns(
        p_active=pl.lit(0.4), value_if_returned=pl.when("is_churned").then(20.0).otherwise(2000.0)
    )
    told = night(frame=users, max_contacts=20, early_warning_share=0.25)
    present = told.exported.filter(pl.col("user_sk") <= 40)
    assert present.height == 5
    assert told.exported.height == 20
    # Whom a night passes over while they are still here has no line among those not contacted.
    assert told.suppressed.height == 40 - 15
    assert set(told.gated["user_sk"]) == set(range(41, 81))
    nobody = night(frame=users, max_contacts=20, early_warning_share=0.0).exported
    assert nobody["user_sk"].min() > 40


def test_of_several_accounts_of_a_person_the_most_profitable_gets_the_one_message(night: Night) -> None:
    users = ({"person_key": "p"}, {"person_key": "p", "value_if_returned": 300.0}, {"person_key": ""}, {})
    decisions = night(*users)
    assert decisions.exported["user_id"].to_list() == ["u2", "u3", "u4"]
    assert decisions.suppressed.select("user_id", "rule_id", "until").rows() == [
        ("u1", "person.other_account", date(2026, 6, 3))
    ]


def test_every_suppressed_row_says_on_what_it_rests_and_what_ends_it(night: Night) -> None:
    users = ({"value_if_returned": 300.0}, {"stage": "lost"}, {"p_return": None}, {"person_key": "p"}, {})
    points = (
        {"user_sk": 5, "channel": "email", "rule_id": "user.new_rule"},
        {"user_sk": 5, "channel": "push", "rule_id": "user.new_rule"},
    )
    told = night(*users, {"person_key": "p"}, points=points, max_contacts=1).suppressed
    assert told.select("user_id", "rule_id", "citation", "ends_with").rows() == [
        ("u2", "budget.night", "Setting budget.per_night or budget.max_contacts", "day"),
        ("u3", "strategy.none_eligible", "Our own judgement: the triggers of the strategies", "facts"),
        ("u4", "budget.night", "Setting budget.per_night or budget.max_contacts", "day"),
        ("u5", "user.new_rule", "The user's own choice: consents", "user"),
        ("u6", "person.other_account", "Our own records: users.person_key", "day"),
    ]
