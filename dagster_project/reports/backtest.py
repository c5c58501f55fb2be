"""The page of a backtest: each model's figures over replayed nights, in pictures and one table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import polars as pl

from dagster_project.reports import figures, summaries
from dagster_project.reports import formatting as fmt
from dagster_project.reports.page import PLOT_CONFIG, SHARED_SCRIPT, Picture
from dagster_project.reports.palette import NEUTRAL, words
from dagster_project.reports.tables import Column, Table

if TYPE_CHECKING:
    from datetime import date

    import plotly.graph_objects as go

LINE_COLOURS = ("#3d6ea8", "#2f9470", "#d99a2b", "#b34c42", "#7b69bd", "#5f8fc4", "#8a3a36", "#9a5a9e")
"""Mid-tones that hold on a white and on a dark page; candidates take them by name, the baseline is grey."""

POPULATIONS = {"lapsed": "The lapsed, who are written to", "all": "All users"}


@dataclass(frozen=True)
class Measure:
    """One figure over the nights; `honest` is the value that a perfect model would show, drawn as a line."""

    column: str
    name: str
    hint: str
    tick_format: str = ".3f"
    honest: float | None = None


MEASURES = (
    Measure("auc", "AUC", "chance that an active user is ranked above an inactive one; higher is better"),
    Measure("brier", "Brier score", "mean squared error of the probability; lower is better"),
    Measure("ece", "calibration error", "mean distance between predicted and observed share; lower is better"),
    Measure(
        "observed_over_expected", "observed ÷ expected", "active users over those expected; 1 is honest", ".2f", 1.0
    ),
    Measure("top_decile_lift", "lift of the top tenth", "activity of the best-scored tenth over that of all", ".2f"),
)


@dataclass(frozen=True)
class BacktestContent:
    """What the page shows. `nights`: models.backtest.NIGHT_SCHEMA; `summary`: SUMMARY_SCHEMA; `notes`: sentences."""

    first: date
    last: date
    every_days: int
    horizon_days: int
    nights: pl.DataFrame
    summary: pl.DataFrame
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Section:
    """One population: its pictures and its table."""

    anchor: str
    title: str
    pictures: tuple[Picture, ...]
    table: Table | None


def render_backtest(content: BacktestContent, *, plotly_js: Literal["shared", "inline"] = "shared") -> str:
    """The whole page as HTML; equal content gives equal bytes, whatever the order of its rows.

    "shared" expects the script at `../assets/plotly.min.js`: the page lies in a folder of the reports.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    environment = Environment(
        loader=PackageLoader("dagster_project", "reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("backtest.html.j2").render(
        span=f"{fmt.day(content.first)} to {fmt.day(content.last)}",
        every=fmt.counted(content.every_days, "day"),
        horizon=fmt.counted(content.horizon_days, "day"),
        notes=content.notes,
        sections=_sections(content),
        script_path=f"../{SHARED_SCRIPT}",
        # The library is trusted and holds no "</script"; a test keeps watch over that.
        script=Markup(get_plotlyjs()) if plotly_js == "inline" else None,  # noqa: S704
    )


def measure_lines(nights: pl.DataFrame, measure: Measure) -> go.Figure:
    """One line per candidate over the nights, of one population; a night without the figure leaves a gap."""
    # The report's own blank figure: both pages look alike.
    figure = figures._figure(height=320)
    ordered = nights.sort("candidate", "night")
    colours = candidate_colours(set(ordered["candidate"]))
    for candidate, colour in colours.items():
        rows = ordered.filter(pl.col("candidate") == candidate)
        figure.add_scatter(
            mode="lines+markers",
            name=words(candidate),
            x=[night.isoformat() for night in rows["night"]],
            y=rows[measure.column].round(6).to_list(),
            connectgaps=False,
            line={"color": colour, "width": 2, "dash": "dot" if colour == NEUTRAL else "solid"},
            marker={"color": colour, "size": 6},
            hovertemplate=f"{words(candidate)}, %{{x}}: %{{y:{measure.tick_format}}}<extra></extra>",
        )
    if measure.honest is not None:
        figure.add_hline(y=measure.honest, line={"color": NEUTRAL, "width": 1, "dash": "dash"})
    figure.update_xaxes(type="date", showgrid=False, nticks=7, tickangle=0, hoverformat="%Y-%m-%d")
    figure.update_yaxes(title_text=measure.name, tickformat=measure.tick_format, nticks=6)
    return figure


def candidate_colours(candidates: set[str]) -> dict[str, str]:
    """Candidates by name with a colour each; the baseline last, in grey."""
    baseline = summaries.baseline_name(sorted(candidates))
    others = sorted(candidates - {baseline})
    colours = {name: LINE_COLOURS[place % len(LINE_COLOURS)] for place, name in enumerate(others)}
    return colours | ({} if baseline is None else {baseline: NEUTRAL})


def summary_table(summary: pl.DataFrame, *, population: str) -> Table | None:
    """The means over the nights, lowest log-loss first and marked; None without a row."""
    rows = summary.filter(pl.col("population") == population).sort("log_loss", "candidate").rows(named=True)
    if not rows:
        return None
    columns = (
        Column("model", lambda row: words(row["candidate"]), is_number=False),
        Column("nights", lambda row: fmt.count(row["n_nights"])),
        Column("shipped", lambda row: fmt.count(row["n_nights_won"])),
        Column("AUC", lambda row: fmt.decimal(row["auc"], places=3)),
        Column("worst AUC", lambda row: fmt.decimal(row["auc_worst"], places=3)),
        Column("log loss", lambda row: fmt.decimal(row["log_loss"], places=4)),
        Column("saved on recency", lambda row: fmt.decimal(row["log_loss_saved"], places=4)),
        Column("nights ahead", lambda row: fmt.count(row["n_nights_ahead"])),
        Column("Brier", lambda row: fmt.decimal(row["brier"], places=4)),
        Column("calibration error", lambda row: fmt.decimal(row["ece"], places=4)),
        Column("observed ÷ expected", lambda row: fmt.decimal(row["observed_over_expected"])),
        Column("top tenth lift", lambda row: fmt.decimal(row["top_decile_lift"])),
    )
    cells = tuple(tuple(column.cell(row) for column in columns) for row in rows)
    return Table("Means over the nights, each night counting alike", columns, cells, frozenset({0}))


def _sections(content: BacktestContent) -> list[Section]:
    return [
        Section(
            population,
            title,
            _pictures(content.nights.filter(pl.col("population") == population), population=population),
            summary_table(content.summary, population=population),
        )
        for population, title in POPULATIONS.items()
    ]


def _pictures(nights: pl.DataFrame, *, population: str) -> tuple[Picture, ...]:
    measurable = (measure for measure in MEASURES if nights[measure.column].count())
    return tuple(_picture(nights, measure, population=population) for measure in measurable)


def _picture(nights: pl.DataFrame, measure: Measure, *, population: str) -> Picture:
    from markupsafe import Markup
    from plotly.io import to_html

    lead = f"{measure.name[0].upper()}{measure.name[1:]}: {measure.hint}."
    # A fixed id: plotly's own is random, and the page must come out byte for byte the same.
    div_id = f"figure-{population}-{measure.column.replace('_', '-')}"
    figure = measure_lines(nights, measure)
    html = to_html(figure, config=PLOT_CONFIG, include_plotlyjs=False, full_html=False, div_id=div_id)
    label = f"Line chart over the nights, one line per model. {lead}"
    return Picture(lead, label, Markup(html))  # noqa: S704  # plotly escapes its JSON
