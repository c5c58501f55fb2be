"""What is said of all experiments: literal tables, the newest conclusion first, a table of all, who has a page."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest

from dagster_project.outcomes.power import POWER_SCHEMA
from dagster_project.outcomes.verdicts import EXPERIMENTS
from dagster_project.reports import ReportContent, render_report
from dagster_project.reports.experiment_pages import OutcomeContent
from dagster_project.reports.experiment_tables import points
from dagster_project.reports.outcomes import (
    LESSONS,
    PAGES,
    about_experiments,
    about_pages,
    experiment_table,
    learned,
    newest_first,
    outcome_metrics,
    pages,
    power_table,
    with_page,
)
from reports.experiments import NIGHT, three_experiments

POWER = pl.DataFrame(
    [("whats_new", 12.5, 0.05, 0.1, 0.01, 42_201, 3_400, None, 0.021, "…")], schema=POWER_SCHEMA, orient="row"
)


@pytest.fixture(scope="module")
def content() -> OutcomeContent:
    return three_experiments()


def page_of(shown: OutcomeContent | None) -> str:
    return render_report(ReportContent(as_of=NIGHT, currency="EUR", horizon_days=30, outcomes=shown))


def decided(*rows: dict[str, Any]) -> pl.DataFrame:
    """Rows of outcomes.experiments that name only what matters."""
    plain = {
        "origin": "imported",
        "started_on": date(2024, 1, 1),
        "newest_on": date(2024, 1, 1),
        "n_users": 100,
        "arms": "treat 50, control 50",
        "arm": "treat",
        "baseline": "control",
        "decision_days": 28,
        "decision": "works",
        "explanation": "It works.",
        "decided_on": date(2024, 2, 1),
    }
    return pl.DataFrame([{**plain, **row} for row in rows], schema={**EXPERIMENTS, "decided_on": pl.Date()})


def many(n: int) -> pl.DataFrame:
    """One runs since long ago, one was decided of late, the others are old."""
    old: Sequence[dict[str, Any]] = [{"experiment_id": f"old {place:03d}"} for place in range(n - 2)]
    return decided(
        *old,
        {"experiment_id": "runs", "newest_on": NIGHT, "decision": "cannot tell yet"},
        {"experiment_id": "decided", "decided_on": NIGHT - timedelta(days=3)},
    )


def told_of(experiments: pl.DataFrame, content: OutcomeContent) -> OutcomeContent:
    """These experiments, of whose effects no table says anything."""
    frames = (content.decisions, content.balance, content.readouts, content.money, content.second_life, content.power)
    return OutcomeContent(experiments, *(frame.clear() for frame in frames))


def test_the_newest_conclusion_is_first_and_not_what_still_takes_users() -> None:
    told = decided(
        {"experiment_id": "still runs", "newest_on": NIGHT, "decision": "cannot tell yet"},
        {"experiment_id": "ended, told yesterday", "decided_on": NIGHT - timedelta(days=1)},
        {"experiment_id": "told last month", "newest_on": NIGHT, "decided_on": NIGHT - timedelta(days=31)},
        {"experiment_id": "same night, a conclusion", "newest_on": date(2023, 1, 1)},
    )

    assert newest_first(told)["experiment_id"].to_list() == [
        "ended, told yesterday",
        "told last month",
        "same night, a conclusion",
        "still runs",
    ]


def test_what_was_learned_says_since_when_and_whom_it_helped_and_hurt(content: OutcomeContent) -> None:
    by_title = {lesson.title: lesson for lesson in learned(content, as_of=NIGHT)}

    assert list(by_title) == ["spring", "winter", "autumn"]
    spring, winter = by_title["spring"], by_title["winter"]
    assert (spring.state, spring.said) == ("broken since 31 May 2024", "Broken, so not read. Nobody was held out.")
    assert winter.state == "works at a price since 2 May 2024"
    assert winter.said.startswith("Of ")
    assert "It helped stage churned early, strategy whats new." in winter.said
    assert "More complained of stage lost, strategy whats new." in winter.said
    assert (spring.anchor, winter.anchor) == ("experiment-1", "experiment-2")


def test_every_arm_has_its_say(content: OutcomeContent) -> None:
    said = {lesson.title: lesson.said for lesson in learned(content, as_of=NIGHT)}["autumn"]

    assert "assigned to a " in said
    assert "assigned to b " in said
    assert said.endswith("It harms: fewer came back.")


def test_the_lead_counts_the_decisions(content: OutcomeContent) -> None:
    told = "3 experiments can be read on this night: 1 broken, 1 works, 1 works at a price."
    assert about_experiments(content) == told


def test_the_table_holds_every_experiment_and_leads_to_its_page(content: OutcomeContent) -> None:
    table = experiment_table(content, as_of=NIGHT)

    assert table is not None
    assert [row[:3] for row in table.rows] == [
        ("spring", "broken", "2024-05-31"),
        ("winter", "works at a price", "2024-05-02"),
        ("autumn", "works", "2024-04-01"),
    ]
    assert table.links == ("experiment-1", "experiment-2", "experiment-3")
    assert experiment_table(told_of(content.experiments.clear(), content), as_of=NIGHT) is None


def test_up_to_a_limit_every_experiment_has_a_page() -> None:
    told = many(PAGES)

    assert with_page(told, as_of=NIGHT).height == PAGES
    assert about_pages(PAGES, PAGES) is None


def test_of_hundreds_only_what_runs_or_was_decided_of_late_has_a_page_and_all_are_in_the_table(
    content: OutcomeContent,
) -> None:
    told = told_of(many(300), content)

    assert [page.title for page in pages(told, as_of=NIGHT, currency="EUR")] == ["decided", "runs"]
    table = experiment_table(told, as_of=NIGHT)
    assert table is not None
    assert [len(table.rows), len([link for link in table.links if link])] == [300, 2]
    assert len(learned(told, as_of=NIGHT)) == LESSONS
    assert about_experiments(told).endswith(" The 40 newest conclusions stand here, all in the table below.")
    shown = page_of(told)
    assert "2 of 300 have a page: those that took users or were decided within the last 28 days" in shown
    assert len(shown) < 400_000


def test_the_newest_have_a_page_where_too_many_run() -> None:
    rows = [
        {"experiment_id": f"{place:03d}", "decided_on": NIGHT - timedelta(days=place % 20)}
        for place in range(3 * PAGES)
    ]

    shown = with_page(decided(*rows), as_of=NIGHT)

    assert shown.height == PAGES
    assert shown["decided_on"].min() > NIGHT - timedelta(days=8)


def test_all_are_on_the_page_of_the_night_folded_with_a_link_and_the_same_each_time(content: OutcomeContent) -> None:
    shown = page_of(content)

    assert '<details class="fold" id="experiment-1">' in shown
    assert shown.count('<a href="#experiment-3">autumn</a>') == 2  # under what was learned, and in the table
    assert 'id="figure-experiment-2-1-returned"' in shown
    assert 'id="figure-experiment-2-1-complained"' in shown
    assert "What comparisons with the held out could show, and how soon" in shown
    assert page_of(content) == shown


@pytest.mark.parametrize("is_empty", [True, False])
def test_without_ledger_and_imports_the_page_says_so(content: OutcomeContent, is_empty: bool) -> None:
    frames = (
        content.experiments,
        content.decisions,
        content.balance,
        content.readouts,
        content.money,
        content.second_life,
        content.power,
    )
    none = OutcomeContent(*(frame.clear() for frame in frames)) if is_empty else None

    assert "There is no experiment to read yet" in page_of(none)


def test_power_is_told_in_points_and_what_cannot_be_seen_is_left_open() -> None:
    table = power_table(POWER)

    assert table is not None
    assert table.rows == (("whats new", "12.5", "5.0%", "+1.00", "42,201", "3,400", "+2.10"),)
    assert power_table(POWER.clear()) is None
    assert points(None) == "–"


def test_the_figures_name_no_user(content: OutcomeContent) -> None:
    figures = outcome_metrics(content, as_of=NIGHT)

    assert {row["dimension"] for row in figures["readouts"]} == {"all"}
    assert {row["dimension"] for row in figures["money"]} == {"all"}
    by_part = {(row["experiment_id"], row["dimension"], row["horizon_days"]) for row in figures["money_by_part"]}
    assert {("winter", "stage", 28), ("winter", "strategy_id", 28)} <= by_part
    assert {days for _, _, days in by_part} == {28}
    assert "user_id" not in str(figures)
