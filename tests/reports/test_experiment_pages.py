"""The page of one experiment: every arm, harms in the same room as gains, money by part, and its Markdown."""

from dataclasses import replace

import polars as pl
import pytest

from dagster_project.outcomes.faults import FAULTS
from dagster_project.outcomes.readout import ReadoutRules, read_experiments
from dagster_project.reports.experiment_pages import ExperimentPage, OutcomeContent, experiment_page, said_of_arm
from dagster_project.reports.experiment_tables import CELLS, Sides, largest_cells, money_by_part
from dagster_project.reports.markdown import escaped, page_markdown, table_markdown
from dagster_project.reports.tables import Column, Table
from reports.experiments import DECIDED_ON, autumn, three_experiments


@pytest.fixture(scope="module")
def content() -> OutcomeContent:
    return three_experiments()


def page_of(content: OutcomeContent, name: str) -> ExperimentPage:
    row = content.experiments.row(by_predicate=pl.col("experiment_id") == name, named=True)
    return experiment_page(content, row, currency="EUR")


def table_named(page: ExperimentPage, start: str, *, arm: int = 0) -> Table:
    [found] = [table for table in page.arms[arm].tables if table.caption.startswith(start)]
    return found


def test_a_page_says_on_whom_by_what_chance_since_when_and_what_came_of_it(content: OutcomeContent) -> None:
    page = page_of(content, "winter")

    assert page.headline == "Works at a price, since 2 May 2024"
    assert page.tried.startswith("4,000 users, from 1 January 2023 to 1 January 2023, by an imported campaign: ")
    assert page.tried.endswith("Strategies: whats new.")
    assert "Sizes of the arms against what was drawn: p = " in page.chance
    assert [table.caption for table in page.arms[0].tables] == [
        "On whom it was tried, and how alike the arms were",
        "Gains over time: came back",
        "Harms over time. Nobody of either arm opted out",
        "Gains and harms within 28 days of entry",
        "Whom it helped, whom it hurt: came back",
        "Whom it helped, whom it hurt: harms",
        "What it earned and cost",
    ]
    assert page.life is not None


def test_harms_have_the_room_of_gains_over_time_and_by_part(content: OutcomeContent) -> None:
    page = page_of(content, "winter")
    gains, harms = table_named(page, "Gains over time"), table_named(page, "Harms over time")

    assert [row[0] for row in gains.rows] == ["1 day", "7 days", "14 days", "28 days", "60 days", "180 days"]
    assert [row[:2] for row in harms.rows] == [("complained", row[0]) for row in gains.rows]
    assert [column.label for column in harms.columns[1:]] == [column.label for column in gains.columns]
    assert (gains.rows[3][-1], harms.rows[3][-1]) == ("better", "worse")
    by_part = table_named(page, "Whom it helped, whom it hurt: harms")
    assert by_part.rows[0][:2] == ("complained", "stage lost")
    assert by_part.rows[0][-1] == "worse"
    assert [row[1] for row in by_part.rows] == ["stage lost", "strategy whats new"]  # none of the young complained
    assert table_named(page, "Whom it helped, whom it hurt: came back").rows[0][0] == "stage churned early"


def test_what_is_drawn_beside_returns_is_the_sure_harm(content: OutcomeContent) -> None:
    page = page_of(content, "winter")

    returned, complained = page.arms[0].courses
    assert (returned.metric.name, complained.metric.name) == ("returned", "complained")
    assert complained.lead.startswith("Within 180 days ")
    assert complained.lead.endswith("of treat complained, and 0.0% of control. Surely more did.")
    assert complained.rows["horizon_days"].to_list() == [1, 7, 14, 28, 60, 180]


def test_harms_that_no_source_tells_of_are_not_passed_over(content: OutcomeContent) -> None:
    page = page_of(content, "autumn")

    assert table_named(page, "Harms over time").caption == "Harms over time: no source tells of any"
    assert [course.metric.name for course in page.arms[0].courses] == ["returned"]


def test_harms_that_a_source_tells_of_and_befell_nobody_are_said_to_be_none(content: OutcomeContent) -> None:
    rules = ReadoutRules(decision_days=28, margin_share=1, measured=frozenset({"complained", "opted_out"}))
    found = read_experiments(autumn(), FAULTS.to_frame(), rules=rules)
    since = pl.lit(DECIDED_ON["autumn"]).alias("decided_on")
    measured = replace(content, readouts=found.readouts, experiments=found.experiments.with_columns(since))

    table = table_named(page_of(measured, "autumn"), "Harms over time")

    assert table.caption == "Harms over time. Nobody of either arm opted out or complained"
    assert table.rows == (("none seen",),)


def test_every_arm_has_its_block_and_the_one_judged_by_is_first(content: OutcomeContent) -> None:
    page = page_of(content, "autumn")

    assert [arm.title for arm in page.arms] == ["a against control", "b against control"]
    assert page.said == f"{page.arms[0].said} b against control: harms."
    assert "assigned to b " in page.arms[1].said
    assert page.arms[1].said.endswith("It harms: fewer came back.")
    assert table_named(page, "Gains over time", arm=1).rows[3][-1] == "worse"


def test_an_arm_whose_days_are_not_over_says_so(content: OutcomeContent) -> None:
    row = content.experiments.row(by_predicate=pl.col("experiment_id") == "autumn", named=True)

    said = said_of_arm(row, "b", content.decisions.clear())

    assert said == "Nobody of b and control has had the 28 days yet by which it is judged."


def test_a_broken_experiment_shows_its_users_and_no_effect(content: OutcomeContent) -> None:
    page = page_of(content, "spring")

    assert page.decision == "broken"
    assert page.said == "Broken, so not read. Nobody was held out."
    assert [(arm.courses, arm.money_tables) for arm in page.arms] == [((), ())]
    assert [table.caption for table in page.arms[0].tables] == ["On whom it was tried, and how alike the arms were"]


def test_money_is_told_by_part_with_intervals_and_a_word_of_caution(content: OutcomeContent) -> None:
    arm = page_of(content, "winter").arms[0]

    assert arm.money_note is not None
    assert "not corrected" in arm.money_note
    assert [table.caption for table in arm.money_tables] == [
        "By strategy within 28 days",
        "By stage within 28 days",
        "By strategy × channel × stage × reason × value tier within 28 days",
    ]
    assert {row[0] for row in arm.money_tables[2].rows} == {"whats new · churned early", "whats new · lost"}
    young = dict(
        zip([column.label for column in arm.money_tables[1].columns], arm.money_tables[1].rows[0], strict=True)
    )
    assert young["part"] in {"churned early", "lost"}
    assert all(" to " in young[label] for label in ("treat, back", "control, back", "incremental profit, EUR"))
    assert page_of(content, "autumn").arms[0].money_tables == ()  # it cost nothing that is known


def test_where_profit_is_unknown_the_returns_stand_there_and_a_sentence_says_why(content: OutcomeContent) -> None:
    page = page_of(content, "autumn")

    table = table_named(page, "What it earned and cost")
    cells = dict(zip([column.label for column in table.columns], table.rows[3], strict=True))
    assert cells["within"] == "28 days"
    assert cells["incremental returns"].startswith("4")
    assert [cells["incremental profit, EUR"], cells["cost, EUR"], cells["return on spend"]] == [
        "unknown",
        "–",
        "unknown",
    ]
    assert page.arms[0].no_profit == (
        "Profit is unknown: no event has an amount, and no worth of a return was noted at entry; and nothing says what "
        "contact cost: of no contact a channel is noted that has a cost in [channels]."
    )
    assert "Profit is unknown: " in page_markdown(page)
    assert page_of(content, "winter").arms[0].no_profit is None


def test_the_largest_cells_come_first_and_the_rest_is_counted(content: OutcomeContent) -> None:
    cell = content.money.filter((pl.col("dimension") == "stage") & (pl.col("horizon_days") == 28)).head(1)
    cells = pl.concat(
        [
            cell.with_columns(
                pl.lit(f"part {place:02d}").alias("value"), pl.lit(100 + place, dtype=pl.Int64).alias("n_treated")
            )
            for place in range(CELLS + 3)
        ]
    )
    unknown = cell.with_columns(
        pl.lit("unknown").alias("value"),
        pl.lit(10_000, dtype=pl.Int64).alias("n_treated"),
        pl.lit(None, dtype=pl.Float64).alias("incremental_profit"),
    )

    found = largest_cells(pl.concat([cells, unknown]), 28)
    [table] = money_by_part(pl.concat([cells, unknown]), 28, sides=Sides("treat", "control"), currency="EUR")

    assert found["value"].to_list() == [f"part {place:02d}" for place in range(CELLS + 2, 2, -1)]
    assert table.caption == "By stage within 28 days; 3 smaller cells in outcomes.money"
    assert table.rows[0][0] == f"part {CELLS + 2}"


def test_the_markdown_says_all_of_it_arm_by_arm(content: OutcomeContent) -> None:
    told = page_markdown(page_of(content, "autumn"))

    assert told.startswith("**Works, since 1 April 2024.** Of ")
    assert "### a against control" in told
    assert "### b against control" in told
    assert "**Gains over time: came back**\n\n| within | a, users | control, users | of a | of control |" in told
    assert told.count("It harms: fewer came back.") == 1
    assert len(told.encode()) < 20_000


def test_a_name_from_the_data_changes_no_markdown() -> None:
    table = Table("a|b", (Column("x", str, False), Column("n", str)), (("<b>|*\n", "1"),))

    assert table_markdown(table) == "**a\\|b**\n\n| x | n |\n| --- | ---: |\n| \\<b\\>\\|\\* | 1 |"
    assert escaped("[a](b) `c`") == "\\[a\\](b) \\`c\\`"
