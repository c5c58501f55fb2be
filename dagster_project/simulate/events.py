"""What is recorded on active days, what a broken recorder loses, and what happens without use."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dagster_project.simulate.activity import Habits, Lives
from dagster_project.simulate.clock import local_times, utc_from_local
from dagster_project.simulate.people import CATEGORIES, WEB, Flags, Floats, Ints, People
from dagster_project.simulate.reasons import reason_code
from dagster_project.simulate.spec import NEVER_DAY, PLATFORMS, Outage, WorldSpec
from dagster_project.simulate.tables import conform, named, numbered, user_ids

# The last two are recorded without the user using anything: why core events must be named.
EVENT_TYPES = ("app_open", "view", "purchase", "app_error", "app_removed", "subscription_renewed")
APP_OPEN, VIEW, PURCHASE, APP_ERROR, APP_REMOVED, RENEWED = range(len(EVENT_TYPES))
DAYS_PER_RELEASE = 75
ITEMS_PER_CATEGORY = 40


@dataclass(frozen=True)
class Happenings:
    """Things that happen, one entry each: what, who, when; amount NaN and item -1 where there is none."""

    user: Ints
    day: Ints
    second: Ints
    event_type: Ints
    category: Ints
    item: Ints
    amount: Floats

    def where(self, keep: NDArray[np.bool_] | Ints) -> "Happenings":
        """Return the chosen entries, in the order of the choice."""
        return Happenings(*(values[keep] for values in vars(self).values()))


def draw_happenings(
    lives: Lives, *, habits: Habits, renewals: tuple[Ints, Ints], rng: np.random.Generator
) -> Happenings:
    """Return all that happens, lost or recorded, in order of time, then user."""
    users, days = lives.active()
    parts = [
        _sessions(users, days, habits=habits, rng=rng),
        _errors(users, days, habits=habits, rng=rng),
        _removals(lives, habits=habits, rng=rng),
        _bare(renewals[0], renewals[1], second=np.full(renewals[0].size, 6 * 3600), event_type=RENEWED),
    ]
    whole = Happenings(*(np.concatenate([vars(part)[name] for part in parts]) for name in vars(parts[0])))
    joined = habits.people.signup_day[whole.user] == whole.day
    earliest = np.where(joined, habits.people.signup_second[whole.user] + 30, 0)
    np.maximum(whole.second, earliest, out=whole.second)
    return whole.where(np.lexsort((whole.event_type, whole.user, whole.second, whole.day)))


def app_versions(user: Ints, day: Ints, *, people: People) -> tuple[Ints, tuple[str, ...]]:
    """Return the version position that each user ran on each day, and the names of all versions.

    Some users lag behind; some are stuck on version 3.3.0 (or the one they began with, if later).
    """
    newest = np.maximum(day - people.update_lag_days[user], people.signup_day[user]) // DAYS_PER_RELEASE
    stuck = np.maximum(people.signup_day[user] // DAYS_PER_RELEASE, 3)
    version = np.where(people.is_stuck[user], np.minimum(newest, stuck), newest)
    names = tuple(f"{3 + k // 4}.{k % 4}.0" for k in range(int(version.max(initial=0)) + 1))
    return np.where(people.platform[user] == WEB, -1, version), names


def lost_to_outages(happenings: Happenings, *, people: People, spec: WorldSpec) -> Flags:
    """Return which happenings were not recorded."""
    lost = np.zeros(happenings.user.size, dtype=np.bool_)
    version, names = app_versions(happenings.user, happenings.day, people=people)
    platform = people.platform[happenings.user]
    for outage in spec.outages:
        if outage.kind == "events":
            hit = is_during(outage, happenings.day)
            if outage.platform is not None:
                hit &= platform == PLATFORMS.index(outage.platform)
            if outage.app_version is not None:
                position = names.index(outage.app_version) if outage.app_version in names else -2
                hit &= version == position
            lost |= hit & (happenings.event_type != RENEWED)
    return lost


def is_during(outage: Outage, day: Ints) -> Flags:
    """Return which days fall into the outage."""
    end = NEVER_DAY if outage.end_day is None else outage.end_day
    return (day >= outage.start_day) & (day < end)


def events_table(happenings: Happenings, *, people: People, spec: WorldSpec) -> pl.DataFrame:
    """Return the canonical `events` of recorded happenings, in their order, ids in that order too."""
    version, names = app_versions(happenings.user, happenings.day, people=people)
    automatic = happenings.event_type == RENEWED
    items = tuple(f"{name}-{k:02d}" for name in CATEGORIES for k in range(ITEMS_PER_CATEGORY))
    item = np.where(happenings.item < 0, -1, happenings.category * ITEMS_PER_CATEGORY + happenings.item)
    frame = pl.DataFrame(
        {
            "user_id": user_ids(happenings.user),
            "occurred_at": local_times(happenings.day, second=happenings.second, first_on=spec.first_on),
            "event_type": named(happenings.event_type, EVENT_TYPES),
            "amount": pl.Series(happenings.amount, nan_to_null=True),
            "item": named(item, items),
            "category": named(happenings.category, CATEGORIES),
            "platform": named(np.where(automatic, -1, people.platform[happenings.user]), PLATFORMS),
            "app_version": named(np.where(automatic, -1, version), names),
            "event_id": numbered(np.arange(happenings.user.size), prefix="e", n_digits=9),
        }
    ).with_columns(utc_from_local(pl.col("occurred_at"), timezone=spec.business_timezone))
    return conform(frame, table="events")


def _sessions(users: Ints, days: Ints, *, habits: Habits, rng: np.random.Generator) -> Happenings:
    people, n = habits.people, users.size
    opens = (people.platform[users] != WEB).astype(np.int64)
    views = np.where(opens == 0, 1, 0) + rng.poisson(0.5, n)
    buys = (rng.random(n) < people.purchase_probability[users]).astype(np.int64)
    counts = np.stack([opens, views, buys], axis=1)
    total = counts.sum(axis=1)
    row = np.repeat(np.arange(n), total)
    kind = np.repeat(np.tile([APP_OPEN, VIEW, PURCHASE], n), counts.ravel())
    step = np.arange(row.size) - np.repeat(np.cumsum(total) - total, total)
    start = (people.peak_second[users] + rng.normal(0, 5400, n).astype(np.int64)) % 86_400
    joins_today = days == people.signup_day[users]
    start = np.where(joins_today, np.maximum(start, people.signup_second[users] + 30), start)
    # Sessions do not cross midnight: a day of use is one day of use.
    second = np.minimum(np.minimum(start, 84_000)[row] + step * rng.integers(20, 240, n)[row], 86_399)
    user, day = users[row], days[row]
    category = _categories(user, day, kind=kind, habits=habits, rng=rng)
    # A Zipf-like tail: the first items of a category are the ones that everybody looks at.
    item = np.minimum(rng.exponential(9.0, row.size).astype(np.int64), ITEMS_PER_CATEGORY - 1)
    return Happenings(
        user=user,
        day=day,
        second=second,
        event_type=kind,
        category=category,
        item=np.where(category < 0, -1, item),
        amount=_amounts(user, day, kind=kind, habits=habits, rng=rng),
    )


def _categories(user: Ints, day: Ints, *, kind: Ints, habits: Habits, rng: np.random.Generator) -> Ints:
    people, leaving = habits.people, habits.leaving
    unmoved = leaving.reason[user] == reason_code("content_irrelevant")
    near_end = day > leaving.left_day[user] - 45
    # What is shown misses the taste of those who leave for it; the others mostly find what they like.
    match = np.where(unmoved & near_end & leaving.has_evidence[user], 0.05, 0.65)
    anything = rng.integers(0, len(CATEGORIES), user.size)
    found = np.where(rng.random(user.size) < match, people.taste[user], anything)
    return np.where(kind == APP_OPEN, -1, found)


def _amounts(user: Ints, day: Ints, *, kind: Ints, habits: Habits, rng: np.random.Generator) -> Floats:
    spec = habits.spec
    price = np.where(day >= spec.price_shock_day, 1 + spec.price_shock_size, 1.0)
    amount = np.exp(habits.people.basket_log_mean[user] + rng.normal(0, 0.45, user.size)) * price
    return np.where(kind == PURCHASE, np.maximum(np.round(amount, 2), 0.01), np.nan)


def _errors(users: Ints, days: Ints, *, habits: Habits, rng: np.random.Generator) -> Happenings:
    """Failed sessions: a few always, many in the service shock, and those of the users whom it drove off."""
    spec, leaving = habits.spec, habits.leaving
    in_shock = (days >= spec.service_shock_day) & (days < spec.service_shock_day + spec.service_shock_days)
    hit = rng.random(users.size) < np.where(in_shock, spec.service_shock_share, 0.004)
    driven = (leaving.reason == reason_code("service_failure")) & leaving.has_evidence
    victims = np.flatnonzero(driven)
    shock_day = spec.service_shock_day + rng.integers(0, max(spec.service_shock_days, 1), victims.size)
    shock_day = np.minimum(shock_day, spec.n_days - 1)
    user = np.concatenate([users[hit], victims])
    day = np.concatenate([days[hit], shock_day])
    return _bare(user, day, second=rng.integers(25_000, 84_000, user.size), event_type=APP_ERROR)


def _removals(lives: Lives, *, habits: Habits, rng: np.random.Generator) -> Happenings:
    # Only Android reports that an app was removed.
    leaving, people = habits.leaving, habits.people
    removed = (leaving.reason == reason_code("uninstalled")) & leaving.has_evidence
    removed &= (people.platform == PLATFORMS.index("android")) & (lives.first_left_day < habits.spec.n_days)
    user = np.flatnonzero(removed)
    second = rng.integers(25_000, 84_000, user.size)
    return _bare(user, lives.first_left_day[user], second=second, event_type=APP_REMOVED)


def _bare(user: Ints, day: Ints, *, second: Ints, event_type: int) -> Happenings:
    none = np.full(user.size, -1, dtype=np.int64)
    kinds = np.full(user.size, event_type, dtype=np.int64)
    return Happenings(user, day, second, kinds, none, none, np.full(user.size, np.nan))
