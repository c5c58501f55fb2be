"""The section on rules: who was kept back by which, with its citation, and what the rules found in data and words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from dagster_project.reports import formatting as fmt
from dagster_project.reports.tables import Column, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

# By whom a rule was made; rules of other families are decisions of our own and have their table elsewhere.
FAMILIES: Mapping[str, str] = {
    "deletion": "the user",
    "complaint": "the user",
    "consent": "the user and the law",
    "user": "the user",
    "minors": "the law",
    "complaints": "the law",
    "cap": "the settings and the law",
    "hours": "the law",
    "measurement_gap": "our own records",
    "unreached": "our own addresses",
    "reach": "technology",
}


@dataclass(frozen=True, kw_only=True)
class RuleFigures:
    """What the section tells. `kept_back`: rule_id, citation, n_users, until (first end), explanation (one)."""

    packs: tuple[str, ...]
    kept_back: pl.DataFrame
    template_faults: tuple[str, ...] = ()
    n_unknown_zones: int = 0
    n_unknown_countries: int = 0
    n_conflicting_consents: int = 0
    complaint_rates: Sequence[Mapping[str, Any]] = ()
    """channel, n_delivered, n_complained, share, warn_share, max_share."""
    n_recalled: int = 0
    n_late_messages: int = 0


def kept_back_by_rule(suppressed: pl.DataFrame) -> pl.DataFrame:
    """rule_id, citation, n_users, until, explanation of the rows that a rule keeps back, most users first."""
    family = pl.col("rule_id").str.split(".").list.first()
    return (
        suppressed.filter(family.is_in(list(FAMILIES)))
        .group_by("rule_id", "citation")
        .agg(pl.len().alias("n_users"), pl.col("until").min(), pl.col("explanation").min())
        .sort("n_users", "rule_id", "citation", descending=[True, False, False])
    )


def lead(figures: RuleFigures) -> str:
    """How many were kept back, and by what the night was judged."""
    n_users = int(figures.kept_back["n_users"].sum())
    return (
        f"{fmt.counted(n_users, 'lapsed user')} kept back by a rule: law, their own choice, a cap or a dead address. "
        f"Packs in force: {', '.join(figures.packs)}. They are not legal advice. "
        "Before the list was written, every row on it was proved to break none of them."
    )


def kept_back_table(figures: RuleFigures) -> Table | None:
    """Each rule with its citation, whose rule it is, and how many it kept back."""
    if figures.kept_back.is_empty():
        return None
    columns = (
        Column("rule", lambda row: row["rule_id"], is_number=False),
        Column("made by", lambda row: FAMILIES[row["rule_id"].split(".")[0]], is_number=False),
        Column("users", lambda row: fmt.count(row["n_users"])),
        Column("first ends", lambda row: fmt.day(row["until"]) if row["until"] else "open", is_number=False),
        Column("what it means", lambda row: fmt.text(row["explanation"]), is_number=False),
        Column("citation", lambda row: fmt.text(row["citation"]), is_number=False),
    )
    rows = tuple(tuple(column.cell(row) for column in columns) for row in figures.kept_back.iter_rows(named=True))
    return Table("Kept back by rule", columns, rows)


def findings(figures: RuleFigures) -> tuple[str, ...]:
    """What the rules found odd, one sentence each."""
    said = [f"Template not used: {fault}." for fault in figures.template_faults]
    if n := figures.n_conflicting_consents:
        said.append(f"{fmt.counted(n, 'consent')} changed twice at one instant; the strictest of each term was taken.")
    if n := figures.n_unknown_zones:
        said.append(f"{fmt.counted(n, 'user')} with a time zone that does not exist; the country's zones stood in.")
    if n := figures.n_unknown_countries:
        said.append(f"{fmt.counted(n, 'user')} with a country that is not known; the chosen pack alone binds them.")
    if n := figures.n_recalled:
        said.append(f"{fmt.counted(n, 'contact')} of earlier lists must not be sent any more: recalled.csv.")
    if n := figures.n_late_messages:
        said.append(
            f"{fmt.counted(n, 'message')} of the last 31 days left later than the law allows after a withdrawal,"
            " complaint or request to be deleted: reach.late_messages."
        )
    return (
        *said,
        *(_complaints(rate) for rate in figures.complaint_rates if (rate["share"] or 0) >= rate["warn_share"]),
    )


def _complaints(rate: Mapping[str, Any]) -> str:
    return (
        f"Complaints on {rate['channel']}: {fmt.percent(rate['share'])} of {fmt.count(rate['n_delivered'])} delivered; "
        f"at {fmt.percent(rate['max_share'])} the channel is closed to all."
    )
