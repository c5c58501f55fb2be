"""What the report shows of our own outages: a sentence, a table, a picture of each outage's days."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import polars as pl

from dagster_project.reports import formatting as fmt
from dagster_project.reports.figures import daily_axes
from dagster_project.reports.palette import ACCENT, NEUTRAL
from dagster_project.reports.tables import Column, Table

if TYPE_CHECKING:
    import plotly.graph_objects as go

KINDS = {"events": "events not recorded", "messages": "messages refused", "token_purge": "addresses died in mass"}
MAX_PICTURES = 4


def about_outages(outages: pl.DataFrame) -> str:
    """How many outages are known, how many run, and how many users event outages hide."""
    if outages.is_empty():
        return "Nothing of ours is known to have been broken in the last year."
    running = outages.filter(pl.col("end_on").is_null()).height
    hidden = int(outages.filter(pl.col("kind") == "events")["n_users"].sum())
    said = "none of them still runs" if not running else f"{fmt.count(running)} of them still running"
    return (
        f"{fmt.counted(outages.height, 'outage')} of the last year, {said}. The silence of "
        f"{fmt.counted(hidden, 'user')} began where events were lost: on those days their clock stands still, so they "
        "are neither called churned for them nor learnt from."
    )


def outage_table(outages: pl.DataFrame) -> Table | None:
    """One row per outage, the newest first; running ones are marked."""
    if outages.is_empty():
        return None
    newest_first = outages.sort("start_on", "outage_id", descending=[True, False])
    columns = (
        Column("what", lambda row: KINDS[row["kind"]], False),
        Column("where", lambda row: where(row), False),
        Column("from", _begin, False),
        Column("until", _end, False),
        Column("users silenced", lambda row: fmt.count(row["n_users"]), True),
        Column("seen", lambda row: fmt.count(row["observed"]), True),
        Column("due", lambda row: fmt.count(row["expected"]), True),
    )
    rows = list(newest_first.iter_rows(named=True))
    return Table(
        caption="What of ours was broken",
        columns=columns,
        rows=tuple(tuple(column.cell(row) for column in columns) for row in rows),
        marked=frozenset(i for i, row in enumerate(rows) if row["end_on"] is None),
    )


def _begin(row: Mapping[str, Any]) -> str:
    return str(row["start_on"]) if row["start_at"] is None else f"{row['start_at']:%Y-%m-%d %H:%M} UTC"


def _end(row: Mapping[str, Any]) -> str:
    if row["end_on"] is None:
        return "still running"
    return f"before {row['end_on']}" if row["end_at"] is None else f"{row['end_at']:%Y-%m-%d %H:%M} UTC"


def where(row: Mapping[str, Any]) -> str:
    """Channel, platform, version and country, as far as the outage names them."""
    named = [row[name] for name in ("channel", "platform", "app_version", "country") if row[name]]
    return " ".join(map(str, named)) or "everywhere"


def pictured(outages: pl.DataFrame, daily: pl.DataFrame) -> list[tuple[str, str, go.Figure]]:
    """Name, sentence and figure of the newest outages: what was seen per day, and what was due."""
    newest = outages.sort("start_on", "outage_id", descending=[True, False]).head(MAX_PICTURES)
    shown = []
    for position, row in enumerate(newest.iter_rows(named=True)):
        days = daily.filter(pl.col("outage_id") == row["outage_id"]).sort("dt")
        if not days.is_empty():
            shown.append((f"outage-{position}", row["explanation"], observed_and_due(days)))
    return shown


def observed_and_due(days: pl.DataFrame) -> go.Figure:
    """Both counts by day."""
    figure = daily_axes(of="per day", height=240)
    for name, column, colour in (("due", "expected", NEUTRAL), ("seen", "observed", ACCENT)):
        figure.add_scatter(
            mode="lines",
            name=name,
            x=[day.isoformat() for day in days["dt"]],
            y=days[column].round(2).to_list(),
            line={"color": colour, "width": 2, "dash": "dot" if name == "due" else "solid"},
        )
    return figure
