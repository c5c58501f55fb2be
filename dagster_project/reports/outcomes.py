"""What experiments brought: what was learned of all, newest conclusion first, a table of all, and whose page is shown.

The page of one experiment is the matter of `experiment_pages`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl

from dagster_project.outcomes.verdicts import BETTER, TOO_EARLY, UNDECIDED, WORSE
from dagster_project.outcomes.vocabulary import ALL, BY_NAME, RETURNED
from dagster_project.reports import figures
from dagster_project.reports import formatting as fmt
from dagster_project.reports.experiment_pages import (
    ExperimentPage,
    OutcomeContent,
    arms_of,
    experiment_page,
    p_text,
    said_of_arm,
    shown_horizon,
)
from dagster_project.reports.experiment_tables import HARM, largest_cells, part, points, table_of
from dagster_project.reports.palette import ACCENT, NEUTRAL, PHASE_SHADES, translucent, words
from dagster_project.reports.tables import Column, Table

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from dagster_project.reports.experiment_pages import Course

PAGES = 40  # experiments with a page of their own; a page is some 60 KB of the report
LESSONS = 40  # experiments with a sentence under what was learned; all are in the table
RECENT_DAYS = 28  # within which an entry means that it runs, and a decision that it is new
OPEN_DECISIONS = (UNDECIDED, TOO_EARLY)
HARM_COLOUR = PHASE_SHADES["churned"][1]


@dataclass(frozen=True)
class Lesson:
    """What one experiment says in a few sentences; `anchor` is where its page stands, if it has one."""

    title: str
    state: str
    said: str
    anchor: str | None


def newest_first(experiments: pl.DataFrame) -> pl.DataFrame:
    """The experiments by the night since which their decision stands; of one night the conclusions first."""
    return experiments.sort(
        pl.col("decided_on"),
        pl.col("decision").is_in(OPEN_DECISIONS),
        "newest_on",
        "started_on",
        "experiment_id",
        descending=[True, False, True, True, False],
        nulls_last=True,
    )


def with_page(experiments: pl.DataFrame, *, as_of: date) -> pl.DataFrame:
    """Those that have a page, newest first: all up to PAGES; beyond that only what runs or was decided of late."""
    ordered = newest_first(experiments)
    if ordered.height <= PAGES:
        return ordered
    since = as_of - timedelta(days=RECENT_DAYS)
    recent = (pl.col("decided_on") > since) | (pl.col("newest_on") > since)
    return ordered.filter(recent.fill_null(False)).head(PAGES)


def anchors(shown: pl.DataFrame) -> dict[str, str]:
    """The id on the page of each experiment with a page."""
    return {name: f"experiment-{place}" for place, name in enumerate(shown["experiment_id"], start=1)}


def about_experiments(outcomes: OutcomeContent) -> str:
    """How many experiments there are and what came of them, in one sentence."""
    found = outcomes.experiments
    counts = found.group_by("decision").len().sort("len", "decision", descending=[True, False])
    told = ", ".join(f"{n} {decision}" for decision, n in counts.iter_rows())
    more = f" The {LESSONS} newest conclusions stand here, all in the table below." if found.height > LESSONS else ""
    return f"{fmt.counted(found.height, 'experiment')} can be read on this night: {told}.{more}"


def about_pages(n_shown: int, n_all: int) -> str | None:
    """Which experiments have no page, and where they stand; None if all have one."""
    if n_shown == n_all:
        return None
    return (
        f"{fmt.count(n_shown)} of {fmt.count(n_all)} have a page: those that took users or were decided within the "
        f"last {fmt.counted(RECENT_DAYS, 'day')}, at most {PAGES}. The others stand in the table, and whole in "
        "the tables outcomes.experiments, outcomes.readouts and outcomes.money of the warehouse."
    )


def learned(outcomes: OutcomeContent, *, as_of: date) -> list[Lesson]:
    """What the newest conclusions say, and for whom it was better or worse, arm by arm."""
    links = anchors(with_page(outcomes.experiments, as_of=as_of))
    rows = newest_first(outcomes.experiments).head(LESSONS).rows(named=True)
    return [
        Lesson(
            title=words(row["experiment_id"]),
            state=f"{row['decision']} since {fmt.day(row['decided_on'])}",
            said=_said(outcomes.of(row["experiment_id"]), row),
            anchor=links.get(row["experiment_id"]),
        )
        for row in rows
    ]


def pages(outcomes: OutcomeContent, *, as_of: date, currency: str) -> list[ExperimentPage]:
    """The pages of the experiments that have one, newest conclusion first."""
    shown = with_page(outcomes.experiments, as_of=as_of)
    return [experiment_page(outcomes, row, currency=currency) for row in shown.iter_rows(named=True)]


def experiment_table(outcomes: OutcomeContent, *, as_of: date) -> Table | None:
    """Every experiment with its figures, newest conclusion first; the name leads to its page."""
    links = anchors(with_page(outcomes.experiments, as_of=as_of))
    rows = newest_first(outcomes.experiments).rows(named=True)
    columns = (
        Column("experiment", lambda row: words(row["experiment_id"]), False),
        Column("decision", lambda row: row["decision"], False),
        Column("since", lambda row: fmt.text(row["decided_on"])),
        Column("first entry", lambda row: fmt.text(row["started_on"])),
        Column("last entry", lambda row: fmt.text(row["newest_on"])),
        Column("users", lambda row: fmt.count(row["n_users"])),
        Column("of the plan", lambda row: _share_of_plan(row["planned_share"])),
        Column("judged by", lambda row: words(row["arm"]), False),
        Column("days", lambda row: fmt.count(row["decision_days"])),
        Column("came back, points", lambda row: points(row["difference"])),
        Column("looks allowed for", lambda row: _points_between(row["low"], row["high"])),
        Column("sample ratio p", lambda row: fmt.MISSING if row["sample_ratio_p"] is None else _p(row)),
    )
    made = table_of("All experiments, newest conclusion first", columns, rows)
    if made is None:
        return None
    return Table(made.caption, made.columns, made.rows, links=tuple(links.get(row["experiment_id"]) for row in rows))


def power_table(power: pl.DataFrame) -> Table | None:
    """What each strategy's comparison with the held out could show; None if nobody entered of late."""
    if power.is_empty():
        return None
    columns = (
        Column("strategy", lambda row: words(row["strategy_id"]), False),
        Column("users a night", lambda row: fmt.decimal(row["n_per_night"], places=1)),
        Column("back without contact", lambda row: fmt.percent(row["base_share"])),
        Column("gain expected", lambda row: points(row["expected_effect"])),
        Column("users needed", lambda row: fmt.count(row["n_needed"])),
        Column("days needed", lambda row: fmt.count(row["days_needed"])),
        Column("gain that 90 nights show", lambda row: points(row["detectable_90"])),
    )
    return table_of("What comparisons with the held out could show, and how soon", columns, power.rows(named=True))


def outcome_metrics(outcomes: OutcomeContent, *, as_of: date) -> dict[str, Any]:
    """The figures for metrics.json: nothing per user; money by part at the horizon that each page shows."""
    overall = pl.col("dimension") == ALL
    shown = with_page(outcomes.experiments, as_of=as_of)
    parts = [_money_of_parts(outcomes.of(row["experiment_id"]), row) for row in shown.iter_rows(named=True)]
    return {
        "experiments": newest_first(outcomes.experiments).to_dicts(),
        "readouts": outcomes.readouts.filter(overall).to_dicts(),
        "money": outcomes.money.filter(overall).to_dicts(),
        "money_by_part": pl.concat([outcomes.money.clear(), *parts]).to_dicts(),
        "power": outcomes.power.to_dicts(),
    }


def effect_lines(course: Course) -> go.Figure:
    """Share of an arm with the outcome by day since entry: the baseline, the arm, and where the arm may lie."""
    rows, colour = course.rows, ACCENT if course.metric.is_good else HARM_COLOUR
    figure = figures._figure(height=300)
    days = [f"{day} d" for day in rows["horizon_days"]]
    control = rows["control_mean"].to_list()
    low, high = (
        [None if end is None else round(min(max(base + end, 0), 1), 5) for base, end in zip(control, ends, strict=True)]
        for ends in (rows["low"], rows["high"])
    )
    known = [place for place, end in enumerate(low) if end is not None]
    if known:
        x = [days[place] for place in known]
        figure.add_scatter(
            x=x + x[::-1],
            y=[high[place] for place in known] + [low[place] for place in reversed(known)],
            mode="lines",
            fill="toself",
            fillcolor=translucent(colour, 0.18),
            line={"width": 0},
            name="where the arm's share lies, looks allowed for",
            hoverinfo="skip",
        )
    arm, baseline = rows["arm"][0], rows["baseline"][0]
    for name, column, of_line in ((baseline, "control_mean", NEUTRAL), (arm, "treated_mean", colour)):
        figure.add_scatter(
            x=days,
            y=[round(share, 5) for share in rows[column]],
            mode="lines+markers",
            name=words(name),
            line={"color": of_line, "width": 2},
            hovertemplate="%{x}: %{y:.2%}<extra></extra>",
        )
    figure.update_yaxes(title_text=course.metric.title, tickformat=".1%", rangemode="tozero")
    figure.update_xaxes(title_text="since entry", showgrid=False, categoryorder="array", categoryarray=days)
    return figure


def _said(mine: OutcomeContent, row: dict[str, Any]) -> str:
    """What to make of every arm, and whom it helped and hurt."""
    told = []
    for arm in arms_of(mine, row) if mine.readouts.height else []:
        told.append(said_of_arm(row, arm, mine.decisions))
        parts = _parts_said(mine.readouts.filter(pl.col("arm") == arm), row["decision_days"])
        told += [parts] if parts else []
    return " ".join(told or [row["explanation"]])


def _parts_said(own: pl.DataFrame, decision_days: int) -> str:
    """Whom the arm surely helped and hurt: who came back more or less, and whom a harm befell more."""
    sure = own.filter((pl.col("dimension") != ALL) & (pl.col("horizon_days") == decision_days)).sort(
        "dimension", "value"
    )
    returned = pl.col("metric") == RETURNED.name
    told = [
        f"{word} {', '.join(part(one) for one in found.iter_rows(named=True))}."
        for word, found in (
            ("It helped", sure.filter(returned & (pl.col("verdict") == BETTER))),
            ("It hurt", sure.filter(returned & (pl.col("verdict") == WORSE))),
        )
        if found.height
    ]
    for name in HARM:
        found = sure.filter((pl.col("metric") == name) & (pl.col("verdict") == WORSE))
        if found.height:
            parts = ", ".join(part(one) for one in found.iter_rows(named=True))
            told.append(f"More {BY_NAME[name].title} of {parts}.")
    return " ".join(told)


def _money_of_parts(mine: OutcomeContent, row: dict[str, Any]) -> pl.DataFrame:
    overall = mine.readouts.filter((pl.col("dimension") == ALL) & (pl.col("arm") == (row["arm"] or "")))
    cells = largest_cells(mine.money, shown_horizon(overall, row["decision_days"]))
    return cells.select(mine.money.columns)


def _share_of_plan(share: float | None) -> str:
    return fmt.MISSING if share is None else ">999%" if share > 9.99 else f"{share:.0%}"


def _points_between(low: float | None, high: float | None) -> str:
    return fmt.MISSING if low is None or high is None else f"{points(low)} to {points(high)}"


def _p(row: Mapping[str, Any]) -> str:
    return p_text(row["sample_ratio_p"])
