"""The content review of every template: which may not be used, under which law, and why."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dagster_project.compliance.content import WordingFault, review_wording
from dagster_project.compliance.law import Law
from dagster_project.strategy.catalogue import LOCALES, Catalogue

ADDRESS = "postal_address"


@dataclass(frozen=True)
class TemplateFault:
    """A template that must not be used on a channel under a law, and the rule that its words break."""

    strategy_id: str
    template_id: str
    channel: str
    locale: str
    law: str
    wording: WordingFault

    @property
    def sentence(self) -> str:
        """What a person who mends the template must know, without the laws it concerns."""
        broken = self.wording
        if broken.part == ADDRESS:  # one mending for all templates, and not in their words
            return (
                f"compliance.postal_address is not set ({broken.rule_id}: {broken.citation});"
                f" nothing is sent on {self.channel}"
            )
        return (
            f"{self.strategy_id}: {self.template_id}.{self.locale}.{broken.part} {broken.what}"
            f" ({broken.rule_id}: {broken.citation}); not used on {self.channel}"
        )


def review_catalogue(
    catalogue: Catalogue, *, laws: Iterable[Law], industry: str, postal_address: str | None = None
) -> tuple[TemplateFault, ...]:
    """Every fault of every template of the sending strategies, in the order of the catalogue.

    `postal_address` is the part that the sender adds to each message, None where there is none to add.
    """
    every_law = tuple(laws)
    return tuple(
        TemplateFault(strategy.id, template.template_id, channel, locale, law.key, wording)
        for strategy in catalogue.sending
        for template in strategy.templates
        for channel in template.channels
        if channel in strategy.channels
        for locale in LOCALES
        for law in every_law
        for wording in review_wording(
            {**template.text(locale).model_dump(), ADDRESS: postal_address},
            locale=locale,
            channel=channel,
            law=law,
            industry=industry,
        )
    )


def closed_content(faults: Iterable[TemplateFault]) -> Mapping[tuple[str, str], frozenset[str]]:
    """The laws under which a strategy has no words for a channel, by strategy and channel.

    One bad template closes the whole channel of its strategy: a series is not sent with a step left out.
    """
    closed: dict[tuple[str, str], set[str]] = {}
    for fault in faults:
        closed.setdefault((fault.strategy_id, fault.channel), set()).add(fault.law)
    return {key: frozenset(laws) for key, laws in closed.items()}


def fault_sentences(faults: Iterable[TemplateFault]) -> tuple[str, ...]:
    """What to mend, each sentence once, with the laws under which it matters."""
    by_sentence: dict[str, set[str]] = {}
    for fault in faults:
        by_sentence.setdefault(fault.sentence, set()).add(fault.law)
    return tuple(f"{said} under {', '.join(sorted(laws))}" for said, laws in by_sentence.items())
