"""The night's market: every user's options against budget, contacts and channel capacities, at one price for each.

Arms play no part here: held-out, exploring and treated users meet the same prices, so that they can be compared.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from dagster_project.strategy.dual_prices import NOBODY, Allocation, Floats, Resource, allocate
from dagster_project.strategy.rules import DecisionRules

BUDGET, CONTACTS, CHANNEL, STRATEGY, PROFIT = "budget", "contacts", "channel.", "strategy.", "profit"

Flags = npt.NDArray[np.bool_]

LEAST = 1e-6  # a smaller limit buys nothing, and what is divided by it is infinite

PRICES = pl.Schema(
    {
        "resource": pl.String,
        "limit": pl.Float64,
        "used": pl.Float64,
        "shadow_price": pl.Float64,
    }
)


@dataclass(frozen=True)
class Market:
    """`chosen`: one row per user, the option that is theirs at these prices, with `gain` (profit after prices) and
    `is_allocated` (it fits the limits); highest gain first, ties to the first user_id. `prices`: per resource, what
    one more unit would earn.
    """

    chosen: pl.DataFrame
    prices: dict[str, float]

    def bound(self, users: pl.Series, *, limits: Mapping[str, float]) -> float:
        """What no allocation to these users (user_sk) within these limits could exceed, by weak duality."""
        gains = self.chosen.filter(pl.col("user_sk").is_in(users.implode()))["best_gain"].clip(0).sum()
        return float(gains) + sum(self.prices.get(name, 0.0) * limit for name, limit in limits.items())


def clear_market(options: pl.DataFrame, users: pl.DataFrame, *, limits: Mapping[str, float]) -> Market:
    """The option of every user who has one that pays, at prices that make the options fit the limits.

    `options` come from `price_options`; `users` (user_sk, user_id) are those who may have one, in any order. For
    `limits` see `night_limits`: above the night's own if there shall be room for users who will use nothing up.
    """
    paying = options.filter(pl.col("expected_profit") > 0).join(
        users.select("user_sk", "user_id").sort("user_id").with_row_index("row"), on="user_sk", how="inner"
    )
    paying = paying.sort("row", "strategy_id", "channel")
    prices, is_choice = _allocated(paying, limits, n_users=users.height)
    gain = pl.col("expected_profit") - _charge(prices)
    chosen = (
        paying.with_columns(gain.alias("gain"), pl.Series("is_allocated", is_choice, dtype=pl.Boolean))
        .with_columns(pl.col("gain").max().over("user_sk").alias("best_gain"))
        .sort("user_id", "is_allocated", "gain", "strategy_id", "channel", descending=[False, True, True, False, False])
        .unique(subset="user_sk", keep="first", maintain_order=True)
        .sort("gain", "user_id", descending=[True, False])
        .drop("row")
    )
    return Market(chosen, prices)


def night_limits(rules: DecisionRules) -> dict[str, float]:
    """What is limited tonight: the budget in money, the others in contacts."""
    limits = {BUDGET: rules.budget_per_night, CONTACTS: rules.max_contacts}
    limits |= {CHANNEL + name: channel.nightly_capacity for name, channel in sorted(rules.channels.items())}
    limits |= {STRATEGY + name: most for name, most in sorted(rules.hands.max_contacts.items())}
    return {name: float(limit) if limit >= LEAST else 0.0 for name, limit in limits.items() if limit is not None}


def used_up(contacts: pl.DataFrame, limits: Mapping[str, float]) -> dict[str, float]:
    """What contacts (channel, strategy_id, expected_cost) take of each limited resource."""
    used = {BUDGET: float(contacts["expected_cost"].sum()), CONTACTS: float(contacts.height)}
    return {name: used[name] if name in used else float(takes(contacts, name).sum()) for name in limits}


def takes(options: pl.DataFrame, resource: str) -> pl.Series:
    """Whether each option takes a place of a channel or of a strategy."""
    column = "channel" if resource.startswith(CHANNEL) else "strategy_id"
    return options[column] == resource.removeprefix(CHANNEL).removeprefix(STRATEGY)


def with_room_for_draws(limits: Mapping[str, float], *, chosen: pl.DataFrame, drawn: pl.DataFrame) -> dict[str, float]:
    """The limits less what explorers use by their drawn options beyond what their chosen ones would have used."""
    instead, more = used_up(chosen, limits), used_up(drawn, limits)
    return {name: max(limit - (more[name] - instead[name]), 0.0) for name, limit in limits.items()}


def market_report(market: Market, exported: pl.DataFrame, users: pl.Series, *, rules: DecisionRules) -> pl.DataFrame:
    """One row per limited resource with what was used of it, and the row PROFIT with its bound for a limit.

    `users`: user_sk of those who could have been contacted. The profit is that of the contacts, explorers included,
    whose options were drawn and not chosen.
    """
    limits = night_limits(rules)
    used = used_up(exported, limits)
    profit = float(exported["expected_profit"].sum())
    return pl.DataFrame(
        [
            *((name, limit, used[name], market.prices.get(name, 0.0)) for name, limit in limits.items()),
            (PROFIT, market.bound(users, limits=limits), profit, None),
        ],
        schema=PRICES,
        orient="row",
    )


def _allocated(
    paying: pl.DataFrame, limits: Mapping[str, float], *, n_users: int
) -> tuple[dict[str, float], list[bool]]:
    """(price per resource, whether each row of `paying` is its user's choice)."""
    if not limits or paying.is_empty():
        return {}, [False] * paying.height
    found, is_choice = solve(paying, limits, n_users=n_users)
    return dict(zip(limits, found.prices.tolist(), strict=True)), is_choice.tolist()


def solve(paying: pl.DataFrame, limits: Mapping[str, float], *, n_users: int) -> tuple[Allocation, Flags]:
    """The allocation of options (`row`: the user's place below `n_users`) and which of them are choices."""
    names = paying.select("strategy_id", "channel").unique().sort("strategy_id", "channel").with_row_index("column")
    row = paying["row"].to_numpy()
    column = paying.join(names, on=["strategy_id", "channel"], how="left", maintain_order="left")["column"].to_numpy()
    shape = (n_users, names.height)
    profit = np.full(shape, -np.inf)
    profit[row, column] = paying["expected_profit"].to_numpy()
    resources = []
    for name, limit in limits.items():
        use: Floats = np.ones(names.height)
        if name == BUDGET:
            use = np.zeros(shape)
            use[row, column] = paying["expected_cost"].to_numpy()
        elif name != CONTACTS:
            use = takes(names, name).cast(pl.Float64).to_numpy()
        resources.append(Resource(name, use, limit))
    found = allocate(profit, resources)
    choice = found.choice[row]
    return found, (choice != NOBODY) & (choice == column)


def _charge(prices: dict[str, float]) -> pl.Expr:
    """What an option pays for what it uses."""
    places = pl.lit(prices.get(CONTACTS, 0.0))
    for column, kind in (("channel", CHANNEL), ("strategy_id", STRATEGY)):
        of_kind = {name.removeprefix(kind): price for name, price in prices.items() if name.startswith(kind)}
        places = places + pl.col(column).replace_strict(of_kind, default=0.0, return_dtype=pl.Float64)
    return pl.col("expected_cost") * prices.get(BUDGET, 0.0) + places
