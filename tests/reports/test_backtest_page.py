import re
from dataclasses import replace
from datetime import date, timedelta

import polars as pl
import pytest

from dagster_project.models.backtest import rolling_origin_summary, sayings, stack_nights
from dagster_project.models.evaluation import EVALUATION_SCHEMA
from dagster_project.reports.backtest import (
    LINE_COLOURS,
    MEASURES,
    BacktestContent,
    candidate_colours,
    measure_lines,
    render_backtest,
)
from dagster_project.reports.palette import NEUTRAL

FIRST = date(2024, 3, 1)


def evaluation(place: int) -> pl.DataFrame:
    rows = [
        {
            "candidate": candidate,
            "population": population,
            "is_winner": candidate == "boosting",
            "n": 500,
            "auc": 0.7 + worth + place / 100,
            "log_loss": 0.4 - worth,
            "brier": 0.2 - worth,
            "ece": 0.02,
            "top_decile_lift": None if place == 1 else 2.5,
            "observed_over_expected": 1.1,
        }
        for candidate, worth in (("recency", 0.0), ("boosting", 0.02), ("hazard", 0.01))
        for population in ("all", "lapsed", "silent_over_4_horizons")
    ]
    return pl.DataFrame(rows, schema=EVALUATION_SCHEMA)


@pytest.fixture(scope="module")
def content() -> BacktestContent:
    nights = stack_nights({FIRST + timedelta(days=14 * place): evaluation(place) for place in range(3)})
    summary = rolling_origin_summary(nights)
    return BacktestContent(
        first=FIRST,
        last=date(2024, 3, 31),
        every_days=14,
        horizon_days=28,
        nights=nights,
        summary=summary,
        notes=sayings(nights, summary, horizon_days=28),
    )


def test_each_population_has_its_five_pictures_with_fixed_ids(content: BacktestContent) -> None:
    page = render_backtest(content)
    figures = ["auc", "brier", "ece", "observed-over-expected", "top-decile-lift"]

    assert re.findall(r'<div id="(figure-[a-z-]+)"', page) == [
        f"figure-{population}-{figure}" for population in ("lapsed", "all") for figure in figures
    ]
    assert re.findall(r"<h2 id=[^>]*>(.*?)</h2>", page) == [
        "What came out",
        "The lapsed, who are written to",
        "All users",
    ]


def test_equal_content_gives_equal_bytes_whatever_the_order_of_rows(content: BacktestContent) -> None:
    turned = replace(content, nights=content.nights.reverse(), summary=content.summary.reverse())

    assert render_backtest(turned) == render_backtest(content)


def test_the_table_leads_with_the_best_and_marks_it(content: BacktestContent) -> None:
    rows = re.findall(r'<tr( class="marked")?><td>(\w+)</td>', render_backtest(content))

    assert rows == [(' class="marked"', "boosting"), ("", "hazard"), ("", "recency")] * 2


def test_no_address_of_another_host_is_in_the_page(content: BacktestContent) -> None:
    page = render_backtest(content)

    assert "//" not in re.sub(r"/\*.*?\*/", "", page)
    assert '<script src="../assets/plotly.min.js"></script>' in page


def test_the_page_to_send_holds_the_script(content: BacktestContent) -> None:
    page = render_backtest(content, plotly_js="inline")

    assert "<script src=" not in page
    assert page.count("</script>") == page.count("<script")


def test_no_judged_night_makes_a_page_that_says_so(content: BacktestContent) -> None:
    bare = replace(content, nights=content.nights.clear(), summary=content.summary.clear(), notes=("No night.",))
    page = render_backtest(bare)

    assert page.count("No night could be judged for these users.") == 2
    assert "figure-" not in page


def test_hostile_names_are_text_and_never_markup(content: BacktestContent) -> None:
    hostile = "</script><img src=x onerror=alert(1)>"
    nights = content.nights.with_columns(candidate=pl.lit(hostile))
    summary = content.summary.with_columns(candidate=pl.lit(hostile))

    assert "<img" not in render_backtest(replace(content, nights=nights, summary=summary, notes=(hostile,)))


def test_the_style_is_balanced(content: BacktestContent) -> None:
    style = render_backtest(content).split("<style>")[1].split("</style>")[0]

    assert style.count("{") == style.count("}")


def test_a_night_without_the_figure_leaves_a_gap(content: BacktestContent) -> None:
    lift = next(measure for measure in MEASURES if measure.column == "top_decile_lift")
    figure = measure_lines(content.nights.filter(pl.col("population") == "lapsed"), lift)

    assert [trace.name for trace in figure.data] == ["boosting", "hazard", "recency"]
    assert list(figure.data[0].y) == [2.5, None, 2.5]
    assert list(figure.data[0].x) == ["2024-03-01", "2024-03-15", "2024-03-29"]


def test_the_baseline_is_grey_and_last_and_no_two_of_eight_share_a_colour() -> None:
    names = {"recency", "logistic", "boosting", "hazard", "mbg_nbd", "cox", "weibull_aft", "blend"}
    colours = candidate_colours(names)

    assert list(colours)[-1] == "recency"
    assert colours["recency"] == NEUTRAL
    assert len(set(colours.values())) == 8
    assert len(set(LINE_COLOURS)) == len(LINE_COLOURS)
