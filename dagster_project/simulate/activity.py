"""On which days users are truly active: engaged cadence, leaving, return, relapse. No events yet.

A renewal process advanced for all users at once. It can be stopped on a day, changed (a campaign brings
people back), and advanced further.
"""

from dataclasses import dataclass, field

import numpy as np

from dagster_project.simulate.clock import BusyClock
from dagster_project.simulate.leaving import Leaving
from dagster_project.simulate.people import Flags, Ints, People
from dagster_project.simulate.reasons import reason_code
from dagster_project.simulate.spec import NEVER_DAY, WorldSpec


@dataclass
class Lives:
    """Where every user stands, one entry per user, and the active days so far.

    `next_day` is the next active day as fate has it; `is_away` says that it would be a return.
    `first_left_day` and `returned_day` are NEVER_DAY where it did not happen.
    """

    next_day: Ints
    last_day: Ints
    left_day: Ints
    is_away: Flags
    first_left_day: Ints
    returned_day: Ints
    n_returns: Ints
    active_users: list[Ints] = field(default_factory=list)
    active_days: list[Ints] = field(default_factory=list)

    def active(self) -> tuple[Ints, Ints]:
        """Return (user, day) of all true active days so far, in order of user, then day."""
        users = np.concatenate([np.empty(0, dtype=np.int64), *self.active_users])
        days = np.concatenate([np.empty(0, dtype=np.int64), *self.active_days])
        order = np.lexsort((days, users))
        return users[order], days[order]


def begin_lives(people: People, *, leaving: Leaving) -> Lives:
    """Return the lives before the first day: everybody but prospects is first active on joining."""
    n = people.signup_day.size
    never = np.full(n, NEVER_DAY, dtype=np.int64)
    return Lives(
        next_day=np.where(people.is_prospect, NEVER_DAY, people.signup_day),
        last_day=np.full(n, -1, dtype=np.int64),
        left_day=leaving.left_day.copy(),
        is_away=np.zeros(n, dtype=np.bool_),
        first_left_day=never.copy(),
        returned_day=never.copy(),
        n_returns=np.zeros(n, dtype=np.int64),
    )


@dataclass(frozen=True)
class Habits:
    """What moves lives on: the users, their leaving, the world's parameters and its busy clock."""

    people: People
    leaving: Leaving
    spec: WorldSpec
    clock: BusyClock


def advance(lives: Lives, *, habits: Habits, until_day: int, rng: np.random.Generator) -> None:
    """Move all lives on, in place, to the end of the day before `until_day`."""
    users = np.flatnonzero(lives.next_day < until_day)
    while users.size:
        today = lives.next_day[users]
        lives.active_users.append(users)
        lives.active_days.append(today)
        _come_back(lives, users[lives.is_away[users]], habits=habits, rng=rng)
        lives.last_day[users] = today
        planned = _next_engaged_day(users, today, habits=habits, rng=rng)
        leaves = planned >= lives.left_day[users]
        lives.next_day[users] = planned
        _leave(lives, users[leaves], habits=habits, rng=rng)
        users = users[lives.next_day[users] < until_day]


def _come_back(lives: Lives, users: Ints, *, habits: Habits, rng: np.random.Generator) -> None:
    stay = 7 + rng.exponential(habits.spec.relapse_days, users.size).astype(np.int64)
    lives.returned_day[users] = lives.next_day[users]
    lives.n_returns[users] += 1
    lives.is_away[users] = False
    lives.left_day[users] = lives.next_day[users] + stay


def _next_engaged_day(users: Ints, today: Ints, *, habits: Habits, rng: np.random.Generator) -> Ints:
    people = habits.people
    # Interest that fades stretches the gaps by as much as it has faded.
    growth = people.decay[users] * (today - people.signup_day[users])
    log_gap = people.gap_log_mean[users] + growth + people.gap_log_sd[users] * rng.normal(size=users.size)
    return habits.clock.later(today, busy_gap=np.exp(np.minimum(log_gap, 8.0)))


def _leave(lives: Lives, users: Ints, *, habits: Habits, rng: np.random.Generator) -> None:
    left = np.maximum(lives.left_day[users], lives.last_day[users] + 1)
    hazard = np.maximum(habits.leaving.return_hazard[users], 1e-7)
    wait = rng.exponential(1.0, users.size) / hazard
    seasonal = habits.leaving.reason[users] == reason_code("goal_completed_or_seasonal")
    # Most who came for a season come again with the next one.
    next_season = seasonal & (rng.random(users.size) < 0.6)
    wait = np.where(next_season, 300 + 90 * rng.random(users.size), wait)
    lives.left_day[users] = left
    lives.first_left_day[users] = np.minimum(lives.first_left_day[users], left)
    lives.is_away[users] = True
    lives.next_day[users] = habits.clock.later(left, busy_gap=wait)


def renewed_days(lives: Lives, *, died_day: Ints) -> Ints:
    """Return, per user, the first active day on or after an endpoint's death; NEVER_DAY where there is none.

    An app that is opened again reports a new push token.
    """
    users, days = lives.active()
    width = NEVER_DAY + 1
    keys = users * width + days
    owner = np.arange(died_day.size)
    at = np.searchsorted(keys, owner * width + died_day + 1)
    found = np.minimum(at, max(keys.size - 1, 0))
    if not keys.size:
        return np.full(died_day.size, NEVER_DAY, dtype=np.int64)
    hit = (at < keys.size) & (users[found] == owner) & (died_day < NEVER_DAY)
    return np.where(hit, days[found], NEVER_DAY)


def is_away_on(lives: Lives, users: Ints, days: Ints) -> Flags:
    """Return whether each user was away on each day, as far as the first and the last spell tell."""
    first = (days >= lives.first_left_day[users]) & (days < lives.returned_day[users])
    last = (lives.n_returns[users] > 0) & (days >= lives.left_day[users])
    return first | last
