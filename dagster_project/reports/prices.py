"""What the report says of the night's limits: what was used, what one more unit would earn, how near the bound."""

import polars as pl

from dagster_project.reports import formatting as fmt
from dagster_project.reports.tables import Column, Table
from dagster_project.strategy.market import BUDGET, CHANNEL, CONTACTS, PROFIT

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


def _name(resource: str) -> str:
    return NAMES.get(resource, resource.removeprefix(CHANNEL))


def _amount(value: float, resource: str, currency: str) -> str:
    return fmt.money(value, currency=currency) if resource == BUDGET else fmt.count(value)


def _price(price: float, resource: str, currency: str) -> str:
    if resource == BUDGET:
        return f"{fmt.money(price, currency=currency)} per 1 {currency}"
    return f"{fmt.money(price * PER, currency=currency)} per {fmt.count(PER)}"
