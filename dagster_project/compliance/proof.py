"""Proof, row by row from the source facts, that no contact breaks a rule. Shares no code with the gate that chose.

Slow and plain on purpose: what decides (`reach`, `strategy`) is fast and may be wrong; this must find it out.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from dagster_project.compliance.law import Law
from dagster_project.compliance.packs import LawBook
from dagster_project.compliance.rules import BaseRule, Pack, RequiredText
from dagster_project.compliance.zones import CAUTION_MINUTES, country_code, country_zones

Row = Mapping[str, Any]
_GRANTED = {"granted", "opted_in", "subscribed"}
_PAUSED = {"paused", "snoozed"}
_SEPARATOR = "[,;|，；、]"
_EVERY_CHANNEL = {"all", "any", "*"}
# How providers of text messages say that the user answered STOP, or stands on their list of those who did.
_STOP_CHANNELS = {"sms", "text", "text_message", "mms", "twilio"}
_STOP = re.compile(
    r"(?<![\w.-])21610(?!\w|\.\d)|isv\.customer_refused|failedoperation\.phonenumberinblacklist|mx:0012", re.I
)


@dataclass(frozen=True, kw_only=True)
class ProofFacts:
    """The source facts of the exported users, by `user_id`, up to `as_of`; times are UTC without a zone.

    `consents` None: no such table is mapped. `stops` are users who complained or asked to be deleted, in feedback or
    about a message; `unsubscribed` rows have `channel`, `occurred_at`; `refusals`, of messages that failed, `code` too;
    `sends` the messages of the last 31 days that caps count (`channel`, `sent_at`), contacts of earlier lists that no
    message confirms included. Stops and sends are those of the person: of every account with the same `person_key`.
    `complaint_counts` are (delivered, complained) of the last days by channel and number of days.
    """

    users: Mapping[str, Row]
    consents: Mapping[str, Sequence[Row]] | None = None
    stops: frozenset[str] = frozenset()
    unsubscribed: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    refusals: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    sends: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    complaint_counts: Mapping[tuple[str, int], tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ProofRules:
    """By what contacts are judged. `channel_hours` and caps (messages, hours) are those of the settings.

    `wordings` are the texts by strategy and channel (locale, parts); `unequal` the strategies whose offer is not shown
    to be the same for everybody; `offers` kind and cost of the offer by strategy, of those that have one.
    """

    book: LawBook
    business_zone: str
    send_on: date
    industry: str
    categories: frozenset[str]
    channel_hours: Mapping[str, tuple[int, int]]
    caps: Sequence[tuple[int, int]]
    wordings: Mapping[tuple[str, str], Sequence[tuple[str, Mapping[str, str | None]]]]
    unequal: frozenset[str] = frozenset()
    offers: Mapping[str, tuple[str, float]] = field(default_factory=dict)


@dataclass(frozen=True, order=True)
class Breach:
    """One rule that one row breaks."""

    user_id: str
    channel: str
    rule_id: str
    what: str


def breaches(contacts: Sequence[Row], facts: ProofFacts, *, rules: ProofRules) -> list[Breach]:
    """Every rule that a row of `contacts` breaks, in order; empty is the proof that none does.

    A row has `user_id`, `channel`, `strategy_id`, `send_at` (ISO 8601 with offset).
    """
    worded: dict[tuple[str, str, str], list[tuple[str, str]]] = {}
    found = [*_twice(contacts, facts), *_unlike(contacts, facts, rules)]
    for row in contacts:
        user = facts.users.get(row["user_id"], {})
        law = rules.book.law(user.get("country"))
        packs = law.packs
        key = (row["strategy_id"], row["channel"], "+".join(pack.id for pack in packs))
        if key not in worded:
            worded[key] = [*_wording(row, [law], rules)]
        broken = [*worded[key], *_personal(row, user, packs, facts, rules), *_timed(row, user, packs, facts, rules)]
        found += [Breach(row["user_id"], row["channel"], rule_id, what) for rule_id, what in broken]
    return sorted(set(found))


def _twice(contacts: Sequence[Row], facts: ProofFacts) -> list[Breach]:
    """Persons who are on the list by more than one account."""
    accounts: dict[str, set[str]] = {}
    for row in contacts:
        if person := facts.users.get(row["user_id"], {}).get("person_key"):
            accounts.setdefault(person, set()).add(row["user_id"])
    several = {user_id: sorted(ids - {user_id}) for ids in accounts.values() for user_id in ids if len(ids) > 1}
    return [
        Breach(row["user_id"], row["channel"], "person.once", f"the person is on the list as {others[0]} too")
        for row in contacts
        if (others := several.get(row["user_id"]))
    ]


def _unlike(contacts: Sequence[Row], facts: ProofFacts, rules: ProofRules) -> list[Breach]:
    """Rows with another offer than most of their stage who have one, where law asks for equal offers."""
    by_stage: dict[tuple[str, str], list[tuple[tuple[str, float], Row]]] = {}
    for row in contacts:
        user = facts.users.get(row["user_id"], {})
        packs = rules.book.law(user.get("country")).packs
        if row["strategy_id"] in rules.offers and _of(packs, "equal_offers", row["channel"]):
            offer = rules.offers[row["strategy_id"]]
            by_stage.setdefault(("+".join(pack.id for pack in packs), str(user.get("stage"))), []).append((offer, row))
    found = []
    for (_, stage), given in by_stage.items():
        counts = Counter(offer for offer, _ in given)
        usual = max(sorted(counts), key=lambda offer: counts[offer])
        said = f"another offer than {usual[0]} of {usual[1]:g}, which others of {stage} get"
        found += [
            Breach(row["user_id"], row["channel"], "offers.equal", said) for offer, row in given if offer != usual
        ]
    return found


def _personal(
    row: Row, user: Row, packs: Sequence[Pack], facts: ProofFacts, rules: ProofRules
) -> Iterator[tuple[str, str]]:
    user_id, channel = row["user_id"], row["channel"]
    if user_id in facts.stops:
        yield "stop", "complained or asked to be deleted"
    said = [] if facts.consents is None else [r for r in facts.consents.get(user_id, ()) if _speaks_of(r, channel)]
    yield from _permission(said, row, packs, facts)
    yield from _wishes(said, row, facts, rules)
    latest = _latest([r for r in said if _status(r) not in _PAUSED])
    grants = {_word(r.get("basis")) for r in latest if _status(r) in _GRANTED}
    for rule in _of(packs, "minors", channel):
        is_exempt = bool(grants & set(rule.exempt_bases))
        if user.get("birth_on") and not is_exempt and _age(user["birth_on"], rules.send_on) < rule.min_age:
            yield rule.id, f"is younger than {rule.min_age}"
    if row["strategy_id"] in rules.unequal and _of(packs, "equal_offers", channel):
        yield "offers.equal", "nothing shows that the offer hangs on no prediction"
    for rule in _of(packs, "complaint_rate", channel):
        delivered, complained = facts.complaint_counts.get((channel, rule.window_days), (0, 0))
        if delivered >= rule.min_messages and complained / delivered >= rule.max_share:
            yield rule.id, f"{complained} complaints in {delivered} messages"


def _permission(said: Sequence[Row], row: Row, packs: Sequence[Pack], facts: ProofFacts) -> Iterator[tuple[str, str]]:
    latest = _latest([r for r in said if _status(r) not in _PAUSED])
    left = [r["occurred_at"] for r in facts.unsubscribed.get(row["user_id"], ()) if r["channel"] == row["channel"]]
    if left and (not latest or max(left) >= latest[0]["changed_at"]):
        yield "consent.withdrawn", "unsubscribed after the last consent"
    yield from _stopped(said, row, facts)
    for one in latest:
        if _status(one) not in _GRANTED:
            yield "consent.withdrawn", f"the consent on record is {_status(one)!r}"
        for rule in _of(packs, "consent", row["channel"]):
            if one.get("basis") and _word(one["basis"]) not in rule.bases:
                yield rule.id, f"rests on {one['basis']!r}"
    if facts.consents is not None and not latest:
        for pack in packs:
            asked = _of([pack], "consent", row["channel"])
            if not asked or any(rule.is_required for rule in asked):
                yield "consent.missing", f"no consent on record ({pack.id})"


def _stopped(said: Sequence[Row], row: Row, facts: ProofFacts) -> Iterator[tuple[str, str]]:
    granted = max((r["changed_at"] for r in said if _status(r) in _GRANTED), default=None)
    for refusal in facts.refusals.get(row["user_id"], ()):
        stands = granted is None or refusal["occurred_at"] >= granted
        if stands and refusal["channel"] == row["channel"] and says_stop(refusal["channel"], refusal["code"]):
            yield "consent.revoked_at_provider", f"answered STOP to the provider ({refusal['code']})"


def says_stop(channel: str, code: str | None) -> bool:
    """Whether a provider's code says that the user answered STOP."""
    return _word(channel) in _STOP_CHANNELS and _STOP.search(code or "") is not None


def _wishes(said: Sequence[Row], row: Row, facts: ProofFacts, rules: ProofRules) -> Iterator[tuple[str, str]]:
    latest = _latest([r for r in said if _status(r) not in _PAUSED])
    for pause in _latest([r for r in said if _status(r) in _PAUSED]):
        end = pause.get("paused_until")
        stands = not latest or pause["changed_at"] >= latest[0]["changed_at"]
        if stands and (end is None or end > rules.send_on):
            yield "user.paused", "asked for a pause"
    at = _instant(row)
    sends = [s["sent_at"] for s in facts.sends.get(row["user_id"], ()) if s["channel"] == row["channel"]]
    for one in latest:
        named = one.get("categories") or ()
        topics = {_word(topic) for topic in (re.split(_SEPARATOR, named) if isinstance(named, str) else named)} - {""}
        if topics and not topics & rules.categories:
            yield "user.topics", "chose other topics"
        most = one.get("max_per_week")
        if most is not None and _in_window(sends, at, 168) + 1 > most:
            yield "user.weekly_maximum", f"more than {most} in a week"
        start, end = one.get("quiet_start") or None, one.get("quiet_end") or None
        if (start or end) and not _outside(row, start, end, facts.users.get(row["user_id"], {}), rules):
            yield "user.hours", f"arrives between {start} and {end}"


def _timed(
    row: Row, user: Row, packs: Sequence[Pack], facts: ProofFacts, rules: ProofRules
) -> Iterator[tuple[str, str]]:
    channel, at = row["channel"], _instant(row)
    opens, closes = rules.channel_hours[channel]
    for clock, _ in _clocks(row, user, rules, shifts=(0,)):
        if not opens <= clock < closes:
            yield "hours.channel", f"at minute {clock} of the day the channel is closed"
    for rule in _of(packs, "quiet_hours", channel):
        if not _outside(row, rule.start, rule.end, user, rules):
            yield rule.id, f"arrives between {rule.start} and {rule.end}"
    sends = facts.sends.get(row["user_id"], ())
    for most, hours in rules.caps:
        if _in_window([s["sent_at"] for s in sends], at, hours) + 1 > most:
            yield "cap", f"more than {most} in {hours} hours"
    for rule in _of(packs, "frequency", None):
        counted = [s["sent_at"] for s in sends if rule.covers(s["channel"])]
        if rule.covers(channel) and _in_window(counted, at, rule.hours) + 1 > rule.max_messages:
            yield rule.id, f"more than {rule.max_messages} in {rule.hours} hours"


def _wording(row: Row, laws: Sequence[Law], rules: ProofRules) -> Iterator[tuple[str, str]]:
    texts = rules.wordings.get((row["strategy_id"], row["channel"]), ())
    if not texts:
        yield "text", "there are no words for the channel"
    for locale, parts in texts:
        for rule in _of(laws, "required_text", row["channel"]):
            if not _holds(rule, parts.get(rule.part) or ""):
                yield rule.id, f"{locale}: {rule.part} lacks what must be there"
        for rule in _of(laws, "forbidden_words", row["channel"]):
            if rule.locale == locale and (not rule.industries or rules.industry in rule.industries):
                whole = "\n".join(text for text in parts.values() if text)
                if any(re.search(pattern, whole, re.IGNORECASE) for pattern in rule.patterns):
                    yield rule.id, f"{locale}: says what must not be said"


def _holds(rule: RequiredText, text: str) -> bool:
    slot = "{" + rule.slot + "}" if rule.slot else ""
    return bool(text) and (text.startswith(slot) if rule.is_first else slot in text)


def _of(packs: Sequence[Pack] | Sequence[Law], limits: str, channel: str | None) -> list[Any]:
    rules: list[BaseRule] = [rule for pack in packs for rule in pack.rules if rule.limits == limits]
    return [rule for rule in rules if channel is None or not rule.channels or channel in rule.channels]


def _outside(row: Row, start: str | None, end: str | None, user: Row, rules: ProofRules) -> bool:
    """Whether the message arrives outside start to end on every clock; hours that cannot be read hold none."""
    try:
        first, last = _minute(start), _minute(end)
    except ValueError:
        return False
    shifts = (-CAUTION_MINUTES, 0, CAUTION_MINUTES)
    for clock, _ in _clocks(row, user, rules, shifts=shifts):
        is_quiet = first <= clock < last if first < last else clock >= first or clock < last
        if is_quiet:
            return False
    return True


def _minute(text: str | None) -> int:
    hour, minute = str(text).split(":")[:2]
    if not (0 <= int(hour) <= 24 and 0 <= int(minute) < 60):
        raise ValueError(text)
    return int(hour) * 60 + int(minute)


def _clocks(row: Row, user: Row, rules: ProofRules, *, shifts: Sequence[int]) -> Iterator[tuple[int, str]]:
    """Minute of the day on every clock that the user may live by; the shifts only where the business's is a guess."""
    names = [user["timezone"]] if user.get("timezone") and _exists(user["timezone"]) else []
    code = country_code(user.get("country"))
    names = names or list(country_zones().get(code or "", ()))
    at = datetime.fromisoformat(row["send_at"])
    for name in names or [rules.business_zone]:
        local = at.astimezone(ZoneInfo(name))
        for shift in (0,) if names else shifts:
            yield (local.hour * 60 + local.minute + shift) % 1440, name


def _exists(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True


def _age(born_on: date, on: date) -> int:
    return on.year - born_on.year - ((on.month, on.day) < (born_on.month, born_on.day))


def _in_window(times: Sequence[datetime], at: datetime, hours: int) -> int:
    return sum(time > at - timedelta(hours=hours) for time in times)


def _instant(row: Row) -> datetime:
    return datetime.fromisoformat(row["send_at"]).astimezone(UTC).replace(tzinfo=None)


def _latest(rows: Sequence[Row]) -> list[Row]:
    newest = max((row["changed_at"] for row in rows), default=None)
    return [row for row in rows if row["changed_at"] == newest]


def _speaks_of(row: Row, channel: str) -> bool:
    return _word(row["channel"]) in {channel, *_EVERY_CHANNEL}


def _status(row: Row) -> str:
    return _word(row["status"])


def _word(text: object) -> str:
    return str(text or "").strip().lower()
