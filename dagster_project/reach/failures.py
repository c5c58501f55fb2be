"""Why a message did not arrive, by the provider's own code: a table of rules, each with its source.

The rules are data in `failures/*.toml`, one file per language of codes. The first rule of the channel's file that
matches decides; a code that none matches is `unknown`, and is listed, never guessed. A code may hold several numbers,
a status beside the provider's own: each is compared, and only the provider's own stand in rules by number. What a
failure means for the endpoint is decided in `endpoints`.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

import polars as pl

from dagster_project.errors import FailureRulesError

FailureClass = Literal[
    "server_fault",
    "network",
    "endpoint_dead",
    "endpoint_moved",
    "permission_revoked",
    "blocked",
    "quota",
    "window",
    "user_side",
    "unknown",
]
By = Literal["text", "enhanced", "basic", "reply", "word", "number", "hexadecimal", "receipt_error"]
Lasts = Literal["month", "grant"]
UNKNOWN: FailureClass = "unknown"
FOLDER = Path(__file__).with_name("failures")
KEYS = frozenset({"id", "by", "codes", "class", "permanent", "source"})
OPTIONAL_KEYS = frozenset({"text", "lasts"})

_ENHANCED = re.compile(r"(?<![\d.])([45])\.(\d{1,3})\.(\d{1,3})(?!\d|\.\d)")
_BASIC = re.compile(r"(?<![\w.@-])([45]\d\d)(?![\w@]|[.]\d)")
_NUMBER = re.compile(r"(?<![\w.-])-?\d+(?!\w|\.\d)")
_HEXADECIMAL = re.compile(r"(?<!\w)0x0*([0-9a-f]+)(?!\w)")
_RECEIPT_ERROR = re.compile(r"\berr(?:or)?[:=]\s*0*(\d+)(?!\w)")
_ADDRESS = re.compile(r"\S+@\S+")
_MORE_THAN_A_REPLY = re.compile(r"[^\W\d_]")
_RECEIPT_TEXT = re.compile(r"\btext:.*$", re.DOTALL)
PRIVATE = r"(?i)\S+@\S+|\b[0-9a-f-]*\d[0-9a-f-]{8,}\b"
LISTED_CHARACTERS = 120


@dataclass(frozen=True)
class Rule:
    """One rule. `is_permanent` None: as the first digit of the SMTP code says, 5 permanent and 4 transient.

    `text`: one of these phrases must be there too. `lasts`: what the failure tells holds to the end of the month, or
    until the user grants anew; None: as its class does.
    """

    id: str
    by: By
    codes: frozenset[str]
    failure_class: FailureClass
    is_permanent: bool | None
    source: str
    text: frozenset[str] = frozenset()
    lasts: Lasts | None = None


@dataclass(frozen=True)
class Said:
    """A code as the rules see it: lower case, and the parts of it that are numbers, statuses and names."""

    text: str
    words: frozenset[str]
    enhanced: str | None
    basic: str | None
    numbers: frozenset[str]
    hexadecimals: frozenset[str]
    receipt_error: str | None

    @property
    def reply(self) -> str | None:
        """The reply code, where nothing is said beside it but `smtp` and an address; None otherwise."""
        rest = _ADDRESS.sub("", self.text).replace("smtp", "")
        return self.basic if self.enhanced is None and not _MORE_THAN_A_REPLY.search(rest) else None

    @property
    def status_digit(self) -> str | None:
        """4 or 5, as the SMTP code begins; None without one."""
        return (self.enhanced or self.basic or "")[:1] or None


@dataclass(frozen=True)
class Verdict:
    """What a code means. `is_permanent` None: not told. `rule_id` None: no rule knows the code."""

    failure_class: FailureClass
    is_permanent: bool | None
    rule_id: str | None


NOT_KNOWN = Verdict(UNKNOWN, None, None)


def with_failures(events: pl.DataFrame) -> pl.DataFrame:
    """The rows with failure_class, is_permanent and rule_id, in their order; null where nothing failed.

    `events`: channel, event, code; further columns are kept. A row failed whose `event` is failed or bounced.
    """
    keys = ["channel", "event", "said"]
    named = events.with_columns(without_names(pl.col("code")).alias("said"))
    kinds = named.select(keys).unique().filter(pl.col("event").is_in(["failed", "bounced"]))
    verdicts = [verdict_of(channel, code) for channel, _, code in kinds.iter_rows()]
    judged = kinds.with_columns(
        pl.Series("failure_class", [found.failure_class for found in verdicts], dtype=pl.String),
        pl.Series("is_permanent", [found.is_permanent for found in verdicts], dtype=pl.Boolean),
        pl.Series("rule_id", [found.rule_id for found in verdicts], dtype=pl.String),
    )
    return named.join(judged, on=keys, how="left", nulls_equal=True, maintain_order="left").drop("said")


def failure_codes(failures: pl.DataFrame) -> pl.DataFrame:
    """One row per channel, event and code of intermediate.failure_states: what it means, how often, how many users.

    Sorted by channel, then most frequent first.
    """
    judged = with_failures(failures)
    return (
        judged.with_columns(without_names(pl.col("code")).str.slice(0, LISTED_CHARACTERS))
        .group_by("channel", "event", "code", "failure_class", "is_permanent", "rule_id")
        .agg(
            pl.col("n_failed").sum().cast(pl.Int64).alias("n_messages"),
            pl.col("user_sk").n_unique().cast(pl.Int64).alias("n_users"),
            pl.col("last_failed_at").max().dt.date().alias("last_failed_on"),
        )
        .sort("channel", "n_messages", "event", "code", "rule_id", descending=[False, True, False, False, False])
        .unique(subset=["channel", "event", "code"], keep="first", maintain_order=True)
    )


def verdict_of(channel: str, code: str | None) -> Verdict:
    """What a code means on a channel; `unknown` without a code, a rule, or a file for the channel."""
    said = said_by(code or "")
    for rule in rules_by_channel().get(channel.strip().lower(), ()):
        if matches(rule, said):
            is_permanent = rule.is_permanent
            if is_permanent is None and said.status_digit is not None:
                is_permanent = said.status_digit == "5"
            return Verdict(rule.failure_class, is_permanent, rule.id)
    return NOT_KNOWN


def said_by(code: str) -> Said:
    """The parts of a code: of `550 5.1.1 User unknown`, `smtp;550`, `{"errcode":43101}`, `stat:UNDELIV err:001`."""
    text = _RECEIPT_TEXT.sub("", " ".join(code.lower().split()))
    words = {plain(word) for word in re.split(r"[^a-z0-9_-]+", text)} | {plain(text)}
    enhanced, basic, error = (pattern.search(text) for pattern in (_ENHANCED, _BASIC, _RECEIPT_ERROR))
    return Said(
        text=text,
        words=frozenset(words - {""}),
        enhanced=".".join(enhanced.groups()) if enhanced else None,
        basic=basic[1] if basic else None,
        numbers=frozenset(_NUMBER.findall(text)),
        hexadecimals=frozenset(_HEXADECIMAL.findall(text)),
        receipt_error=error[1] if error else None,
    )


def plain(name: str) -> str:
    """A name without case and punctuation: NOT_REGISTERED, NotRegistered and not-registered are one."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def matches(rule: Rule, said: Said) -> bool:
    """Whether a rule speaks of a code."""
    if rule.text and not any(phrase in said.text for phrase in rule.text):
        return False
    if rule.by == "text":
        return any(phrase in said.text for phrase in rule.codes)
    found: Mapping[By, frozenset[str | None]] = {
        "word": said.words,
        "enhanced": _enhanced_forms(said.enhanced),
        "basic": frozenset({said.basic}),
        "reply": frozenset({said.reply}),
        "number": said.numbers,
        "hexadecimal": said.hexadecimals,
        "receipt_error": frozenset({said.receipt_error}),
    }
    return not rule.codes.isdisjoint(found[rule.by])


def _enhanced_forms(enhanced: str | None) -> frozenset[str | None]:
    """5.7.606 as rules may write it: itself, x.7.606, and its subject x.7.*."""
    if enhanced is None:
        return frozenset()
    _, subject, detail = enhanced.split(".")
    return frozenset({enhanced, f"x.{subject}.{detail}", f"x.{subject}.*"})


def without_names(code: pl.Expr) -> pl.Expr:
    """Codes with addresses and long ids taken out: one reason is one text, and nobody's address is in it."""
    return code.str.replace_all(PRIVATE, "…").str.replace_all(r"\s+", " ").str.strip_chars()


@cache
def rules_by_channel() -> Mapping[str, Sequence[Rule]]:
    """The shipped rules by channel, in the order in which they are asked."""
    return load_rules(FOLDER)


@cache
def rules_by_id() -> Mapping[str, Rule]:
    """The shipped rules by their id."""
    return {rule.id: rule for rules in rules_by_channel().values() for rule in rules}


def rules_that_last(lasts: Lasts) -> frozenset[str]:
    """The ids of the rules whose failures last so long."""
    return frozenset(rule.id for rule in rules_by_id().values() if rule.lasts == lasts)


def load_rules(folder: Path) -> dict[str, tuple[Rule, ...]]:
    """The rules of every file of a folder, by each of the channels that the file names.

    Raises:
        FailureRulesError: a rule lacks a key, has one too many, an unknown class, or an id used before.
    """
    found: dict[str, tuple[Rule, ...]] = {}
    ids: set[str] = set()
    for file in sorted(folder.glob("*.toml")):
        content = tomllib.loads(file.read_text(encoding="utf-8"))
        rules = tuple(parse_rule(rule, file=file) for rule in content["rules"])
        for rule in rules:
            if rule.id in ids:
                raise FailureRulesError(f"{file.name}: two rules {rule.id!r}", fix="give each rule an id of its own")
            ids.add(rule.id)
        found |= dict.fromkeys(content["channels"], rules)
    return found


def parse_rule(given: Mapping[str, Any], *, file: Path) -> Rule:
    """One rule as its file has it."""
    where = f"{file.name}: rule {given.get('id', given)!r}"
    if set(given) - OPTIONAL_KEYS != KEYS or not given["source"] or not given["codes"]:
        raise FailureRulesError(f"{where} has the keys {sorted(given)}", fix=f"give each of {sorted(KEYS)} a value")
    lasts = given.get("lasts")
    if lasts is not None and lasts not in get_args(Lasts):
        raise FailureRulesError(f"{where}: lasts {lasts!r}", fix=f"lasts: one of {get_args(Lasts)}, or leave it out")
    if given["class"] not in get_args(FailureClass) or given["by"] not in get_args(By):
        raise FailureRulesError(
            f"{where}: class {given['class']!r}, by {given['by']!r}",
            fix=f"class: one of {get_args(FailureClass)}; by: one of {get_args(By)}",
        )
    codes = frozenset(plain(code) if given["by"] == "word" else str(code).lower() for code in given["codes"])
    is_permanent = None if given["permanent"] == "status" else bool(given["permanent"])
    text = frozenset(phrase.lower() for phrase in given.get("text", ()))
    return Rule(given["id"], given["by"], codes, given["class"], is_permanent, given["source"], text, lasts)
