"""Whatever the facts, the hour and the settings: no row that the night exports breaks a rule."""

from collections import Counter
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dagster_project.compliance.packs import LawBook, load_packs
from dagster_project.compliance.proof import ProofFacts, ProofRules, breaches
from dagster_project.reach.caps import Cap
from dagster_project.reach.contact_points import ContactFacts, GateRules, contact_points
from dagster_project.strategy.assignment import decide
from dagster_project.strategy.catalogue import LOCALES, load_catalogue
from dagster_project.strategy.content import closed_content, review_catalogue
from dagster_project.strategy.priors import Beliefs, load_priors
from dagster_project.strategy.rules import ChannelRules, DecisionRules

CATALOGUE = load_catalogue()
CATEGORIES = frozenset({"winback", "offers"})
CHANNELS = ("email", "push", "sms")
# The nights before and after the clocks change in Europe, America, Australia, and on islands with odd clocks.
CLOCK_CHANGES = [
    *(date(2026, 3, 27), date(2026, 3, 28), date(2026, 3, 29), date(2026, 10, 23), date(2026, 10, 24)),
    *(date(2026, 3, 6), date(2026, 3, 7), date(2026, 10, 31), date(2026, 11, 1)),
    *(date(2026, 4, 3), date(2026, 4, 4), date(2026, 10, 2), date(2026, 10, 3), date(2011, 12, 28), date(2011, 12, 29)),
]
ZONES = [
    *(None, "", "Mars/Olympus", "Europe/Berlin", "Europe/London", "America/New_York", "America/Los_Angeles"),
    *("Asia/Shanghai", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Apia", "Pacific/Kiritimati", "Etc/GMT+12"),
    *("America/St_Johns", "Africa/Casablanca", "Asia/Gaza"),
]
COUNTRIES = [None, "DE", "CN", "US", "GB", "AU", "RU", "Germany", "XX", "cn"]
CLOCKS = [None, "", "00:00", "07:30", "9:00", "12:15", "18:00", "21:00", "23:45", "24:00", "soon"]

_HOURS_AGO = st.integers(1, 24 * 30)
_CONSENT = st.fixed_dictionaries(
    {
        "channel": st.sampled_from(["email", "email", "push", "sms", "all"]),
        "status": st.sampled_from(["granted"] * 9 + ["Granted ", "withdrawn", "odd", *["paused"] * 3]),
        "hours_ago": st.sampled_from([24, 24, 48, 500, 700]),
        "basis": st.sampled_from([None, "consent", "opt_in", "existing_customer", "contract", "parental_consent"]),
        "categories": st.sampled_from([None] * 4 + ["", "offers", "news", "news,Winback"]),
        "quiet_start": st.sampled_from([None] * 20 + CLOCKS),
        "quiet_end": st.sampled_from([None] * 20 + CLOCKS),
        "max_per_week": st.sampled_from([None] * 6 + [0, 1, 2]),
        "paused_days": st.sampled_from([None, -1, 0, 1, 2]),
    }
)
_USER = st.fixed_dictionaries(
    {
        "timezone": st.sampled_from(ZONES),
        "country": st.sampled_from(COUNTRIES),
        "age_days": st.one_of(
            st.none(), st.sampled_from([13, 14, 16]).map(lambda years: years * 365), st.integers(4700, 6000)
        ),
        "consents": st.lists(_CONSENT, max_size=4),
        "sends": st.lists(st.tuples(st.sampled_from(CHANNELS), _HOURS_AGO), max_size=3),
        "listed_days_ago": st.sampled_from([None] * 8 + [0, 1, 3, 8]),
        "stop": st.sampled_from([None] * 8 + ["complained_at", "deletion_requested_at"]),
        "unsubscribed_hours_ago": st.sampled_from([None] * 6 + [23, 24, 600]),
        "stopped_hours_ago": st.sampled_from([None] * 6 + [23, 24, 600]),
        "value": st.sampled_from([5.0, 80.0, 500.0]),
    }
)
_SETTING = st.fixed_dictionaries(
    {
        "pack": st.sampled_from(["default", "cn", "eu", "us"]),
        "zone": st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia"]),
        "hours": st.sampled_from([(9, 20), (9, 20), (0, 24), (0, 24), (6, 9), (20, 23), (10, 11), (2, 3)]),
        "per_day": st.sampled_from([1, 1, 2]),
        "per_week": st.sampled_from([1, 3, 3]),
        "n_complained": st.sampled_from([0, 0, 0, 5]),
        "has_consents": st.sampled_from([True, True, False]),
        "postal_address": st.sampled_from([None, "1 Example Street", "1 Example Street"]),
    }
)


def _utc(as_of: date) -> datetime:
    return datetime(as_of.year, as_of.month, as_of.day) + timedelta(days=1)  # noqa: DTZ001


def _facts(users: list[dict[str, Any]], as_of: date) -> dict[str, pl.DataFrame]:
    end = _utc(as_of)
    consents, sends, listed, stops, told = [], [], [], [], []
    for sk, user in enumerate(users):
        for row in user["consents"]:
            days = row["paused_days"]
            until = None if days is None else as_of + timedelta(days=1 + days)
            changed_at = end - timedelta(hours=row["hours_ago"])
            consents.append({"user_sk": sk, **row, "changed_at": changed_at, "paused_until": until})
        sends += [{"user_sk": sk, "channel": c, "sent_at": end - timedelta(hours=h)} for c, h in user["sends"]]
        if user["listed_days_ago"] is not None:
            day = end - timedelta(days=user["listed_days_ago"])
            listed.append({"user_sk": sk, "channel": "email", "assigned_at": day})
        if user["stop"]:
            blank = {"complained_at": None, "deletion_requested_at": None}
            stops.append({"user_sk": sk, **blank, user["stop"]: end - timedelta(hours=5)})
        if user["unsubscribed_hours_ago"]:
            at = end - timedelta(hours=user["unsubscribed_hours_ago"])
            told.append({"user_sk": sk, "channel": "email", "event": "unsubscribed", "occurred_at": at, "code": None})
        if user["stopped_hours_ago"]:
            at = end - timedelta(hours=user["stopped_hours_ago"])
            told.append({"user_sk": sk, "channel": "sms", "event": "failed", "occurred_at": at, "code": "21610"})
    text, sk_type, at_type = pl.String, pl.Int64, pl.Datetime("us")
    key = {"user_sk": sk_type, "channel": text}
    terms = dict.fromkeys(("status", "basis", "categories", "quiet_start", "quiet_end"), text)
    last = {"changed_at": at_type, "max_per_week": pl.Int64, "paused_until": pl.Date}
    return {
        "consents": pl.DataFrame(consents, schema={**key, **terms, **last}),
        "sends": pl.DataFrame(sends, schema={**key, "sent_at": at_type}).with_columns(
            pl.lit(None, dtype=text).alias("category")
        ),
        "listed": pl.DataFrame(listed, schema={**key, "assigned_at": at_type}).with_columns(
            pl.col("assigned_at").dt.replace_time_zone("UTC")
        ),
        "stops": pl.DataFrame(
            stops, schema={"user_sk": sk_type, "complained_at": at_type, "deletion_requested_at": at_type}
        ),
        "message_events": pl.DataFrame(told, schema={**key, "event": text, "occurred_at": at_type, "code": text}),
    }


def _candidates(users: list[dict[str, Any]], as_of: date) -> pl.DataFrame:
    n = len(users)
    born = [None if u["age_days"] is None else as_of + timedelta(days=1 - u["age_days"]) for u in users]
    return pl.DataFrame(
        {
            "user_sk": range(n),
            "user_id": [f"u{sk}" for sk in range(n)],
            "stage": ["churned_early", "churned_mid", "lost"] * (n // 3) + ["churned_early"] * (n % 3),
            "is_churned": [True] * n,
            "days_silent": [60] * n,
            "churned_on": [as_of - timedelta(days=40)] * n,
            "p_return": [0.2] * n,
            "value_if_returned": [user["value"] for user in users],
            "timezone": [user["timezone"] for user in users],
            "country": [user["country"] for user in users],
            "birth_on": born,
        },
        schema_overrides={"timezone": pl.String, "country": pl.String, "birth_on": pl.Date, "days_silent": pl.Int32},
    )


def _by_user(frame: pl.DataFrame) -> Mapping[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for row in frame.to_dicts():
        found.setdefault(f"u{row['user_sk']}", []).append(row)
    return found


def _sent_and_listed(facts: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Messages, and lists that none of them confirms, by a loop instead of the gate's joins."""
    sends = facts["sends"].select("user_sk", "channel", "sent_at").rows()
    planned = []
    for sk, channel, at in facts["listed"].with_columns(pl.col("assigned_at").dt.replace_time_zone(None)).rows():
        if not any((sk, channel) == (s, c) and at <= t < at + timedelta(days=3) for s, c, t in sends):
            planned.append((sk, channel, at + timedelta(days=1)))
    return pl.DataFrame(
        [*sends, *planned],
        schema={"user_sk": pl.Int64, "channel": pl.String, "sent_at": pl.Datetime("us")},
        orient="row",
    )


def _night(users: list[dict[str, Any]], as_of: date, setting: dict[str, Any]) -> tuple[pl.DataFrame, list[Any]]:
    """What a night exports of these users, and the breaches in it."""
    book = LawBook(load_packs(), chosen=setting["pack"], countries={"GB": "eu"})
    channels = {
        name: ChannelRules(cost=0.0, open_hour=setting["hours"][0], close_hour=setting["hours"][1]) for name in CHANNELS
    }
    address = setting["postal_address"]
    faults = review_catalogue(CATALOGUE, laws=book.every_law(), industry="commerce", postal_address=address)
    rules = DecisionRules(
        salt="s",
        book=book,
        beliefs=Beliefs(load_priors()),
        channels=channels,
        margin_share=1.0,
        business_timezone=setting["zone"],
        control_share=0.0,
        explore_share=0.3,
        closed_content=closed_content(faults),
    )
    candidates, facts = _candidates(users, as_of), _facts(users, as_of)
    complaints = pl.DataFrame(
        {"channel": ["email"], "dt": [as_of], "n_delivered": [1000], "n_complained": [setting["n_complained"]]}
    )
    gate = GateRules(
        book=book,
        channels=CHANNELS,
        send_on=as_of + timedelta(days=1),
        ready_at=_naive(rules.ready_at(as_of)),
        categories=CATEGORIES,
        caps=(
            Cap(rule_id="cap.day", max_messages=setting["per_day"], hours=24),
            Cap(rule_id="cap.week", max_messages=setting["per_week"], hours=168),
        ),
    )
    consents = facts.pop("consents")
    known = ContactFacts(consents=consents if setting["has_consents"] else None, complaints=complaints, **facts)
    points = contact_points(candidates, known, rules=gate)
    exported = decide(candidates, points, catalogue=CATALOGUE, rules=rules, as_of=as_of).exported
    proof = ProofFacts(
        users={row["user_id"]: row for row in candidates.to_dicts()},
        consents=_by_user(consents) if setting["has_consents"] else None,
        stops=frozenset(_by_user(facts["stops"])),
        unsubscribed=_by_user(facts["message_events"].filter(pl.col("event") == "unsubscribed")),
        refusals=_by_user(facts["message_events"].filter(pl.col("event") == "failed")),
        sends=_by_user(_sent_and_listed(facts)),
        complaint_counts={("email", 30): (1000, setting["n_complained"])},
    )
    judged_by = ProofRules(
        book=book,
        business_zone=setting["zone"],
        send_on=as_of + timedelta(days=1),
        industry="commerce",
        categories=CATEGORIES,
        channel_hours=dict.fromkeys(CHANNELS, (setting["hours"][0] * 60, setting["hours"][1] * 60)),
        caps=((setting["per_day"], 24), (setting["per_week"], 168)),
        wordings={
            (one.id, channel): [
                (locale, template.text(locale).model_dump() | {"postal_address": address})
                for template in one.templates
                if channel in template.channels
                for locale in LOCALES
            ]
            for one in CATALOGUE.sending
            for channel in one.channels
        },
        unequal=frozenset(one.id for one in CATALOGUE.sending if one.is_unequal),
        offers={one.id: (one.offer.kind, one.offer.cost) for one in CATALOGUE.sending if one.has_offer},
    )
    return exported, breaches(exported.to_dicts(), proof, rules=judged_by)


def _naive(at: datetime) -> datetime:
    return at.replace(tzinfo=None) - (at.utcoffset() or timedelta(0))


def test_no_exported_row_breaks_a_rule_over_a_thousand_generated_cases() -> None:
    tally: Counter[str] = Counter()

    @settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(
        st.lists(_USER, min_size=12, max_size=18),
        st.one_of(st.sampled_from(CLOCK_CHANGES), st.dates(date(2012, 1, 1), date(2030, 1, 1))),
        _SETTING,
    )
    def holds(users: list[dict[str, Any]], as_of: date, setting: dict[str, Any]) -> None:
        exported, broken = _night(users, as_of, setting)
        assert broken == []
        assert exported["send_at"].null_count() == 0
        tally["cases"] += len(users)
        tally["exported"] += exported.height
        tally["on a day of clock changes"] += len(users) * (as_of in CLOCK_CHANGES)

    holds()
    assert tally["cases"] >= 1000
    assert tally["exported"] >= 50
    assert tally["on a day of clock changes"] >= 100
