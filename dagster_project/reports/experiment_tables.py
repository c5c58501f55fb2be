"""Tables of one arm of an experiment beside its baseline: gains and harms in the same form, money last."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from dagster_project.outcomes.money import NEITHER, NO_COST, NO_VALUE
from dagster_project.outcomes.vocabulary import ALL, BY_NAME, CROSS, DIMENSIONS, NOT_NOTED, RETURNED
from dagster_project.reports import formatting as fmt
from dagster_project.reports.palette import words
from dagster_project.reports.tables import Column, Table

CROSSED = " · "  # between the parts of a crossed cell
SLICES = 12
TRAITS = 12
CELLS = 12  # of money, per dimension
LIFE_DAYS = (28, 60, 120)
HARM = [name for name, metric in BY_NAME.items() if not metric.is_good]
NUMBERS = {
    "p_return": "chance to come back without contact",
    "n_active_days_before": "active days in the 28 before",
    "value_if_returned": "worth of a return",
}
_NO_COST = "nothing says what contact cost: of no contact a channel is noted that has a cost in [channels]"
_NO_VALUE = "no event has an amount, and no worth of a return was noted at entry"
NO_PROFIT = {
    NO_COST: f"Profit is unknown: {_NO_COST}.",
    NO_VALUE: f"Profit is unknown: {_NO_VALUE}.",
    NEITHER: f"Profit is unknown: {_NO_VALUE}; and {_NO_COST}.",
}
PARTS = {"strategy_id": "strategy", "value_tier": "value tier"}

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Sides:
    """What an arm and its baseline are called in headings: the baseline need not be held out."""

    arm: str
    baseline: str


def points(value: float | None) -> str:
    """A difference of shares in points: 0.0123 → "+1.23"."""
    return fmt.MISSING if value is None else f"{100 * value + 0.0:+.2f}"


def balance_table(balance: pl.DataFrame, sides: Sides) -> Table | None:
    """On whom it was tried: numbers first, then the largest shares."""
    first = pl.col("value").is_null()
    ordered = balance.sort(first, "mean", "trait", "value", descending=[True, True, False, False])
    columns = (
        Column("known at entry", lambda row: _trait(row), False),
        Column(sides.arm, lambda row: _trait_mean(row, "mean")),
        Column(sides.baseline, lambda row: _trait_mean(row, "baseline_mean")),
        Column("apart, in standard deviations", lambda row: fmt.decimal(row["standardised_difference"])),
    )
    caption = "On whom it was tried, and how alike the arms were"
    return table_of(caption, columns, ordered.head(TRAITS).rows(named=True))


def gains_over_time(overall: pl.DataFrame, sides: Sides) -> Table | None:
    """Who came back, by days since entry."""
    returns = overall.filter(pl.col("metric") == RETURNED.name).sort("horizon_days")
    return table_of("Gains over time: came back", _course_columns(sides), returns.rows(named=True))


def harms_over_time(overall: pl.DataFrame, sides: Sides) -> Table | None:
    """Every harm that befell anybody, by days since entry; the caption names those that befell nobody.

    None where nothing was read; where no harm was seen or measured, a table that says so.
    """
    if overall.is_empty():
        return None
    harms = overall.filter(pl.col("metric").is_in(HARM))
    told = that_happened(harms)
    none = [BY_NAME[name].title for name in HARM if name in set(harms["metric"]) - set(told["metric"])]
    said = f". Nobody of either arm {' or '.join(none)}" if none else ""
    if told.is_empty():
        what = f"Harms over time{said}" if none else "Harms over time: no source tells of any"
        return Table(what, (Column("harm", _metric_title, False),), (("none seen",) if none else ("not measured",),))
    columns = (Column("harm", _metric_title, False), *_course_columns(sides))
    rows = sorted(told.rows(named=True), key=lambda row: (HARM.index(row["metric"]), row["horizon_days"]))
    return table_of(f"Harms over time{said}", columns, rows)


def that_happened(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows of metrics that befell anybody of either arm at any horizon."""
    anybody = (pl.col("treated_mean") > 0) | (pl.col("control_mean") > 0)
    return rows.filter(anybody.any().over("metric"))


def metric_table(overall: pl.DataFrame, horizon: int, *, sides: Sides, currency: str) -> Table | None:
    """Gains and harms of all who entered, in the order of the vocabulary."""
    found = overall.filter(pl.col("horizon_days") == horizon)
    rows = sorted(found.rows(named=True), key=lambda row: list(BY_NAME).index(row["metric"]))
    columns = (
        Column("what", _metric_title, False),
        Column("", lambda row: "gain" if BY_NAME[row["metric"]].is_good else "harm", False),
        Column(sides.arm, lambda row: _value(row, "treated_mean", currency)),
        Column(sides.baseline, lambda row: _value(row, "control_mean", currency)),
        Column("difference", lambda row: change(row, "difference")),
        Column("looks allowed for", lambda row: between(row, "low", "high")),
        Column("plain 95 %", lambda row: between(row, "fixed_low", "fixed_high")),
        Column("verdict", lambda row: row["verdict"], False),
    )
    return table_of(f"Gains and harms within {fmt.counted(horizon, 'day')} of entry", columns, rows)


def gains_by_part(own: pl.DataFrame, horizon: int, *, sides: Sides) -> Table | None:
    """Who came back more and who less: the parts of the users with the surest differences."""
    parts = _surest_parts(own.filter(pl.col("metric") == RETURNED.name), horizon)
    return table_of("Whom it helped, whom it hurt: came back", _part_columns(sides), parts)


def harms_by_part(own: pl.DataFrame, horizon: int, *, sides: Sides) -> Table | None:
    """Whom harm befell more and whom less, in the same form and room; without parts where it befell nobody."""
    befell = (pl.col("treated_mean") > 0) | (pl.col("control_mean") > 0)
    parts = _surest_parts(own.filter(pl.col("metric").is_in(HARM) & befell), horizon)
    columns = (Column("harm", _metric_title, False), *_part_columns(sides))
    return table_of("Whom it helped, whom it hurt: harms", columns, parts)


def money_table(money: pl.DataFrame, *, sides: Sides, currency: str) -> Table | None:
    """What the arm earned and cost, of all who entered, by horizon."""
    rows = money.filter(pl.col("dimension") == ALL).sort("horizon_days").rows(named=True)
    columns = (
        Column("within", lambda row: fmt.counted(row["horizon_days"], "day"), False),
        *_share_columns(sides),
        *_money_columns(currency),
        Column(f"holding out cost, {currency}", _range("control_cost")),
    )
    return table_of("What it earned and cost", columns, rows)


def why_no_profit(money: pl.DataFrame) -> str | None:
    """Why an arm's profit is unknown; None where it is not, or nothing was read."""
    return NO_PROFIT.get(money["basis"][0]) if money.height else None


def money_by_part(money: pl.DataFrame, horizon: int, *, sides: Sides, currency: str) -> tuple[Table, ...]:
    """The same by strategy, channel, stage, reason and value tier, and of these crossed; the largest cells first."""
    found = largest_cells(money, horizon)
    columns = (
        Column("part", _cell, False),
        *_counts(sides),
        *_share_columns(sides),
        *_money_columns(currency),
    )
    told = []
    for dimension in (*DIMENSIONS, CROSS):
        cells = found.filter(pl.col("dimension") == dimension)
        if cells.height:
            left = cells["n_cells"][0] - cells.height
            more = f"; {fmt.counted(left, 'smaller cell')} in outcomes.money" if left else ""
            caption = f"By {_dimension(dimension)} within {fmt.counted(horizon, 'day')}{more}"
            told.append(table_of(caption, columns, cells.rows(named=True)))
    return tuple(table for table in told if table is not None)


def largest_cells(money: pl.DataFrame, horizon: int) -> pl.DataFrame:
    """The CELLS largest parts of each dimension whose profit is known at a horizon, with how many there are."""
    key = ["experiment_id", "arm", "dimension"]
    known = (pl.col("dimension") != ALL) & (pl.col("horizon_days") == horizon)
    return (
        money.filter(known & pl.col("incremental_profit").is_not_null())
        .with_columns(pl.len().over(key).cast(pl.Int64).alias("n_cells"))
        .sort(*key, "n_treated", "value", descending=[False, False, False, True, False])
        .group_by(key, maintain_order=True)
        .head(CELLS)
    )


def about_parts(horizon: int) -> str:
    """What a reader of many cells has to know."""
    return (
        f"Cells are many, and their intervals are not corrected for that: of twenty cells without any effect one looks "
        f"sure. Only cells with figures within {fmt.counted(horizon, 'day')} are shown, the largest first."
    )


def life_table(lives: pl.DataFrame) -> Table | None:
    """How long those who came back stayed, every arm beside the others."""
    columns = (
        Column("arm", lambda row: words(row["arm"]), False),
        Column("days after the return", lambda row: fmt.count(row["day"])),
        Column("seen for so long", lambda row: fmt.count(row["n_at_risk"])),
        Column("still here", lambda row: fmt.with_interval(row["p_still_here"], row["low"], row["high"])),
    )
    shown = lives.filter(pl.col("day").is_in(LIFE_DAYS)).sort("arm", "day")
    return table_of("How long those who came back stayed; no effect of contact", columns, shown.rows(named=True))


def pairs_table(decisions: pl.DataFrame) -> Table | None:
    """Templates beside each other: rows of outcomes.decisions whose baseline is another template."""
    columns = (
        Column("words", lambda row: words(row["arm"]), False),
        Column("beside", lambda row: words(row["baseline"]), False),
        Column("came back", lambda row: fmt.percent(row["treated_mean"])),
        Column("beside them", lambda row: fmt.percent(row["control_mean"])),
        Column("points", lambda row: points(row["difference"])),
        Column("between", lambda row: f"{points(row['low'])} to {points(row['high'])}"),
        Column("decision", lambda row: row["decision"], False),
    )
    return table_of("Words beside words", columns, decisions.sort("arm", "baseline").rows(named=True))


def part(row: Row) -> str:
    """A part of the users in words: its dimension and value."""
    return f"{_dimension(row['dimension'])} {words(row['value'])}"


def change(row: Row, column: str) -> str:
    """A difference of a metric: shares in points, the others as they are."""
    if row[column] is None:
        return fmt.MISSING
    return points(row[column]) if BY_NAME[row["metric"]].kind == "after" else f"{row[column]:+.2f}"


def between(row: Row, low: str, high: str) -> str:
    """An interval of a difference."""
    ends = change(row, low), change(row, high)
    return fmt.MISSING if fmt.MISSING in ends else f"{ends[0]} to {ends[1]}"


def table_of(caption: str, columns: Sequence[Column], rows: Sequence[Row]) -> Table | None:
    """The rows as text; None without any."""
    if not rows:
        return None
    return Table(caption, tuple(columns), tuple(tuple(column.cell(row) for column in columns) for row in rows))


def _surest_parts(rows: pl.DataFrame, horizon: int) -> list[dict[str, Any]]:
    parts = rows.filter((pl.col("dimension") != ALL) & (pl.col("horizon_days") == horizon))
    return parts.sort("p_adjusted", "p_fixed", "metric", "dimension", "value").head(SLICES).rows(named=True)


def _course_columns(sides: Sides) -> tuple[Column, ...]:
    return (
        Column("within", lambda row: fmt.counted(row["horizon_days"], "day"), False),
        *_counts(sides),
        *_shares(sides),
        Column("difference", lambda row: change(row, "difference")),
        Column("looks allowed for", lambda row: between(row, "low", "high")),
        Column("verdict", lambda row: row["verdict"], False),
    )


def _part_columns(sides: Sides) -> tuple[Column, ...]:
    return (
        Column("part", part, False),
        *_counts(sides),
        *_shares(sides),
        Column("difference", lambda row: change(row, "difference")),
        Column("looks allowed for", lambda row: between(row, "low", "high")),
        Column("verdict, all comparisons allowed for", lambda row: row["verdict"], False),
    )


def _counts(sides: Sides) -> tuple[Column, ...]:
    return (
        Column(f"{sides.arm}, users", lambda row: fmt.count(row["n_treated"])),
        Column(f"{sides.baseline}, users", lambda row: fmt.count(row["n_control"])),
    )


def _shares(sides: Sides) -> tuple[Column, ...]:
    return (
        Column(f"of {sides.arm}", lambda row: fmt.percent(row["treated_mean"])),
        Column(f"of {sides.baseline}", lambda row: fmt.percent(row["control_mean"])),
    )


def _share_columns(sides: Sides) -> tuple[Column, ...]:
    return (
        Column(f"{sides.arm}, back", _share_cell("win_back_share")),
        Column(f"{sides.baseline}, back", _share_cell("control_return_share")),
    )


def _share_cell(name: str) -> Callable[[Row], str]:
    return lambda row: fmt.with_interval(row[name], row[f"{name}_low"], row[f"{name}_high"])


def _money_columns(currency: str) -> tuple[Column, ...]:
    return (
        Column("incremental returns", _range("incremental_returns")),
        Column(f"incremental profit, {currency}", _range("incremental_profit")),
        Column(f"cost, {currency}", lambda row: fmt.money(row["cost"], currency="")),
        Column(f"cost per return, {currency}", _range("cost_per_return")),
        Column("return on spend", _range("return_on_spend")),
    )


def _metric_title(row: Row) -> str:
    return BY_NAME[row["metric"]].title


def _cell(row: Row) -> str:
    """The value of a part; of parts crossed those that anybody noted."""
    noted = [name for name in row["value"].split(CROSSED) if name != NOT_NOTED]
    return words(CROSSED.join(noted) or NOT_NOTED)


def _dimension(name: str) -> str:
    return PARTS.get(name, name)


def _trait(row: Row) -> str:
    name = NUMBERS.get(row["trait"], _dimension(row["trait"]))
    return name if row["value"] is None else f"{name} {words(row['value'])}"


def _trait_mean(row: Row, column: str) -> str:
    is_share = row["value"] is not None or row["trait"] == "p_return"
    return fmt.percent(row[column]) if is_share else fmt.decimal(row[column])


def _value(row: Row, column: str, currency: str) -> str:
    kind = BY_NAME[row["metric"]].kind
    if kind == "after":
        return fmt.percent(row[column])
    return fmt.money(row[column], currency=currency) if kind == "sum" else fmt.decimal(row[column])


def _range(name: str) -> Callable[[Row], str]:
    def told(row: Row) -> str:
        value, low, high = (row[f"{name}{end}"] for end in ("", "_low", "_high"))
        if value is None:
            return "unknown"
        said, *ends = (fmt.money(number, currency="") for number in (value, low, high))
        return said if fmt.MISSING in ends else f"{said} ({ends[0]} to {ends[1]})"

    return told
