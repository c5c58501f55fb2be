"""The past randomised win-back campaign: who was in it, what they were sent, what it did to them.

Only who returns is changed here; the messages themselves are written with all others.
"""

from dataclasses import dataclass
from math import erf, sqrt

import numpy as np
import polars as pl

from dagster_project.simulate.activity import Habits, Lives, renewed_days
from dagster_project.simulate.clock import local_times, utc_from_local
from dagster_project.simulate.leaving import reachable_on
from dagster_project.simulate.people import PUSH, Flags, Floats, Ints
from dagster_project.simulate.reasons import STRATEGIES
from dagster_project.simulate.spec import CHANNELS, NEVER_DAY, WorldSpec
from dagster_project.simulate.tables import conform, named, user_ids

EXPERIMENT_ID = "winback_past"
ASSIGNED_SECOND = 10 * 3600


@dataclass(frozen=True)
class Campaign:
    """One entry per user in the experiment, ascending by user.

    `lift` is the change of log-odds by a contact (0 where the message cannot arrive); `returns_without`
    and `returns_with` are the two potential outcomes within the campaign's horizon.
    """

    user: Ints
    strategy: Ints
    channel: Ints
    is_treated: Flags
    is_reached: Flags
    lift: Floats
    p_without: Floats
    p_with: Floats
    returns_without: Flags
    returns_with: Flags


def run_campaign(lives: Lives, *, habits: Habits, rng: np.random.Generator) -> Campaign:
    """Randomise the users silent on the campaign's day; bring back, in place, those whom contact moves."""
    spec = habits.spec
    user = _eligible(lives, habits=habits)
    channel = habits.people.main_channel[user]
    names = [STRATEGIES.index(name) for name in spec.campaign_strategies]
    strategy = np.asarray(names, dtype=np.int64)[rng.integers(0, len(names), user.size)]
    reached = _reached(lives, habits=habits)[user]
    lift = habits.leaving.lift[user, strategy] * reached
    p_without = _return_probability(lives, user, habits=habits)
    p_with = 1 / (1 + (1 - p_without) / np.maximum(p_without, 1e-12) * np.exp(-lift))
    without = lives.next_day[user] <= spec.campaign_day + spec.campaign_horizon_days
    returns = _with_contact(without, p_without=p_without, p_with=p_with, rng=rng)
    treated = rng.random(user.size) < spec.campaign_treat_share
    campaign = Campaign(user, strategy, channel, treated, reached, lift, p_without, p_with, without, returns)
    _move_returns(lives, campaign=campaign, spec=spec, rng=rng)
    return campaign


def assignments_table(campaign: Campaign, *, spec: WorldSpec) -> pl.DataFrame:
    """Return the canonical `assignments`; controls carry the strategy that they would have had."""
    day = np.full(campaign.user.size, spec.campaign_day)
    seconds = np.full(campaign.user.size, ASSIGNED_SECOND)
    share = spec.campaign_treat_share
    frame = pl.DataFrame(
        {
            "user_id": user_ids(campaign.user),
            "arm": named(np.where(campaign.is_treated, 0, 1), ("treat", "control")),
            "assigned_at": local_times(day, second=seconds, first_on=spec.first_on),
            "propensity": np.where(campaign.is_treated, share, 1 - share),
            "strategy_id": named(campaign.strategy, STRATEGIES),
            "channel": named(campaign.channel, CHANNELS),
        }
    ).with_columns(
        utc_from_local(pl.col("assigned_at"), timezone=spec.business_timezone),
        experiment_id=pl.lit(EXPERIMENT_ID),
    )
    return conform(frame, table="assignments")


def campaign_truth(campaign: Campaign) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the true effect per strategy (and of all, strategy_id `*`), and the truth per user in it."""
    per_user = pl.DataFrame(
        {
            "user_id": user_ids(campaign.user),
            "experiment_id": pl.repeat(EXPERIMENT_ID, campaign.user.size, eager=True),
            "strategy_id": named(campaign.strategy, STRATEGIES),
            "channel": named(campaign.channel, CHANNELS),
            "is_treated": campaign.is_treated,
            "is_reached": campaign.is_reached,
            "lift_log_odds": campaign.lift,
            "p_return_without_contact": campaign.p_without,
            "p_return_with_contact": campaign.p_with,
            "returns_without_contact": campaign.returns_without,
            "returns_with_contact": campaign.returns_with,
        }
    )
    parts = {"*": per_user}
    for strategy in sorted(per_user["strategy_id"].unique()):
        parts[strategy] = per_user.filter(pl.col("strategy_id") == strategy)
    return pl.DataFrame([_effect(strategy, part) for strategy, part in parts.items()]), per_user


def _effect(strategy: str, users: pl.DataFrame) -> dict[str, object]:
    gained = users["returns_with_contact"].cast(pl.Int64) - users["returns_without_contact"].cast(pl.Int64)
    expected = users["p_return_with_contact"] - users["p_return_without_contact"]
    return {
        "experiment_id": EXPERIMENT_ID,
        "strategy_id": strategy,
        "n_treated": int(users["is_treated"].sum()),
        "n_control": users.height - int(users["is_treated"].sum()),
        "true_effect_probability": gained.mean(),
        "expected_effect_probability": expected.mean(),
    }


def _eligible(lives: Lives, *, habits: Habits) -> Ints:
    spec, people = habits.spec, habits.people
    if spec.campaign_day >= spec.n_days:
        return np.empty(0, dtype=np.int64)
    main_out = habits.leaving.opted_out_day[np.arange(people.main_channel.size), people.main_channel]
    silent = (lives.last_day >= 0) & (lives.last_day < spec.campaign_day - spec.campaign_min_silence_days)
    return np.flatnonzero(silent & (main_out > spec.campaign_day))


def _reached(lives: Lives, *, habits: Habits) -> Flags:
    reached = np.zeros(lives.next_day.size, dtype=np.bool_)
    for channel in range(len(CHANNELS)):
        renewed = None
        if channel == PUSH:
            renewed = renewed_days(lives, died_day=habits.leaving.endpoint_died_day[:, PUSH])
        ok = reachable_on(habits.spec.campaign_day, leaving=habits.leaving, channel=channel, renewed_day=renewed)
        reached |= ok & (habits.people.main_channel == channel)
    return reached


def _return_probability(lives: Lives, user: Ints, *, habits: Habits) -> Floats:
    """Return P(active within the horizon | silent so far), each user by their own clock, uncontacted."""
    spec, clock, people = habits.spec, habits.clock, habits.people
    start = np.full(user.size, spec.campaign_day, dtype=np.float64)
    end_busy = clock.busy_at(start + spec.campaign_horizon_days)
    hazard = habits.leaving.return_hazard[user]
    p_away = -np.expm1(-hazard * (end_busy - clock.busy_at(start)))
    last = lives.last_day[user]
    growth = people.decay[user] * (last - people.signup_day[user])
    mean, sd = people.gap_log_mean[user] + growth, people.gap_log_sd[user]
    began = clock.busy_at(last)
    alive = _log_normal_tail(clock.busy_at(start) - began, mean=mean, sd=sd)
    later = _log_normal_tail(end_busy - began, mean=mean, sd=sd)
    p_engaged = 1 - later / np.maximum(alive, 1e-12)
    return np.clip(np.where(lives.is_away[user], p_away, p_engaged), 0.0, 1.0)


def _log_normal_tail(gap: Floats, *, mean: Floats, sd: Floats) -> Floats:
    z = (np.log(np.maximum(gap, 1e-9)) - mean) / (sd * sqrt(2))
    return np.asarray([0.5 * (1 - erf(value)) for value in z.tolist()], dtype=np.float64)


def _with_contact(without: Flags, *, p_without: Floats, p_with: Floats, rng: np.random.Generator) -> Flags:
    """Couple the two outcomes so that contact only ever moves people in the direction of their effect."""
    draw = rng.random(without.size)
    gained = draw < (p_with - p_without) / np.maximum(1 - p_without, 1e-12)
    kept = draw < p_with / np.maximum(p_without, 1e-12)
    return np.where(p_with >= p_without, without | gained, without & kept)


def _move_returns(lives: Lives, *, campaign: Campaign, spec: WorldSpec, rng: np.random.Generator) -> None:
    soon = 1 + (spec.campaign_horizon_days * rng.beta(1, 2, campaign.user.size)).astype(np.int64)
    late = spec.campaign_horizon_days + 1 + rng.exponential(90, campaign.user.size).astype(np.int64)
    gained = campaign.is_treated & campaign.returns_with & ~campaign.returns_without
    lost = campaign.is_treated & ~campaign.returns_with & campaign.returns_without
    planned = lives.next_day[campaign.user]
    planned = np.where(gained, spec.campaign_day + soon, planned)
    planned = np.where(lost, spec.campaign_day + late, planned)
    lives.next_day[campaign.user] = np.minimum(planned, NEVER_DAY)
