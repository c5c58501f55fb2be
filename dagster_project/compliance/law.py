"""The rules that bind one user: those of one or two packs together, the stricter one winning."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Literal, TypeVar

from dagster_project.compliance.rules import (
    BaseRule,
    Consent,
    Deadline,
    EqualOffers,
    Minors,
    Pack,
    QuietHours,
    Rule,
)

Kind = TypeVar("Kind", bound=BaseRule)
Stop = Literal["withdrawal", "complaint", "deletion"]


@dataclass(frozen=True)
class Law:
    """One or two packs. All of their rules hold, so of two that differ the stricter one decides.

    `house` are rules that hold beneath any pack: what the house rules say of words.
    """

    packs: tuple[Pack, ...]
    house: tuple[Rule, ...] = ()

    @cached_property
    def key(self) -> str:
        """The packs by name, such as `default+cn`."""
        return "+".join(pack.id for pack in self.packs)

    @cached_property
    def rules(self) -> tuple[Rule, ...]:
        """Every rule of every pack, then those of the house."""
        return (*(rule for pack in self.packs for rule in pack.rules), *self.house)

    def of_kind(self, kind: type[Kind], channel: str | None = None) -> tuple[Kind, ...]:
        """The rules of a kind, of a channel if one is named."""
        return tuple(rule for rule in self.rules if isinstance(rule, kind) and (not channel or rule.covers(channel)))

    def stop_citation(self, stop: Stop, channel: str) -> str | None:
        """Where it is written that a withdrawal, complaint or deletion ends contact."""
        return cited([rule for rule in self.of_kind(Deadline, channel) if rule.limits == stop])

    def needs_consent(self, channel: str) -> bool:
        """Whether a record of permission must exist. A channel that no rule of a pack names needs one."""
        return any(
            not (rules := [rule for rule in pack.rules if isinstance(rule, Consent) and rule.covers(channel)])
            or any(rule.is_required for rule in rules)
            for pack in self.packs
        )

    def bases(self, channel: str) -> frozenset[str]:
        """The bases that every rule on the channel accepts."""
        accepted = [frozenset(rule.bases) for rule in self.of_kind(Consent, channel)]
        return frozenset.intersection(*accepted) if accepted else frozenset({"consent"})

    def consent_citation(self, channel: str) -> str | None:
        """Where it is written that a message needs permission."""
        return cited(self.of_kind(Consent, channel))

    def quiet_windows(self, channel: str) -> tuple[tuple[int, int], ...]:
        """When nothing may arrive: minutes after midnight by the user's clock, start and end."""
        return tuple(sorted({rule.window for rule in self.of_kind(QuietHours, channel)}))

    def hours_citation(self, channel: str) -> str | None:
        """Where the quiet hours are written."""
        return cited(self.of_kind(QuietHours, channel))

    @cached_property
    def minors(self) -> Minors | None:
        """The rule with the highest age."""
        return max(self.of_kind(Minors), key=lambda rule: rule.min_age, default=None)

    @cached_property
    def exempt_bases(self) -> frozenset[str]:
        """Bases that every rule on minors accepts for a minor."""
        accepted = [frozenset(rule.exempt_bases) for rule in self.of_kind(Minors)]
        return frozenset.intersection(*accepted) if accepted else frozenset()

    @cached_property
    def offers_citation(self) -> str | None:
        """Where equal offers are asked for."""
        return cited(self.of_kind(EqualOffers))

    @cached_property
    def needs_equal_offers(self) -> bool:
        """Whether an offer must not hang on a prediction about the user."""
        return bool(self.of_kind(EqualOffers))


def cited(rules: Sequence[BaseRule]) -> str | None:
    """The citations of rules, each once, in order; None without a rule."""
    return "; ".join(dict.fromkeys(rule.citation for rule in rules)) or None


def birthday(born_on: date, years: int) -> date:
    """The day on which an age is reached; of 29 February the 1 March where the year has none."""
    try:
        return born_on.replace(year=born_on.year + years)
    except ValueError:
        return date(born_on.year + years, 3, 1)
