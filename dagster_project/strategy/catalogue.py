"""The strategy catalogue of a night: the shipped files, those of an industry, and a company's own, as one.

Which strategy a user gets is decided in `assignment`; nothing here looks at a user. The form of a file is `model`'s.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from dagster_project.errors import CatalogueError
from dagster_project.strategy.catalogue_files import StrategyFault, StrategyFile, read_folder
from dagster_project.strategy.exclusions import by_precedence, circles, conflicts
from dagster_project.strategy.forms import known_channels
from dagster_project.strategy.industries import for_industry, load_industry
from dagster_project.strategy.model import Catalogue, Prior, Strategy, Trigger
from dagster_project.strategy.words import LOCALES, SLOTS, Locale, Template, slots_with_data

__all__ = [
    "COMMERCE",
    "LOCALES",
    "SLOTS",
    "Catalogue",
    "CatalogueSource",
    "Locale",
    "Prior",
    "Strategy",
    "StrategyFault",
    "Template",
    "Trigger",
    "by_precedence",
    "conflicts",
    "load_catalogue",
    "slots_with_data",
    "strategies_without_data",
    "usable_catalogue",
]

SHIPPED = Path(__file__).with_name("catalogue")
COMMERCE = "commerce"


@dataclass(frozen=True, kw_only=True)
class CatalogueSource:
    """Where a catalogue comes from.

    `folder` holds a company's own files, which add to the shipped ones or replace those of the same id. `industry`
    leaves shipped ones out but for those `kept`, and changes their words. `channels` are names of the settings that
    a strategy may use beside those of `channels.toml`.
    """

    folder: Path | None = None
    industry: str = COMMERCE
    kept: frozenset[str] = frozenset()
    channels: frozenset[str] = frozenset()


def load_catalogue(
    folder: Path | None = None,
    *,
    industry: str = COMMERCE,
    kept: Collection[str] = (),
    channels: Collection[str] = (),
) -> Catalogue:
    """The catalogue, whole or not at all; the arguments are told in `CatalogueSource`.

    Raises:
        CatalogueError: in one error everything that is wrong, with file and line: a file that is no TOML, an unknown
            or missing key or language, an unknown slot, stage, reason, evidence, occasion or channel, a channel
            without a template, a form that a channel cannot carry, a message that is too long for it or without
            opt-out, an id or the name of a template used twice, and a `never_with` that names no strategy or runs in a
            circle.
    """
    return require_whole(
        CatalogueSource(folder=folder, industry=industry, kept=frozenset(kept), channels=frozenset(channels))
    )


def require_whole(source: CatalogueSource) -> Catalogue:
    """The catalogue of a source.

    Raises:
        CatalogueError: anything is wrong; see `load_catalogue`.
    """
    catalogue, faults = _collected(source)
    if faults:
        raise CatalogueError(
            "\n".join(fault.sentence for fault in faults), fix="\n       ".join(fault.fix for fault in faults)
        )
    return catalogue


def usable_catalogue(
    source: CatalogueSource, *, available_slots: Collection[str] | None = None
) -> tuple[Catalogue, tuple[StrategyFault, ...]]:
    """What of the catalogue a night can use, and what sits out and why: a broken file does not stop the others.

    Without one of `available_slots` (None: all have data) a template is left out, and a strategy that has then no
    words for any channel.

    Raises:
        CatalogueError: the folder has no strategy files, or the industry does not exist.
    """
    catalogue, faults = _collected(source)
    if available_slots is None:
        return catalogue, faults
    usable, unfilled = [], list(faults)
    for strategy in catalogue.strategies:
        left = _with_data(strategy, available_slots)
        if left is not None:
            usable.append(left)
        if left != strategy:
            unfilled.append(_without_data(strategy, available_slots, sits_out=left is None))
    return Catalogue(strategies=tuple(usable)), tuple(unfilled)


def strategy_ids(source: CatalogueSource) -> frozenset[str]:
    """The ids of every file, of broken ones and those that the industry leaves out too."""
    own = {} if source.folder is None else read_folder(source.folder)
    return frozenset(read_folder(SHIPPED)) | frozenset(own)


def every_strategy(source: CatalogueSource) -> tuple[Strategy, ...]:
    """Every strategy that can be read, those that the industry leaves out too: past contacts may name them."""
    own = {} if source.folder is None else read_folder(source.folder)
    files = {**read_folder(SHIPPED), **own}
    read = (files[key].strategy for key in sorted(files))
    return tuple(one for one in read if one is not None)


def strategies_without_data(catalogue: Catalogue, *, available_slots: Collection[str]) -> Mapping[str, frozenset[str]]:
    """The strategies that have no words left for any channel without the other slots, with the slots they miss."""
    return {
        one.id: frozenset().union(*(template.slots_without(available_slots) for template in one.templates))
        for one in catalogue.sending
        if _with_data(one, available_slots) is None
    }


def _collected(source: CatalogueSource) -> tuple[Catalogue, tuple[StrategyFault, ...]]:
    shipped = read_folder(SHIPPED)
    own = {} if source.folder is None else read_folder(source.folder)
    files = {**shipped, **own}
    faults = [fault for file in files.values() for fault in file.faults]
    faults += _exclusion_faults(files)
    faults += _channel_faults(files, known=source.channels | set(known_channels()))
    faults += _template_faults(files)
    broken = {fault.strategy_id for fault in faults}
    of_industry = for_industry(
        {key: file.strategy for key, file in shipped.items() if file.strategy},
        load_industry(source.industry),
        kept=source.kept,
    )
    mine = {key: file.strategy for key, file in own.items() if file.strategy}
    found = {key: one for key, one in {**of_industry, **mine}.items() if key not in broken}
    return Catalogue(strategies=tuple(found[key] for key in sorted(found))), tuple(sorted(faults))


def _exclusion_faults(files: Mapping[str, StrategyFile]) -> list[StrategyFault]:
    known = {file.strategy_id for file in files.values()}
    never_with = {key: file.strategy.never_with for key, file in files.items() if file.strategy}
    unknown = [
        files[key].fault("never_with", f"unknown strategy '{other}'", fix=f"one of {', '.join(sorted(known))}")
        for key, others in never_with.items()
        for other in others
        if other not in known
    ]
    turning = [
        files[key].fault(
            "never_with",
            f"runs in a circle ({' -> '.join(circle)})",
            fix="write each exclusion on one side only",
        )
        for circle in circles(never_with)
        for key in circle
    ]
    return unknown + turning


def _channel_faults(files: Mapping[str, StrategyFile], *, known: Collection[str]) -> list[StrategyFault]:
    return [
        file.fault(
            "channels" if place is None else f"templates[{place}].channels",
            f"unknown channel '{channel}'",
            fix=f"one of {', '.join(sorted(known))}, or a channel of the settings",
            at=("channels",) if place is None else ("templates", place, "channels"),
        )
        for file in files.values()
        if file.strategy
        for place, channels in [
            (None, file.strategy.channels),
            *((place, template.channels) for place, template in enumerate(file.strategy.templates)),
        ]
        for channel in channels
        if channel not in known
    ]


def _template_faults(files: Mapping[str, StrategyFile]) -> list[StrategyFault]:
    """A name used by two strategies would keep the words of the one from users who had those of the other."""
    owners: dict[str, StrategyFile] = {}
    faults = []
    # The shipped ones first: a name that was taken over is the fault of who took it.
    for file in sorted(files.values(), key=lambda one: (one.path.parent != SHIPPED, one.strategy_id)):
        for place, template in enumerate(file.strategy.templates if file.strategy else ()):
            first = owners.setdefault(template.template_id, file)
            if first is not file:
                key, at = f"templates[{place}].template_id", ("templates", place, "template_id")
                said = f"'{template.template_id}' is already used in {first.path.name}"
                faults.append(file.fault(key, said, fix="give each template its own name", at=at))
    return faults


def _with_data(strategy: Strategy, available_slots: Collection[str]) -> Strategy | None:
    """The strategy without templates that cannot be filled; None if it has then nothing to say anywhere.

    A series keeps a channel only if none of its words there is missing: no step is left out.
    """
    filled = [template for template in strategy.templates if not template.slots_without(available_slots)]
    if len(filled) == len(strategy.templates):
        return strategy
    is_series = strategy.dose.max_touches > 1
    needed = strategy.templates if is_series else filled
    channels = tuple(
        channel
        for channel in strategy.channels
        if (there := [template for template in needed if channel in template.channels])
        and all(template in filled for template in there)
    )
    return strategy.model_copy(update={"channels": channels, "templates": tuple(filled)}) if channels else None


def _without_data(strategy: Strategy, available_slots: Collection[str], *, sits_out: bool) -> StrategyFault:
    missing = {slot for one in strategy.templates for slot in one.slots_without(available_slots)}
    unfilled = [one.template_id for one in strategy.templates if one.slots_without(available_slots)]
    columns = sorted({SLOTS[slot].data or slot for slot in missing})
    return StrategyFault(
        strategy.id,
        strategy.id,
        f"no data for {', '.join(f'{{{slot}}}' for slot in sorted(missing))}: {', '.join(unfilled)} left out",
        f"map {' and '.join(columns)}, or switch the strategy off",
        sits_out=sits_out,
    )
