"""The pages of experiments: what is said of literal tables, newest first, and that broken ones are shown as such."""

from datetime import date

import numpy as np
import polars as pl
import pytest
from outcomes.builders import entries

from dagster_project.outcomes.balance import arm_balance
from dagster_project.outcomes.entries import FAULTS
from dagster_project.outcomes.power import POWER_SCHEMA
from dagster_project.outcomes.readout import ReadoutRules, read_experiments
from dagster_project.outcomes.second_life import second_lives
from dagster_project.reports import ReportContent, render_report
from dagster_project.reports.outcomes import (
    OutcomeContent,
    about_experiments,
    learned,
    outcome_metrics,
    pages,
    points,
    power_table,
)

POWER = pl.DataFrame(
    [("whats_new", 12.5, 0.05, 0.1, 0.01, 42_201, 3_400, None, 0.021, "…")], schema=POWER_SCHEMA, orient="row"
)


def outcomes() -> OutcomeContent:
    """A sound experiment that helps the young, and a newer one that is broken."""
    rng = np.random.default_rng(3)
    n = 4_000
    treated, young = rng.random(n) < 0.5, rng.random(n) < 0.5
    back = rng.random(n) < 0.2 + 0.15 * young * treated
    known = entries(
        n,
        experiment_id="winter",
        arm=np.where(treated, "treat", "control"),
        propensity=0.5,
        stage=np.where(young, "churned_early", "lost"),
        strategy_id="whats_new",
        returned_after=[3 if b else None for b in back],
        value_if_returned=30.0,
        **{f"cost_{days}": np.where(treated, 0.1, 0.0) for days in (1, 7, 14, 28, 60, 180)},
    )
    broken = entries(10, experiment_id="spring", assigned_on=date(2024, 5, 1))
    fault = pl.DataFrame([("spring", "no control", "Nobody was held out.")], schema=FAULTS, orient="row")
    both = pl.concat([known, broken])
    found = read_experiments(both, fault, rules=ReadoutRules(decision_days=28, margin_share=1))
    return OutcomeContent(found.experiments, arm_balance(both), found.readouts, found.money, second_lives(known), POWER)


@pytest.fixture(scope="module")
def content() -> OutcomeContent:
    return outcomes()


def page_of(shown: OutcomeContent | None) -> str:
    return render_report(ReportContent(as_of=date(2024, 6, 1), currency="EUR", horizon_days=30, outcomes=shown))


def test_what_was_learned_is_told_newest_first_with_those_whom_it_helped(content: OutcomeContent) -> None:
    newest, older = learned(content)

    assert newest == "spring (broken): Broken, so not read. Nobody was held out."
    assert older.startswith("winter (works): Of ")
    assert "It helped" in older
    assert "stage churned early" in older
    assert "lost" not in older.split("It helped")[1]


def test_the_lead_counts_the_decisions(content: OutcomeContent) -> None:
    assert about_experiments(content) == "2 experiments can be read on this night: 1 broken, 1 works."


def test_a_page_shows_gains_and_harms_parts_money_and_the_second_life(content: OutcomeContent) -> None:
    page = pages(content, currency="EUR")[1]

    assert [table.caption for table in page.tables] == [
        "On whom it was tried, and how alike the arms were",
        "Gains and harms within 28 days of entry",
        "Whom it helped, whom it hurt",
        "What it earned and cost",
        "How long those who came back stayed; no effect of contact",
    ]
    assert page.tables[1].rows[0][:2] == ("came back", "gain")
    assert page.tables[2].rows[0][-1] == "better"
    assert page.tables[3].rows[0][0] == "1 day"
    assert page.tables[3].rows[0][4] == "unknown"  # nobody is back on the first day
    assert page.figure is not None
    assert "Sizes of the arms against what was drawn: p = " in page.chance


def test_a_broken_experiment_shows_its_users_and_no_effect(content: OutcomeContent) -> None:
    page = pages(content, currency="EUR")[0]

    assert (page.decision, page.figure) == ("broken", None)
    assert [table.caption for table in page.tables] == ["On whom it was tried, and how alike the arms were"]


def test_both_are_on_the_page_of_the_night(content: OutcomeContent) -> None:
    shown = page_of(content)

    assert 'id="experiment-1"' in shown
    assert "Experiment: spring" in shown
    assert 'id="figure-experiment-2"' in shown
    assert "What comparisons with the held out could show, and how soon" in shown
    assert page_of(content) == shown


@pytest.mark.parametrize("is_empty", [True, False])
def test_without_ledger_and_imports_the_page_says_so(content: OutcomeContent, is_empty: bool) -> None:
    frames = (content.experiments, content.balance, content.readouts, content.money, content.second_life, content.power)
    none = OutcomeContent(*(frame.clear() for frame in frames)) if is_empty else None

    assert "There is no experiment to read yet" in page_of(none)


def test_power_is_told_in_points_and_what_cannot_be_seen_is_left_open() -> None:
    table = power_table(POWER)

    assert table is not None
    assert table.rows == (("whats new", "12.5", "5.0%", "+1.00", "42,201", "3,400", "+2.10"),)
    assert power_table(POWER.clear()) is None
    assert points(None) == "–"


def test_the_figures_name_no_user(content: OutcomeContent) -> None:
    figures = outcome_metrics(content)

    assert {row["dimension"] for row in figures["readouts"]} == {"all"}
    assert "user_id" not in str(figures)
