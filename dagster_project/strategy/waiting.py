"""How long to wait before writing: where contact earns most, not where return is coming anyway.

Who may be written to at all, and with what, is decided elsewhere.
"""

from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dagster_project.strategy.catalogue import Catalogue
from dagster_project.strategy.rules import DecisionRules

Floats = NDArray[np.float64]

WAITS = pl.Schema({"user_sk": pl.Int64(), "wait_days": pl.Int64(), "profit": pl.Float64(), "profit_now": pl.Float64()})
DAYS = (0, 3, 7, 14, 21, 28)
# A wait must promise a twentieth of tonight's profit more: curves are forecasts, and a user drifts away meanwhile.
LEAST_GAIN = 0.05
_P_FLOOR = 1e-6
WAITS_UNTIL = pl.Schema({"user_sk": pl.Int64(), "wait_until": pl.Date()})


@dataclass(frozen=True)
class ReturnCurves:
    """`curves`: user_sk, day (after the night), p_returned (chance to be back by then without contact)."""

    curves: pl.DataFrame
    horizon_days: int


def waits(
    cases: pl.DataFrame, known: ReturnCurves | None, *, catalogue: Catalogue, rules: DecisionRules, as_of: date
) -> pl.DataFrame:
    """`user_sk`, `wait_until` of users whose best option earns more on a later day. Sorted by user_sk.

    `cases` hold each user's best option. Nobody waits longer than the last of DAYS after churning, so that a curve
    which keeps promising a better day cannot put a user off for ever.
    """
    if known is None or cases.is_empty():
        return WAITS_UNTIL.to_frame()
    silence = {one.id: one.trigger.max_days_silent for one in catalogue.sending}
    redeemed = {one.id: one.offer.cost * one.offer.redeem_share for one in catalogue.sending}
    longest = pl.col("strategy_id").replace_strict(silence, default=None, return_dtype=pl.Int64)
    of_offer = pl.col("strategy_id").replace_strict(redeemed, default=0.0, return_dtype=pl.Float64)
    since = (pl.lit(as_of) - pl.col("churned_on")).dt.total_days()
    cost = pl.col("expected_cost") - of_offer * (pl.col("p_return") + pl.col("uplift"))
    contacts = cases.filter(pl.col("expected_profit").is_not_null() & pl.col("churned_on").is_not_null()).select(
        "user_sk",
        "p_return",
        pl.col("uplift_cautious").alias("uplift"),
        rules.worth.alias("value"),
        (cost + pl.col("expected_harm")).alias("contact_cost"),
        of_offer.alias("return_cost"),
        pl.min_horizontal(longest - pl.col("days_silent"), DAYS[-1] - since).clip(0).alias("window_days"),
    )
    best = best_waits(contacts, known.curves, horizon_days=known.horizon_days)
    return best.filter((pl.col("wait_days") > 0) & (pl.col("profit") > 0)).select(
        "user_sk", (pl.lit(as_of) + pl.duration(days=pl.col("wait_days") + 1)).cast(pl.Date).alias("wait_until")
    )


def best_waits(contacts: pl.DataFrame, curves: pl.DataFrame, *, horizon_days: int) -> pl.DataFrame:
    """Per row of `contacts` the days of DAYS to wait, at which contact earns most. Sorted by user_sk.

    `contacts`: user_sk, p_return, uplift (what contact tonight adds to it within the horizon), value (of a return),
    contact_cost, return_cost (paid for every return after a contact: the offer, those who would come anyway included),
    window_days (the longest wait that the strategy allows). `curves`: user_sk, day (after the night), p_returned
    (chance to be back by then without contact). `profit` after a wait is P(still away) x (value x uplift then -
    contact_cost - return_cost x P(return then)): who has come back meanwhile costs nothing and gains nothing. The
    uplift is taken as one shift of the log-odds, equal on every day, over a horizon from the contact. That contact
    works as well later is assumed, not measured. Users without a curve are left out.
    """
    known = contacts.join(curves.select("user_sk").unique(), on="user_sk", how="semi").sort("user_sk")
    if known.is_empty():
        return WAITS.to_frame()
    profit = _profits(known, _hazards(known, curves), horizon_days=horizon_days)
    profit[np.asarray(DAYS)[None, :] > known["window_days"].to_numpy()[:, None]] = -np.inf
    now, users = profit[:, 0], np.arange(len(profit))
    best = profit.argmax(axis=1)
    best = np.where(profit[users, best] > now + LEAST_GAIN * np.abs(now), best, 0)
    return pl.DataFrame(
        {
            "user_sk": known["user_sk"],
            "wait_days": np.asarray(DAYS)[best],
            "profit": profit[users, best],
            "profit_now": now,
        },
        schema=WAITS,
    )


def _profits(known: pl.DataFrame, hazards: tuple[Floats, Floats], *, horizon_days: int) -> Floats:
    """Users × DAYS."""
    p, added = (known[name].to_numpy() for name in ("p_return", "uplift"))
    value, contact_cost, return_cost = (
        known[name].to_numpy()[:, None] for name in ("value", "contact_cost", "return_cost")
    )
    shift = _logit(p + added) - _logit(p)
    start = np.stack([_at(hazards, day) for day in DAYS], axis=1)
    end = np.stack([_at(hazards, day + horizon_days) for day in DAYS], axis=1)
    unaided = 1 - np.exp(start - end)
    aided = 1 / (1 + np.exp(-_logit(unaided) - shift[:, None]))
    return np.asarray(np.exp(-start) * (value * (aided - unaided) - contact_cost - return_cost * aided))


def _hazards(known: pl.DataFrame, curves: pl.DataFrame) -> tuple[Floats, Floats]:
    """Days of the curves from 0, and the cumulative hazard of each user on them."""
    wide = (
        curves.join(known.select("user_sk"), on="user_sk", how="semi")
        .sort("user_sk", "day")
        .pivot(on="day", index="user_sk", values="p_returned", maintain_order=True)
    )
    days = sorted(int(name) for name in wide.columns if name != "user_sk")
    returned = wide.select([str(day) for day in days]).to_numpy().clip(0, 1 - _P_FLOOR)
    hazard = np.maximum.accumulate(-np.log1p(-returned), axis=1)
    return np.array([0.0, *days]), np.hstack([np.zeros((len(hazard), 1)), hazard])


def _at(hazards: tuple[Floats, Floats], day: int) -> Floats:
    """The cumulative hazard on a day: straight between the curve's days, and on at its last pace after them."""
    days, hazard = hazards
    place = int(np.clip(np.searchsorted(days, day), 1, len(days) - 1))
    slope = (hazard[:, place] - hazard[:, place - 1]) / (days[place] - days[place - 1])
    return np.asarray(hazard[:, place - 1] + slope * (day - days[place - 1]))


def _logit(p: Floats) -> Floats:
    within = p.clip(_P_FLOOR, 1 - _P_FLOOR)
    return np.asarray(np.log(within / (1 - within)))
