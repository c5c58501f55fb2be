"""Many nights judged together: the page of `winback backtest`. Running them is `defs/launch`'s work."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import polars as pl

from dagster_project.models.backtest import rolling_origin_summary, sayings, stack_nights
from dagster_project.models.shipping import judge
from dagster_project.project import Project
from dagster_project.reports import write_plotly_js
from dagster_project.reports.backtest import BacktestContent, render_backtest

FOLDER = "backtest"


def write_backtest(project: Project, nights: Sequence[date], *, every_days: int) -> Path:
    """The page over nights that were run, in ascending order: how each model did on windows that it had not seen."""
    judged = stack_nights({night: evaluations_of(project, night) for night in nights})
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


def evaluations_of(project: Project, night: date) -> pl.DataFrame:
    """The honest evaluation of a night. Where it scored with a model of an earlier one, it is judged here anew."""
    trained_as_of = project.read("models.verdicts", as_of=night)["trained_as_of"][0]
    if trained_as_of in (None, night):
        return project.read("models.evaluations", as_of=night)
    training = project.read("models.training_snapshots", as_of=night).sort("cutoff", "user_id")
    return judge(training, spec=project.model_spec(night))[0].evaluations
