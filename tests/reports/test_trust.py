"""The section on trust: what it says of literal tables, and that it is drawn."""

import re
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from dagster_project.reach.damage import DAMAGE_SCHEMA
from dagster_project.reach.fatigue import HARM_CHARGES_SCHEMA
from dagster_project.reach.population import DELIVERY_SCHEMA, FUNNEL_SCHEMA, TRUST_WEEKS_SCHEMA
from dagster_project.reach.saturation import SATURATION_SCHEMA
from dagster_project.reports import ReportContent, render_report
from dagster_project.reports.trust import TrustContent, drawings, tables

FIGURES = ["trust-weeks", "trust-delivery", "trust-funnel", "trust-saturation"]


def rows(schema: pl.Schema, *given: dict[str, object]) -> pl.DataFrame:
    return pl.DataFrame([{name: row.get(name) for name in schema} for row in given], schema=schema)


def week(place: int) -> dict[str, object]:
    start = date(2025, 10, 6) + timedelta(weeks=place)
    parts = {"attention": 0.5, "permission": 0.99, "delivery": 0.95, "conduct": 0.9}
    shares = {"opt_out_share": 0.01, "opt_out_low": 0.005, "opt_out_high": 0.02, "complaint_share": 0.0}
    index = {"trust_index": 0.7 - 0.02 * place, "n_users": 50, "n_sent": 80}
    return {"week_start": start, "week_end": start + timedelta(weeks=1)} | parts | shares | index


def step(stage: str, m: int, share: float, verdict: str | None) -> dict[str, object]:
    curve = {"response_share": share, "response_low": share - 0.02, "response_high": share + 0.02}
    best = {"best_messages": 1, "best_low": 1, "best_high": 2, "stops_paying_at": 2, "max_per_week": 1}
    said = f"For {stage}, one message is associated with more response."
    place = {"stage": stage, "window_days": 7, "n_messages": m, "n_user_weeks": 500, "verdict": verdict}
    return place | curve | best | {"explanation": said}


def funnel_step(place: int, name: str, n: int) -> dict[str, object]:
    return {"channel": "all", "step": name, "step_index": place, "n_messages": n, "share_of_sent": n / 200}


DELIVERED = {"channel": "push", "platform": "ios", "n_sent": 100, "share_low": 0.0, "share_high": 1.0}
FULL = TrustContent(
    weeks=rows(TRUST_WEEKS_SCHEMA, *(week(place) for place in range(9))),
    delivery=rows(
        DELIVERY_SCHEMA,
        DELIVERED | {"n_messages": 90, "share": 0.9},
        DELIVERED | {"failure_class": "network", "n_messages": 10, "share": 0.1},
    ),
    funnel=rows(
        FUNNEL_SCHEMA,
        *(
            funnel_step(place, name, n)
            for place, (name, n) in enumerate(
                [("sent", 200), ("delivered", 180), ("opened", 40), ("clicked", 10), ("stayed", 4)]
            )
        ),
    ),
    saturation=rows(
        SATURATION_SCHEMA,
        *(step("dormant", m, 0.1 + 0.05 * m, "pays" if m else None) for m in range(3)),
        *(step("all", m, 0.2 + 0.01 * m, "cannot tell" if m else None) for m in range(3)),
    ),
    harm=rows(
        HARM_CHARGES_SCHEMA,
        {
            "kind": "opt_out", "channel": "push", "category": "news", "n_messages": 100, "charged": 2.5,
            "charged_share": 0.025, "charged_low": 0.01, "charged_high": 0.07,
        },
        {"kind": "uninstall", "charged": 3.0},
    ),
    damage=rows(
        DAMAGE_SCHEMA,
        {
            "cause": "failed_delivery", "n_user_weeks": 900, "n_matched": 800, "returned_share": 0.1,
            "alike_returned_share": 0.15, "difference": 0.05, "difference_low": 0.02, "difference_high": 0.08,
            "lost_returns": 40.0, "lost_returns_low": 16.0, "lost_returns_high": 64.0, "lost_value": 800.0,
            "lost_value_low": 320.0, "lost_value_high": 1280.0, "verdict": "loss", "explanation": "A loss.",
        },
        {"cause": "irrelevance", "n_user_weeks": 3, "n_matched": 0, "verdict": "cannot tell", "explanation": "Few."},
    ),
    n_users=120,
    n_prior=20,
    mean_index=0.6543,
)  # fmt: skip
EMPTY = TrustContent(
    weeks=FULL.weeks.clear(), delivery=FULL.delivery.clear(), funnel=FULL.funnel.clear(),
    saturation=FULL.saturation.clear(), harm=FULL.harm.clear(), damage=FULL.damage.tail(1),
    n_users=5, n_prior=5, mean_index=0.7,
)  # fmt: skip


def page_of(trust: TrustContent | None, **options: Any) -> str:
    content = ReportContent(as_of=date(2026, 3, 2), currency="EUR", horizon_days=60, trust=trust)
    return render_report(content, **options)


def section(page: str) -> str:
    return page.split('<section id="trust"')[1].split("</section>")[0]


def test_the_sentences_carry_the_numbers() -> None:
    weeks, delivery, funnel, saturation = (drawn.lead for drawn in drawings(FULL))

    assert weeks == (
        "The index of all messages was 0.67 in the first four weeks shown and 0.57 in the last four. "
        "In the newest week 1.0% (0.5 to 2.0%) of the messages were opted out of or complained of."
    )
    assert delivery == (
        "90.0% of 100 messages of the last 180 days arrived. "
        "The most frequent reason of failure is network, with 10 messages."
    )
    assert funnel == (
        "Of 200 messages at least a horizon old 90.0% were delivered, 20.0% were opened, 5.0% were clicked; "
        "after 2.0% the user was also active on a later day within the horizon."
    )
    assert saturation == (
        "For all, one message is associated with more response. Of 1 stage, 1 show a clear gain by a message."
    )
    assert "the mean of 120 users is 0.65. 20 of them got no message in 180 days" in section(page_of(FULL))


def test_the_account_says_what_is_claimed_and_what_is_not() -> None:
    account = tables(FULL, currency="EUR")[1]

    assert account.rows == (
        ("failed delivery", "900", "800", "10.0%", "15.0%", "5.0 (2.0 to 8.0)", "40 (16 to 64)", "800 (320 to 1,280)"),
        ("irrelevance", "3", "0", "–", "–", "–", "nothing claimed", "nothing claimed"),
    )


def test_harm_that_no_message_bears_is_shown_as_such() -> None:
    harm = tables(FULL, currency="EUR")[2]

    assert harm.rows == (
        ("uninstall", "–", "no message before", "–", "3.0", "–"),
        ("opt out", "push", "news", "100", "2.5", "2.5% (1.0 to 7.0%)"),
    )


def test_the_words_never_say_because() -> None:
    shown = section(page_of(FULL))

    assert "associated with" in shown
    assert re.search(r"\b(caused|because of|thanks to|leads to)\b", shown) is None


@pytest.mark.parametrize("trust", [None, EMPTY])
def test_without_messages_one_sentence_stands_for_the_section(trust: TrustContent | None) -> None:
    shown = section(page_of(trust))

    assert "No message is known" in shown
    assert "figure-" not in shown
    assert "<table" not in shown


def test_the_order_of_rows_does_not_reach_the_page() -> None:
    names = ("delivery", "funnel", "saturation", "harm")
    turned = replace(FULL, **{name: getattr(FULL, name).reverse() for name in names})

    assert page_of(turned) == page_of(FULL)


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
def test_every_picture_is_drawn(browser: Any, tmp_path: Path, width: int) -> None:
    path = tmp_path / "report.html"
    path.write_text(page_of(FULL, plotly_js="inline"), encoding="utf-8")
    page = browser.new_page(viewport={"width": width, "height": 900})
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(path.as_uri())

    for figure in FIGURES:
        page.locator(f"#figure-{figure} .main-svg").first.wait_for(state="visible", timeout=10_000)

    assert page.locator("#figure-trust-funnel .bars .point").count() == 5
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert errors == []
    page.close()
