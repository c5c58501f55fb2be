"""What a stop means for lists that are out already: contacts to take back, and messages that left after the deadline.

Whether a channel is closed tonight is decided in `contact_points`; nothing here closes one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from types import MappingProxyType

import polars as pl

from dagster_project.compliance.law import Law
from dagster_project.compliance.packs import LawBook
from dagster_project.compliance.rules import Deadline
from dagster_project.reach.caps import LIST_LASTS
from dagster_project.reach.choices import GRANT, WITHDRAWAL
from dagster_project.reach.contact_points import CAP_RULES

# The rules that a stop of the user's makes, with the stop that packs give a deadline.
STOPS = MappingProxyType(
    {"deletion.stop": "deletion", "complaint.stop": "complaint", "consent.withdrawn": "withdrawal"}
)
# They count the very contact that would be taken back.
_COUNTING = ("user.weekly_maximum", *CAP_RULES)
_KEY = ["user_sk", "channel"]
WORDS = pl.Schema({"user_sk": pl.Int64(), "channel": pl.String(), "stop": pl.String(), "said_at": pl.Datetime("us")})
RECALLED = pl.Schema(
    {
        "user_id": pl.String(),
        "channel": pl.String(),
        "strategy_id": pl.String(),
        "listed_on": pl.Date(),
        "send_at": pl.String(),
        "rule_id": pl.String(),
        "citation": pl.String(),
        "said_on": pl.Date(),
        "honour_by": pl.Date(),
    }
)
LATE = pl.Schema(
    {
        "user_id": pl.String(),
        "channel": pl.String(),
        "message_id": pl.String(),
        "sent_on": pl.Date(),
        "stop": pl.String(),
        "citation": pl.String(),
        "said_on": pl.Date(),
        "honour_by": pl.Date(),
    }
)


@dataclass(frozen=True, kw_only=True)
class Calendar:
    """Days are those of `timezone`, the business's. Nothing that was due before `ready_at` (UTC, naive) is pending."""

    timezone: str
    ready_at: datetime


def stop_words(
    spoken: pl.DataFrame | None,
    message_events: pl.DataFrame | None,
    stops: pl.DataFrame,
    *,
    channels: Sequence[str],
) -> pl.DataFrame:
    """One row per user, channel and kind of stop that still stands, as WORDS: when it was first said.

    `spoken` as from `choices.words_of_consent`; `message_events` the newest of each kind (`user_sk`, `channel`,
    `event`, `occurred_at`); `stops` (`user_sk`, `complained_at`, `deletion_requested_at`), which speak of every
    channel. A withdrawal stands that no later yes has lifted.
    """
    yes = pl.DataFrame(schema={"user_sk": pl.Int64, "channel": pl.String, "granted_at": pl.Datetime("us")})
    no = [pl.DataFrame(schema={"user_sk": pl.Int64, "channel": pl.String, "said_at": pl.Datetime("us")})]
    if spoken is not None:
        granted = spoken.filter(pl.col("severity") == GRANT)
        yes = granted.group_by(_KEY).agg(pl.col("consented_at").max().cast(pl.Datetime("us")).alias("granted_at"))
        no.append(_said(spoken.filter(pl.col("severity") == WITHDRAWAL), "consented_at"))
    if message_events is not None:
        no.append(_said(message_events.filter(pl.col("event") == "unsubscribed"), "occurred_at"))
    standing = pl.concat(no).join(yes, on=_KEY, how="left")
    standing = standing.filter(pl.col("granted_at").is_null() | (pl.col("said_at") >= pl.col("granted_at")))
    everywhere = pl.DataFrame({"channel": list(channels)}, schema={"channel": pl.String})
    of_all = [
        stops.filter(pl.col(column).is_not_null())
        .join(everywhere, how="cross")
        .select(*_KEY, pl.lit(stop).alias("stop"), _naive(column).alias("said_at"))
        for stop, column in (("complaint", "complained_at"), ("deletion", "deletion_requested_at"))
    ]
    withdrawn = standing.select(*_KEY, pl.lit("withdrawal").alias("stop"), "said_at")
    said = pl.concat([withdrawn, *of_all]).group_by(*_KEY, "stop").agg(pl.col("said_at").min())
    return said.match_to_schema(WORDS).sort(WORDS.names())


def with_deadlines(words: pl.DataFrame, users: pl.DataFrame, *, book: LawBook, calendar: Calendar) -> pl.DataFrame:
    """The words with `user_id`, `said_on` and, by the strictest rule that binds the user, `honour_by` and `deadline`.

    `honour_by` is the last day on which a message does not break the rule; `deadline` its citation. Business days are
    Monday to Friday: holidays would only make the day later. `users`: user_sk, user_id, country.
    """
    who = users.select("user_sk", "user_id", "country").join(words.select("user_sk").unique(), on="user_sk", how="semi")
    laws = book.laws(who["country"])
    keyed = pl.DataFrame(
        {"country": list(laws), "law": [law.key for law in laws.values()]},
        schema={"country": pl.String, "law": pl.String},
    )
    rules = _deadlines(list({law.key: law for law in laws.values()}.values()), sorted(words["channel"].unique()))
    said_on = pl.col("said_at").dt.replace_time_zone("UTC").dt.convert_time_zone(calendar.timezone).dt.date()
    dated = (
        words.join(who, on="user_sk", how="inner")
        .join(keyed, on="country", how="left", nulls_equal=True)
        .join(rules, on=["law", "channel", "stop"], how="left")
        .with_columns(said_on.alias("said_on"))
        .with_columns(_honour_by().alias("honour_by"))
    )
    return (
        dated.sort("user_id", "channel", "stop", "honour_by", "deadline", nulls_last=True)
        .unique(subset=["user_id", "channel", "stop"], keep="first", maintain_order=True)
        .select("user_sk", "user_id", "channel", "stop", "said_at", "said_on", "honour_by", "deadline")
    )


def recalled_contacts(
    listed: pl.DataFrame, points: pl.DataFrame, words: pl.DataFrame, sends: pl.DataFrame, *, calendar: Calendar
) -> pl.DataFrame:
    """Contacts of earlier lists that are not due yet and whose channel tonight's gate closes, as RECALLED, sorted.

    `listed` contacts (`user_sk`, `user_id`, `channel`, `strategy_id`, `as_of`, `assigned_at`, `send_at`; without a
    moment they count as pending while a list lasts); `points` tonight's contact points; `words` as from
    `with_deadlines`; `sends` messages known to be sent. Caps take nothing back: they count the contact itself. Nor
    does a rule that ends before the contact is due.
    """
    due = pl.col("send_at").str.to_datetime("%Y-%m-%dT%H:%M:%S%:z", time_unit="us", time_zone="UTC")
    moment = due.dt.replace_time_zone(None)
    lasts = _naive("assigned_at") + LIST_LASTS
    pending = listed.with_columns(moment.alias("due_at"), _naive("assigned_at").alias("assigned_at")).filter(
        pl.coalesce("due_at", lasts) >= calendar.ready_at
    )
    seen = pending.join(sends.select(*_KEY, "sent_at"), on=_KEY, how="inner").filter(
        _naive("sent_at") >= pl.col("assigned_at")
    )
    closed = points.filter(pl.col("rule_id").is_not_null() & ~pl.col("rule_id").is_in(_COUNTING)).select(
        *_KEY, "rule_id", "citation", "until"
    )
    stopped = words.select(*_KEY, pl.col("stop"), "said_on", "honour_by")
    stop = pl.col("rule_id").replace_strict(dict(STOPS), default=None, return_dtype=pl.String)
    return (
        pending.join(seen, on=[*_KEY, "assigned_at"], how="anti")
        .join(closed, on=_KEY, how="inner")
        .filter(pl.col("until").is_null() | pl.col("due_at").is_null() | (pl.col("due_at").dt.date() < pl.col("until")))
        .with_columns(stop.alias("stop"))
        .join(stopped, on=[*_KEY, "stop"], how="left")
        .select(pl.col("as_of").alias("listed_on"), *(name for name in RECALLED if name != "listed_on"))
        .unique()
        .match_to_schema(RECALLED)
        .sort("user_id", "channel", "listed_on", "strategy_id")
    )


def late_messages(
    sends: pl.DataFrame, words: pl.DataFrame, *, exempt: frozenset[str], calendar: Calendar
) -> pl.DataFrame:
    """Messages sent after the last day that the law leaves to honour a stop, as LATE, sorted; each once.

    `sends` (`user_sk`, `channel`, `message_id`, `sent_at`, `category`), those of `exempt` categories left out: a
    receipt may follow a withdrawal. A message that breaks several rules is told by the one that was broken first.
    """
    category = pl.col("category").str.to_lowercase().fill_null("")
    sent_on = pl.col("sent_at").dt.replace_time_zone("UTC").dt.convert_time_zone(calendar.timezone).dt.date()
    counted = sends.filter(~category.is_in(sorted(exempt))).with_columns(_naive("sent_at").alias("sent_at"))
    return (
        counted.join(words, on=_KEY, how="inner")
        .with_columns(sent_on.alias("sent_on"), pl.col("deadline").alias("citation"))
        .filter((pl.col("sent_at") > pl.col("said_at")) & (pl.col("sent_on") > pl.col("honour_by")))
        .sort("user_id", "channel", "message_id", "honour_by", "stop")
        .unique(subset=["user_id", "channel", "message_id"], keep="first", maintain_order=True)
        .select(list(LATE))
        .match_to_schema(LATE)
    )


def _said(rows: pl.DataFrame, column: str) -> pl.DataFrame:
    return rows.select(*_KEY, _naive(column).alias("said_at"))


def _naive(column: str) -> pl.Expr:
    return pl.col(column).dt.replace_time_zone(None).cast(pl.Datetime("us"))


def _deadlines(laws: Sequence[Law], channels: Sequence[str]) -> pl.DataFrame:
    rows = [
        (law.key, channel, rule.limits, rule.deadline_days, rule.counted_in == "business", rule.citation)
        for law in laws
        for channel in channels
        for rule in law.of_kind(Deadline, channel)
    ]
    schema = {
        **dict.fromkeys(("law", "channel", "stop"), pl.String),
        "deadline_days": pl.Int64,
        "is_business": pl.Boolean,
        "deadline": pl.String,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def _honour_by() -> pl.Expr:
    days = pl.col("deadline_days")
    business = pl.col("said_on").dt.add_business_days(days, roll="backward")
    # with no day left, a word of the weekend is honoured on the weekend
    return (
        pl.when(pl.col("is_business") & (days > 0)).then(business).otherwise(pl.col("said_on") + pl.duration(days=days))
    )


def listed_nights(as_of: date) -> tuple[date, date]:
    """The nights strictly between which a list can still hold a contact that is not due."""
    return as_of - timedelta(days=7), as_of
