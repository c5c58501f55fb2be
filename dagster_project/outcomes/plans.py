"""How many users an experiment was planned for: what tells how much of the chance of a false alarm a look may spend."""

from datetime import timedelta

import polars as pl

from dagster_project.outcomes.entries import IMPORTED
from dagster_project.outcomes.power import sample_size
from dagster_project.outcomes.vocabulary import CONTROL

FIRST_DAYS = 14  # of entries, whose forecasts make the plan: later ones must not move it
USUAL_SHARE = 0.05  # of users who come back, where nothing was forecast
USUAL_GAIN = 0.2  # of those who come back anyway: the gain planned for where none was forecast
LEAST_EFFECT = 0.002  # a fifth of a point: smaller effects would need more users than most ever enter
LEAST_USERS, MOST_USERS = 1_000, 2_000_000


def planned_users(entries: pl.DataFrame, *, arm: str, baseline: str) -> int:
    """Users of `arm` and `baseline` together that one experiment was planned for.

    An imported experiment is over: what entered was planned. Our own: the users that a gain as forecast for those who
    entered in the first 14 days would need, with power .8 at 5 %; so nothing that happened later moves the plan.
    """
    needed = entries.select("arm", "origin", "assigned_on", "p_return", "uplift")
    both = needed.filter(pl.col("arm").is_in([arm, baseline]))
    if both.is_empty():
        return LEAST_USERS
    if (both["origin"] == IMPORTED).all():
        return max(both.height, 2)
    started = both.select(pl.col("assigned_on").min()).item()
    first = both.filter(pl.col("assigned_on") < started + timedelta(days=FIRST_DAYS))
    base = _mean(first, "p_return") or USUAL_SHARE
    forecast = _mean(first.filter(pl.col("arm") != CONTROL), "uplift")
    effect = max(forecast or USUAL_GAIN * base, LEAST_EFFECT)
    base = min(max(base, 0.001), 0.98)
    share = min(max(first.filter(pl.col("arm") == baseline).height / first.height, 0.01), 0.99)
    n_needed = sample_size(base, effect=min(effect, (1 - base) / 2), control_share=share)
    return min(max(n_needed, LEAST_USERS), MOST_USERS)


def _mean(frame: pl.DataFrame, column: str) -> float | None:
    known = frame[column].drop_nulls()
    return float(known.to_numpy().mean()) if known.len() else None
