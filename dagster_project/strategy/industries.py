"""What an industry changes in the shipped strategies, as data: which are left out, and which words are others.

Words that a law forbids an industry are the packs' business (`compliance`).
"""

import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from dagster_project.errors import CatalogueError
from dagster_project.strategy.model import Strategy
from dagster_project.strategy.words import Name, Part, Template, Text

FOLDER = Path(__file__).with_name("industries")


class LeftOut(Part):
    """A strategy that the industry does not use, and why."""

    strategy_id: Name
    because: Text


class Rewritten(Part):
    """The words of a strategy in the industry, all of them: none of the shipped templates stays."""

    strategy_id: Name
    why_chosen: Text | None = None
    why_chosen_zh: Text | None = None
    templates: Annotated[tuple[Template, ...], Field(min_length=1, strict=False)]

    def of(self, strategy: Strategy) -> Strategy:
        """The strategy with these words, checked anew."""
        changed = {
            "templates": self.templates,
            "why_chosen": self.why_chosen or strategy.why_chosen,
            "why_chosen_zh": self.why_chosen_zh or strategy.why_chosen_zh,
        }
        return Strategy.model_validate(strategy.model_copy(update=changed).model_dump())


class Industry(Part):
    """One industry."""

    id: Name
    title: Text
    left_out: Annotated[tuple[LeftOut, ...], Field(strict=False)] = ()
    rewritten: Annotated[tuple[Rewritten, ...], Field(strict=False)] = ()


def load_industry(name: str, *, folder: Path = FOLDER) -> Industry:
    """The industry of this name.

    Raises:
        CatalogueError: there is no such file, or it breaks the form.
    """
    known = sorted(path.stem for path in folder.glob("*.toml"))
    if name not in known:
        raise CatalogueError(f"industry: none is called {name!r}", fix=f"one of {', '.join(known)}")
    path = folder / f"{name}.toml"
    try:
        return Industry.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, ValidationError) as error:
        raise CatalogueError(f"{path.name}: {error}", fix="correct the file of the industry") from error


def for_industry(strategies: dict[str, Strategy], industry: Industry, *, kept: frozenset[str]) -> dict[str, Strategy]:
    """The strategies by id as the industry has them; those `kept` stay although it leaves them out.

    Raises:
        CatalogueError: the industry names a strategy that does not exist, or its words do not cover the channels.
    """
    left_out = {one.strategy_id for one in industry.left_out}
    rewritten = {one.strategy_id: one for one in industry.rewritten}
    if unknown := sorted((left_out | set(rewritten)) - set(strategies)):
        raise CatalogueError(f"{industry.id}.toml: no strategy is called {unknown[0]!r}", fix="correct the id")
    try:
        return {
            key: rewritten[key].of(strategy) if key in rewritten else strategy
            for key, strategy in strategies.items()
            if key not in left_out or key in kept
        }
    except ValidationError as error:
        raise CatalogueError(f"{industry.id}.toml: {error}", fix="correct the templates of the industry") from error
