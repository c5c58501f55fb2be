"""Tables of the page: frames turned into rows of text, or None where there is nothing to show."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from dagster_project.reports import formatting as fmt
from dagster_project.reports import summaries
from dagster_project.reports.palette import in_lifecycle_order, words

if TYPE_CHECKING:
    from dagster_project.reports.content import ReportContent

COHORT_ROWS = 20
MOVE_ROWS = 10
MOVED_ROWS = 10
SUPPRESSED_AND_REASON_ROWS = 25


@dataclass(frozen=True)
class Column:
    """A heading and how its cell is read from a row; numbers stand to the right."""

    label: str
    cell: Callable[[Mapping[str, Any]], str]
    is_number: bool = True


@dataclass(frozen=True)
class Table:
    """What the template prints: a caption, headings, rows of text, the marked rows' places.

    `links`: of each row the id on the page that its first cell leads to, or None.
    """

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    marked: frozenset[int] = frozenset()
    links: tuple[str | None, ...] = ()


def stage_dwell(content: ReportContent) -> Table | None:
    """How long users have been in their stage, in lifecycle order."""
    dwell = content.dwell
    if dwell is None or dwell.is_empty():
        return None
    order = {stage: place for place, stage in enumerate(in_lifecycle_order(set(dwell["stage"])))}
    total = dwell["n_users"].sum()
    return _table(
        "Time in the stage so far, and the share that left it since the day before",
        sorted(dwell.iter_rows(named=True), key=lambda row: order[row["stage"]]),
        _name("stage", "stage"),
        _count("users", "n_users"),
        Column("of all", lambda row: fmt.percent(row["n_users"] / total if total else None)),
        _days("median days", "median_days_in_stage"),
        _days("90th percentile", "p90_days_in_stage"),
        _share("left", "left_share"),
    )


def largest_moves(content: ReportContent) -> Table | None:
    """The moves between two stages with most users; staying is left out."""
    if content.migration is None or content.migration.is_empty():
        return None
    moves = summaries.count_moves(content.migration).filter(~pl.col("is_stay"))
    largest = moves.sort("n_users", "previous_stage", "stage", descending=[True, False, False])
    return _table(
        "Largest moves between stages",
        largest.head(MOVE_ROWS).iter_rows(named=True),
        _name("from", "previous_stage"),
        _name("to", "stage"),
        _count("users", "n_users"),
        _share("of the earlier stage", "share_of_previous"),
    )


def regret(content: ReportContent) -> Table | None:
    """Each churn definition with the share of its churned users who came back unaided."""
    if content.regret is None or content.regret.is_empty():
        return None
    in_use = content.primary_definition
    rows = content.regret.sort("definition").rows(named=True)
    marked = frozenset(place for place, row in enumerate(rows) if row["definition"] == in_use)
    return _table(
        f"Churn definitions and their regret rate within {fmt.counted(content.horizon_days, 'day')}",
        rows,
        Column("definition", lambda row: _in_use(row["definition"], in_use), False),
        _count("labelled churned", "n_churned"),
        _count("came back unaided", "n_returned"),
        Column(
            "regret rate",
            lambda row: fmt.with_interval(row["regret_rate"], row["regret_rate_low"], row["regret_rate_high"]),
        ),
        marked=marked,
    )


def definition_agreement(content: ReportContent) -> Table | None:
    """How often two churn definitions say the same of a user."""
    if content.definition_agreement is None or content.definition_agreement.is_empty():
        return None
    return _table(
        "How far the definitions agree (kappa: agreement beyond chance, 1 is full)",
        content.definition_agreement.sort("definition", "other_definition").iter_rows(named=True),
        Column("definitions", lambda row: f"{words(row['definition'])} and {words(row['other_definition'])}", False),
        _share("agree", "agreement_share"),
        Column("kappa", lambda row: fmt.decimal(row["cohen_kappa"])),
        _count("users", "n_users"),
    )


def evaluations(content: ReportContent) -> Table | None:
    """Every candidate on every population, out of time; winners marked, the recency baseline named."""
    if content.evaluations is None or content.evaluations.is_empty():
        return None
    rows = sorted(content.evaluations.iter_rows(named=True), key=_evaluation_order)
    return _table(
        "Out-of-time evaluation: fitted on the past, judged on days that none of the models saw",
        rows,
        Column("model", _candidate, False),
        _name("judged on", "population"),
        _count("users", "n"),
        _share("returned or active", "base_rate"),
        Column("AUC", _auc),
        _decimal("average precision", "average_precision", 3),
        _decimal("log loss", "log_loss", 4),
        _decimal("Brier", "brier", 4),
        _decimal("calibration error", "ece", 3),
        _decimal("top-tenth lift", "top_decile_lift", 2),
        _decimal("observed ÷ expected", "observed_over_expected", 2),
        marked=frozenset(place for place, row in enumerate(rows) if row["is_winner"]),
    )


def strategies(content: ReportContent) -> Table | None:
    """Users and expected profit per strategy, most profit first."""
    if content.strategies is None or content.strategies.is_empty():
        return None
    by_profit = content.strategies.sort("expected_profit", "strategy_id", descending=[True, False], nulls_last=True)
    return _table(
        "Strategies of the night",
        by_profit.iter_rows(named=True),
        Column("strategy", lambda row: fmt.text(row["title"]), False),
        Column("id", lambda row: fmt.text(row["strategy_id"]), False),
        _count("users", "n_users"),
        _money("expected profit", "expected_profit", content.currency),
    )


def arms(content: ReportContent) -> Table | None:
    """Users per arm of the night's randomisation."""
    if content.arms is None or content.arms.is_empty():
        return None
    total = content.arms["n_users"].sum()
    return _table(
        "Arms that randomisation gave",
        content.arms.sort("arm").iter_rows(named=True),
        _name("arm", "arm"),
        _count("users", "n_users"),
        Column("share", lambda row: fmt.percent(row["n_users"] / total if total else None)),
    )


def suppressed(content: ReportContent) -> Table | None:
    """Users that a rule keeps from contact, by rule, most first."""
    if content.suppressed_counts is None or content.suppressed_counts.is_empty():
        return None
    most_first = content.suppressed_counts.sort("n_users", "rule_id", descending=[True, False], nulls_last=True)
    return _table(
        "Not to be contacted, by rule",
        most_first.head(SUPPRESSED_AND_REASON_ROWS).iter_rows(named=True),
        _name("rule", "rule_id"),
        _count("users", "n_users"),
        Column("why", lambda row: fmt.text(row["citation"]), False),
    )


def quality(content: ReportContent) -> Table | None:
    """What became of every row read, per canonical table."""
    if content.quality is None or content.quality.is_empty():
        return None
    return _table(
        "Rows read and what became of them",
        content.quality.sort("table").iter_rows(named=True),
        _name("table", "table"),
        _count("files", "n_files"),
        _count("rows read", "n_rows_read"),
        _count("kept", "n_kept"),
        _count("duplicates", "n_duplicates"),
        _count("without user", "n_anonymous"),
        _count("filtered", "n_filtered"),
        _count("quarantined", "n_quarantined"),
    )


def quarantine_reasons(content: ReportContent) -> Table | None:
    """Why rows were set aside, most frequent first."""
    if content.quarantine_reasons is None or content.quarantine_reasons.is_empty():
        return None
    most_first = content.quarantine_reasons.sort("n_rows", "table", "reason", descending=[True, False, False])
    return _table(
        "Why rows were set aside",
        most_first.head(SUPPRESSED_AND_REASON_ROWS).iter_rows(named=True),
        _name("table", "table"),
        Column("reason", lambda row: fmt.text(row["reason"]), False),
        _count("rows", "n_rows"),
    )


def moved_features(content: ReportContent) -> Table | None:
    """What tells the newest closed window from the rows that the model in service then had learned from."""
    if not content.moved_features:
        return None
    return _table(
        "What has moved since the model then in service was trained: context, never an alarm by itself",
        content.moved_features[:MOVED_ROWS],
        _name("feature", "feature"),
        Column("mean then", lambda row: fmt.decimal(row["mean_then"])),
        Column("mean now", lambda row: fmt.decimal(row["mean_now"])),
        Column("in standard deviations", lambda row: fmt.decimal(row["shift_sd"])),
        Column("population stability", lambda row: fmt.decimal(row["psi"])),
    )


def cohort(content: ReportContent) -> Table | None:
    """The first rows of the cohort list by rank; the last column is the explanation."""
    if content.cohort is None or content.cohort.is_empty():
        return None
    top = content.cohort.sort("rank", "user_id", nulls_last=True).head(COHORT_ROWS)
    return _table(
        f"The first {top.height} of {fmt.counted(content.cohort.height, 'user')} in cohorts.csv",
        top.iter_rows(named=True),
        _count("rank", "rank"),
        Column("user", lambda row: fmt.text(row["user_id"]), False),
        _name("stage", "stage"),
        _count("days silent", "days_silent"),
        Column("returns unaided", _return_probability),
        _money("value if returned", "value_if_returned", content.currency),
        _money("expected profit", "expected_profit", content.currency),
        _name("strategy", "strategy_id"),
        _name("channel", "channel"),
        Column("send at", lambda row: fmt.timestamp(row["send_at"]), False),
        Column("why", lambda row: fmt.text(row["explanation"]), False),
    )


def _table(caption: str, rows: Any, *columns: Column, marked: frozenset[int] = frozenset()) -> Table | None:
    cells = tuple(tuple(column.cell(row) for column in columns) for row in rows)
    return Table(caption, columns, cells, marked) if cells else None


def _name(label: str, key: str) -> Column:
    return Column(label, lambda row: words(row[key]), False)


def _count(label: str, key: str) -> Column:
    return Column(label, lambda row: fmt.count(row[key]))


def _share(label: str, key: str) -> Column:
    return Column(label, lambda row: fmt.percent(row[key]))


def _days(label: str, key: str) -> Column:
    return Column(label, lambda row: fmt.decimal(row[key], places=0))


def _decimal(label: str, key: str, places: int) -> Column:
    return Column(label, lambda row: fmt.decimal(row[key], places=places))


def _money(label: str, key: str, currency: str) -> Column:
    return Column(label, lambda row: fmt.money(row[key], currency=currency))


def _candidate(row: Mapping[str, Any]) -> str:
    is_baseline = summaries.baseline_name([row["candidate"]]) is not None
    marks = [mark for mark, holds in (("winner", row["is_winner"]), ("baseline", is_baseline)) if holds]
    return words(row["candidate"]) + (f" ({', '.join(marks)})" if marks else "")


def _evaluation_order(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """The lapsed first, for they are written to; then the winner, then the baseline it had to beat."""
    loss = row["log_loss"]
    return (
        not summaries.is_about_lapsed(row["population"]),
        row["population"] or "",
        not row["is_winner"],
        summaries.baseline_name([row["candidate"]]) is None,
        float("inf") if loss is None else loss,
        row["candidate"],
    )


def _in_use(definition: str, primary: str | None) -> str:
    return words(definition) + (" (in use)" if definition == primary else "")


def _return_probability(row: Mapping[str, Any]) -> str:
    return fmt.with_interval(row["p_return"], row["p_return_low"], row["p_return_high"])


def _auc(row: Mapping[str, Any]) -> str:
    value, low, high = (fmt.decimal(row[key], places=3) for key in ("auc", "auc_low", "auc_high"))
    return value if fmt.MISSING in (low, high) else f"{value} ({low} to {high})"
