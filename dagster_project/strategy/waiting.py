"""How long to wait before writing: where contact earns most, not where return is coming anyway.

Who may be written to at all, and with what, is decided elsewhere.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

Floats = NDArray[np.float64]

WAITS = pl.Schema({"user_sk": pl.Int64(), "wait_days": pl.Int64(), "profit": pl.Float64(), "profit_now": pl.Float64()})
DAYS = (0, 3, 7, 14, 21, 28)
# A wait must promise a twentieth of tonight's profit more: curves are forecasts, and a user drifts away meanwhile.
LEAST_GAIN = 0.05
_P_FLOOR = 1e-6


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
