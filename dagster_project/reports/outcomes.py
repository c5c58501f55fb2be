"""What experiments brought: a page for each, newest first, and what has been learned from all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from dagster_project.outcomes.vocabulary import ALL, BY_NAME, HORIZONS
from dagster_project.reports import figures
from dagster_project.reports import formatting as fmt
from dagster_project.reports.palette import ACCENT, NEUTRAL, translucent, words
from dagster_project.reports.tables import Column, Table

if TYPE_CHECKING:
    import plotly.graph_objects as go

SHOWN = 12  # experiments with a page of their own; all are in the table
SLICES = 12
TRAITS = 12
NUMBERS = {
    "p_return": "chance to come back without contact",
    "n_active_days_before": "active days in the 28 before",
    "value_if_returned": "worth of a return",
}
PARTS = {"strategy_id": "strategy", "value_tier": "value tier"}


@dataclass(frozen=True)
class OutcomeContent:
    """The tables of `outcomes` that the section shows, as the lake holds them."""

    experiments: pl.DataFrame
    balance: pl.DataFrame
    readouts: pl.DataFrame
    money: pl.DataFrame
    second_life: pl.DataFrame
    power: pl.DataFrame


@dataclass(frozen=True)
class ExperimentPage:
    """One experiment: who was in it, whether chance made its arms, what it did, to whom, and what to make of it."""

    title: str
    decision: str
    said: str
    tried: str
    chance: str
    figure: go.Figure | None
    lead: str
    tables: tuple[Table, ...]


def newest_first(experiments: pl.DataFrame) -> list[dict[str, Any]]:
    """The experiments by their last entry, then by when they began."""
    return experiments.sort(
        "newest_on", "started_on", "experiment_id", descending=[True, True, False], nulls_last=True
    ).rows(named=True)


def about_experiments(outcomes: OutcomeContent) -> str:
    """How many experiments there are and what came of them, in one sentence."""
    found = outcomes.experiments
    counts = found.group_by("decision").len().sort("len", "decision", descending=[True, False])
    told = ", ".join(f"{n} {decision}" for decision, n in counts.iter_rows())
    return f"{fmt.counted(found.height, 'experiment')} can be read on this night: {told}."


def learned(outcomes: OutcomeContent) -> list[str]:
    """One sentence per experiment, newest first: what it says, and for whom it was better or worse."""
    return [
        f"{words(row['experiment_id'])} ({row['decision']}): {row['explanation']} {_parts_said(outcomes, row)}".strip()
        for row in newest_first(outcomes.experiments)
    ]


def pages(outcomes: OutcomeContent, *, currency: str) -> list[ExperimentPage]:
    """The pages of the newest experiments."""
    return [_page(outcomes, row, currency) for row in newest_first(outcomes.experiments)[:SHOWN]]


def power_table(power: pl.DataFrame) -> Table | None:
    """What each strategy's comparison with the held out could show; None if nobody entered of late."""
    if power.is_empty():
        return None
    columns = (
        Column("strategy", lambda row: words(row["strategy_id"]), False),
        Column("users a night", lambda row: fmt.decimal(row["n_per_night"], places=1)),
        Column("back without contact", lambda row: fmt.percent(row["base_share"])),
        Column("gain expected", lambda row: points(row["expected_effect"])),
        Column("users needed", lambda row: fmt.count(row["n_needed"])),
        Column("days needed", lambda row: fmt.count(row["days_needed"])),
        Column("gain that 90 nights show", lambda row: points(row["detectable_90"])),
    )
    return _table("What comparisons with the held out could show, and how soon", columns, power.rows(named=True))


def outcome_metrics(outcomes: OutcomeContent) -> dict[str, Any]:
    """The figures for metrics.json: nothing per user."""
    overall = pl.col("dimension") == ALL
    return {
        "experiments": outcomes.experiments.to_dicts(),
        "readouts": outcomes.readouts.filter(overall).to_dicts(),
        "money": outcomes.money.filter(overall).to_dicts(),
        "power": outcomes.power.to_dicts(),
    }


def points(value: float | None) -> str:
    """A difference of shares in points: 0.0123 → "+1.23"."""
    return fmt.MISSING if value is None else f"{100 * value:+.2f}"


def _page(outcomes: OutcomeContent, row: Mapping[str, Any], currency: str) -> ExperimentPage:
    mine = pl.col("experiment_id") == row["experiment_id"]
    own = outcomes.readouts.filter(mine & (pl.col("arm") == row["arm"]))
    money = outcomes.money.filter(mine & (pl.col("arm") == row["arm"]))
    returns = own.filter((pl.col("dimension") == ALL) & (pl.col("metric") == "returned")).sort("horizon_days")
    horizon = _shown_horizon(returns, row["decision_days"])
    found = (
        _balance_table(outcomes.balance.filter(mine & (pl.col("arm") == row["arm"]))),
        _metric_table(own, horizon, currency),
        _slice_table(own, horizon),
        _money_table(money, currency),
        _life_table(outcomes.second_life.filter(mine)),
    )
    return ExperimentPage(
        title=words(row["experiment_id"]),
        decision=row["decision"],
        said=row["explanation"],
        tried=_tried(row, own),
        chance=_chance(row),
        figure=None if returns.is_empty() else effect_lines(returns),
        lead=_about_lines(returns, row),
        tables=tuple(table for table in found if table is not None),
    )


def _tried(row: Mapping[str, Any], own: pl.DataFrame) -> str:
    strategies = own.filter(pl.col("dimension") == "strategy_id")["value"].unique().sort().to_list()
    what = f" Strategies: {', '.join(words(name) for name in strategies)}." if strategies else ""
    source = "our own ledger" if row["origin"] == "ledger" else "an imported campaign"
    return (
        f"{fmt.count(row['n_users'])} users, from {fmt.day(row['started_on'])} to {fmt.day(row['newest_on'])}, by "
        f"{source}: {row['arms']}.{what}"
    )


def _chance(row: Mapping[str, Any]) -> str:
    ratio, balance = row["sample_ratio_p"], row["balance_p"]
    sizes = "No propensity is noted, so nobody can tell whether the arms have the sizes that chance would give them."
    if ratio is not None:
        sizes = f"Sizes of the arms against what was drawn: p = {_p(ratio)}."
    before = "Too few users to compare the arms before entry."
    if balance is not None:
        before = f"Activity in the 28 days before entry, arm against arm: p = {_p(balance)}."
    return f"{sizes} {before} Below 0.001 an experiment is broken."


def _p(value: float) -> str:
    return "<0.001" if value < 0.001 else fmt.decimal(value, places=3)


def _about_lines(returns: pl.DataFrame, row: Mapping[str, Any]) -> str:
    if returns.is_empty():
        return "Nothing of it can be read yet."
    last = returns.row(-1, named=True)
    days = fmt.counted(last["horizon_days"], "day")
    return (
        f"Within {days} {fmt.percent(last['treated_mean'])} of {words(row['arm'])} came back, and "
        f"{fmt.percent(last['control_mean'])} of {words(row['baseline'])}."
    )


def effect_lines(returns: pl.DataFrame) -> go.Figure:
    """Share who came back by day since entry: the baseline, the arm, and where the arm may lie."""
    figure = figures._figure(height=300)
    days = [f"{day} d" for day in returns["horizon_days"]]
    control = returns["control_mean"].to_list()
    low, high = (
        [None if end is None else round(base + end, 5) for base, end in zip(control, returns[side], strict=True)]
        for side in ("low", "high")
    )
    known = [place for place, end in enumerate(low) if end is not None]
    if known:
        x = [days[place] for place in known]
        figure.add_scatter(
            x=x + x[::-1],
            y=[high[place] for place in known] + [low[place] for place in reversed(known)],
            mode="lines",
            fill="toself",
            fillcolor=translucent(ACCENT, 0.18),
            line={"width": 0},
            name="where the arm's share lies, looks allowed for",
            hoverinfo="skip",
        )
    arm, baseline = returns["arm"][0], returns["baseline"][0]
    for name, column, colour in ((baseline, "control_mean", NEUTRAL), (arm, "treated_mean", ACCENT)):
        figure.add_scatter(
            x=days,
            y=[round(share, 5) for share in returns[column]],
            mode="lines+markers",
            name=words(name),
            line={"color": colour, "width": 2},
            hovertemplate="%{x}: %{y:.1%}<extra></extra>",
        )
    figure.update_yaxes(title_text="came back", tickformat=".1%", rangemode="tozero")
    figure.update_xaxes(title_text="since entry", showgrid=False, categoryorder="array", categoryarray=days)
    return figure


def _shown_horizon(returns: pl.DataFrame, decision_days: int) -> int:
    read = [days for days in returns["horizon_days"] if days <= decision_days]
    return max(read, default=HORIZONS[0])


def _balance_table(balance: pl.DataFrame) -> Table | None:
    """On whom it was tried: numbers first, then the largest shares."""
    first = pl.col("value").is_null()
    ordered = balance.sort(first, "mean", "trait", "value", descending=[True, True, False, False])
    columns = (
        Column("known at entry", lambda row: _trait(row), False),
        Column("treated", lambda row: _trait_mean(row, "mean")),
        Column("control", lambda row: _trait_mean(row, "baseline_mean")),
        Column("apart, in standard deviations", lambda row: fmt.decimal(row["standardised_difference"])),
    )
    return _table("On whom it was tried, and how alike the arms were", columns, ordered.head(TRAITS).rows(named=True))


def _trait(row: Mapping[str, Any]) -> str:
    name = NUMBERS.get(row["trait"], PARTS.get(row["trait"], row["trait"]))
    return name if row["value"] is None else f"{name} {words(row['value'])}"


def _trait_mean(row: Mapping[str, Any], column: str) -> str:
    is_share = row["value"] is not None or row["trait"] == "p_return"
    return fmt.percent(row[column]) if is_share else fmt.decimal(row[column])


def _metric_table(own: pl.DataFrame, horizon: int, currency: str) -> Table | None:
    """Gains and harms of all who entered, in the order of the vocabulary."""
    found = own.filter((pl.col("dimension") == ALL) & (pl.col("horizon_days") == horizon))
    rows = sorted(found.rows(named=True), key=lambda row: list(BY_NAME).index(row["metric"]))
    columns = (
        Column("what", lambda row: BY_NAME[row["metric"]].title, False),
        Column("", lambda row: "gain" if BY_NAME[row["metric"]].is_good else "harm", False),
        Column("treated", lambda row: _value(row, "treated_mean", currency)),
        Column("control", lambda row: _value(row, "control_mean", currency)),
        Column("difference", lambda row: _change(row, "difference")),
        Column("looks allowed for", lambda row: _between(row, "low", "high")),
        Column("plain 95 %", lambda row: _between(row, "fixed_low", "fixed_high")),
        Column("verdict", lambda row: row["verdict"], False),
    )
    return _table(f"Gains and harms within {fmt.counted(horizon, 'day')} of entry", columns, rows)


def _slice_table(own: pl.DataFrame, horizon: int) -> Table | None:
    """Who came back more and who less: the parts of the users with the surest differences."""
    parts = own.filter(
        (pl.col("dimension") != ALL) & (pl.col("metric") == "returned") & (pl.col("horizon_days") == horizon)
    ).sort("p_adjusted", "p_fixed", "dimension", "value")
    columns = (
        Column("part", lambda row: _part(row), False),
        Column("treated", lambda row: fmt.count(row["n_treated"])),
        Column("held out", lambda row: fmt.count(row["n_control"])),
        Column("difference", lambda row: _change(row, "difference")),
        Column("looks allowed for", lambda row: _between(row, "low", "high")),
        Column("verdict, all comparisons allowed for", lambda row: row["verdict"], False),
    )
    return _table("Whom it helped, whom it hurt", columns, parts.head(SLICES).rows(named=True))


def _money_table(money: pl.DataFrame, currency: str) -> Table | None:
    rows = money.filter(pl.col("dimension") == ALL).sort("horizon_days").rows(named=True)
    columns = (
        Column("within", lambda row: fmt.counted(row["horizon_days"], "day"), False),
        Column("incremental returns", lambda row: _range(row, "incremental_returns", "")),
        Column("incremental profit", lambda row: _range(row, "incremental_profit", currency)),
        Column("cost", lambda row: fmt.money(row["cost"], currency=currency)),
        Column("cost per return", lambda row: _range(row, "cost_per_return", currency)),
        Column("return on spend", lambda row: _range(row, "return_on_spend", "")),
        Column("holding out cost", lambda row: _range(row, "control_cost", currency)),
    )
    return _table("What it earned and cost", columns, rows)


def _life_table(lives: pl.DataFrame) -> Table | None:
    columns = (
        Column("arm", lambda row: words(row["arm"]), False),
        Column("days after the return", lambda row: fmt.count(row["day"])),
        Column("seen for so long", lambda row: fmt.count(row["n_at_risk"])),
        Column("still here", lambda row: fmt.with_interval(row["p_still_here"], row["low"], row["high"])),
    )
    shown = lives.filter(pl.col("day").is_in([28, 60, 120])).sort("arm", "day")
    return _table("How long those who came back stayed; no effect of contact", columns, shown.rows(named=True))


def _parts_said(outcomes: OutcomeContent, row: Mapping[str, Any]) -> str:
    sure = outcomes.readouts.filter(
        (pl.col("experiment_id") == row["experiment_id"])
        & (pl.col("arm") == row["arm"])
        & (pl.col("dimension") != ALL)
        & (pl.col("metric") == "returned")
        & (pl.col("horizon_days") == row["decision_days"])
    ).sort("dimension", "value")
    told = {
        word: [_part(one) for one in sure.filter(pl.col("verdict") == verdict).iter_rows(named=True)]
        for word, verdict in (("It helped", "better"), ("It hurt", "worse"))
    }
    return " ".join(f"{word} {', '.join(parts)}." for word, parts in told.items() if parts)


def _part(row: Mapping[str, Any]) -> str:
    return f"{PARTS.get(row['dimension'], row['dimension'])} {words(row['value'])}"


def _value(row: Mapping[str, Any], column: str, currency: str) -> str:
    kind = BY_NAME[row["metric"]].kind
    if kind == "after":
        return fmt.percent(row[column])
    return fmt.money(row[column], currency=currency) if kind == "sum" else fmt.decimal(row[column])


def _change(row: Mapping[str, Any], column: str) -> str:
    if row[column] is None:
        return fmt.MISSING
    return points(row[column]) if BY_NAME[row["metric"]].kind == "after" else f"{row[column]:+.2f}"


def _between(row: Mapping[str, Any], low: str, high: str) -> str:
    ends = _change(row, low), _change(row, high)
    return fmt.MISSING if fmt.MISSING in ends else f"{ends[0]} to {ends[1]}"


def _range(row: Mapping[str, Any], name: str, currency: str) -> str:
    value, low, high = (row[f"{name}{end}"] for end in ("", "_low", "_high"))
    if value is None:
        return "unknown"
    told = fmt.money(value, currency=currency)
    if low is None or high is None:
        return told
    return f"{told} ({fmt.money(low, currency='')} to {fmt.money(high, currency='')})"


def _table(caption: str, columns: Sequence[Column], rows: Sequence[Mapping[str, Any]]) -> Table | None:
    if not rows:
        return None
    return Table(caption, tuple(columns), tuple(tuple(column.cell(row) for column in columns) for row in rows))
