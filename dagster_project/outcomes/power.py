"""How many users an experiment needs, what it can see, and how long it takes. Shares of 0 to 1 throughout."""

from typing import Any

import numpy as np
import polars as pl

from dagster_project.errors import WinbackError

MOST_USERS = 10_000_000_000
POWER = 0.8
ALPHA = 0.05

POWER_SCHEMA = pl.Schema(
    {
        "strategy_id": pl.String(),
        "n_per_night": pl.Float64(),
        "base_share": pl.Float64(),
        "control_share": pl.Float64(),
        "expected_effect": pl.Float64(),
        "n_needed": pl.Int64(),
        "days_needed": pl.Int64(),
        "detectable_28": pl.Float64(),
        "detectable_90": pl.Float64(),
        "explanation": pl.String(),
    }
)


def sample_size(
    base_share: float, *, effect: float, control_share: float, power: float = POWER, alpha: float = ALPHA
) -> int:
    """Users of both arms together, so that a true `effect` on the share is found with chance `power`.

    `base_share`: those who come back without contact. `effect`: what contact adds, in points of the share (.01 is one
    point), either way. `control_share`: of both arms, held out. A two-sided test at `alpha` of one look; nightly looks
    by O'Brien-Fleming ask for up to a fifth more. Each arm has its own variance, as in the readout: Chow, Shao & Wang
    2003, 4.2.

    Raises:
        WinbackError: a share outside 0 to 1, or no effect.
    """
    from scipy.special import ndtri

    treated = base_share + effect
    _check(base_share=base_share, control_share=control_share, power=power, alpha=alpha)
    _check(**{"base_share + effect": treated})
    if effect == 0:
        raise WinbackError("no number of users shows an effect of nought", fix="name the smallest effect that matters")
    q_c, q_t = control_share, 1 - control_share
    variance = base_share * (1 - base_share) / q_c + treated * (1 - treated) / q_t
    n = (ndtri(1 - alpha / 2) + ndtri(power)) ** 2 * variance / effect**2
    return int(np.ceil(min(n, MOST_USERS)))


def detectable_effect(
    base_share: float, *, n_users: float, control_share: float, power: float = POWER, alpha: float = ALPHA
) -> float | None:
    """The smallest gain in the share that `n_users` of both arms would show; None if not even a gain to 1 would."""
    low, high = 1e-7, (1 - base_share) * (1 - 1e-9)

    def needed(effect: float) -> int:
        return sample_size(base_share, effect=effect, control_share=control_share, power=power, alpha=alpha)

    if needed(high) > n_users:
        return None
    while high - low > 1e-7:
        middle = (low + high) / 2
        low, high = (low, middle) if needed(middle) <= n_users else (middle, high)
    return high


def days_needed(n_needed: float, *, n_per_night: float, horizon_days: int) -> int | None:
    """Nights until so many have entered, and their outcome is known; None where nobody enters."""
    if n_per_night <= 0:
        return None
    return int(np.ceil(n_needed / n_per_night)) + horizon_days


def strategy_power(
    entries: pl.DataFrame, *, n_nights: int, control_share: float, horizon_days: int, fallback_share: float
) -> pl.DataFrame:
    """POWER_SCHEMA, one row per strategy of recent entries: what its experiment could see, and how soon.

    `entries`: those of the last `n_nights` nights in one experiment, of arms treat and control, with strategy_id,
    p_return and uplift as they were at entry. `fallback_share` stands for an unknown p_return. Control must be above 0.
    """
    if n_nights <= 0 or not 0 < control_share < 1:
        return POWER_SCHEMA.to_frame()
    rows = []
    for name in entries["strategy_id"].drop_nulls().unique().sort():
        part = entries.filter(pl.col("strategy_id") == name)
        row = {
            "strategy_id": name,
            "n": part.height,
            "p_return": _mean(part["p_return"]),
            "uplift": _mean(part["uplift"]),
        }
        rows.append(_strategy_row(row, n_nights, control_share, horizon_days, fallback_share))
    return pl.DataFrame(rows, schema=POWER_SCHEMA, orient="row")


def _mean(values: pl.Series) -> float | None:
    known = values.drop_nulls().to_numpy()
    return float(known.mean()) if known.size else None


def _strategy_row(
    row: dict[str, Any], n_nights: int, control_share: float, horizon_days: int, fallback_share: float
) -> dict[str, object]:
    base = row["p_return"] if row["p_return"] is not None else fallback_share
    base = float(np.clip(base, 0.001, 0.999))
    per_night = row["n"] / n_nights
    effect = row["uplift"]
    can_ask = effect is not None and abs(effect) > 1e-4 and 0 < base + effect < 1
    needed = sample_size(base, effect=effect, control_share=control_share) if can_ask else None
    days = None if needed is None else days_needed(needed, n_per_night=per_night, horizon_days=horizon_days)
    seen = {
        months: detectable_effect(base, n_users=per_night * months, control_share=control_share) for months in (28, 90)
    }
    return {
        "strategy_id": row["strategy_id"],
        "n_per_night": per_night,
        "base_share": base,
        "control_share": control_share,
        "expected_effect": effect,
        "n_needed": needed,
        "days_needed": days,
        "detectable_28": seen[28],
        "detectable_90": seen[90],
        "explanation": _explained(per_night, effect if can_ask else None, needed, days, seen[90]),
    }


def _explained(per_night: float, effect: float | None, needed: int | None, days: int | None, seen: float | None) -> str:
    pace = f"{per_night:,.1f} users a night enter"
    if effect is None or needed is None:
        asked = "no effect is expected of it that could be planned for"
    else:
        told = "never" if days is None else f"in {days:,} days"
        asked = f"the {100 * effect:+.1f} points expected of it would be known {told}, after {needed:,} users"
    sight = "cannot show any gain" if seen is None else f"show a gain of {100 * seen:.1f} points or more"
    return f"{pace}: {asked}; 90 nights {sight}."


def _check(**shares: float) -> None:
    for name, share in shares.items():
        if not 0 < share < 1:
            raise WinbackError(f"{name} is {share}", fix="a share between 0 and 1, both excluded")
