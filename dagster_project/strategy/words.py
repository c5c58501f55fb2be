"""The words of a strategy: slots, messages in every language, templates and the form they take.

Whether a law allows the words is reviewed in `content`; nothing here looks at a user.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from string import Formatter
from typing import Annotated, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from dagster_project.strategy.forms import Form, carries, longest

Locale = Literal["en", "zh"]
LOCALES: tuple[Locale, ...] = get_args(Locale)
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


@dataclass(frozen=True)
class Slot:
    """A place for a value. `data` names table and column that hold it per user, or a key of the settings that holds it
    for everybody; None: the sender has it for everybody.

    `usual` is the number of characters that it takes, in English and in Chinese; those of links are of short ones.
    """

    says: str
    usual: tuple[int, int]
    data: str | None = None


SLOTS: Mapping[str, Slot] = {
    "first_name": Slot("the user's first name, or the sender's neutral form of address", (6, 3)),
    "brand": Slot("the sender's public name", (8, 4)),
    "link": Slot("address of the one next step", (14, 14)),
    "unsubscribe_link": Slot("address that ends messages of this kind in one step", (14, 14)),
    "favourite_category": Slot("the category that the user chose most often", (10, 4), "events.category"),
    "season": Slot("the season or holiday, in words", (8, 4)),
    "offer": Slot("the offer in words, with its currency", (12, 6)),
    "offer_ends_on": Slot("last day of the offer, in the user's date form", (8, 6)),
    "points": Slot("number of points on the user's account", (4, 4), "users.points"),
    "member_tier": Slot("the user's tier of membership, as the user knows it", (6, 4), "users.member_tier"),
    "contact_person": Slot("name of the person who writes", (8, 3)),
    "plain_link": Slot("address where the choice is shown that does not rest on the user's traits", (14, 14)),
    "postal_address": Slot("postal address of the sender", (40, 20), "compliance.postal_address"),
    "ad_label": Slot("广告 or AD where law asks for that mark, else nothing", (2, 2)),
}

_OWN_PLACE = {"cta": "link", "opt_out": "unsubscribe_link"}
_ONLY_PLACE = {"alternative": "plain_link", "subject": "ad_label"}
_READ_AT_ONCE = ("subject", "body", "cta", "opt_out")


MISFIT = "misfit"


def misfit(what: str, *at: str | int) -> PydanticCustomError:
    """What a validator of several keys raises: `what` is wrong, and at which key, seen from the validated part."""
    return PydanticCustomError(MISFIT, "{what}", {"what": what, "at": at})


class Part(BaseModel):
    """A piece of a strategy file: nothing in it can be changed, and no unknown key is taken."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Message(Part):
    """The words in one language. `cta` is the one next step; `opt_out` and `why_sent` are always shown.

    `alternative` leads to a choice that does not rest on the user's traits, where a law asks for one. `media` says
    what the picture or video shows: the order to who makes it, and the text for who cannot see it.
    """

    subject: Text | None = None
    body: Text
    cta: Text
    opt_out: Text
    why_sent: Text
    alternative: Text | None = None
    media: Text | None = None

    @model_validator(mode="after")
    def _slots_are_known_and_in_place(self) -> Self:
        for part, text in self.model_dump(exclude_none=True).items():
            try:
                used = slots_in(part, text)
            except ValueError as error:
                raise misfit(str(error), part) from error
            for slot in used:
                if slot not in SLOTS:
                    raise misfit(f"unknown slot {{{slot}}} in {part}; slots are {', '.join(sorted(SLOTS))}", part)
            for home, slot in _OWN_PLACE.items():
                if used.count(slot) != (part == home):
                    raise misfit(f"{part} must hold {{{slot}}} {'once' if part == home else 'nowhere'}", part)
            for home, slot in _ONLY_PLACE.items():
                if used.count(slot) > (part == home):
                    raise misfit(f"{part} must not hold {{{slot}}}; it belongs into {home}, once", part)
        return self

    @property
    def slots(self) -> frozenset[str]:
        """Every slot of the message."""
        parts = self.model_dump(exclude_none=True)
        return frozenset(slot for part, text in parts.items() for slot in slots_in(part, text))

    def usual_length(self, locale: Locale) -> int:
        """Characters of title, body, next step and way out, one behind the other, every slot at its usual length."""
        parts = self.model_dump(exclude_none=True, include=set(_READ_AT_ONCE))
        filled = {name: "x" * slot.usual[LOCALES.index(locale)] for name, slot in SLOTS.items()}
        return len(" ".join(text.format(**filled) for text in parts.values()))


class Template(Part):
    """One message for some channels, in every language of `LOCALES`, in one form."""

    template_id: Name
    channels: Annotated[tuple[Name, ...], Field(min_length=1, strict=False)]
    form: Form = "text"
    en: Message
    zh: Message

    @model_validator(mode="after")
    def _every_channel_can_carry_it(self) -> Self:
        if unable := [channel for channel in self.channels if not carries(channel, self.form)]:
            raise misfit(f"{' and '.join(unable)} cannot carry a {self.form}; see strategy/channels.toml", "form")
        for locale in LOCALES:
            message = self.text(locale)
            if self.form in ("picture", "video") and message.media is None:
                raise misfit(f"a {self.form} needs {locale}.media: what it shows", locale)
            if self.form == "text" and message.media is not None:
                raise misfit(f"{locale}.media in a template of form text", locale, "media")
            if self.form == "card" and message.subject is None:
                raise misfit(f"a card needs {locale}.subject: its title", locale)
            for channel in self.channels:
                limit, length = longest(channel, locale), message.usual_length(locale)
                if limit is not None and length > limit:
                    said = f"{locale} takes {length} characters on {channel}, where {limit} are read at once"
                    raise misfit(said, locale, "body")
        return self

    def text(self, locale: Locale) -> Message:
        """The words in `locale`."""
        return self.en if locale == "en" else self.zh

    def slots_without(self, available: Collection[str]) -> frozenset[str]:
        """The slots of any language that `available` does not hold."""
        return frozenset().union(*(self.text(locale).slots for locale in LOCALES)) - frozenset(available)


def slots_with_data(columns: Mapping[str, Collection[str]]) -> frozenset[str]:
    """The slots that can be filled: those of the sender, and those whose column is mapped.

    `columns`: by canonical table the columns that the settings map, attributes included; by section the keys that the
    settings give.
    """
    mapped = {f"{table}.{column}" for table, names in columns.items() for column in names}
    return frozenset(name for name, slot in SLOTS.items() if slot.data is None or slot.data in mapped)


def slots_in(part: str, text: str) -> list[str]:
    """The slots of a text, in its order.

    Raises:
        ValueError: braces that do not pair up, or a slot with a format.
    """
    try:
        fields = [(name, spec, turned) for _, name, spec, turned in Formatter().parse(text) if name is not None]
    except ValueError as error:
        raise ValueError(f"braces in {part} do not pair up: {error}") from error
    if any(spec or turned for _, spec, turned in fields):
        raise ValueError(f"a slot in {part} carries a format; write the bare name in braces")
    return [name for name, _, _ in fields]
