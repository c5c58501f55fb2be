"""The long-running processes behind the UI: Dagster's webserver and its daemon, on this machine only."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import click

from dagster_project.errors import WinbackError

HOST = "127.0.0.1"  # the webserver knows no passwords; put a proxy that does in front of it to share it
MODULE = "dagster_project.definitions"
POLL_SECONDS = 0.5


def serve(*, port: int, home: Path) -> None:
    """Run webserver and daemon until one of them ends or Ctrl-C.

    Raises:
        WinbackError: one of them ended by itself.
    """
    from dagster_project.defs.launch import make_home

    make_home(home.parent)
    environment = {**os.environ, "DAGSTER_HOME": str(home)}
    commands = [
        [sys.executable, "-m", "dagster_webserver", "-m", MODULE, "-h", HOST, "-p", str(port)],
        [sys.executable, "-m", "dagster._daemon", "run", "-m", MODULE],
    ]
    click.echo(f"http://{HOST}:{port}  (Ctrl-C stops it)")
    processes = [subprocess.Popen(command, env=environment) for command in commands]  # noqa: S603  our own commands
    try:
        wait_for_any(processes)
    except KeyboardInterrupt:
        click.echo("stopping")
    else:
        raise WinbackError(f"the UI ended by itself (port {port})", fix="read its last lines above; try another --port")
    finally:
        stop(processes)


def wait_for_any(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Return when one of them has ended."""
    while all(process.poll() is None for process in processes):
        time.sleep(POLL_SECONDS)


def stop(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """End them all, gently at first."""
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
