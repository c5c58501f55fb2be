"""Who will leave, when and why, and which channels die or are closed by it. Decided before any activity."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dagster_project.simulate.people import EMAIL, PUSH, WEB, WECHAT, Flags, Floats, Ints, People
from dagster_project.simulate.reasons import (
    LIFT_WHILE_ENGAGED,
    REASON_TRAITS,
    REASONS,
    STRATEGIES,
    reason_code,
)
from dagster_project.simulate.spec import CHANNELS, NEVER_DAY, WorldSpec

ANDROID = 1
# Days between joining and the earliest leaving for any reason but never_activated.
SETTLING_DAYS = 14


@dataclass(frozen=True)
class Leaving:
    """One entry per user; days are NEVER_DAY where a thing never happens.

    `left_day` is the first day away; `reason` a position in REASONS (-1: stays). `endpoint_died_day` and
    `opted_out_day` are users × CHANNELS. `has_evidence`: the reason leaves its usual trace in the tables.
    `successor_of`: the user whose person this account continues (-1: none). `lift` is users × STRATEGIES,
    the change of the log-odds of a return if a message of the strategy arrives.
    """

    reason: Ints
    left_day: Ints
    has_evidence: Flags
    return_hazard: Floats
    endpoint_died_day: Ints
    opted_out_day: Ints
    successor_of: Ints
    lift: Floats


def draw_leaving(people: People, *, spec: WorldSpec, rng: np.random.Generator) -> tuple[People, Leaving]:
    """Return everybody's leaving, and the people with what it changes: successor accounts, subscribers."""
    reason = _draw_reasons(people, spec=spec, rng=rng)
    reason, left_day = _draw_left_days(reason, people=people, spec=spec, rng=rng)
    people, reason, left_day, successor_of = _join_identities(
        people, reason=reason, left_day=left_day, spec=spec, rng=rng
    )
    has_evidence = (rng.random(reason.size) < spec.evidence_share) | (reason == reason_code("never_activated"))
    has_evidence &= (reason >= 0) & (reason != reason_code("unknown"))
    people = _with_habits_of_leavers(people, reason=reason, has_evidence=has_evidence)
    hazard = np.asarray([0.004, *(traits.daily_return_hazard for traits in REASON_TRAITS.values())])
    # Frailty: many never come back, a few come back soon.
    frailty = rng.gamma(0.7, 1 / 0.7, size=reason.size)
    leaving = Leaving(
        reason=reason,
        left_day=left_day,
        has_evidence=has_evidence,
        return_hazard=hazard[reason + 1] * frailty * spec.return_scale,
        endpoint_died_day=_draw_deaths(people, reason=reason, left_day=left_day, spec=spec, rng=rng),
        opted_out_day=_draw_opt_outs(people, (reason, left_day, has_evidence), spec=spec, rng=rng),
        successor_of=successor_of,
        lift=_draw_lifts(reason, spec=spec, rng=rng),
    )
    return people, leaving


def _draw_reasons(people: People, *, spec: WorldSpec, rng: np.random.Generator) -> Ints:
    weights = np.asarray([spec.reason_shares.get(reason, 0.0) for reason in REASONS])
    # A world without any share: everybody leaves without a reason to be found.
    weights = weights / weights.sum() if weights.sum() else np.eye(len(REASONS))[-1]
    reason = rng.choice(len(REASONS), size=people.country.size, p=weights)
    reason = _instead(reason, "uninstalled", when=people.platform == WEB)
    reason = _instead(reason, "permission_revoked", when=~people.has_channel[:, PUSH])
    stays = people.is_prospect | people.is_stuck | (rng.random(reason.size) >= spec.leaver_share)
    return np.where(stays | (reason == reason_code("measurement_gap")), -1, reason)


def _instead(reason: Ints, name: str, *, when: Flags) -> Ints:
    """Give value_decay to those for whom the drawn reason cannot be."""
    return np.where((reason == reason_code(name)) & when, reason_code("value_decay"), reason)


def _draw_left_days(reason: Ints, *, people: People, spec: WorldSpec, rng: np.random.Generator) -> tuple[Ints, Ints]:
    n, settled = reason.size, people.signup_day + SETTLING_DAYS
    seen_price = (settled < spec.price_shock_day) & (spec.price_shock_day < spec.n_days)
    seen_shock = (settled < spec.service_shock_day) & (spec.service_shock_day < spec.n_days)
    reason = _instead(reason, "price_or_plan", when=~seen_price)
    reason = _instead(reason, "service_failure", when=~seen_shock)
    day = people.signup_day + SETTLING_DAYS + rng.exponential(spec.stay_days, n).astype(np.int64)
    after_shock = rng.exponential(10.0, n).astype(np.int64)
    by_price = reason == reason_code("price_or_plan")
    by_service = reason == reason_code("service_failure")
    by_start = reason == reason_code("never_activated")
    purged = _is_purged(people, reason=reason, spec=spec, rng=rng)
    day = np.where(by_price, spec.price_shock_day + 1 + after_shock, day)
    day = np.where(by_service, spec.service_shock_day + 1 + after_shock // 2, day)
    day = np.where(by_start, people.signup_day + 1 + rng.integers(0, 3, n), day)
    day = np.where(purged, spec.purge_day, day)
    return reason, np.where(reason < 0, NEVER_DAY, day)


def _is_purged(people: People, *, reason: Ints, spec: WorldSpec, rng: np.random.Generator) -> Flags:
    settled = (people.signup_day + SETTLING_DAYS < spec.purge_day) & (spec.purge_day < spec.n_days)
    has_token = (people.main_channel == PUSH) & (people.platform == ANDROID)
    drawn = (reason == reason_code("delivery_dead")) & (rng.random(reason.size) < spec.purge_share)
    purged: Flags = settled & has_token & drawn
    return purged


def _join_identities(
    people: People, *, reason: Ints, left_day: Ints, spec: WorldSpec, rng: np.random.Generator
) -> tuple[People, Ints, Ints, Ints]:
    """Give everybody who switches identity a second account: a user who stays, made to begin on that day."""
    switches = (reason == reason_code("identity_switch")) & (left_day < spec.n_days - 7)
    switcher = np.flatnonzero(switches)
    free = np.flatnonzero((reason < 0) & ~people.is_prospect & ~people.is_stuck)
    n = min(switcher.size, free.size)
    successor = np.sort(rng.choice(free, size=n, replace=False)) if n else free[:0]
    without = np.flatnonzero(reason == reason_code("identity_switch"))
    without = np.setdiff1d(without, switcher[:n])
    reason, left_day = reason.copy(), left_day.copy()
    reason[without], left_day[without] = -1, NEVER_DAY
    successor_of = np.full(reason.size, -1, dtype=np.int64)
    successor_of[successor] = switcher[:n]
    signup = left_day[switcher[:n]] + rng.integers(0, 4, n)
    return _continued(people, successor, switcher[:n], signup_day=signup), reason, left_day, successor_of


def _continued(people: People, successor: Ints, person: Ints, *, signup_day: Ints) -> People:
    """Return the people with each successor's person copied over: habits and profile, not the platform."""
    changed: dict[str, NDArray[np.generic]] = {}
    kept = ("platform", "update_lag_days", "is_stuck", "has_channel", "main_channel", "acquisition")
    for name, values in vars(people).items():
        if name not in kept:
            changed[name] = values.copy()
            changed[name][successor] = values[person]
    changed["signup_day"][successor] = signup_day
    return replace(people, **changed)  # type: ignore[arg-type]


def _with_habits_of_leavers(people: People, *, reason: Ints, has_evidence: Flags) -> People:
    fades = (reason == reason_code("value_decay")) & has_evidence
    pays = reason == reason_code("payment_failure")
    unmoved = reason == reason_code("content_irrelevant")
    return replace(
        people,
        decay=np.where(fades, people.decay + 0.008, people.decay),
        is_subscriber=people.is_subscriber | pays,
        purchase_probability=np.where(unmoved, 0.3, 1.0) * people.purchase_probability,
    )


def _draw_deaths(people: People, *, reason: Ints, left_day: Ints, spec: WorldSpec, rng: np.random.Generator) -> Ints:
    died = np.full(people.has_channel.shape, NEVER_DAY, dtype=np.int64)
    rows = np.arange(reason.size)
    dead = reason == reason_code("delivery_dead")
    died[rows[dead], people.main_channel[dead]] = left_day[dead]
    also = dead[:, None] & (rng.random(died.shape) < 0.35)
    died = np.where(also, np.minimum(died, left_day[:, None]), died)
    gone = reason == reason_code("uninstalled")
    died[gone, PUSH] = left_day[gone]
    # People who unfollow the official account after leaving.
    unfollowed = (reason >= 0) & (rng.random(reason.size) < 0.15)
    died[unfollowed, WECHAT] = np.minimum(died[unfollowed, WECHAT], left_day[unfollowed] + 5)
    daily = -np.log1p(-min(spec.yearly_email_death_share, 0.999)) / 365
    email_day = people.signup_day + rng.exponential(1 / max(daily, 1e-9), reason.size)
    died[:, EMAIL] = np.minimum(died[:, EMAIL], np.minimum(email_day, NEVER_DAY).astype(np.int64))
    # The purge takes tokens of people who stay as well: their next session brings a new one.
    purged = (people.platform == ANDROID) & (rng.random(reason.size) < spec.purge_share / 3)
    purged &= (people.signup_day < spec.purge_day) & (left_day >= NEVER_DAY)
    died[purged, PUSH] = spec.purge_day
    return np.where(people.has_channel & (died < spec.n_days), died, NEVER_DAY)


def _draw_opt_outs(
    people: People, state: tuple[Ints, Ints, Flags], *, spec: WorldSpec, rng: np.random.Generator
) -> Ints:
    reason, left_day, has_evidence = state
    out = np.full(people.has_channel.shape, NEVER_DAY, dtype=np.int64)
    rows, draw = np.arange(reason.size), rng.random(reason.size)
    tired = (reason == reason_code("message_fatigue")) & has_evidence
    shortly_before = np.maximum(left_day - rng.integers(0, 8, reason.size), people.signup_day + 1)
    out[rows[tired], people.main_channel[tired]] = shortly_before[tired]
    private = (reason == reason_code("privacy_concern")) & has_evidence
    stopped = (reason == reason_code("explicit_stop")) & has_evidence & (draw < 0.5)
    everywhere = private | stopped | (tired & (draw < 0.4))
    closed = np.minimum(out, left_day[:, None] + 1)
    out = np.where(everywhere[:, None], closed, out)
    revoked = reason == reason_code("permission_revoked")
    out[revoked, PUSH] = left_day[revoked]
    idle = (rng.random(reason.size) < spec.background_opt_out_share) & (out[:, EMAIL] == NEVER_DAY)
    some_day = people.signup_day + 10 + rng.integers(0, spec.n_days, reason.size)
    out[idle, EMAIL] = some_day[idle]
    return np.where(people.has_channel & (out < spec.n_days), out, NEVER_DAY)


def _draw_lifts(reason: Ints, *, spec: WorldSpec, rng: np.random.Generator) -> Floats:
    table = np.asarray([LIFT_WHILE_ENGAGED, *(traits.lift for traits in REASON_TRAITS.values())])
    noise = rng.normal(0, 0.4, size=(reason.size, len(STRATEGIES)))
    return (table[reason + 1] + noise) * spec.response_scale


def died_with_leaving(leaving: Leaving) -> Flags:
    """Return users × CHANNELS: whether the endpoint was dead when the user left for want of reach."""
    dead = (leaving.reason == reason_code("delivery_dead"))[:, None]
    with_it: Flags = dead & (leaving.endpoint_died_day <= leaving.left_day[:, None])
    return with_it


def reachable_on(day: Ints | int, *, leaving: Leaving, channel: int, renewed_day: Ints | None = None) -> Flags:
    """Return who a message on this channel reaches on this day: not opted out, endpoint alive or renewed."""
    died = leaving.endpoint_died_day[:, channel]
    alive = died > day
    if renewed_day is not None:
        alive |= renewed_day <= day
    return alive & (leaving.opted_out_day[:, channel] > day) & (channel < len(CHANNELS))
