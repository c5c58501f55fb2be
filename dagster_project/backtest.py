"""Many nights judged together: the page of `winback backtest`. Running them is `defs/launch`'s work."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

from dagster_project.models.backtest import rolling_origin_summary, sayings, stack_nights
from dagster_project.project import Project
from dagster_project.reports import write_plotly_js
from dagster_project.reports.backtest import BacktestContent, render_backtest

FOLDER = "backtest"


def write_backtest(project: Project, nights: Sequence[date], *, every_days: int) -> Path:
    """The page over nights that were run, in ascending order: how each model did on windows that it had not seen."""
    judged = stack_nights({night: project.read("models.evaluations", as_of=night) for night in nights})
    summary = rolling_origin_summary(judged)
    horizon_days = project.rules(nights[-1]).horizon_days
    content = BacktestContent(
        first=nights[0],
        last=nights[-1],
        every_days=every_days,
        horizon_days=horizon_days,
        nights=judged,
        summary=summary,
        notes=sayings(judged, summary, horizon_days=horizon_days),
    )
    write_plotly_js(project.settings.reports_dir)
    path = project.settings.reports_dir / FOLDER / "index.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".tmp")
    aside.write_text(render_backtest(content), encoding="utf-8", newline="\n")
    aside.replace(path)
    return path
