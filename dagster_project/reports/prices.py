"""What the report says of the night's limits: what was used, what one more unit would earn, how near the bound."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from dagster_project.reports import formatting as fmt
from dagster_project.reports.figures import plain_axes
from dagster_project.reports.palette import ACCENT, NEUTRAL
from dagster_project.reports.tables import Column, Table
from dagster_project.strategy.market import BUDGET, CHANNEL, CONTACTS, PROFIT, STRATEGY

if TYPE_CHECKING:
    import plotly.graph_objects as go

NAMES = {BUDGET: "budget", CONTACTS: "contacts of all channels"}
PER = 1000  # messages in which a price is told: that of a single one rounds to nothing


def about_prices(prices: pl.DataFrame, *, currency: str) -> str:
    """How near the night came to what no allocation could exceed, and which limit held it back most."""
    profit = prices.row(by_predicate=pl.col("resource") == PROFIT, named=True)
    if not profit["limit"] > 0:
        return "No contact was expected to pay tonight, so nothing had to be shared out."
    reached = fmt.percent(max(profit["used"], 0.0) / profit["limit"])
    said = (
        f"The list is expected to bring {fmt.money(profit['used'], currency=currency)}, {reached} of what no other "
        "list within the same limits could exceed; exploring and places that cannot be split take the rest."
    )
    if not prices.filter(pl.col("shadow_price") > 0).height:
        return f"{said} No limit held it back: more budget or room would earn nothing."
    return f"{said} Limits held it back: a price says what one more unit would have earned, so raise the dearest first."


def price_table(prices: pl.DataFrame, *, currency: str) -> Table | None:
    """One row per limit of the settings; those that held the night back are marked. None without limits."""
    limits = prices.filter(pl.col("resource") != PROFIT)
    if limits.is_empty():
        return None
    columns = (
        Column("limit", lambda row: _name(row["resource"]), False),
        Column("used", lambda row: _amount(row["used"], row["resource"], currency), True),
        Column("of", lambda row: _amount(row["limit"], row["resource"], currency), True),
        Column("one more would earn", lambda row: _price(row["shadow_price"], row["resource"], currency), True),
    )
    rows = list(limits.iter_rows(named=True))
    return Table(
        caption="What the limits of the night cost",
        columns=columns,
        rows=tuple(tuple(column.cell(row) for column in columns) for row in rows),
        marked=frozenset(place for place, row in enumerate(rows) if row["shadow_price"] > 0),
    )


def about_curve(curve: pl.DataFrame, *, currency: str) -> str | None:
    """What half and twice the money would have earned; None where the curve does not hold them."""
    profits = dict(curve.select("share_of_tonight", "expected_profit").iter_rows())
    if not {0.5, 1.0, 2.0} <= profits.keys():
        return None
    half, tonight, double = (fmt.money(profits[share], currency=currency) for share in (0.5, 1.0, 2.0))
    return (
        f"With half of tonight's money the best list would be expected to bring {half}, with the same {tonight}, with"
        f" twice as much {double}. Held-out users are left out, and nobody explores."
    )


def curve_line(curve: pl.DataFrame, *, currency: str) -> go.Figure:
    """Expected profit against the budget, tonight's marked."""
    figure = plain_axes(x=f"budget, {currency}", y=f"expected profit, {currency}", height=320)
    figure.add_scatter(
        mode="lines+markers",
        name="best list",
        x=curve["budget"].round(4).to_list(),
        y=curve["expected_profit"].round(4).to_list(),
        customdata=[(fmt.count(n), f"{price:.3f}") for n, price in curve.select("n_contacts", "shadow_price").rows()],
        hovertemplate="%{y:,.2f} for %{x:,.2f}: %{customdata[0]} contacts,"
        " one more earns %{customdata[1]}<extra></extra>",
        line={"color": ACCENT, "width": 2},
    )
    tonight = curve.filter(pl.col("share_of_tonight") == 1.0)
    figure.add_scatter(
        mode="markers",
        name="tonight's money",
        x=tonight["budget"].round(4).to_list(),
        y=tonight["expected_profit"].round(4).to_list(),
        hoverinfo="skip",
        marker={"color": NEUTRAL, "size": 12, "symbol": "circle-open", "line": {"width": 3}},
    )
    return figure


def hands_table(hands: pl.DataFrame) -> Table | None:
    """What people's settings did tonight, one row per strategy and setting; None without any."""
    if hands.is_empty():
        return None
    columns = (
        Column("strategy", lambda row: row["strategy_id"].replace("_", " "), False),
        Column("setting", lambda row: row["hand"], False),
        Column("users tonight", lambda row: fmt.count(row["n_users"]), True),
        Column("effect", lambda row: row["effect"], False),
    )
    rows = tuple(tuple(column.cell(row) for column in columns) for row in hands.iter_rows(named=True))
    return Table(caption="What people and rules decided about strategies", columns=columns, rows=rows)


def _name(resource: str) -> str:
    return NAMES.get(resource, resource.removeprefix(CHANNEL).removeprefix(STRATEGY).replace("_", " "))


def _amount(value: float, resource: str, currency: str) -> str:
    return fmt.money(value, currency=currency) if resource == BUDGET else fmt.count(value)


def _price(price: float, resource: str, currency: str) -> str:
    if resource == BUDGET:
        return f"{fmt.money(price, currency=currency)} per 1 {currency}"
    return f"{fmt.money(price * PER, currency=currency)} per {fmt.count(PER)}"
