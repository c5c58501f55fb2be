"""Which channels may and can still be used for each user: the gate before any decision.

Law, the user's own choices, caps and delivery close channels here, each with its rule, citation and end. At which hour
a message goes out is a matter of timing and lives in `strategy`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

import polars as pl

from dagster_project.compliance.grounds import own_ground
from dagster_project.compliance.law import Law, birthday
from dagster_project.compliance.packs import LawBook
from dagster_project.compliance.rules import Frequency
from dagster_project.reach.caps import Cap, capped_points, counted_sends, own_limits
from dagster_project.reach.choices import CHOICES, GRANT, UNCLEAR, WITHDRAWAL, ChoiceReading, stated_choices
from dagster_project.reach.complaints import shut_channels
from dagster_project.reach.deliveries import delivery_states
from dagster_project.reach.persons import of_persons

# Rule and what it makes of a channel; strongest first: the user's own word before the law's, law before technology.
RULES: tuple[tuple[str, str], ...] = (
    ("deletion.stop", "suppressed"),
    ("complaint.stop", "suppressed"),
    ("consent.withdrawn", "revoked"),
    ("consent.revoked_at_provider", "revoked"),
    ("user.paused", "suppressed"),
    ("user.topics", "suppressed"),
    ("user.hours_unclear", "unknown"),
    ("user.weekly_maximum", "capped"),
    ("minors.age", "suppressed"),
    ("consent.unclear", "unknown"),
    ("consent.basis", "suppressed"),
    ("consent.missing", "unknown"),
    ("complaints.rate", "suppressed"),
    ("cap.law", "capped"),
    ("cap.week", "capped"),
    ("cap.day", "capped"),
    ("cap.channel", "capped"),
    ("cap.stage", "capped"),
    ("hours.none", "suppressed"),
    ("reach.capped", "capped"),
    ("reach.dead", "dead"),
)
RULE_ORDER: tuple[str, ...] = tuple(rule_id for rule_id, _ in RULES)
CAP_RULES: tuple[str, ...] = tuple(rule_id for rule_id in RULE_ORDER if rule_id.startswith("cap."))

_KEY = ["user_sk", "channel"]
_KNOWN_TEXTS = ("country", "stage", "person_key")
_SCHEMA = {
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


@dataclass(frozen=True, kw_only=True)
class ContactFacts:
    """What is known of permission, messages and wishes up to `as_of`; None: the table is not mapped, not empty.

    `consents` as staged; `message_events` the latest of each kind (`user_sk`, `channel`, `event`, `occurred_at`,
    `code`); `stops` (`user_sk`, `complained_at`, `deletion_requested_at`); `sends` (`user_sk`, `channel`, `sent_at`,
    `category`); `listed` contacts of earlier nights (`user_sk`, `channel`, `assigned_at`); `complaints` by channel and
    day (`channel`, `dt`, `n_delivered`, `n_complained`); `endpoints` (`user_sk`, `channel`, `reach`, `code`;
    `failure_class`, `rule_id`, `until` where known): where given they alone say which channel is dead, revoked at the
    provider or capped by it. All times are UTC without a zone.
    """

    consents: pl.DataFrame | None = None
    message_events: pl.DataFrame | None = None
    stops: pl.DataFrame | None = None
    sends: pl.DataFrame | None = None
    listed: pl.DataFrame | None = None
    complaints: pl.DataFrame | None = None
    endpoints: pl.DataFrame | None = None


@dataclass(frozen=True, kw_only=True)
class GateRules:
    """What the gate goes by. A message could first arrive at `ready_at` (UTC, no zone), on the local day `send_on`.

    `categories` are the words in consents that mean messages like ours, `caps` those of the settings, and messages
    of `exempt` categories are not counted by any cap.
    """

    book: LawBook
    channels: Sequence[str]
    send_on: date
    ready_at: datetime
    categories: frozenset[str] = frozenset()
    caps: tuple[Cap, ...] = ()
    exempt: frozenset[str] = frozenset()


def contact_points(users: pl.DataFrame, facts: ContactFacts, *, rules: GateRules) -> pl.DataFrame:
    """One row per user × channel of which something is known, sorted by `user_id`, `channel`.

    `rule_id` set means that the channel must not be used; `until` is the first day on which it may be used again,
    null where only the user can open it, or where nothing but the facts can. A user × channel without a row is
    unknown and may be used. Where a consents table exists every user has a row for each of the channels. A complaint
    or a request for deletion, in feedback or about a message, stops all of them, for good. Only `users` are looked
    at (`user_sk`, `user_id`; `country`, `birth_on`, `stage` and `person_key` where known); ids unknown there are left
    out. Caps count what reached any account of the person.

    The caller sees to it that no fact is dated after `as_of`: a row that breaks it would reach the answer.
    """
    who = _bound(users, rules.book)
    choices = _choices(facts.consents, who, rules)
    deliveries = delivery_states(facts.message_events, facts.endpoints, who)
    capped = _capped(facts, who, choices, rules)
    parts = [
        choices.select(_KEY),
        deliveries.select(_KEY),
        capped.select(_KEY),
        _everywhere(who, facts, rules=rules),
    ]
    known = pl.concat(parts).unique().join(who, on="user_sk", how="inner")
    joined = (
        known.join(choices, on=_KEY, how="left")
        .join(deliveries, on=_KEY, how="left")
        .join(capped, on=_KEY, how="left")
        .join(_stops(facts), on="user_sk", how="left")
        .join(_terms(who, known, facts, rules), on=["law", "channel"], how="left")
    )
    ruled = joined.with_columns(_rule(rules.send_on, has_consents=facts.consents is not None).alias("rule_id"))
    return _described(ruled).sort("user_id", "channel").select([pl.col(name).cast(t) for name, t in _SCHEMA.items()])


def settings_and_pack_caps(rules: GateRules, laws: Sequence[Law]) -> list[Cap]:
    """The caps of the settings and of every law."""
    of_laws = [
        Cap(
            rule_id="cap.law",
            max_messages=rule.max_messages,
            hours=rule.hours,
            channels=frozenset(rule.channels) or None,
            citation=rule.citation,
            laws=frozenset({law.key}),
        )
        for law in laws
        for rule in law.of_kind(Frequency)
    ]
    return [*rules.caps, *of_laws]


def _bound(users: pl.DataFrame, book: LawBook) -> pl.DataFrame:
    """Of each user also stage, person_key, law, birth_on, adult_on (first day of the age that the law asks)."""
    texts = [pl.lit(None, dtype=pl.String).alias(name) for name in _KNOWN_TEXTS if name not in users.columns]
    dates = [pl.lit(None, dtype=pl.Date).alias("birth_on")] if "birth_on" not in users.columns else []
    who = users.with_columns(*texts, *dates).select("user_sk", "user_id", *_KNOWN_TEXTS, "birth_on")
    laws = book.laws(who["country"])
    keyed = pl.DataFrame(
        {"country": list(laws), "law": [law.key for law in laws.values()]},
        schema={"country": pl.String, "law": pl.String},
    )
    bound = who.join(keyed, on="country", how="left", nulls_equal=True)
    ages = {law.key: law.minors.min_age for law in laws.values() if law.minors}
    births = bound.select("birth_on", "law").unique().drop_nulls()
    adult = [birthday(born_on, ages[law]) if law in ages else None for born_on, law in births.iter_rows()]
    return bound.join(
        births.with_columns(pl.Series("adult_on", adult, dtype=pl.Date)), on=["birth_on", "law"], how="left"
    )


def _choices(consents: pl.DataFrame | None, who: pl.DataFrame, rules: GateRules) -> pl.DataFrame:
    if consents is None:
        return CHOICES.to_frame()
    reading = ChoiceReading(send_on=rules.send_on, channels=rules.channels, categories=rules.categories)
    return stated_choices(consents.join(who.select("user_sk"), on="user_sk", how="semi"), reading=reading)


def _capped(facts: ContactFacts, who: pl.DataFrame, choices: pl.DataFrame, rules: GateRules) -> pl.DataFrame:
    """Caps of settings and packs, and the user's own weekly maximum beside them."""
    sends = of_persons(counted_sends(facts.sends, facts.listed, exempt=rules.exempt), who)
    caps = settings_and_pack_caps(rules, list(rules.book.laws(who["country"]).values()))
    capped = capped_points(sends, who, caps=caps, channels=rules.channels, at=rules.ready_at)
    own = own_limits(sends, choices, at=rules.ready_at).select(
        *_KEY, pl.lit(value=True).alias("is_own_limit"), pl.col("cap_until").alias("own_until")
    )
    return capped.join(own, on=_KEY, how="full", coalesce=True)


def _everywhere(who: pl.DataFrame, facts: ContactFacts, *, rules: GateRules) -> pl.DataFrame:
    """Every configured channel of users to whom something closes all: everybody, where consents are kept."""
    configured = pl.DataFrame({"channel": list(rules.channels)}, schema={"channel": pl.String})
    if facts.consents is not None or not _shut(facts, rules).is_empty():
        return who.select("user_sk").join(configured, how="cross")
    stopped = _stops(facts).select("user_sk")
    minors = who.filter(pl.col("adult_on") > rules.send_on).select("user_sk")
    return pl.concat([stopped, minors]).unique().join(configured, how="cross")


def _stops(facts: ContactFacts) -> pl.DataFrame:
    schema = {"user_sk": pl.Int64, "complained": pl.Boolean, "asked_deletion": pl.Boolean}
    told = pl.DataFrame(schema=schema)
    if facts.stops is not None:
        told = facts.stops.select(
            "user_sk",
            pl.col("complained_at").is_not_null().alias("complained"),
            pl.col("deletion_requested_at").is_not_null().alias("asked_deletion"),
        )
    if facts.message_events is not None:
        by_message = facts.message_events.filter(pl.col("event") == "complained").select("user_sk").unique()
        reported = by_message.with_columns(
            pl.lit(value=True).alias("complained"), pl.lit(value=False).alias("asked_deletion")
        )
        told = pl.concat([told, reported])
    return told.group_by("user_sk").agg(pl.col("complained", "asked_deletion").any())


def _shut(facts: ContactFacts, rules: GateRules) -> pl.DataFrame:
    return shut_channels(facts.complaints, rules.book.every_law(), channels=rules.channels, send_on=rules.send_on)


def _terms(who: pl.DataFrame, known: pl.DataFrame, facts: ContactFacts, rules: GateRules) -> pl.DataFrame:
    """One row per law × channel: what it asks, and where that is written."""
    laws = {law.key: law for law in rules.book.laws(who["country"]).values()}
    rows = [
        {
            "law": law.key,
            "channel": channel,
            "needs_consent": law.needs_consent(channel),
            "accepted": sorted(law.bases(channel)),
            "exempt": sorted(law.exempt_bases),
            "consent_citation": law.consent_citation(channel),
            "withdrawal_citation": law.stop_citation("withdrawal", channel),
            "complaint_citation": law.stop_citation("complaint", channel),
            "deletion_citation": law.stop_citation("deletion", channel),
            "minors_citation": law.minors.citation if law.minors else None,
        }
        for law in laws.values()
        for channel in sorted(known["channel"].unique())
    ]
    texts = [f"{name}_citation" for name in ("consent", "withdrawal", "complaint", "deletion", "minors")]
    schema: dict[str, pl.DataType] = {
        **dict.fromkeys(("law", "channel"), pl.String()),
        "needs_consent": pl.Boolean(),
        **dict.fromkeys(("accepted", "exempt"), pl.List(pl.String)),
        **dict.fromkeys(texts, pl.String()),
    }
    shut = _shut(facts, rules)
    return pl.DataFrame(rows, schema=schema).join(shut, on=["law", "channel"], how="left")


def _both_bases_in(allowed: str) -> pl.Expr:
    # Of rows in conflict the first and the last basis by name are kept; more than two are never accepted.
    basis, other = pl.col(allowed).list.contains(pl.col("basis")), pl.col(allowed).list.contains(pl.col("other_basis"))
    return (pl.col("basis").is_not_null() & basis & other).fill_null(value=False)


def _rule(send_on: date, *, has_consents: bool) -> pl.Expr:
    severity = pl.col("severity")
    left_since = pl.col("unsubscribed_at").is_not_null() & (
        pl.col("consented_at").is_null() | (pl.col("unsubscribed_at") >= pl.col("consented_at"))
    )
    is_exempt = (severity == GRANT) & _both_bases_in("exempt")
    is_accepted = (_both_bases_in("accepted") & (pl.col("n_bases") <= 2)) | (pl.col("n_bases") == 0)
    is_minor = (pl.col("adult_on") > send_on) & ~is_exempt.fill_null(value=False)
    conditions = {
        "deletion.stop": pl.col("asked_deletion"),
        "complaint.stop": pl.col("complained"),
        "consent.withdrawn": (severity == WITHDRAWAL) | left_since,
        "consent.revoked_at_provider": pl.col("is_revoked"),
        "user.paused": pl.col("is_paused"),
        "user.topics": ~pl.col("is_covered"),
        "user.hours_unclear": ~pl.col("is_hours_clear"),
        "user.weekly_maximum": pl.col("is_own_limit"),
        "minors.age": is_minor,
        "consent.unclear": severity == UNCLEAR,
        "consent.basis": (severity == GRANT) & ~is_accepted,
        "consent.missing": severity.is_null() & pl.lit(has_consents) & pl.col("needs_consent"),
        "complaints.rate": pl.col("rate_citation").is_not_null(),
        **{rule_id: pl.col("cap_rule") == rule_id for rule_id in CAP_RULES},
        "reach.capped": pl.col("is_capped") & (pl.col("capped_until").is_null() | (pl.col("capped_until") > send_on)),
        "reach.dead": pl.col("is_dead"),
    }
    in_order = [rule_id for rule_id in RULE_ORDER if rule_id in conditions]
    return pl.coalesce([pl.when(conditions[rule_id]).then(pl.lit(rule_id)) for rule_id in in_order])


_CITED = {
    "deletion.stop": "deletion_citation",
    "complaint.stop": "complaint_citation",
    "consent.withdrawn": "withdrawal_citation",
    "consent.revoked_at_provider": "withdrawal_citation",
    "minors.age": "minors_citation",
    "consent.unclear": "consent_citation",
    "consent.basis": "consent_citation",
    "consent.missing": "consent_citation",
    "complaints.rate": "rate_citation",
    "cap.law": "cap_citation",
    "reach.capped": "capped_source",
}
_ENDS = {
    "user.paused": "paused_until",
    "user.weekly_maximum": "own_until",
    "minors.age": "adult_on",
    "reach.capped": "capped_until",
    **dict.fromkeys(CAP_RULES, "cap_until"),
}


def _described(ruled: pl.DataFrame) -> pl.DataFrame:
    rule = pl.col("rule_id")
    proven = (pl.col("severity") == GRANT) | pl.col("is_alive")
    usable = pl.when(proven).then(pl.lit("ok")).otherwise(pl.lit("unknown"))
    reach = rule.replace_strict(dict(RULES), default=None, return_dtype=pl.String)
    return ruled.with_columns(
        pl.when(rule.is_null()).then(usable).otherwise(reach).alias("reach"),
        pl.coalesce(
            *(pl.when(rule == rule_id).then(column) for rule_id, column in _CITED.items()),
            own_ground(rule, channel=pl.col("channel")),
        ).alias("citation"),
        pl.when(pl.col("severity") == GRANT).then(pl.col("basis")).alias("consent_basis"),
        pl.coalesce([pl.when(rule == rule_id).then(column) for rule_id, column in _ENDS.items()]).alias("until"),
    )
