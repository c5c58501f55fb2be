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


def planned_users(entries: pl.DataFrame, *, arm: str, baseline: str) -> int | None:
    """Users of `arm` and `baseline` together that one experiment was planned for; None while nobody can know.

    Only those who entered in the first 14 days make the plan, so nothing that happened later moves it. Our own: the
    users that a gain as forecast for them would need, with power .8 at 5 %. An imported experiment tells no forecast:
    its plan are these users themselves, once the 14 days are over. A single campaign is whole by then; one that goes
    on enters nightly looks beyond its plan, where the confidence sequence holds.
    """
    needed = entries.select("arm", "origin", "assigned_on", "n_days_seen", "p_return", "uplift")
    both = needed.filter(pl.col("arm").is_in([arm, baseline]))
    if both.is_empty():
        return LEAST_USERS
    started = both.select(pl.col("assigned_on").min()).item()
    first = both.filter(pl.col("assigned_on") < started + timedelta(days=FIRST_DAYS))
    if (both["origin"] == IMPORTED).all():
        n_days_since = both.select(pl.col("n_days_seen").max()).item()
        return max(first.height, 2) if n_days_since >= FIRST_DAYS else None
    base = _mean(first, "p_return") or USUAL_SHARE
    # What was forecast is the gain over no contact: of two arms that are both contacted nobody has forecast any.
    forecast = _mean(first.filter(pl.col("arm") != CONTROL), "uplift") if baseline == CONTROL else None
    effect = max(forecast or USUAL_GAIN * base, LEAST_EFFECT)
    base = min(max(base, 0.001), 0.98)
    share = min(max(first.filter(pl.col("arm") == baseline).height / first.height, 0.01), 0.99)
    n_needed = sample_size(base, effect=min(effect, (1 - base) / 2), control_share=share)
    return min(max(n_needed, LEAST_USERS), MOST_USERS)


def _mean(frame: pl.DataFrame, column: str) -> float | None:
    known = frame[column].drop_nulls()
    return float(known.to_numpy().mean()) if known.len() else None
