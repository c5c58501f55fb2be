"""The form of a rule and of a pack of rules. Reading the files is `packs`' business, merging them `law`'s."""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

RuleId = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$")]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Names = Annotated[tuple[Name, ...], Field(strict=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Country = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]

_CLOCK = re.compile(r"([01]?[0-9]|2[0-4]):([0-5][0-9])(:[0-5][0-9])?")
MINUTES_PER_DAY = 1440
PARTS = ("subject", "body", "cta", "opt_out", "why_sent", "alternative", "postal_address")


def minutes_of(clock: str) -> int:
    """Minutes after midnight of "21:00"; 24:00 is 1440.

    Raises:
        ValueError: the text is no clock time.
    """
    found = _CLOCK.fullmatch(clock.strip())
    minutes = int(found[1]) * 60 + int(found[2]) if found else MINUTES_PER_DAY + 1
    if minutes > MINUTES_PER_DAY:
        raise ValueError(f"{clock!r} is not a clock time HH:MM")
    return minutes


def _clock(text: str) -> str:
    minutes_of(text)
    return text


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"{text!r} is not a regular expression: {error}") from error
    return text


Clock = Annotated[str, AfterValidator(_clock)]
Pattern = Annotated[str, StringConstraints(min_length=1), AfterValidator(_pattern)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class BaseRule(_Part):
    """`channels` empty: every channel. `citation` names law and article, or says that the rule is our own."""

    id: RuleId
    channels: Names = ()
    citation: Text
    summary: Text

    def covers(self, channel: str) -> bool:
        """Whether the rule speaks of this channel."""
        return not self.channels or channel in self.channels


class Consent(BaseRule):
    """On what permission may rest. `is_required`: without a record of it the channel stays closed.

    A granted record whose basis is not among `bases` does not count; a record without a basis counts as consent.
    """

    limits: Literal["consent"]
    is_required: bool
    bases: Annotated[Names, Field(min_length=1)]


class Deadline(BaseRule):
    """How long the law leaves to honour a withdrawal, objection or deletion. We honour it the same night."""

    limits: Literal["withdrawal", "complaint", "deletion"]
    deadline_days: Annotated[int, Field(ge=0)]
    counted_in: Literal["calendar", "business"]


class QuietHours(BaseRule):
    """When nothing may arrive, by the user's clock: from `start` to `end`, over midnight if `end` is earlier."""

    limits: Literal["quiet_hours"]
    start: Clock
    end: Clock

    @property
    def window(self) -> tuple[int, int]:
        """Start and end in minutes after midnight."""
        return minutes_of(self.start), minutes_of(self.end)


class Frequency(BaseRule):
    """At most `max_messages` in any `hours` that follow one another, counted over the rule's channels together."""

    limits: Literal["frequency"]
    max_messages: Annotated[int, Field(ge=0)]
    hours: Annotated[int, Field(ge=1, le=720)]


class ComplaintRate(BaseRule):
    """A channel is closed to all while complaints ÷ delivered reach `max_share`; said aloud from `warn_share`.

    Counted over `window_days`; a rate of fewer than `min_messages` delivered is taken for noise.
    """

    limits: Literal["complaint_rate"]
    max_share: Share
    warn_share: Share
    window_days: Annotated[int, Field(ge=1, le=30)]
    min_messages: Annotated[int, Field(ge=1)]


class Minors(BaseRule):
    """Nobody known to be younger than `min_age` years is written to, unless the basis is among `exempt_bases`."""

    limits: Literal["minors"]
    min_age: Annotated[int, Field(ge=1, le=25)]
    exempt_bases: Names = ()


class EqualOffers(BaseRule):
    """An offer must not hang on a prediction about the user: its strategy states an equal basis, and asks for none."""

    limits: Literal["equal_offers"]


class RequiredText(BaseRule):
    """A part of every message that must be there, and hold `slot` if one is named (at its start: `is_first`).

    `postal_address` is a part that the sender adds: it is there where the settings give one.
    """

    limits: Literal["required_text"]
    part: Literal["subject", "body", "cta", "opt_out", "why_sent", "alternative", "postal_address"]
    slot: Name | None = None
    is_first: bool = False


class ForbiddenWords(BaseRule):
    """What no part of a message may say: regular expressions, case ignored. `industries` empty: all of them."""

    limits: Literal["forbidden_words"]
    locale: Literal["en", "zh"]
    industries: Names = ()
    patterns: Annotated[tuple[Pattern, ...], Field(min_length=1, strict=False)]


Rule = Annotated[
    Consent | Deadline | QuietHours | Frequency | ComplaintRate | Minors | EqualOffers | RequiredText | ForbiddenWords,
    Field(discriminator="limits"),
]
NEEDED = ("consent", "withdrawal", "complaint", "deletion", "quiet_hours", "minors", "required_text")


class Pack(_Part):
    """The rules of some countries. `notice` must say that the pack is not legal advice."""

    id: Name
    title: Text
    notice: Text
    countries: Annotated[tuple[Country, ...], Field(strict=False)] = ()
    rules: Annotated[tuple[Rule, ...], Field(min_length=1, strict=False)]

    @model_validator(mode="after")
    def _says_what_it_is(self) -> Self:
        if "not legal advice" not in self.notice.lower():
            raise ValueError("notice must say that the pack is not legal advice")
        ids = [rule.id for rule in self.rules]
        if twice := sorted({id_ for id_ in ids if ids.count(id_) > 1}):
            raise ValueError(f"rule id '{twice[0]}' stands twice")
        missing = [kind for kind in NEEDED if kind not in {rule.limits for rule in self.rules}]
        if missing:
            raise ValueError(f"no rule limits {missing[0]}; every pack needs {', '.join(NEEDED)}")
        return self
