"""The tables of `docs/strategies.md`, written from the catalogue so that they cannot go stale.

`python -m dagster_project.strategy.catalogue_schema` writes them.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from dagster_project.strategy.catalogue import load_catalogue
from dagster_project.strategy.evidence import EVIDENCE
from dagster_project.strategy.forms import FORMS, known_channels
from dagster_project.strategy.holidays import load_holidays
from dagster_project.strategy.industries import FOLDER, Industry, load_industry
from dagster_project.strategy.model import Strategy, Trigger
from dagster_project.strategy.words import LOCALES, SLOTS

PAGE = Path(__file__).parents[2] / "docs" / "strategies.md"


def with_tables(page: str) -> str:
    """The page with what stands between `<!-- name -->` and `<!-- end -->` written anew.

    Raises:
        ValueError: the page lacks the place of a table.
    """
    for name, table in _tables().items():
        begin, end = f"<!-- {name} -->\n", "<!-- end -->"
        before, found, rest = page.partition(begin)
        if not found or end not in rest:
            raise ValueError(f"no place for the table '{name}' in the page")
        page = before + begin + "\n" + "\n".join(table) + "\n\n" + rest[rest.index(end) :]
    return page


def _tables() -> Mapping[str, Iterable[str]]:
    return {
        "strategies": _strategies(),
        "industries": _industries(),
        "slots": _slots(),
        "evidence": _table("evidence", "what it says", rows=EVIDENCE.items()),
        "occasions": _occasions(),
        "channels": _channels(),
    }


def _table(*heads: str, rows: Iterable[Iterable[str]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield "|" + "---|" * len(heads)
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _strategies() -> Iterator[str]:
    rows = [
        (f"**{one.id}**", _whom(one.trigger), ", ".join(one.channels) or _instead(one), _dose(one), _offer(one))
        for one in load_catalogue().strategies
    ]
    return _table("strategy", "for whom", "channels in order", "dose", "offer", rows=rows)


def _whom(trigger: Trigger) -> str:
    stages = "any stage" if len(trigger.stages) > 5 else ", ".join(trigger.stages)
    signs = [*trigger.reasons, *(f"*{fact}*" for fact in trigger.evidence)]
    bounds = {
        "silent from {} days": trigger.min_days_silent,
        "silent up to {} days": trigger.max_days_silent,
        "worth {} or more": trigger.min_value_if_returned,
        "chance of returning from {}": trigger.min_p_return,
        "chance of returning up to {}": trigger.max_p_return,
    }
    said = [text.format(f"{bound:g}") for text, bound in bounds.items() if bound is not None]
    said += [" or ".join(signs)] if signs else []
    said += [f"near {' or '.join(trigger.occasions)}"] if trigger.occasions else []
    return "; ".join([stages, *said])


def _instead(strategy: Strategy) -> str:
    return {"none": "nothing is sent", "repairs": "list of repairs", "audience": "ad audience"}[strategy.handover]


def _dose(strategy: Strategy) -> str:
    touches, days = strategy.dose.max_touches, strategy.dose.days_between
    return "" if not touches else f"{touches} × {days} days apart" if touches > 1 else f"1 in {days} days"


def _offer(strategy: Strategy) -> str:
    offer = strategy.offer
    return "" if offer.kind == "none" else f"{offer.kind}, {offer.cost:g} each"


def _industries() -> Iterator[str]:
    every = [load_industry(path.stem) for path in sorted(FOLDER.glob("*.toml"))]
    return _table("industry", "left out", "other words", rows=[_industry(one) for one in every])


def _industry(industry: Industry) -> tuple[str, str, str]:
    left_out = ", ".join(one.strategy_id for one in industry.left_out)
    return f"**{industry.id}**", left_out, ", ".join(one.strategy_id for one in industry.rewritten)


def _slots() -> Iterator[str]:
    rows = [(f"`{{{name}}}`", slot.says, slot.data or "") for name, slot in SLOTS.items()]
    return _table("slot", "what it is", "needs", rows=rows)


def _occasions() -> Iterator[str]:
    kept: dict[str, tuple[set[str], set[str]]] = {}
    for holiday in load_holidays():
        names, countries = kept.setdefault(holiday.id, (set(), set()))
        names.add(holiday.en)
        countries.update(holiday.countries)
    rows = [
        ("birthday", "users.birth_on", ""),
        ("signup_anniversary", "users.signed_up_at", ""),
        *((key, ", ".join(sorted(names)), ", ".join(sorted(where))) for key, (names, where) in sorted(kept.items())),
    ]
    return _table("occasion", "by", "countries", rows=rows)


def _channels() -> Iterator[str]:
    rows = [
        (
            name,
            *("yes" if form in one.forms else "" for form in FORMS),
            " / ".join(f"{one.max_characters[key]}" for key in LOCALES if key in one.max_characters),
        )
        for name, one in known_channels().items()
    ]
    return _table("channel", *FORMS, "characters en / zh", rows=rows)
