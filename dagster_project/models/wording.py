"""What moved a score, as a sentence: a phrase for every feature of marts.user_features, and how its value reads.

Which features those are is `explanations`' work; why a user left is not said here.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import polars as pl

WORDS_SCHEMA = pl.Schema({"user_id": pl.String, "sentence": pl.String})
UNKNOWN = "unknown"
_PLURALS = {"opt-out or complaint": "opt-outs or complaints", "activity": "activities", "category": "categories"}


@dataclass(frozen=True)
class Phrase:
    """`known` with {value} for the formatted value; `unknown` in full. `noun` follows a number, in its plural."""

    known: str
    unknown: str
    write: Callable[[float], str]
    noun: str | None = None


def plain_number(value: float) -> str:
    """Whole numbers as such, others with one decimal, small ones with two: 1234 → "1,234", 0.25 → "0.25"."""
    if value == round(value):
        return f"{value + 0.0:,.0f}"
    # Adding zero turns the "-0.0" that rounding leaves into "0.0".
    text = f"{value:,.1f}" if abs(value) >= 1 else f"{round(value, 2) + 0.0:.2f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _whole(value: float) -> str:
    return f"{round(value) + 0.0:,.0f}"


def _share(value: float) -> str:
    return f"{plain_number(round(100 * value))} %"


def _money(value: float) -> str:
    return _whole(value) if abs(value) >= 10_000 or value == round(value) else f"{round(value, 2) + 0.0:,.2f}"


def _exponential(value: float) -> str:
    return plain_number(round(math.exp(min(value, 20)), 1))


def _days(known: str, unknown: str) -> Phrase:
    return Phrase(known, unknown, _whole, "day")


def _counted(noun: str, known: str) -> Phrase:
    return Phrase(known, f"an unknown number of {known.format(value=_plural(noun))}", _whole, noun)


def _plural(noun: str) -> str:
    return _PLURALS.get(noun, f"{noun}s")


PHRASES: dict[str, Phrase] = {
    "silence_days": _days("silent for {value}", "silent for an unknown time"),
    "n_active_days": _counted("active day", "{value} in all"),
    "n_active_days_90d": _counted("active day", "{value} in the last 90 days"),
    "n_active_days_30d": _counted("active day", "{value} in the last 30 days"),
    "n_active_days_180d": _counted("active day", "{value} in the last 180 days"),
    "n_active_days_7d": _counted("active day", "{value} in the last 7 days"),
    "n_active_days_season_ago": _counted("active day", "{value} in this season of last year"),
    "tenure_days": _days("with us for {value}", "with us for an unknown time"),
    "n_core_events": _counted("activity", "{value} in all"),
    "n_events_30d": _counted("event", "{value} of any kind in the last 30 days"),
    "n_events_90d": _counted("event", "{value} of any kind in the last 90 days"),
    "active_days_per_week": Phrase(
        "{value} active days a week since the first", "unknown active days a week", plain_number
    ),
    "active_days_trend_30d": Phrase(
        "active {value} times as often in the last 30 days as in the last 90",
        "not active in the last 90 days, so without a trend over them",
        plain_number,
    ),
    "active_days_trend_90d": Phrase(
        "active {value} times as often in the last 90 days as in the last 180",
        "not active in the last 180 days, so without a trend over them",
        plain_number,
    ),
    "shrunk_gap_days": _days("a usual gap of {value}", "no usual gap known"),
    "mean_gap_days": _days("a mean gap of {value}", "only one active day, so no gap"),
    "log_gap_mean": Phrase(
        "a geometric mean gap of {value} days", "only one active day, so no geometric mean gap", _exponential
    ),
    "log_gap_sd": Phrase(
        "gaps that vary by a factor of {value}", "only one active day, so no spread of gaps", _exponential
    ),
    "max_gap_days": _days("a longest gap of {value}", "only one active day, so no longest gap"),
    "last_gap_days": _days("a last gap of {value}", "only one active day, so no last gap"),
    "gap_trend": Phrase(
        "a last gap {value} times the mean one", "only one active day, so no trend of gaps", plain_number
    ),
    "silence_per_shrunk_gap": Phrase(
        "silent for {value} times the usual gap", "silent, with no usual gap known", plain_number
    ),
    "silence_per_gap": Phrase(
        "silent for {value} times the mean gap", "silent after only one active day", plain_number
    ),
    "recency_share": Phrase(
        "silent for {value} of the time with us", "silent for an unknown share of the time", _share
    ),
    "n_returns_7d": _counted("return", "{value} after a week or more away"),
    "n_returns_30d": _counted("return", "{value} after a month or more away"),
    "amount_total": Phrase("spent {value} in all", "no amounts known", _money),
    "amount_90d": Phrase("spent {value} in the last 90 days", "amounts of the last 90 days unknown", _money),
    "amount_per_active_day": Phrase("spent {value} per active day", "amount per active day unknown", _money),
    "amount_last_day": Phrase("spent {value} on the last paid day", "no amount within a year", _money),
    "amount_trend_90d": Phrase(
        "spent {value} times as much in the last 90 days as in the last 180, per day",
        "spent nothing in the last 180 days, so without a trend over them",
        plain_number,
    ),
    "n_items_180d": _counted("item", "{value} in the last 180 days"),
    "n_categories_180d": _counted("category", "{value} in the last 180 days"),
    "weekend_share_180d": Phrase(
        "{value} of active days on a weekend", "no active day in the last 180, so no weekday habit", _share
    ),
    "n_sent_90d": Phrase("sent {value} in the last 90 days", "never sent a message", _whole, "message"),
    "open_share_90d": Phrase("opened {value} of messages", "no message delivered in the last 90 days to open", _share),
    "click_share_90d": Phrase(
        "clicked {value} of messages", "no message delivered in the last 90 days to click", _share
    ),
    "failed_share_90d": Phrase(
        "{value} of messages failed to arrive", "no message sent in the last 90 days that could fail", _share
    ),
    "n_opted_out": Phrase("{value}", "no record of opt-outs or complaints", _whole, "opt-out or complaint"),
    "days_since_response": _days("answered a message {value} ago", "never answered a message"),
    "active_link_share": Phrase("{value} of those linked still active", "nobody linked", _share),
    "age_years": Phrase("{value} of age", "age unknown", lambda years: _whole(math.floor(years)), "year"),
    "days_since_signup": _days("signed up {value} ago", "day of signing up unknown"),
    "country_share": Phrase("from where {value} of users live", "country unknown", _share),
    "acquisition_share": Phrase("came the way {value} of users did", "way of coming unknown", _share),
}
"""The plainest first: the order decides which of several near-duplicates is named."""


def in_plain_order(columns: Iterable[str]) -> tuple[str, ...]:
    """The features as they stand in PHRASES, then those without a phrase by name."""
    given = set(columns)
    return tuple(name for name in PHRASES if name in given) + tuple(sorted(given - PHRASES.keys()))


def in_words(frame: pl.DataFrame) -> pl.DataFrame:
    """One row per user of an explanation frame: user_id and sentence, sorted by user_id.

    `frame`: EXPLANATION_SCHEMA of `explanations`. A feature without a phrase reads as its name and value.
    """
    sentences: dict[str, list[str]] = {}
    for row in frame.sort("user_id", "position").iter_rows(named=True):
        said = f"{feature_in_words(row['feature'], row['value'], row['typical'])} {_way(row['effect_log_odds'])}"
        sentences.setdefault(row["user_id"], []).append(said)
    rows = [(user, f"What moved the score most: {'; '.join(parts)}.") for user, parts in sentences.items()]
    return pl.DataFrame(rows, schema=WORDS_SCHEMA, orient="row")


def feature_in_words(feature: str, value: float | None, typical: float | None) -> str:
    """The value and what is typical: "silent for 40 days (typical: 12)"."""
    phrase = PHRASES.get(feature) or _fallback(feature)
    usual = UNKNOWN if _is_unknown(typical) else phrase.write(float(typical or 0))
    if _is_unknown(value):
        return f"{phrase.unknown} (typical: {usual})"
    return f"{phrase.known.format(value=_with_noun(float(value or 0), phrase))} (typical: {usual})"


def _with_noun(value: float, phrase: Phrase) -> str:
    text = phrase.write(value)
    if phrase.noun is None:
        return text
    return f"{text} {phrase.noun if text == '1' else _plural(phrase.noun)}"


def _fallback(feature: str) -> Phrase:
    name = feature.replace("_", " ").replace("{", "(").replace("}", ")")
    return Phrase(f"{name} {{value}}", f"{name} unknown", plain_number)


def _way(effect: float) -> str:
    return "raises it" if effect > 0 else "lowers it"


def _is_unknown(value: float | None) -> bool:
    return value is None or not math.isfinite(value)
