"""The asset graph of the demo as the Dagster UI draws it, as a picture: `python -m tests.cli.picture DEMO OUT.png`.

DEMO is a folder that `winback demo` made. Needs Chromium, as the browser tests do.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
READY_SECONDS = 90
LAYOUT_MS = 6_000  # the layout is computed in a worker that says nothing when it is done
WIDTH, HEIGHT = 1600, 1200
EXPANDED = ("outages", "reports")  # more does not fit: the UI zooms out no further


@contextmanager
def webserver(settings: Path) -> Iterator[str]:
    """The address of a Dagster UI on this settings file, which ends with the block."""
    from dagster_project.defs.launch import make_home
    from dagster_project.project import Project

    port = free_port()
    home = make_home(Project.load(settings).settings.data_dir)
    environment = {
        **os.environ,
        "WINBACK_SETTINGS": str(settings),
        "DAGSTER_HOME": str(home),
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }
    command = [sys.executable, "-m", "dagster_webserver", "-m", "dagster_project.definitions"]
    log = home / "webserver.log"
    with log.open("w") as out:
        process = subprocess.Popen(
            [*command, "-h", "127.0.0.1", "-p", str(port)], env=environment, cwd=ROOT, stdout=out, stderr=out
        )
        try:
            address = f"http://127.0.0.1:{port}"
            wait_until_ready(address, process, log)
            yield address
        finally:
            process.terminate()
            process.wait(timeout=30)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def wait_until_ready(address: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Return when the server answers."""
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"the webserver ended by itself:\n{log.read_text()}")
        try:
            urllib.request.urlopen(f"{address}/server_info", timeout=2)  # noqa: S310  our own address
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
        else:
            return
    raise RuntimeError(f"the webserver was not ready after {READY_SECONDS} s:\n{log.read_text()}")


def open_graph(page: Any, address: str, *, expanded: Sequence[str] = ()) -> None:
    """Show the global asset lineage with these groups opened, without the panels beside it."""
    groups = ",".join(f"global@global:{group}" for group in expanded)
    page.goto(f"{address}/asset-groups?{urllib.parse.urlencode({'expanded': groups})}")
    page.get_by_text("Hide navigation").click()
    page.get_by_text("cohorts", exact=True).first.wait_for(state="visible", timeout=60_000)
    page.locator("button:near(input[placeholder^='Jump to'])").first.click()
    page.wait_for_timeout(LAYOUT_MS)


def take_picture(demo: Path, target: Path) -> None:
    """Write the picture of the asset graph."""
    from playwright.sync_api import sync_playwright

    with webserver(demo / "winback.toml") as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        open_graph(page, address, expanded=EXPANDED)
        target.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=target)
        browser.close()


if __name__ == "__main__":
    take_picture(Path(sys.argv[1]).absolute(), Path(sys.argv[2]))
