"""The pieces of evidence as they stand in `evidence.toml`, checked. What a log shows of them is in `observed`."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from dagster_project.errors import WinbackError
from dagster_project.reasons.vocabulary import REASONS

FILE = Path(__file__).parent / "evidence.toml"


@dataclass(frozen=True)
class Evidence:
    """One piece: how it is seen, and what it says. The fields are told at the head of `evidence.toml`."""

    id: str
    table: str
    speaks_for: Mapping[str, float]
    usual: float
    group: str
    says: str
    source: str
    signals: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()
    before_days: int = 0
    after_days: int = 0
    column: str | None = None
    at_least: float = float("-inf")
    below: float = float("inf")
    strong_for: str | None = None
    unless: tuple[str, ...] = field(default=())
    may_be_usual: bool = False
    is_chance: bool = False


@cache
def load_evidence(path: Path = FILE) -> tuple[Evidence, ...]:
    """Every piece, in the order of the file.

    Raises:
        WinbackError: a piece names an unknown reason or piece, an impossible chance, or both ways of being seen.
    """
    rows = tomllib.loads(path.read_text(encoding="utf-8"))["evidence"]
    pieces = tuple(_piece(row) for row in rows)
    known = {piece.id for piece in pieces}
    for piece in pieces:
        _check(piece, known)
    if len(known) != len(pieces):
        raise WinbackError(f"{path}: two pieces of evidence share an id", fix="give each its own")
    return pieces


def _piece(row: Mapping[str, Any]) -> Evidence:
    lists = {key: tuple(value) for key, value in row.items() if isinstance(value, list)}
    return Evidence(**{**row, **lists})


def _check(piece: Evidence, known: set[str]) -> None:
    named = {*piece.speaks_for, *([piece.strong_for] if piece.strong_for else [])}
    if strangers := sorted((named - set(REASONS)) | (set(piece.unless) - known)):
        raise WinbackError(f"evidence {piece.id}: nothing is called {strangers[0]!r}", fix="correct evidence.toml")
    if not all(0 < chance < 1 for chance in (*piece.speaks_for.values(), piece.usual)):
        raise WinbackError(f"evidence {piece.id}: a chance is not between 0 and 1", fix="correct evidence.toml")
    if bool(piece.signals) == (piece.column is not None):
        raise WinbackError(f"evidence {piece.id}: neither or both of signals and column", fix="correct evidence.toml")
