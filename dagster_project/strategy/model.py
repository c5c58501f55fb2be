"""The shape of a strategy file: what triggers it, when, how often, with what, and what it is believed to cause.

The words stand in `words`; how files become a catalogue in `catalogue`. Nothing here looks at a user.
"""

from collections.abc import Iterator
from functools import cached_property
from typing import Annotated, Literal, Self, get_args

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from dagster_project.reasons.vocabulary import REASONS
from dagster_project.strategy.evidence import EVIDENCE
from dagster_project.strategy.occasions import known_occasions
from dagster_project.strategy.words import Locale, Name, Part, Template, Text, misfit

LapsedStage = Literal["churned_early", "churned_mid", "churned_late", "lost", "relapsed"]
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
LAPSED_STAGES: frozenset[str] = frozenset(get_args(LapsedStage))
Handover = Literal["none", "repairs", "audience"]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


def _reason(name: str) -> str:
    if name not in REASONS:
        raise ValueError(f"no reason is called {name!r}; reasons are {', '.join(REASONS)}")
    return name


def _fact(name: str) -> str:
    if name not in EVIDENCE:
        raise ValueError(f"no evidence is called {name!r}; there are {', '.join(EVIDENCE)}")
    return name


def _occasion(name: str) -> str:
    if name not in known_occasions():
        raise ValueError(f"no occasion is called {name!r}; there are {', '.join(sorted(known_occasions()))}")
    return name


Reason = Annotated[str, AfterValidator(_reason), Field(json_schema_extra={"enum": list(REASONS)})]
Fact = Annotated[str, AfterValidator(_fact), Field(json_schema_extra={"enum": list(EVIDENCE)})]
Occasion = Annotated[str, AfterValidator(_occasion)]


class Trigger(Part):
    """Whom the strategy is for: every bound that is set must hold; a user whose value is unknown fails it.

    `reasons` (each with a probability of `min_reason_probability` or more) and `evidence` are signs: where any are
    named, one of them all must be there. Of `occasions` one must be near. For users who are still here `p_return` is
    the chance of being active without a message, and `value_if_returned` what they are expected to bring.
    """

    stages: Annotated[tuple[Stage, ...], Field(min_length=1, strict=False)]
    min_days_silent: Annotated[int, Field(ge=0)] | None = None
    max_days_silent: Annotated[int, Field(ge=0)] | None = None
    min_value_if_returned: Annotated[float, Field(ge=0)] | None = None
    min_p_return: Share | None = None
    max_p_return: Share | None = None
    reasons: Annotated[tuple[Reason, ...], Field(strict=False)] = ()
    min_reason_probability: Annotated[Share, Field(gt=0)] = 0.5
    evidence: Annotated[tuple[Fact, ...], Field(strict=False)] = ()
    occasions: Annotated[tuple[Occasion, ...], Field(strict=False)] = ()

    @property
    def is_for_lapsed(self) -> bool:
        """Whether every stage is one of churned users."""
        return LAPSED_STAGES.issuperset(self.stages)

    @property
    def is_for_present(self) -> bool:
        """Whether every stage is one of users who are still here."""
        return LAPSED_STAGES.isdisjoint(self.stages)

    @model_validator(mode="after")
    def _bounds_are_in_order(self) -> Self:
        for low, high in (("min_days_silent", "max_days_silent"), ("min_p_return", "max_p_return")):
            bottom, top = getattr(self, low), getattr(self, high)
            if bottom is not None and top is not None and bottom > top:
                raise misfit(f"{low} {bottom} is above {high} {top}", low)
        if self.is_for_present and self.reasons:
            raise misfit("reasons are judged of churned users only; ask for evidence where nobody has left", "reasons")
        return self


class Timing(Part):
    """`send_hour` is in the user's own time zone; nothing is sent before `days_after_churn` have passed."""

    send_hour: Annotated[int, Field(ge=0, le=23)]
    days_after_churn: Annotated[int, Field(ge=0)] = 0


class Dose(Part):
    """At most `max_touches` messages, `days_between` apart, ended by `stop_rule`; 0 touches is silence."""

    max_touches: Annotated[int, Field(ge=0)]
    days_between: Annotated[int, Field(ge=1)]
    stop_rule: Text


class Offer(Part):
    """`cost` is money per redemption; `redeem_share` is P(redeem | return), unaided returns included.

    `equal_basis` says by which rule, the same for everybody, the offer is given: where law asks for equal offers,
    none is given without it, and none whose trigger asks for a prediction about the user.
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


class Prior(Part):
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


class Strategy(Part):
    """Channel × message × offer × timing × dose, with what triggers it and what it is believed to cause.

    `never_with` names strategies that this one makes way for; it is written on one side only. `content` names the
    categories (of events, in any case) that the message is about; none if it is about nothing in particular.
    `handover` is what becomes of the users of a strategy that sends nothing: a list of repairs, an ad audience.
    """

    id: Name
    title: Text
    description: Text
    why_chosen: Text
    title_zh: Text | None = None
    why_chosen_zh: Text | None = None
    channels: Annotated[tuple[Name, ...], Field(strict=False)]
    never_with: Annotated[tuple[Name, ...], Field(strict=False)] = ()
    content: Annotated[tuple[Text, ...], Field(strict=False)] = ()
    handover: Handover = "none"
    trigger: Trigger
    timing: Timing
    dose: Dose
    offer: Offer
    prior: Prior
    templates: Annotated[tuple[Template, ...], Field(strict=False)] = ()

    def titled(self, locale: Locale) -> str:
        """What the strategy is called in a language; in English where that has no name for it."""
        return self.title_zh or self.title if locale == "zh" else self.title

    def reasoned(self, locale: Locale) -> str:
        """Why it is chosen, likewise."""
        return self.why_chosen_zh or self.why_chosen if locale == "zh" else self.why_chosen

    @property
    def is_silent(self) -> bool:
        """True for deliberate silence: nothing is ever sent."""
        return not self.channels

    @property
    def has_offer(self) -> bool:
        """True where the message comes with something that costs us."""
        return self.offer.kind != "none"

    @property
    def is_unequal(self) -> bool:
        """True where nothing says that the offer does not hang on a prediction about the user, or the trigger does.

        A trigger by stage alone is not enough: of the users of a stage the night chooses by expected profit.
        """
        trigger = self.trigger
        bounds = (trigger.min_value_if_returned, trigger.min_p_return, trigger.max_p_return)
        is_predicted = bool(trigger.reasons) or any(one is not None for one in bounds)
        return self.has_offer and (self.offer.equal_basis is None or is_predicted)

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        for fault in self._faults():
            raise fault
        return self

    def _faults(self) -> Iterator[PydanticCustomError]:
        written = {channel for template in self.templates for channel in template.channels}
        for channel in self.channels:
            if channel not in written:
                yield misfit(f"missing template for channel '{channel}'", "channels")
        if self.is_silent != (self.dose.max_touches == 0):
            yield misfit("dose.max_touches must be 0 exactly when channels is empty", "dose", "max_touches")
        names = [template.template_id for template in self.templates]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            yield misfit(f"two templates are called '{twice[0]}'", "templates", len(names) - 1, "template_id")
        if self.handover != "none" and not self.is_silent:
            yield misfit("handover is for strategies that send nothing", "handover")
        trigger = self.trigger
        if not self.is_silent and not trigger.is_for_lapsed and not trigger.is_for_present:
            said = "trigger.stages mixes churned users with users who are still here; write two strategies"
            yield misfit(said, "trigger", "stages")
        if trigger.is_for_present and self.timing.days_after_churn:
            said = "timing.days_after_churn waits for a churn that has not happened"
            yield misfit(said, "timing", "days_after_churn")


class Catalogue(Part):
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
