"""What the night would earn with other budgets: the same options and limits, only the money changes."""

from collections.abc import Mapping

import polars as pl

from dagster_project.strategy.market import BUDGET, solve

SHARES = (0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0)
SAMPLE_USERS = 40_000  # a curve for people to look at; prices of a sample are within a thousandth of those of all

CURVE = pl.Schema(
    {
        "share_of_tonight": pl.Float64,
        "budget": pl.Float64,
        "spent": pl.Float64,
        "n_contacts": pl.Int64,
        "expected_profit": pl.Float64,
        "shadow_price": pl.Float64,
    }
)


def budget_curve(
    options: pl.DataFrame, users: pl.Series, *, limits: Mapping[str, float], spent: float, seed: int = 0
) -> pl.DataFrame:
    """One row per budget, as CURVE, rising: what the best list within it would spend, reach and earn.

    `users`: user_sk of those who may be contacted; `limits` are the night's, of which all but the budget stay. Budgets
    are SHARES of what the night `spent`. Of more than SAMPLE_USERS a seeded sample stands for all. No row where
    nothing pays or nothing costs anything.
    """
    sampled = users.sort().sample(SAMPLE_USERS, seed=seed, shuffle=True) if len(users) > SAMPLE_USERS else users.sort()
    paying = (
        options.filter(pl.col("expected_profit") > 0)
        .join(sampled.to_frame("user_sk").with_row_index("row"), on="user_sk", how="inner")
        .sort("row", "strategy_id", "channel")
    )
    if paying.is_empty() or spent <= 0:
        return CURVE.to_frame()
    part = len(sampled) / len(users)
    others = {name: limit * part for name, limit in limits.items() if name != BUDGET}
    rows = []
    for share in SHARES:
        found, is_choice = solve(paying, {**others, BUDGET: spent * share * part}, n_users=len(sampled))
        chosen = paying.filter(pl.Series(is_choice))
        rows.append(
            (
                share,
                spent * share,
                float(chosen["expected_cost"].sum()) / part,
                round(chosen.height / part),
                found.total / part,
                float(found.prices[-1]),
            )
        )
    return pl.DataFrame(rows, schema=CURVE, orient="row")
