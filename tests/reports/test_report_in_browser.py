"""The page as a reader sees it: opened from disk in headless Chromium, at a laptop's and a phone's width."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dagster_project.reports import ReportContent, render_report, write_plotly_js
from reports.experiments import three_experiments

pytestmark = pytest.mark.browser

FIGURES = ["stages", "migration", "churn-factor", "silence", "activity", "returns", "reliability"]
HEADINGS = 17


@pytest.fixture(scope="module")
def report(night: ReportContent, tmp_path_factory: pytest.TempPathFactory) -> Path:
    reports = tmp_path_factory.mktemp("reports")
    write_plotly_js(reports)
    page = reports / "2026-03-02" / "report.html"
    page.parent.mkdir()
    page.write_text(render_report(night), encoding="utf-8")
    return page


class Reader:
    """An open page and everything that went wrong on it."""

    def __init__(self, browser: Any, path: Path, *, width: int) -> None:
        self.complaints: list[str] = []
        self.page = browser.new_page(viewport={"width": width, "height": 900})
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.complaints.append(f"page error: {error}"))
        self.page.on("requestfailed", lambda request: self.complaints.append(f"failed: {request.url[:200]}"))
        self.page.on("request", self._on_request)
        self.page.goto(path.as_uri())
        self.page.wait_for_load_state("load")

    def _on_console(self, message: Any) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(f"console: {message.text}")

    def _on_request(self, request: Any) -> None:
        if not request.url.startswith(("file:", "data:", "blob:")):
            self.complaints.append(f"asked the network for {request.url}")


@pytest.mark.parametrize("width", [1280, 390])
def test_every_figure_is_drawn_and_nothing_is_complained_of(
    browser: Any, report: Path, tmp_path: Path, width: int
) -> None:
    reader = Reader(browser, report, width=width)
    page = reader.page

    for figure in FIGURES:
        page.locator(f"#figure-{figure} .main-svg").first.wait_for(state="visible", timeout=10_000)
    page.screenshot(path=str(tmp_path / f"report-{width}.png"), full_page=True)

    headings = page.locator("main h2")
    assert headings.count() == HEADINGS
    assert all(heading.is_visible() for heading in headings.all())
    assert page.locator("#figure-migration .sankey-node").count() == 31
    assert page.locator("#figure-stages .bars .point").count() == 15
    assert reader.complaints == []
    page.close()


def test_nothing_but_tables_scrolls_sideways_on_a_phone(browser: Any, report: Path) -> None:
    reader = Reader(browser, report, width=390)

    assert reader.page.evaluate("document.documentElement.scrollWidth") == 390
    reader.page.close()


@pytest.fixture(scope="module")
def experiments(night: ReportContent, tmp_path_factory: pytest.TempPathFactory) -> Path:
    reports = tmp_path_factory.mktemp("experiments")
    write_plotly_js(reports)
    page = reports / "2026-03-02" / "report.html"
    page.parent.mkdir()
    page.write_text(render_report(replace(night, outcomes=three_experiments())), encoding="utf-8")
    return page


@pytest.mark.parametrize("width", [1280, 390])
def test_a_link_opens_the_page_of_an_experiment_and_its_pictures_fill_their_place(
    browser: Any, experiments: Path, tmp_path: Path, width: int
) -> None:
    reader = Reader(browser, experiments, width=width)
    page, fold = reader.page, reader.page.locator("#experiment-2")
    assert not fold.locator("table").first.is_visible()
    assert page.locator("#figure-experiment-2-1-returned .main-svg").count() == 0  # not drawn before it is looked at

    page.locator("#experiments td a", has_text="winter").click()

    for metric in ("returned", "complained"):
        drawn = page.locator(f"#figure-experiment-2-1-{metric} .main-svg").first
        drawn.wait_for(state="visible", timeout=10_000)
        place = page.locator(f".plot:has(#figure-experiment-2-1-{metric})").bounding_box()
        assert drawn.bounding_box()["width"] == pytest.approx(place["width"], abs=2)
    assert fold.locator("text=Harms over time").first.is_visible()
    money = fold.locator("details").first
    assert not money.locator("table").first.is_visible()
    money.locator("summary").click()
    assert money.locator("text=By stage within 28 days").first.is_visible()
    page.screenshot(path=str(tmp_path / f"experiments-{width}.png"), full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert reader.complaints == []
    page.close()


def test_a_link_from_elsewhere_opens_the_page_of_its_experiment(browser: Any, experiments: Path) -> None:
    page = browser.new_page()

    page.goto(f"{experiments.as_uri()}#experiment-3")

    page.locator("#figure-experiment-3-2-returned .main-svg").first.wait_for(state="visible", timeout=10_000)
    assert page.locator("details.fold[open]").count() == 1
    page.close()


def test_the_page_to_send_draws_alone(browser: Any, night: ReportContent, tmp_path: Path) -> None:
    alone = tmp_path / "report.html"
    alone.write_text(render_report(night, plotly_js="inline"), encoding="utf-8")

    reader = Reader(browser, alone, width=1280)

    reader.page.locator("#figure-stages .main-svg").first.wait_for(state="visible", timeout=10_000)
    assert reader.complaints == []
    reader.page.close()


def test_without_the_script_the_page_says_what_it_needs(browser: Any, night: ReportContent, tmp_path: Path) -> None:
    lost = tmp_path / "report.html"
    lost.write_text(render_report(night), encoding="utf-8")

    reader = Reader(browser, lost, width=1280)

    assert reader.page.locator(".no-script").is_visible()
    assert reader.page.locator("table").first.is_visible()
    assert [complaint for complaint in reader.complaints if complaint.startswith("page error")] == []
    assert [complaint for complaint in reader.complaints if complaint.startswith("failed: file:")] != []
    reader.page.close()
