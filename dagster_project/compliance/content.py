"""What the words of a message break: parts that must be there, and words that must not."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from dagster_project.compliance.law import Law
from dagster_project.compliance.rules import ForbiddenWords, RequiredText


@dataclass(frozen=True, order=True)
class WordingFault:
    """One rule that the words break: `part` names where, `what` is said to the author of the template."""

    rule_id: str
    part: str
    what: str
    citation: str


def review_wording(
    parts: Mapping[str, str | None], *, locale: str, channel: str, law: Law, industry: str
) -> tuple[WordingFault, ...]:
    """Every fault of a message's `parts` (`subject`, `body`, ...; None: not there) on a channel, in order.

    A subject is asked for only where the channel has one. Words are searched in the language of the text alone.
    """
    missing = [
        WordingFault(rule.id, rule.part, said, rule.citation)
        for rule in law.of_kind(RequiredText, channel)
        if (said := _missing(rule, parts.get(rule.part)))
    ]
    forbidden = [
        WordingFault(rule.id, part, f"says {said!r}", rule.citation)
        for rule in law.of_kind(ForbiddenWords, channel)
        if rule.locale == locale and (not rule.industries or industry in rule.industries)
        for part, text in parts.items()
        if text
        for said in _found(rule.patterns, text)
    ]
    return tuple(sorted({*missing, *forbidden}))


@lru_cache(maxsize=1 << 15)  # dozens of laws share the rules that ask the same of the same words
def _found(patterns: tuple[str, ...], text: str) -> tuple[str, ...]:
    return tuple(found[0] for pattern in patterns if (found := re.search(pattern, text, flags=re.IGNORECASE)))


def _missing(rule: RequiredText, text: str | None) -> str | None:
    if not text:
        return "is missing"
    slot = f"{{{rule.slot}}}"
    if rule.slot and rule.is_first and not text.startswith(slot):
        return f"does not begin with {slot}"
    return f"lacks {slot}" if rule.slot and slot not in text else None
