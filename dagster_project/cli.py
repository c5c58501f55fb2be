"""The command `winback`. It reads arguments, shows progress and tells where the files are; the work is elsewhere.

What is heavy is imported where it is needed, so that `--help` answers at once.
"""

import os
import sys
from collections.abc import Callable
from datetime import date, datetime
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dagster_project.errors import WinbackError

if TYPE_CHECKING:
    from dagster_project.project import Project

SETTINGS_VARIABLE = "WINBACK_SETTINGS"
CONFIG_HELP = "The settings file. Default: winback.toml here or in a folder above."
DEMO_FOLDER = Path("demo")


def told_plainly(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose expected errors are one message and exit code 1, not a traceback."""

    @wraps(command)
    def told(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except WinbackError as error:
            click.secho(f"error: {error}", fg="red", err=True)
            sys.exit(1)

    return told


def config_option(command: Callable[..., None]) -> Callable[..., None]:
    """The option that names the settings file."""
    return click.option("--config", "-c", type=click.Path(path_type=Path), help=CONFIG_HELP)(command)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="winback")
def main() -> None:
    """Rank lapsed users by the profit that contacting them causes, with a control group held out every night."""


@main.command()
@config_option
@click.option(
    "--as-of", type=click.DateTime(["%Y-%m-%d"]), help="Last day that the night may see. Default: the newest."
)
@told_plainly
def run(config: Path | None, as_of: datetime | None) -> None:
    """Run a night: from new files to ranked cohort CSVs and a report."""
    run_night(open_project(config), as_of.date() if as_of else None)


@main.command()
@click.option("--dir", "folder", type=click.Path(path_type=Path), default=DEMO_FOLDER, show_default=True)
@click.option(
    "--users", type=click.IntRange(1, 1_000_000), default=20_000, show_default=True, help="How many to simulate."
)
@click.option("--seed", type=click.IntRange(0), default=7, show_default=True)
@told_plainly
def demo(folder: Path, users: int, seed: int) -> None:
    """Simulate a company under DIR and run a night on it. Nobody in it is real."""
    from dagster_project.simulate import SIMULATED_NOTICE, WorldSpec, simulate_world, write_world

    click.echo(f"simulating {users:,} users in {folder} (seed {seed}); {SIMULATED_NOTICE.lower()}")
    settings = write_world(simulate_world(WorldSpec(n_users=users, seed=seed)), folder)
    run_night(open_project(settings), None)
    click.echo(f"\nopen the graph:  winback ui --config {settings}")


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@told_plainly
def init(folder: Path) -> None:
    """Write a settings file to fill in to FOLDER."""
    from dagster_project.settings.template import write_template

    path = write_template(folder)
    click.echo(f"wrote {path}\nnext: name your events file in it, then\n  winback check --config {path}")


@main.command()
@config_option
@told_plainly
def check(config: Path | None) -> None:
    """Check settings, files, rules and strategies without running anything."""
    from dagster_project.strategy.catalogue import require_whole
    from dagster_project.strategy.content import fault_sentences

    project = open_project(config)
    for name, n_files in project.check_sources().items():
        click.echo(f"sources.{name}: {n_files} file{'s' if n_files != 1 else ''}, every column found")
    require_whole(project.catalogue_source)
    click.echo(f"strategies: {len(project.catalogue.strategies)}, all complete")
    for fault in project.strategy_faults:
        click.secho(f"strategy {'sits out' if fault.sits_out else 'in part'}: {fault.sentence}", fg="yellow")
    laws = ", ".join(law.key for law in project.law_book.every_law())
    click.echo(f"rules: {laws}; not legal advice")
    for sentence in fault_sentences(project.content_faults):
        click.secho(f"template not used: {sentence}", fg="yellow")
    click.secho("all good", fg="green")


@main.command()
@config_option
@click.option("--from", "first", type=click.DateTime(["%Y-%m-%d"]), required=True, help="First night.")
@click.option("--to", "last", type=click.DateTime(["%Y-%m-%d"]), required=True, help="Last night at the latest.")
@click.option(
    "--every", "every_days", type=click.IntRange(1), default=28, show_default=True, help="Days between nights."
)
@told_plainly
def backtest(config: Path | None, first: datetime, last: datetime, every_days: int) -> None:
    """Run past nights as they would have been, and draw how the models did. Nobody is treated: no ledger is written."""
    from dagster_project.backtest import write_backtest
    from dagster_project.models.backtest import backtest_nights

    project = open_project(config)
    nights = backtest_nights(first.date(), last.date(), every_days=every_days)
    for night in nights:
        run_night(project, night, is_backtest=True)
    click.echo(f"\n{write_backtest(project, nights, every_days=every_days)}  how each model did, night by night")


@main.command()
@config_option
@click.option("--port", type=click.IntRange(1, 65535), default=3000, show_default=True)
@told_plainly
def ui(config: Path | None, port: int) -> None:
    """Open the Dagster UI on this machine, with the schedule running. Stop it with Ctrl-C."""
    from dagster_project.services import serve

    project = open_project(config)
    serve(port=port, home=project.settings.data_dir / "dagster")


@main.command()
@config_option
@click.option("--as-of", type=click.DateTime(["%Y-%m-%d"]), help="The night. Default: the newest one that was run.")
@click.option("--standalone", is_flag=True, help="One file with everything in it, to send to somebody.")
@told_plainly
def report(config: Path | None, as_of: datetime | None, standalone: bool) -> None:
    """Tell where a night's report is, or write it as one file to send."""
    from dagster_project.night import find_report, standalone_report

    project = open_project(config)
    night = as_of.date() if as_of else project.newest_night()
    click.echo(standalone_report(project, night) if standalone else find_report(project, night))


@main.command()
@click.argument("user_id")
@config_option
@click.option("--as-of", type=click.DateTime(["%Y-%m-%d"]), help="The night. Default: the newest one that was run.")
@told_plainly
def explain(user_id: str, config: Path | None, as_of: datetime | None) -> None:
    """Print a night's whole decision about one user: reason, options, gates, choice, and what would change it."""
    from dagster_project.night import explained

    project = open_project(config)
    click.echo(explained(project, as_of.date() if as_of else project.newest_night(), user_id))


def open_project(config: Path | None) -> "Project":
    """The project of the settings file, which Dagster's side of this process then reads too."""
    from dagster_project.project import Project
    from dagster_project.settings import find_settings

    path = (config or find_settings(Path.cwd())).absolute()
    os.environ[SETTINGS_VARIABLE] = str(path)
    os.environ["DAGSTER_DISABLE_TELEMETRY"] = "1"
    return Project.load(path)


def run_night(project: "Project", as_of: date | None, *, is_backtest: bool = False) -> None:
    """Run the nightly job with a progress display, and tell what came of it."""
    from rich.console import Console

    _ = project.content_faults  # a strategy or rule that cannot be used is told at once, not halfway through
    night = project.night_to_run(as_of)
    console = Console(highlight=False)
    console.print(
        f"night of {night} (the last day that it sees), settings {os.environ[SETTINGS_VARIABLE]}", soft_wrap=True
    )
    error = run_with_progress(console, project, night, is_backtest=is_backtest)
    if error is not None:
        problem, _, fix = error.partition("\n  fix: ")
        raise WinbackError(problem, fix=fix or f"see the run in winback ui; nothing of {night} was published by it")
    if not is_backtest:
        tell_files(console, project, night)


def run_with_progress(console: Any, project: "Project", night: date, *, is_backtest: bool) -> str | None:
    """The error of the run, or None."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from dagster_project.defs.launch import run_night as launch

    columns = (TextColumn("{task.description:<14}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("starting", total=None)

        def on_step(layer: str, n_done: int, n_steps: int) -> None:
            progress.update(task, description=layer, completed=n_done, total=n_steps)

        data_dir = project.settings.data_dir
        return launch(night, data_dir=data_dir, on_step=on_step, is_backtest=is_backtest).error


def tell_files(console: Any, project: "Project", night: date) -> None:
    """Where the files of a night are, and what is in them."""
    from dagster_project.night import summary

    for line in summary(project, night):
        console.print(line, soft_wrap=True)
