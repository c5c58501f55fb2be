"""What people open: the report of a real night from disk, and Dagster's UI on it."""

from typing import Any

import pytest

from defs.worlds import NIGHT, ROOT, Company

pytestmark = pytest.mark.browser

LAYERS = [
    "ingest",
    "staging",
    "intermediate",
    "marts",
    "outages",
    "lifecycle",
    "models",
    "reasons",
    "reach",
    "strategy",
    "cohorts",
    "reports",
]


class Watched:
    """A page that remembers whatever went wrong on it."""

    def __init__(self, browser: Any) -> None:
        self.complaints: list[str] = []
        self.page = browser.new_page(viewport={"width": 1600, "height": 1000})
        self.page.on("pageerror", lambda error: self.complaints.append(f"page error: {error}"))
        self.page.on("console", self._on_console)
        self.page.on("request", self._on_request)

    def _on_console(self, message: Any) -> None:
        if message.type == "error":
            self.complaints.append(f"console: {message.text}")

    def _on_request(self, request: Any) -> None:
        if not request.url.startswith(("file:", "data:", "blob:", "http://127.0.0.1:", "ws://127.0.0.1:")):
            self.complaints.append(f"asked the network for {request.url}")


def test_the_report_of_a_night_draws_every_figure_from_disk(past: Company, browser: Any) -> None:
    watched = Watched(browser)
    page = watched.page

    page.goto((past.reports(NIGHT) / "report.html").as_uri())
    page.wait_for_load_state("load")

    # What is folded is drawn once somebody looks.
    page.evaluate("document.querySelectorAll('details').forEach(fold => { fold.open = true })")
    figures = page.locator("[id^='figure-']")
    assert figures.count() >= 7
    for number in range(figures.count()):
        figures.nth(number).locator(".main-svg").first.wait_for(state="visible", timeout=20_000)
    assert page.get_by_text("Simulated data: no real person or company.").first.is_visible()
    assert watched.complaints == []
    page.close()


def test_the_ui_shows_the_layers_and_tells_of_columns(past: Company, browser: Any) -> None:
    from cli.picture import open_graph, webserver

    watched = Watched(browser)
    page = watched.page
    with webserver(past.settings) as address:
        page.goto(f"{address}/asset-groups")
        for layer in LAYERS:  # in the list beside the graph, which draws only what is in sight
            page.get_by_text(layer, exact=True).first.wait_for(state="attached", timeout=60_000)
        open_graph(page, address, expanded=["cohorts"])
        assert page.get_by_text("contacts", exact=True).first.is_visible()

        page.goto(f"{address}/assets/marts/users")
        page.get_by_text("One row per user visible on a night").first.wait_for(state="visible", timeout=60_000)
        page.get_by_text("first thing seen of the user").first.wait_for(state="visible", timeout=20_000)
    assert watched.complaints == []
    page.close()


def test_the_picture_in_the_readme_is_there_and_small() -> None:
    picture = ROOT / "docs" / "pictures" / "asset-graph.png"
    data = picture.read_bytes()

    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert int.from_bytes(data[16:20], "big") == 1600
    assert len(data) < 400_000
