"""What an experiment earned and cost: incremental returns and profit, cost of one more return, return on spend."""

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
import polars as pl

from dagster_project.intervals import wilson_interval
from dagster_project.outcomes.comparison import Compared
from dagster_project.outcomes.effects import Effects
from dagster_project.outcomes.moments import BASE, FEWEST_IN_CROSS, Moments
from dagster_project.outcomes.vocabulary import (
    ALL,
    CONTROL,
    CROSS,
    DRAWN_DIMENSIONS,
    EXPLORE,
    HORIZONS,
    NOT_NOTED,
    PROFIT,
    RETURNED,
    SPEND,
    Metric,
)

Floats = npt.NDArray[np.float64]

COST = Metric("cost", "total", False, "cost of contact")
MONEY_METRICS = (PROFIT, COST)
FEWEST = {ALL: 2, CROSS: FEWEST_IN_CROSS}  # users of each arm; 20 elsewhere
SPENT, WORTH = "spend", "worth of a return"
NO_COST, NO_VALUE, NEITHER = "cost unknown", "value unknown", "value and cost unknown"

MONEY = pl.Schema(
    {
        "experiment_id": pl.String(),
        "arm": pl.String(),
        "dimension": pl.String(),
        "value": pl.String(),
        "horizon_days": pl.Int64(),
        "n_treated": pl.Int64(),
        "n_control": pl.Int64(),
        **{f"win_back_share{end}": pl.Float64() for end in ("", "_low", "_high")},
        **{f"control_return_share{end}": pl.Float64() for end in ("", "_low", "_high")},
        **{f"incremental_returns{end}": pl.Float64() for end in ("", "_low", "_high")},
        **{f"incremental_profit{end}": pl.Float64() for end in ("", "_low", "_high")},
        "cost": pl.Float64(),
        **{f"cost_per_return{end}": pl.Float64() for end in ("", "_low", "_high")},
        **{f"return_on_spend{end}": pl.Float64() for end in ("", "_low", "_high")},
        **{f"control_cost{end}": pl.Float64() for end in ("", "_low", "_high")},
        "basis": pl.String(),
    }
)


@dataclass(frozen=True)
class Priced:
    """Entries with what is known of `profit_<days>` and `cost_<days>`.

    `basis`: what a return counted as, or why there is no profit. `metrics`: those of MONEY_METRICS that are known.
    """

    frame: pl.DataFrame
    basis: str
    metrics: tuple[Metric, ...]


def with_money(entries: pl.DataFrame, *, margin_share: float) -> Priced:
    """One experiment's entries with what each user earned less cost by each horizon.

    Spend counts where any is known in the data; else what a return was thought to be worth at entry, for those who
    came back. Where neither is known, or no cost is, there is no profit to speak of.
    """
    paid = (pl.col("arm") != CONTROL) & pl.col(f"cost_{HORIZONS[-1]}").is_not_null()
    has_cost, (gained, basis) = entries.select(paid.any()).item(), _gained(entries)
    if not has_cost:
        return Priced(entries, NEITHER if gained is None else NO_COST, ())
    costs = {days: pl.col(f"cost_{days}").fill_null(0) for days in HORIZONS}
    priced = entries.with_columns(cost.alias(f"cost_{days}") for days, cost in costs.items())
    if gained is None:
        return Priced(priced, NO_VALUE, (COST,))
    profit = ((margin_share * gained[days] - costs[days]).alias(f"profit_{days}") for days in HORIZONS)
    return Priced(priced.with_columns(profit), basis, MONEY_METRICS)


def _gained(entries: pl.DataFrame) -> tuple[dict[int, pl.Expr] | None, str]:
    """What each user brought by each horizon, before margin, and what it rests on; None where nobody can tell."""
    if entries[f"spend_{HORIZONS[-1]}"].null_count() < entries.height:
        return {days: pl.col(f"spend_{days}").fill_null(0) for days in HORIZONS}, SPENT
    if entries["value_if_returned"].null_count() == entries.height:
        return None, NO_VALUE
    usual = float(entries["value_if_returned"].drop_nulls().to_numpy().mean())
    worth = pl.col("value_if_returned").fill_null(usual)
    return {days: pl.when(pl.col("returned_after") < days).then(worth).otherwise(0.0) for days in HORIZONS}, WORTH


def money_of_arm(experiment_id: str, one: Compared, moments: Moments, *, basis: str) -> pl.DataFrame:
    """MONEY of one arm beside its baseline, per slice and horizon, sorted.

    Sums over the treated: what they brought beyond what as many of the held out would have. Intervals allow for looks
    every night (infinite ones are null) and hold the cost, which is known, fixed. A ratio whose denominator may be
    nought is unknown: cost per return unless returns surely rose, return on spend unless something was spent. With
    fewer than five bills (or returns, by which profit goes where none are known) in either arm nobody knows how bills
    vary: profit has no interval. Profit and cost are null where they are not among the metrics of the moments.
    `control_cost`: what the held out would have brought, had they been treated; null where nobody was held out.
    """
    slices = moments.slices
    keep = (slices["value"] != NOT_NOTED).to_numpy()
    if one.arm == EXPLORE:
        keep &= (~slices["dimension"].is_in([*DRAWN_DIMENSIONS, CROSS])).to_numpy()
    returns = one.effects(moments, RETURNED)
    unknown = Effects(*[np.full_like(returns.difference, np.nan)] * len(fields(Effects)))
    profit, cost = unknown, unknown.treated
    if PROFIT.name in moments.of:
        profit = one.effects(moments, PROFIT, amounts=SPEND if basis == SPENT else RETURNED)
    if COST.name in moments.of:
        cost = one.effects(moments, COST).treated * returns.n_treated
    columns = _columns(returns, profit, cost, one, moments)
    place = np.flatnonzero(keep)
    told = pl.DataFrame(
        {
            "dimension": np.repeat(slices["dimension"].to_numpy()[place], len(HORIZONS)),
            "value": np.repeat(slices["value"].to_numpy()[place], len(HORIZONS)),
            "horizon_days": np.tile(HORIZONS, len(place)),
            **{name: values[place].ravel() for name, values in columns.items()},
        }
    ).with_columns(
        pl.lit(experiment_id).alias("experiment_id"), pl.lit(one.arm).alias("arm"), pl.lit(basis).alias("basis")
    )
    needed = pl.col("dimension").replace_strict(FEWEST, default=20, return_dtype=pl.Int64)
    large = pl.min_horizontal("n_treated", "n_control") >= needed
    known = told.filter(large & pl.col("win_back_share").is_not_nan())
    finite = [
        pl.when(pl.col(name).is_finite()).then(pl.col(name)).alias(name)
        for name, kind in MONEY.items()
        if kind.is_float()
    ]
    order = ["experiment_id", "arm", "dimension", "value", "horizon_days"]
    return known.with_columns(finite).select(list(MONEY)).cast(MONEY).sort(order)


def _columns(returns: Effects, profit: Effects, cost: Floats, one: Compared, moments: Moments) -> dict[str, Floats]:
    is_held_out = one.baseline == CONTROL
    reach = np.broadcast_to(one.bound, returns.difference.shape)
    made = {
        "n_treated": returns.n_treated,
        "n_control": returns.n_control,
        "cost": cost,
    }
    shares = {
        "win_back_share": (returns.treated, moments.base[one.treated]),
        "control_return_share": (returns.control, moments.base[one.control]),
    }
    for name, (share, base) in shares.items():
        low, high = _share_interval(share, base)
        made |= {name: share, f"{name}_low": low, f"{name}_high": high}
    gained = _scaled(returns, returns.n_treated, reach)
    earned = _scaled(profit, returns.n_treated, reach)
    missed = _scaled(profit, returns.n_control if is_held_out else np.full_like(cost, np.nan), reach)
    with np.errstate(divide="ignore", invalid="ignore"):
        surely = (gained[1] > 0) & (cost > 0)
        per_return = [np.where(surely, cost / gained[end], np.nan) for end in (0, 2, 1)]
        on_spend = [np.where(cost > 0, (value + cost) / cost, np.nan) for value in earned]
    named = {
        "incremental_returns": gained,
        "incremental_profit": earned,
        "cost_per_return": per_return,
        "return_on_spend": on_spend,
        "control_cost": missed,
    }
    for name, values in named.items():
        made |= {f"{name}{end}": value for end, value in zip(("", "_low", "_high"), values, strict=True)}
    return made


def _share_interval(share: Floats, base: Floats) -> tuple[Floats, Floats]:
    """Wilson's interval of a share; under weights, of as many users as tell as much (Kish: (Σ w)² ÷ Σ w²)."""
    w, ww = base[..., BASE.index("w")], base[..., BASE.index("ww")]
    with np.errstate(divide="ignore", invalid="ignore"):
        n = np.where(ww > 0, w**2 / ww, 0.0)
    low, high = wilson_interval(share * n, n)
    return low, high


def _scaled(effects: Effects, n: Floats, reach: Floats) -> list[Floats]:
    """The difference times so many users, and both ends of its interval."""
    with np.errstate(invalid="ignore"):
        half = reach * effects.error
        return [n * effects.difference, n * (effects.difference - half), n * (effects.difference + half)]
