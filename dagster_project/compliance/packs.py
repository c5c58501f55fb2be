"""Reading packs of rules from their files, and finding the law that binds a user. The form of a rule is `rules`'."""

import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dagster_project.compliance.law import Law
from dagster_project.compliance.rules import ForbiddenWords, Pack, RequiredText
from dagster_project.compliance.zones import country_code
from dagster_project.errors import PackError

FOLDER = Path(__file__).parent / "packs"
HOUSE = "default"  # the pack whose rules on words hold beneath any other


def load_packs(folder: Path | None = None) -> Mapping[str, Pack]:
    """The packs that come with the program by id; files of `folder` are added, and replace one of the same id.

    Raises:
        PackError: a file that is no TOML or breaks the form; it names file, key and fix.
    """
    own = [] if folder is None else sorted(folder.glob("*.toml"))
    if folder is not None and not own:
        raise PackError(f"{folder}: no packs (*.toml)", fix="name a folder that holds some, or drop compliance.folder")
    packs = [_read(path) for path in (*sorted(FOLDER.glob("*.toml")), *own)]
    return {pack.id: pack for pack in packs}


class LawBook:
    """The packs, which of them the business chose, and which one each country has.

    A user is bound by the chosen pack and by that of their country; the stricter of two rules wins. A country that
    no pack names is bound by the chosen pack alone, as is a user without a country. What the house rules say of words
    binds everybody: a law that names no words for a language or an industry does not make every word harmless.
    """

    def __init__(self, packs: Mapping[str, Pack], *, chosen: str, countries: Mapping[str, str] | None = None) -> None:
        overrides = dict(countries or {})
        for name in (chosen, *overrides.values()):
            if name not in packs:
                raise PackError(f"compliance: no pack is called {name!r}", fix=f"one of {', '.join(sorted(packs))}")
        for code in overrides:
            if country_code(code) != code:
                raise PackError(f"compliance.countries: {code!r} is not a country", fix="write its ISO code: GB")
        named = {code: pack.id for pack in packs.values() for code in pack.countries}
        self._packs = packs
        self._by_country = {**named, **overrides}
        self._chosen = chosen
        about_words = (ForbiddenWords, RequiredText)
        house = packs[HOUSE].rules if HOUSE in packs else ()
        self._house = tuple(rule for rule in house if isinstance(rule, about_words))

    def law(self, country: str | None) -> Law:
        """The law that binds a user of this country, as the source writes it."""
        code = country_code(country)
        further = self._by_country.get(code) if code else None
        names = [self._chosen] if further in (None, self._chosen) else [self._chosen, str(further)]
        return Law(packs=tuple(self._packs[name] for name in names), house=() if HOUSE in names else self._house)

    def laws(self, countries: Iterable[str | None]) -> dict[str | None, Law]:
        """The law of each distinct country, in the order of the countries' names."""
        return {country: self.law(country) for country in sorted(set(countries), key=lambda name: name or "")}

    def every_law(self) -> tuple[Law, ...]:
        """Every law that a user can be bound by."""
        found = {self.law(country).key: self.law(country) for country in (None, *sorted(self._by_country))}
        return tuple(found[key] for key in sorted(found))


@cache
def shipped_law_book(chosen: str = "default") -> LawBook:
    """The packs of the program alone."""
    return LawBook(load_packs(), chosen=chosen)


def _read(path: Path) -> Pack:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PackError(f"{path.name}: not readable as TOML: {error}", fix="mend the file's syntax") from error
    try:
        return Pack.model_validate(content)
    except ValidationError as error:
        raise _as_pack_error(path, content, error) from error


def _as_pack_error(path: Path, content: Mapping[str, Any], error: ValidationError) -> PackError:
    first: Any = error.errors(include_url=False)[0]
    key = _key(first["loc"], content)
    match first["type"]:
        case "extra_forbidden":
            return PackError(f"{path.name}: {key}: unknown key", fix="remove it or correct its spelling")
        case "missing":
            return PackError(f"{path.name}: {key}: missing key", fix=f"add {key} to the file")
        case "union_tag_not_found" | "union_tag_invalid":
            return PackError(f"{path.name}: {key}: limits nothing that is known", fix="see docs/compliance.md")
    said = first["msg"].removeprefix("Value error, ")
    return PackError(f"{path.name}: {key}: {said}", fix=f"correct {key}; see docs/compliance.md")


def _key(where: tuple[str | int, ...], content: Mapping[str, Any]) -> str:
    """`rules.<id>.<key>`: the place in the union's model means nothing to the reader, the rule's id does."""
    if not where:
        return "pack"
    if where[0] != "rules" or len(where) < 2 or not isinstance(where[1], int):
        return ".".join(str(part) for part in where)
    rule = content["rules"][where[1]]
    name = rule.get("id", where[1]) if isinstance(rule, Mapping) else where[1]
    return ".".join(["rules", str(name), *(str(part) for part in where[3:])])
