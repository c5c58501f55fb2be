"""The measured figures as Markdown, the same on a terminal and in docs/benchmarks.md."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Section:
    """One benchmark: what was measured, the figures, the figure to remember."""

    title: str
    text: str
    table: str
    said: str

    @property
    def markdown(self) -> str:
        """The section of a page."""
        return f"## {self.title}\n\n{self.text}\n\n{self.table}\n\n{self.said}\n"


def table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, aligned so that a terminal shows it well."""
    widths = [max(len(row[i]) for row in [names, *rows]) for i in range(len(names))]
    n_text = 2 if names[0] == "night" else 1
    lines = [cells(names, widths, n_text), rule(widths, n_text), *(cells(row, widths, n_text) for row in rows)]
    return "\n".join(lines)


def cells(row: Sequence[str], widths: Sequence[int], n_text: int) -> str:
    """One line: text to the left, figures to the right."""
    padded = [
        cell.ljust(w) if i < n_text else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
    ]
    return f"| {' | '.join(padded)} |"


def rule(widths: Sequence[int], n_text: int) -> str:
    """The line below the names."""
    return "|".join(["", *("-" * (w + 2) if i < n_text else "-" * (w + 1) + ":" for i, w in enumerate(widths)), ""])
