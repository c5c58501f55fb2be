"""The strategy catalogue: its form, its rules, and the loader of its TOML files. One strategy a file.

Which strategy a user gets is decided in `assignment`; nothing here looks at a user.
"""

import tomllib
from collections.abc import Mapping
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from string import Formatter
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from dagster_project.errors import CatalogueError

Stage = Literal[
    "prospect",
    "new",
    "onboarding_stalled",
    "growing",
    "active",
    "cooling",
    "at_risk",
    "dormant",
    "churned_early",
    "churned_mid",
    "churned_late",
    "lost",
    "reactivated_trial",
    "reactivated_sustained",
    "relapsed",
]
Locale = Literal["en", "zh"]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]

LOCALES: tuple[Locale, ...] = get_args(Locale)

SLOTS: Mapping[str, str] = {
    "first_name": "the user's first name, or the sender's neutral form of address",
    "brand": "the sender's public name",
    "link": "address of the one next step",
    "unsubscribe_link": "address that ends messages of this kind in one step",
    "favourite_category": "the category that the user chose most often",
    "season": "the season or holiday, in words",
    "offer": "the offer in words, with its currency",
    "offer_ends_on": "last day of the offer, in the user's date form",
    "points": "number of points",
    "contact_person": "name of the person who writes",
    "plain_link": "address where the choice is shown that does not rest on the user's traits",
    "ad_label": "广告 or AD where law asks for that mark, else nothing",
}

_OWN_PLACE = {"cta": "link", "opt_out": "unsubscribe_link"}
_ONLY_PLACE = {"alternative": "plain_link", "subject": "ad_label"}


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Trigger(_Part):
    """Whom the strategy is for: every bound that is set must hold; a user whose value is unknown fails it."""

    stages: Annotated[tuple[Stage, ...], Field(min_length=1, strict=False)]
    min_days_silent: Annotated[int, Field(ge=0)] | None = None
    max_days_silent: Annotated[int, Field(ge=0)] | None = None
    min_value_if_returned: Annotated[float, Field(ge=0)] | None = None
    min_p_return: Share | None = None
    max_p_return: Share | None = None

    @model_validator(mode="after")
    def _bounds_are_in_order(self) -> Self:
        for low, high in (("min_days_silent", "max_days_silent"), ("min_p_return", "max_p_return")):
            bottom, top = getattr(self, low), getattr(self, high)
            if bottom is not None and top is not None and bottom > top:
                raise ValueError(f"{low} {bottom} is above {high} {top}")
        return self


class Timing(_Part):
    """`send_hour` is in the user's own time zone; nothing is sent before `days_after_churn` have passed."""

    send_hour: Annotated[int, Field(ge=0, le=23)]
    days_after_churn: Annotated[int, Field(ge=0)] = 0


class Dose(_Part):
    """At most `max_touches` messages, `days_between` apart, ended by `stop_rule`; 0 touches is silence."""

    max_touches: Annotated[int, Field(ge=0)]
    days_between: Annotated[int, Field(ge=1)]
    stop_rule: Text


class Offer(_Part):
    """`cost` is money per redemption; `redeem_share` is P(redeem | return), unaided returns included.

    `equal_basis` says by which rule, the same for everybody, the offer is given; needed where law forbids that an
    offer hangs on a prediction about the user and the trigger asks for one.
    """

    kind: Literal["none", "discount", "points", "trial"]
    cost: Annotated[Finite, Field(ge=0)] = 0.0
    redeem_share: Share = 0.0
    equal_basis: Text | None = None

    @model_validator(mode="after")
    def _no_offer_costs_nothing(self) -> Self:
        if self.kind == "none" and (self.cost or self.redeem_share):
            raise ValueError("kind 'none' with a cost or a redeem_share above zero")
        return self


class Prior(_Part):
    """Believed lift on P(return) in log-odds, before any outcome of our own is known."""

    tau_low: Finite
    tau: Finite
    tau_high: Finite
    source: Text

    @model_validator(mode="after")
    def _interval_holds_the_middle(self) -> Self:
        if not self.tau_low <= self.tau <= self.tau_high:
            raise ValueError("tau_low <= tau <= tau_high does not hold")
        return self


class Message(_Part):
    """The words in one language. `cta` is the one next step; `opt_out` and `why_sent` are always shown.

    `alternative` leads to a choice that does not rest on the user's traits, where a law asks for one.
    """

    subject: Text | None = None
    body: Text
    cta: Text
    opt_out: Text
    why_sent: Text
    alternative: Text | None = None

    @model_validator(mode="after")
    def _slots_are_known_and_in_place(self) -> Self:
        for part, text in self.model_dump(exclude_none=True).items():
            used = _slots(part, text)
            for slot in used:
                if slot not in SLOTS:
                    raise ValueError(f"unknown slot {{{slot}}} in {part}; slots are {', '.join(sorted(SLOTS))}")
            for home, slot in _OWN_PLACE.items():
                if used.count(slot) != (part == home):
                    raise ValueError(f"{part} must hold {{{slot}}} {'once' if part == home else 'nowhere'}")
            for home, slot in _ONLY_PLACE.items():
                if used.count(slot) > (part == home):
                    raise ValueError(f"{part} must not hold {{{slot}}}; it belongs into {home}, once")
        return self


class Template(_Part):
    """One message for some channels, in every language of `LOCALES`."""

    template_id: Name
    channels: Annotated[tuple[Name, ...], Field(min_length=1, strict=False)]
    en: Message
    zh: Message

    def text(self, locale: Locale) -> Message:
        """The words in `locale`."""
        return self.en if locale == "en" else self.zh


class Strategy(_Part):
    """Channel × message × offer × timing × dose, with what triggers it and what it is believed to cause.

    `never_with` names strategies that this one makes way for; it is written on one side only. `content` names the
    categories (of events, in any case) that the message is about; none if it is about nothing in particular.
    """

    id: Name
    title: Text
    description: Text
    why_chosen: Text
    channels: Annotated[tuple[Name, ...], Field(strict=False)]
    never_with: Annotated[tuple[Name, ...], Field(strict=False)] = ()
    content: Annotated[tuple[Text, ...], Field(strict=False)] = ()
    trigger: Trigger
    timing: Timing
    dose: Dose
    offer: Offer
    prior: Prior
    templates: Annotated[tuple[Template, ...], Field(strict=False)] = ()

    @property
    def is_silent(self) -> bool:
        """True for deliberate silence: nothing is ever sent."""
        return not self.channels

    @property
    def is_unequal(self) -> bool:
        """True where who gets the offer hangs on a prediction about the user, and no equal basis is stated."""
        trigger = self.trigger
        bounds = (trigger.min_value_if_returned, trigger.min_p_return, trigger.max_p_return)
        return self.offer.kind != "none" and self.offer.equal_basis is None and any(one is not None for one in bounds)

    @model_validator(mode="after")
    def _every_channel_has_words(self) -> Self:
        written = {channel for template in self.templates for channel in template.channels}
        for channel in self.channels:
            if channel not in written:
                raise ValueError(f"missing template for channel '{channel}'")
        if self.is_silent != (self.dose.max_touches == 0):
            raise ValueError("dose.max_touches must be 0 exactly when channels is empty")
        return self


class Catalogue(_Part):
    """All strategies, in the order of their ids."""

    strategies: tuple[Strategy, ...]

    @cached_property
    def by_id(self) -> dict[str, Strategy]:
        """Strategies by their id."""
        return {strategy.id: strategy for strategy in self.strategies}

    @property
    def sending(self) -> tuple[Strategy, ...]:
        """Strategies that send something."""
        return tuple(strategy for strategy in self.strategies if not strategy.is_silent)

    @property
    def silent(self) -> tuple[Strategy, ...]:
        """Strategies of deliberate silence."""
        return tuple(strategy for strategy in self.strategies if strategy.is_silent)


def load_catalogue(folder: Path | None = None) -> Catalogue:
    """Every `*.toml` of `folder` (default: the set that comes with the package) as one checked catalogue.

    Raises:
        CatalogueError: a file that is no TOML, an unknown or missing key or language, an unknown slot or
            stage, a channel without a template, a message without opt-out, an id used twice, and a
            `never_with` that names no strategy or runs in a circle. It names file, key and fix.
    """
    folder = folder or Path(__file__).parent / "catalogue"
    paths = sorted(folder.glob("*.toml"))
    if not paths:
        raise CatalogueError(f"{folder}: no strategy files (*.toml)", fix="name a folder that holds some")
    found: dict[str, tuple[Path, Strategy]] = {}
    for path in paths:
        strategy = _read(path)
        if strategy.id in found:
            first = found[strategy.id][0].name
            raise CatalogueError(
                f"{path.name}: id: '{strategy.id}' is already used in {first}",
                fix="give each strategy its own id",
            )
        found[strategy.id] = (path, strategy)
    _check_exclusions(found)
    return Catalogue(strategies=tuple(found[key][1] for key in sorted(found)))


def _read(path: Path) -> Strategy:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CatalogueError(f"{path.name}: not readable as TOML: {error}", fix="mend the file's syntax") from error
    try:
        return Strategy.model_validate(content)
    except ValidationError as error:
        raise _as_catalogue_error(path, error) from error


def _as_catalogue_error(path: Path, error: ValidationError) -> CatalogueError:
    first: Any = error.errors(include_url=False)[0]
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
    key = key or "strategy"
    match first["type"]:
        case "extra_forbidden":
            return CatalogueError(f"{path.name}: {key}: unknown key", fix="remove it or correct its spelling")
        case "missing":
            what = "missing locale" if key.rsplit(".", 1)[-1] in LOCALES else "missing key"
            return CatalogueError(f"{path.name}: {key}: {what}", fix=f"add {key} to the file")
    said = first["msg"].removeprefix("Value error, ")
    value = first["input"] if isinstance(first["input"], str | int | float) else None
    shown = f" (got {value!r})" if value is not None else ""
    return CatalogueError(f"{path.name}: {key}: {said}{shown}", fix=f"correct {key}; see docs/strategies.schema.json")


def _check_exclusions(found: Mapping[str, tuple[Path, Strategy]]) -> None:
    for path, strategy in found.values():
        for other in strategy.never_with:
            if other not in found:
                raise CatalogueError(
                    f"{path.name}: never_with: unknown strategy '{other}'",
                    fix=f"one of {', '.join(sorted(found))}",
                )
    graph = {key: strategy.never_with for key, (_, strategy) in found.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle = " -> ".join(sorted(set(error.args[1])))
        path = found[min(error.args[1])][0]
        raise CatalogueError(
            f"{path.name}: never_with: runs in a circle ({circle})",
            fix="write each exclusion on one side only",
        ) from error


def _slots(part: str, text: str) -> list[str]:
    try:
        fields = [(name, spec, turned) for _, name, spec, turned in Formatter().parse(text) if name is not None]
    except ValueError as error:
        raise ValueError(f"braces in {part} do not pair up: {error}") from error
    if any(spec or turned for _, spec, turned in fields):
        raise ValueError(f"a slot in {part} carries a format; write the bare name in braces")
    return [name for name, _, _ in fields]
