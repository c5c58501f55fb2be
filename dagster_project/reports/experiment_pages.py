"""The page of one experiment as plain sentences and tables: for the report, and for Dagster beside the asset.

How a page becomes HTML stands in the template, how it becomes Markdown in `markdown`; which experiments have a page,
and what is said of all of them, in `outcomes`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from dagster_project.outcomes.verdicts import BETTER, BROKEN, WORSE
from dagster_project.outcomes.vocabulary import ALL, BY_NAME, HARMS, HORIZONS, RETURNED, Metric
from dagster_project.reports import experiment_tables as of_arm
from dagster_project.reports import formatting as fmt
from dagster_project.reports.palette import words
from dagster_project.reports.tables import Table

if TYPE_CHECKING:
    from datetime import date

MOST_HARMS_DRAWN = 3


@dataclass(frozen=True)
class OutcomeContent:
    """The tables of `outcomes` that the section shows, as the lake holds them."""

    experiments: pl.DataFrame
    decisions: pl.DataFrame
    balance: pl.DataFrame
    readouts: pl.DataFrame
    money: pl.DataFrame
    second_life: pl.DataFrame
    power: pl.DataFrame

    def of(self, experiment_id: str) -> OutcomeContent:
        """The rows of one experiment; `power` is of strategies and stays."""
        mine = pl.col("experiment_id") == experiment_id
        return OutcomeContent(
            experiments=self.experiments.filter(mine),
            decisions=self.decisions.filter(mine),
            balance=self.balance.filter(mine),
            readouts=self.readouts.filter(mine),
            money=self.money.filter(mine),
            second_life=self.second_life.filter(mine),
            power=self.power,
        )


@dataclass(frozen=True)
class Course:
    """One outcome over time: its rows of outcomes.readouts for all who entered, and what they say in a sentence."""

    metric: Metric
    lead: str
    rows: pl.DataFrame


@dataclass(frozen=True)
class ArmBlock:
    """One arm beside the baseline: what to make of it, gains and harms over time and by part, what it earned."""

    arm: str
    title: str
    said: str
    courses: tuple[Course, ...]
    tables: tuple[Table, ...]
    no_profit: str | None
    money_note: str | None
    money_tables: tuple[Table, ...]


@dataclass(frozen=True)
class ExperimentPage:
    """One experiment: who was in it, whether chance made its arms, what it did, to whom, and what to make of it."""

    experiment_id: str
    title: str
    decision: str
    decided_on: date | None
    said: str
    tried: str
    chance: str
    arms: tuple[ArmBlock, ...]
    pairs: Table | None
    life: Table | None

    @property
    def headline(self) -> str:
        """The decision, and since when it stands."""
        since = "" if self.decided_on is None else f", since {fmt.day(self.decided_on)}"
        return f"{self.decision.capitalize()}{since}"


def experiment_page(outcomes: OutcomeContent, row: Mapping[str, Any], *, currency: str) -> ExperimentPage:
    """The page of the experiment in `row` of outcomes.experiments. A broken one shows on whom it was tried alone."""
    mine = outcomes.of(row["experiment_id"])
    return ExperimentPage(
        experiment_id=row["experiment_id"],
        title=words(row["experiment_id"]),
        decision=row["decision"],
        decided_on=row["decided_on"],
        said=row["explanation"],
        tried=_tried(row, mine),
        chance=_chance(row),
        arms=tuple(_arm_block(mine, row, arm, currency) for arm in arms_of(mine, row)),
        pairs=of_arm.pairs_table(mine.decisions.filter(pl.col("baseline") != row["baseline"])),
        life=of_arm.life_table(mine.second_life),
    )


def arms_of(mine: OutcomeContent, row: Mapping[str, Any]) -> list[str]:
    """Every arm that is compared with the baseline; first the one by which the experiment is judged."""
    found = sorted({*mine.balance["arm"], *mine.readouts["arm"]} - {row["baseline"]})
    return sorted(found, key=lambda arm: arm != row["arm"])


def said_of_arm(row: Mapping[str, Any], arm: str, decisions: pl.DataFrame) -> str:
    """What to make of one arm, in words: its own decision; of a broken experiment why it is not read."""
    if row["decision"] == BROKEN:
        return str(row["explanation"])
    own = decisions.filter((pl.col("arm") == arm) & (pl.col("baseline") == row["baseline"]))
    if own.is_empty():
        days = fmt.counted(row["decision_days"], "day")
        return f"Nobody of {words(arm)} and {words(row['baseline'])} has had the {days} yet by which it is judged."
    return str(own["explanation"][0])


def _arm_block(mine: OutcomeContent, row: Mapping[str, Any], arm: str, currency: str) -> ArmBlock:
    of = pl.col("arm") == arm
    own, money = mine.readouts.filter(of), mine.money.filter(of)
    overall = own.filter(pl.col("dimension") == ALL)
    horizon = shown_horizon(overall, row["decision_days"])
    sides = of_arm.Sides(words(arm), words(row["baseline"]))
    found = (
        of_arm.balance_table(mine.balance.filter(of), sides),
        of_arm.gains_over_time(overall, sides),
        of_arm.harms_over_time(overall, sides),
        of_arm.metric_table(overall, horizon, sides=sides, currency=currency),
        of_arm.gains_by_part(own, horizon, sides=sides),
        of_arm.harms_by_part(own, horizon, sides=sides),
        of_arm.money_table(money, sides=sides, currency=currency),
    )
    parts = of_arm.money_by_part(money, horizon, sides=sides, currency=currency)
    return ArmBlock(
        arm=arm,
        title=f"{sides.arm} against {sides.baseline}",
        said=said_of_arm(row, arm, mine.decisions),
        courses=courses_of(overall),
        tables=tuple(table for table in found if table is not None),
        no_profit=of_arm.why_no_profit(money),
        money_note=of_arm.about_parts(horizon) if parts else None,
        money_tables=parts,
    )


def courses_of(overall: pl.DataFrame) -> tuple[Course, ...]:
    """What is drawn of an arm: who came back, and beside it every sure harm, or else the likeliest one."""
    drawn = (RETURNED, *_drawn_harms(overall))
    rows = [(metric, overall.filter(pl.col("metric") == metric.name).sort("horizon_days")) for metric in drawn]
    return tuple(Course(metric, _about_course(found, metric), found) for metric, found in rows if found.height)


def shown_horizon(overall: pl.DataFrame, decision_days: int) -> int:
    """The longest that has been read, up to the one of decision."""
    read = overall.filter(pl.col("metric") == RETURNED.name)["horizon_days"]
    return max((days for days in read if days <= decision_days), default=HORIZONS[0])


def _drawn_harms(overall: pl.DataFrame) -> list[Metric]:
    happened = of_arm.that_happened(overall.filter(pl.col("metric").is_in([metric.name for metric in HARMS])))
    sure = [*_surely(happened, WORSE), *_surely(happened, BETTER)]
    if sure:
        return list(dict.fromkeys(sure))[:MOST_HARMS_DRAWN]
    likeliest = happened.sort("p_fixed", "metric", "horizon_days").head(1)
    return [BY_NAME[name] for name in likeliest["metric"]]


def _surely(rows: pl.DataFrame, verdict: str) -> list[Metric]:
    """The harms with that verdict at any horizon of `rows`, in the order of the vocabulary."""
    found = set(rows.filter(pl.col("verdict") == verdict)["metric"])
    return [metric for metric in HARMS if metric.name in found]


def _about_course(rows: pl.DataFrame, metric: Metric) -> str:
    if rows.is_empty():
        return ""
    last = rows.row(-1, named=True)
    sure = " Surely more did." if _surely(rows, WORSE) else " Surely fewer did." if _surely(rows, BETTER) else ""
    return (
        f"Within {fmt.counted(last['horizon_days'], 'day')} {fmt.percent(last['treated_mean'])} of "
        f"{words(last['arm'])} {metric.title}, and {fmt.percent(last['control_mean'])} of "
        f"{words(last['baseline'])}.{sure}"
    )


def _tried(row: Mapping[str, Any], mine: OutcomeContent) -> str:
    of_strategy = mine.readouts.filter(pl.col("dimension") == "strategy_id")["value"]
    noted = mine.balance.filter(pl.col("trait") == "strategy_id")["value"]
    strategies = sorted({*of_strategy} or {*noted.drop_nulls()})
    what = f" Strategies: {', '.join(words(name) for name in strategies)}." if strategies else ""
    source = "our own ledger" if row["origin"] == "ledger" else "an imported campaign"
    return (
        f"{fmt.counted(row['n_users'], 'user')}, from {fmt.day(row['started_on'])} to {fmt.day(row['newest_on'])}, by "
        f"{source}: {row['arms']}.{what}"
    )


def _chance(row: Mapping[str, Any]) -> str:
    ratio, balance = row["sample_ratio_p"], row["balance_p"]
    sizes = "No propensity is noted, so nobody can tell whether the arms have the sizes that chance would give them."
    if ratio is not None:
        sizes = f"Sizes of the arms against what was drawn: p = {p_text(ratio)}."
    before = "Too few users, or days on record before they entered, to compare the arms before entry."
    if balance is not None:
        before = f"Activity in the 28 days before entry, arm against arm: p = {p_text(balance)}."
    return f"{sizes} {before} Below 0.001 an experiment is broken."


def p_text(value: float) -> str:
    """A p as a reader sees it."""
    return "<0.001" if value < 0.001 else fmt.decimal(value, places=3)
