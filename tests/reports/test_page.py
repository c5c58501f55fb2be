import re
from dataclasses import fields, replace
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from dagster_project.reports import ReportContent, render_report, write_plotly_js

BARE = ReportContent(as_of=date(2026, 3, 2), currency="EUR", horizon_days=60)
SECTIONS = [
    "Who is where",
    "How they moved since yesterday",
    "Who is lapsing",
    "Our own outages",
    "What “churned” means here",
    "When they come back",
    "Why they left",
    "Are the probabilities honest",
    "Tonight&#39;s list",
    "What the limits cost",
    "What we have learned",
    "Held out and suppressed",
    "Messages",
    "Do they still let us in",
    "Kept back by rule",
    "Data quality",
    "What is missing",
]


@pytest.fixture(scope="module")
def page(night: ReportContent) -> str:
    return render_report(night)


def headings(page: str) -> list[str]:
    found = re.findall(r"<h2 id=[^>]*>(.*?)</h2>", page)
    return [heading.replace("Tonight's", "Tonight&#39;s") for heading in found]


def emptied(night: ReportContent) -> ReportContent:
    frames = {field.name: getattr(night, field.name) for field in fields(night)}
    return replace(night, **{name: frame.clear() for name, frame in frames.items() if isinstance(frame, pl.DataFrame)})


def test_sections_come_in_their_order(page: str) -> None:
    assert headings(page) == SECTIONS


def test_two_renderings_are_the_same_bytes(night: ReportContent, page: str) -> None:
    assert render_report(night) == page


def test_row_order_of_the_frames_does_not_reach_the_page(night: ReportContent, page: str) -> None:
    names = [field.name for field in fields(night) if isinstance(getattr(night, field.name), pl.DataFrame)]
    turned = replace(night, **{name: getattr(night, name).reverse() for name in names})

    assert render_report(turned) == page


def test_figures_have_fixed_ids_and_words_for_those_who_cannot_see_them(page: str) -> None:
    assert re.findall(r'<div id="(figure-[a-z-]+)"', page) == [
        "figure-stages",
        "figure-migration",
        "figure-churn-factor",
        "figure-silence",
        "figure-activity",
        "figure-returns",
        "figure-reliability",
    ]
    assert len(re.findall(r'role="img" aria-label="[^"]{40,}"', page)) == 7


def test_no_address_of_another_host_is_in_the_page(page: str) -> None:
    assert "//" not in re.sub(r"/\*.*?\*/", "", page)
    assert '<script src="../assets/plotly.min.js"></script>' in page


def test_user_ids_stand_only_in_the_cohort_list(page: str) -> None:
    before, rest = page.split('<section id="tonight"')
    tonight, after = rest.split("</section>", 1)

    assert tonight.count("customer-") == 20
    assert "customer-" not in before + after


def test_the_notice_stands_at_both_ends(page: str, night: ReportContent) -> None:
    assert page.count(str(night.notice)) == 2
    assert 'banner" role' not in render_report(BARE)


@pytest.mark.parametrize("form", ["absent", "empty"])
def test_a_night_without_data_says_so_and_does_not_fail(form: str, night: ReportContent) -> None:
    page = render_report(BARE if form == "absent" else emptied(night))

    assert headings(page) == SECTIONS
    assert "No user is known on this day" in page
    assert "The list is empty" in page
    assert "figure-" not in page


def test_null_values_everywhere_do_not_fail(night: ReportContent) -> None:
    def without_values(frame: pl.DataFrame) -> pl.DataFrame:
        kept = {"stage", "phase", "candidate", "definition", "table", "arm", "n_users", "n"} & set(frame.columns)
        return frame.with_columns(
            pl.lit(None, dtype=frame.schema[name]).alias(name) for name in set(frame.columns) - kept
        )

    names = [field.name for field in fields(night) if isinstance(getattr(night, field.name), pl.DataFrame)]
    hollow = replace(night, **{name: without_values(getattr(night, name)) for name in names})

    assert headings(render_report(hollow)) == SECTIONS


def test_one_user_in_all_makes_a_page() -> None:
    stages = pl.DataFrame({"stage": ["cooling"], "phase": ["declining"], "churn_factor": [1.2], "days_silent": [9]})
    moves = {"previous_stage": ["active"], "stage": ["cooling"], "n_users": [1], "share_of_previous": [1.0]}
    daily = pl.DataFrame({"active_on": [date(2026, 2, 21)], "n_active_users": [1], "n_events": [2]})

    page = render_report(replace(BARE, stages=stages, migration=pl.DataFrame(moves), daily_activity=daily))

    assert "1 user is on the way out but not yet churned." in page
    assert "Active users a day over the last 1 day: 1 on average." in page


def test_what_users_wrote_is_text_and_never_markup(night: ReportContent) -> None:
    hostile = "</script><img src=x onerror=alert(1)>"
    cohort = night.cohort.with_columns(explanation=pl.lit(hostile), user_id=pl.lit(hostile))  # type: ignore[union-attr]
    evaluations = night.evaluations.with_columns(candidate=pl.lit(hostile))  # type: ignore[union-attr]
    reliability = night.reliability.with_columns(candidate=pl.lit(hostile))  # type: ignore[union-attr]

    page = render_report(
        replace(
            night, cohort=cohort, evaluations=evaluations, reliability=reliability, notes=(hostile,), notice=hostile
        )
    )

    assert "<img" not in page


def test_a_million_users_make_a_small_page(night: ReportContent) -> None:
    many = pl.concat([night.stages] * 830)  # type: ignore[list-item]

    page = render_report(replace(night, stages=many))

    assert many.height > 1_000_000
    assert len(page.encode()) < 200_000


def test_the_page_to_send_holds_the_script_and_asks_for_no_file(night: ReportContent) -> None:
    page = render_report(night, plotly_js="inline")

    assert "<script src=" not in page
    assert len(page) > 4_000_000
    assert page.count("</script>") == page.count("<script")


def test_the_shared_script_is_written_once(tmp_path: Path) -> None:
    script = write_plotly_js(tmp_path)
    first = script.stat()

    assert script == tmp_path / "assets" / "plotly.min.js"
    assert write_plotly_js(tmp_path).stat().st_mtime_ns == first.st_mtime_ns
    assert [path.name for path in script.parent.iterdir()] == ["plotly.min.js"]


def test_a_script_of_other_bytes_is_replaced(tmp_path: Path) -> None:
    script = write_plotly_js(tmp_path)
    whole = script.read_bytes()
    script.write_bytes(b"half a scr")

    assert write_plotly_js(tmp_path).read_bytes() == whole
