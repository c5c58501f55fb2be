"""The page of an experiment as Markdown, for where Dagster shows what it knows of an asset."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dagster_project.reports.experiment_pages import ArmBlock, ExperimentPage
    from dagster_project.reports.tables import Table

SPECIAL = re.compile(r"([\\`*\[\]<>|])")


def page_markdown(page: ExperimentPage) -> str:
    """All of the page but pictures and money by part; names from the data are escaped."""
    return "\n\n".join(_blocks(page)) + "\n"


def table_markdown(table: Table) -> str:
    """A table below its caption."""
    heads = [escaped(column.label) for column in table.columns]
    rules = ["---:" if column.is_number else "---" for column in table.columns]
    rows = [[escaped(cell) for cell in row] for row in table.rows]
    lines = [f"| {' | '.join(cells)} |" for cells in (heads, rules, *rows)]
    return f"**{escaped(table.caption)}**\n\n" + "\n".join(lines)


def escaped(text: str) -> str:
    """Text that Markdown leaves as it is."""
    return SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _blocks(page: ExperimentPage) -> Iterator[str]:
    yield f"**{escaped(page.headline)}.** {escaped(page.said)}"
    yield escaped(page.tried)
    yield escaped(page.chance)
    for arm in page.arms:
        yield from _arm(arm, is_judged=arm.said == page.said)
    yield from (table_markdown(table) for table in (page.pairs, page.life) if table is not None)


def _arm(arm: ArmBlock, *, is_judged: bool) -> Iterator[str]:
    yield f"### {escaped(arm.title)}"
    if not is_judged:
        yield escaped(arm.said)
    for course in arm.courses:
        yield escaped(course.lead)
    for table in arm.tables:
        yield table_markdown(table)
    if arm.no_profit is not None:
        yield escaped(arm.no_profit)
