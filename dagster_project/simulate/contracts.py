"""Subscriptions and their automatic renewals, and the consents that users gave and took back."""

import numpy as np
import polars as pl

from dagster_project.simulate.activity import Habits, Lives
from dagster_project.simulate.clock import local_times, utc_from_local
from dagster_project.simulate.people import EMAIL, PUSH, Flags, Ints
from dagster_project.simulate.reasons import reason_code
from dagster_project.simulate.spec import CHANNELS, NEVER_DAY
from dagster_project.simulate.tables import conform, named, user_ids

PLANS = ("basic", "plus", "family")
PRICES = np.asarray([4.99, 9.99, 14.99])
END_REASONS = ("payment_failed", "too_expensive", "user_cancelled", "price_change")
BILLING_DAYS = 30
CONSENT_SOURCES = ("signup", "message_link", "device_settings", "privacy_request", "preference_centre")


def draw_subscriptions(
    lives: Lives, *, habits: Habits, rng: np.random.Generator
) -> tuple[pl.DataFrame, tuple[Ints, Ints]]:
    """Return the canonical `subscriptions`, and (user, day) of every automatic renewal.

    A price shock ends every running contract with `price_change` and begins a dearer one on the same day.
    """
    spec, people = habits.spec, habits.people
    user = np.flatnonzero(people.is_subscriber & ~people.is_prospect)
    start = people.signup_day[user] + rng.integers(0, 10, user.size)
    end, reason = _ends(lives, user, start, habits=habits, rng=rng)
    start_seen = start < spec.n_days
    user, start, end, reason = user[start_seen], start[start_seen], end[start_seen], reason[start_seen]
    plan = rng.choice(3, size=user.size, p=[0.5, 0.35, 0.15])
    split = (start < spec.price_shock_day) & (end > spec.price_shock_day)
    split &= spec.price_shock_day < spec.n_days
    dearer = np.where(start >= spec.price_shock_day, 1 + spec.price_shock_size, 1.0)
    before = np.where(split, spec.price_shock_day, end), np.where(split, 3, reason)
    after = np.flatnonzero(split)
    columns = {
        "user": np.concatenate([user, user[after]]),
        "start": np.concatenate([start, np.full(after.size, spec.price_shock_day)]),
        "end": np.concatenate([before[0], end[after]]),
        "reason": np.concatenate([before[1], reason[after]]),
        "plan": np.concatenate([plan, plan[after]]),
        "factor": np.concatenate([dearer, np.full(after.size, 1 + spec.price_shock_size)]),
    }
    table = _subscriptions_table(columns, habits=habits, rng=rng)
    return table, _renewals(user, start, np.minimum(end, spec.n_days))


def _ends(lives: Lives, user: Ints, start: Ints, *, habits: Habits, rng: np.random.Generator) -> tuple[Ints, Ints]:
    leaving = habits.leaving
    cause, left = leaving.reason[user], lives.first_left_day[user]
    traced = leaving.has_evidence[user]
    unpaid = (cause == reason_code("payment_failure")) & traced
    dear = (cause == reason_code("price_or_plan")) & traced
    stopped = (cause == reason_code("explicit_stop")) & traced
    # Half of those who leave forget the contract, or do not mind it.
    tidy = rng.random(user.size) < 0.5
    tidy_end = left + rng.integers(0, 45, user.size)
    soon_end = left + rng.integers(0, 4, user.size)
    end = np.where(unpaid, left, np.where(dear | stopped, soon_end, np.where(tidy, tidy_end, NEVER_DAY)))
    end = np.where(left < NEVER_DAY, np.maximum(end, start + 1), NEVER_DAY)
    end = np.where(end < habits.spec.n_days, end, NEVER_DAY)
    reason = np.where(unpaid, 0, np.where(dear, 1, 2))
    return end, np.where(end < NEVER_DAY, reason, -1)


def _renewals(user: Ints, start: Ints, end: Ints) -> tuple[Ints, Ints]:
    n_renewals = np.maximum((end - start - 1) // BILLING_DAYS, 0)
    row = np.repeat(np.arange(user.size), n_renewals)
    step = np.arange(row.size) - np.repeat(np.cumsum(n_renewals) - n_renewals, n_renewals) + 1
    return user[row], start[row] + step * BILLING_DAYS


def _subscriptions_table(columns: dict[str, Ints], *, habits: Habits, rng: np.random.Generator) -> pl.DataFrame:
    spec = habits.spec
    user, end = columns["user"], columns["end"]
    second = rng.integers(30_000, 80_000, user.size)
    # The contract after a price change begins at the second at which the one before ends.
    changed_second = 12 * 3600
    starts_changed = columns["start"] == spec.price_shock_day
    ends_changed = columns["reason"] == END_REASONS.index("price_change")
    is_open = end >= NEVER_DAY
    frame = pl.DataFrame(
        {
            "user_id": user_ids(user),
            "started_at": local_times(
                columns["start"],
                second=np.where(starts_changed, changed_second, second // 4),
                first_on=spec.first_on,
            ),
            "ended_at": local_times(
                np.where(is_open, 0, end),
                second=np.where(ends_changed, changed_second, second),
                first_on=spec.first_on,
            ),
            "is_open": is_open,
            "plan": named(columns["plan"], PLANS),
            "price": np.round(PRICES[columns["plan"]] * columns["factor"], 2),
            "end_reason": named(columns["reason"], END_REASONS),
        }
    ).with_columns(
        utc_from_local(pl.col("started_at"), timezone=spec.business_timezone),
        pl.when(~pl.col("is_open")).then(utc_from_local(pl.col("ended_at"), timezone=spec.business_timezone)),
    )
    return conform(frame.sort("user_id", "started_at"), table="subscriptions")


def draw_consents(*, habits: Habits, rng: np.random.Generator) -> pl.DataFrame:
    """Return the canonical `consents`: status `granted` on joining, `revoked` later; some were never logged.

    The ways to close a channel differ in `source`: a link in a message, the device's settings, a request.
    """
    spec, people, leaving = habits.spec, habits.people, habits.leaving
    logged = people.has_channel & (rng.random(people.has_channel.shape) < 0.92)
    user, channel = np.nonzero(logged)
    out_user, out_channel = np.nonzero(leaving.opted_out_day < NEVER_DAY)
    cause = leaving.reason[out_user]
    source = np.where(cause == reason_code("privacy_concern"), 3, 1)
    source = np.where(cause == reason_code("explicit_stop"), 4, source)
    source = np.where((cause == reason_code("permission_revoked")) & (out_channel == PUSH), 2, source)
    # A switch in the device is not always reported to us.
    reported = (source != 2) | leaving.has_evidence[out_user]
    out_user, out_channel, source = out_user[reported], out_channel[reported], source[reported]
    granted_second = np.minimum(people.signup_second[user] + 30, 86_399)
    frame = pl.DataFrame(
        {
            "user_id": user_ids(np.concatenate([user, out_user])),
            "channel": named(np.concatenate([channel, out_channel]), CHANNELS),
            "status": named(np.repeat([0, 1], [user.size, out_user.size]), ("granted", "revoked")),
            "changed_at": local_times(
                np.concatenate([people.signup_day[user], leaving.opted_out_day[out_user, out_channel]]),
                second=np.concatenate([granted_second, np.full(out_user.size, 22 * 3600)]),
                first_on=spec.first_on,
            ),
            "source": named(np.concatenate([np.zeros_like(user), source]), CONSENT_SOURCES),
            **_terms(user, channel, n_rows=user.size + out_user.size, rng=rng),
        }
    ).with_columns(utc_from_local(pl.col("changed_at"), timezone=spec.business_timezone))
    return conform(frame.sort("user_id", "channel", "changed_at", "status"), table="consents")


def _terms(user: Ints, channel: Ints, *, n_rows: int, rng: np.random.Generator) -> dict[str, pl.Series]:
    n = user.size

    def some(share: float) -> Flags:
        return np.append(rng.random(n) < share, np.zeros(n_rows - n, dtype=np.bool_))

    existing_customer = some(0.15) & np.append(channel == EMAIL, np.zeros(n_rows - n, dtype=np.bool_))
    is_quiet, is_capped, is_narrow = some(0.1), some(0.05), some(0.2)
    basis = np.where(existing_customer, 1, 0)
    basis[n:] = -1
    return {
        "basis": named(basis, ("consent", "existing_customer")),
        "categories": named(np.where(is_narrow, 0, -1), ("winback,offers",)),
        "quiet_start": named(np.where(is_quiet, 0, -1), ("21:00",)),
        "quiet_end": named(np.where(is_quiet, 0, -1), ("09:00",)),
        "max_per_week": named(np.where(is_capped, 0, -1), ("1",)),
    }
