"""Routine and campaign messages, and what became of each: delivered, opened, failed, opted out."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from dagster_project.simulate.activity import Habits, Lives, is_away_on, renewed_days
from dagster_project.simulate.campaign import EXPERIMENT_ID, Campaign
from dagster_project.simulate.clock import local_times, utc_from_local
from dagster_project.simulate.events import app_versions, is_during
from dagster_project.simulate.leaving import died_with_leaving
from dagster_project.simulate.people import EMAIL, PUSH, WECHAT, Flags, Ints
from dagster_project.simulate.reasons import STRATEGIES, reason_code
from dagster_project.simulate.spec import CHANNELS, NEVER_DAY, PLATFORMS, WorldSpec
from dagster_project.simulate.tables import conform, named, numbered, user_ids

MESSAGE_EVENTS = (
    "sent", "delivered", "opened", "clicked", "converted", "failed", "bounced", "unsubscribed", "complained",
)  # fmt: skip
CONTENTS = ("newsletter", "new_arrivals", "basket_reminder", "weekly_digest")
# A sender drops an endpoint after this many refusals.
MAX_REFUSALS = 3
# Codes as the providers write them. Push: FCM v1 errors and APNs reasons (by platform ios, android).
# Unregistered is APNs' word for a removed app; BadDeviceToken for a token that is not, or no longer, one.
PUSH_DEAD = ("BadDeviceToken", "UNREGISTERED")
PUSH_TRANSIENT = ("ServiceUnavailable", "UNAVAILABLE")
# Email: RFC 3463 (5.1.1 no such mailbox, 4.2.2 mailbox full, 4.4.2 connection dropped); SMS: receipt states of SMPP
# 3.4, with the cause of a death (err 001 unknown subscriber, 3GPP TS 29.002); WeChat: errcode 40003 (no such openid),
# 43004 (does not follow), -1 (system busy).
CODES = (
    *PUSH_DEAD,
    *PUSH_TRANSIENT,
    "5.1.1",
    "4.2.2",
    "4.4.2",
    "UNDELIV err:001",
    "EXPIRED",
    "40003",
    "-1",
    "Unregistered",
    "43004",
)
REMOVED_ON_IOS = CODES.index("Unregistered")
UNFOLLOWED = CODES.index("43004")
PERMANENT_CODES = (*PUSH_DEAD, "Unregistered", "5.1.1", "UNDELIV err:001", "40003")
DEAD_CODE = (0, 4, 7, 9)
TRANSIENT_CODE = (2, 5, 8, 10)
OUTAGE_CODE = (2, 6, 8, 10)


@dataclass(frozen=True)
class Sends:
    """One entry per message sent, in order of day, then user; `strategy` is -1 for routine messages."""

    user: Ints
    day: Ints
    second: Ints
    channel: Ints
    strategy: Ints

    def where(self, keep: Flags | Ints) -> "Sends":
        """Return the chosen entries, in the order of the choice."""
        return Sends(*(values[keep] for values in vars(self).values()))


@dataclass(frozen=True)
class Fates:
    """What became of each of the sends: a code position (-1: delivered), whether opened and clicked."""

    code: Ints
    is_delivered: Flags
    is_opened: Flags
    is_clicked: Flags
    generation: Ints


def draw_messages(
    lives: Lives,
    *,
    habits: Habits,
    campaign: Campaign,
    rng: np.random.Generator,
    machine_rng: np.random.Generator,
) -> pl.DataFrame:
    """Return the canonical `message_events`. A click happens only on a truly active day, recorded or not.

    The mail program of some users opens whatever arrives at once, as Apple's does: these opens tell nothing of them.
    """
    renewed = renewed_days(lives, died_day=habits.leaving.endpoint_died_day[:, PUSH])
    sends = _draw_sends(habits=habits, campaign=campaign, rng=rng)
    dead, generation = _is_dead(sends, habits=habits, renewed=renewed)
    kept = _tolerated(sends, dead=dead, habits=habits)
    sends, dead, generation = sends.where(kept), dead[kept], generation[kept]
    fates = _draw_fates(sends, lives, state=(dead, generation), habits=habits, rng=rng)
    opt_outs = _opt_outs(sends, habits=habits, rng=rng)
    prefetched = _is_prefetched(sends, fates, habits=habits, rng=machine_rng)
    return _table(sends, fates, (opt_outs, prefetched), habits=habits, rng=rng)


def endpoint_names(user: Ints, *, channel: Ints, generation: Ints) -> pl.Series:
    """Return opaque endpoint ids: channel, user, and a count of how often the endpoint was renewed."""
    frame = pl.DataFrame({"channel": named(channel, CHANNELS), "user": user_ids(user), "generation": generation})
    return frame.select(pl.format("{}:{}-{}", "channel", "user", pl.col("generation") + 1)).to_series()


def _draw_sends(*, habits: Habits, campaign: Campaign, rng: np.random.Generator) -> Sends:
    spec, people, leaving = habits.spec, habits.people, habits.leaving
    tired = leaving.reason == reason_code("message_fatigue")
    daily = spec.routine_sends_per_month / 30 * np.where(tired, spec.fatigue_send_factor, 1.0)
    window = np.maximum(spec.n_days - 1 - people.signup_day, 0)
    user = np.repeat(np.arange(tired.size), rng.poisson(daily * window))
    day = people.signup_day[user] + 1 + (rng.random(user.size) * window[user]).astype(np.int64)
    treated = np.flatnonzero(campaign.is_treated)
    n_routine, n_campaign = user.size, treated.size
    sends = Sends(
        user=np.concatenate([user, campaign.user[treated]]),
        day=np.concatenate([day, np.full(n_campaign, spec.campaign_day)]),
        second=rng.integers(9 * 3600, 20 * 3600, n_routine + n_campaign),
        channel=np.concatenate([_channels(user, habits=habits, rng=rng), campaign.channel[treated]]),
        strategy=np.concatenate([np.full(n_routine, -1), campaign.strategy[treated]]),
    )
    # The assignment comes first, at ten; its message follows within the day.
    sends.second[n_routine:] = np.maximum(sends.second[n_routine:], 10 * 3600 + 600)
    allowed = sends.day < leaving.opted_out_day[sends.user, sends.channel]
    sends = sends.where(allowed & (sends.day < spec.n_days))
    return sends.where(np.lexsort((sends.strategy, sends.channel, sends.second, sends.user, sends.day)))


def _channels(user: Ints, *, habits: Habits, rng: np.random.Generator) -> Ints:
    owned = habits.people.has_channel[user]
    other = np.argmax(owned * rng.random(owned.shape), axis=1)
    use_main = rng.random(user.size) < 0.8
    return np.where(use_main, habits.people.main_channel[user], other)


def _is_dead(sends: Sends, *, habits: Habits, renewed: Ints) -> tuple[Flags, Ints]:
    died = habits.leaving.endpoint_died_day[sends.user, sends.channel]
    is_renewed = (sends.channel == PUSH) & (renewed[sends.user] <= sends.day)
    return (died <= sends.day) & ~is_renewed, is_renewed.astype(np.int64)


def _tolerated(sends: Sends, *, dead: Flags, habits: Habits) -> Flags:
    """Return which sends were made: a dead endpoint is tried a few times, or never where no trace is left."""
    refusals = pl.DataFrame({"user": sends.user, "channel": sends.channel, "dead": dead}).select(
        pl.col("dead").cast(pl.Int64).cum_sum().over("user", "channel")
    )
    n_refusals = refusals.to_series().to_numpy()
    cause = habits.leaving.reason[sends.user]
    traceless = (cause == reason_code("delivery_dead")) | (cause == reason_code("uninstalled"))
    traceless &= ~habits.leaving.has_evidence[sends.user]
    made: Flags = ~dead | ((n_refusals <= MAX_REFUSALS) & ~traceless)
    return made


def _draw_fates(
    sends: Sends, lives: Lives, *, state: tuple[Flags, Ints], habits: Habits, rng: np.random.Generator
) -> Fates:
    dead, generation = state
    refused = _provider_outage(sends, habits=habits)
    transient = rng.random(sends.user.size) < habits.spec.transient_failure_share
    android = ((sends.channel == PUSH) & (habits.people.platform[sends.user] == 1)).astype(np.int64)
    code = np.where(transient, np.asarray(TRANSIENT_CODE)[sends.channel] + android, -1)
    code = np.where(dead, np.asarray(DEAD_CODE)[sends.channel] + android, code)
    removed = dead & (habits.leaving.reason[sends.user] == reason_code("uninstalled"))
    code = np.where(removed & (sends.channel == PUSH) & (android == 0), REMOVED_ON_IOS, code)
    # An account that is gone has no openid any more; who stopped following still has one.
    lost = died_with_leaving(habits.leaving)[sends.user, sends.channel]
    code = np.where(dead & (sends.channel == WECHAT) & ~lost, UNFOLLOWED, code)
    code = np.where(refused, np.asarray(OUTAGE_CODE)[sends.channel] + android, code)
    delivered = code < 0
    active = _is_active(sends, lives)
    tired = habits.leaving.reason[sends.user] == reason_code("message_fatigue")
    away = is_away_on(lives, sends.user, sends.day)
    chance = np.where(away, 0.05, 0.12 + 0.2 * habits.people.interest[sends.user]) * np.where(tired, 0.4, 1)
    opened = delivered & (rng.random(sends.user.size) < np.where(active, 0.7, chance))
    clicked = opened & active & (rng.random(sends.user.size) < 0.6)
    return Fates(code, delivered, opened, clicked, generation)


def _provider_outage(sends: Sends, *, habits: Habits) -> Flags:
    refused = np.zeros(sends.user.size, dtype=np.bool_)
    version, names = app_versions(sends.user, sends.day, people=habits.people)
    hours = 24 * sends.day + sends.second // 3600
    for outage in habits.spec.outages:
        if outage.kind == "messages":
            hit = is_during(outage, sends.day) & (hours >= 24 * outage.start_day + outage.start_hour)
            if outage.end_day is not None:
                hit &= hours < 24 * (outage.end_day - 1) + outage.end_hour
            if outage.channel is not None:
                hit &= sends.channel == CHANNELS.index(outage.channel)
            if outage.platform is not None:
                hit &= habits.people.platform[sends.user] == PLATFORMS.index(outage.platform)
            if outage.app_version is not None:
                hit &= version == (names.index(outage.app_version) if outage.app_version in names else -2)
            refused |= hit
    return refused


def _is_active(sends: Sends, lives: Lives) -> Flags:
    users, days = lives.active()
    width = NEVER_DAY + 1
    keys, wanted = users * width + days, sends.user * width + sends.day
    at = np.minimum(np.searchsorted(keys, wanted), max(keys.size - 1, 0))
    return keys[at] == wanted if keys.size else np.zeros(wanted.size, dtype=np.bool_)


def _opt_outs(sends: Sends, *, habits: Habits, rng: np.random.Generator) -> pl.DataFrame:
    """Return the opt-outs made from within a message: send position, day, complaint or not.

    An opt-out without an earlier message, and a permission taken back in the device, leave no message event.
    """
    out_day = habits.leaving.opted_out_day[sends.user, sends.channel]
    in_device = habits.leaving.reason[sends.user] == reason_code("permission_revoked")
    by_message = (out_day < NEVER_DAY) & ~(in_device & (sends.channel == PUSH))
    last = (
        pl.DataFrame({"position": np.arange(sends.user.size), "user": sends.user, "channel": sends.channel})
        .filter(pl.Series(by_message))
        .group_by("user", "channel")
        .agg(pl.col("position").max())
        .sort("user", "channel")
    )
    position = last["position"].to_numpy().astype(np.int64)
    complains = (rng.random(position.size) < 0.15) & (sends.channel[position] == EMAIL)
    return pl.DataFrame({"position": position, "day": out_day[position], "complains": complains})


def _is_prefetched(sends: Sends, fates: Fates, *, habits: Habits, rng: np.random.Generator) -> Flags:
    """Return which messages a mail program opens as they arrive."""
    has_program = rng.random(habits.leaving.reason.size) < habits.spec.machine_open_share
    prefetched: Flags = fates.is_delivered & (sends.channel == EMAIL) & has_program[sends.user]
    return prefetched


def _table(
    sends: Sends,
    fates: Fates,
    besides: tuple[pl.DataFrame, Flags],
    *,
    habits: Habits,
    rng: np.random.Generator,
) -> pl.DataFrame:
    n, (opt_outs, is_prefetched) = sends.user.size, besides
    every = np.arange(n)
    delivered, opened, clicked = (
        np.flatnonzero(flag) for flag in (fates.is_delivered, fates.is_opened, fates.is_clicked)
    )
    failed = np.flatnonzero(~fates.is_delivered)
    converted = clicked[rng.random(clicked.size) < 0.2]
    read_after = 60 + rng.exponential(3000, n).astype(np.int64)
    out = opt_outs["position"].to_numpy().astype(np.int64)
    prefetched = np.flatnonzero(is_prefetched)
    arrives_after = np.zeros(n, dtype=np.int64)
    arrives_after[delivered] = rng.integers(1, 20, delivered.size)
    kinds = [
        (every, np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)),
        (delivered, np.full(delivered.size, 1), arrives_after[delivered]),
        (prefetched, np.full(prefetched.size, 2), arrives_after[prefetched] + 1 + prefetched % 3),
        (opened, np.full(opened.size, 2), read_after[opened]),
        (clicked, np.full(clicked.size, 3), read_after[clicked] + 15),
        (converted, np.full(converted.size, 4), read_after[converted] + 600),
        (failed, np.where(sends.channel[failed] == EMAIL, 6, 5), rng.integers(1, 40, failed.size)),
        (out, np.where(opt_outs["complains"].to_numpy(), 8, 7), np.zeros(out.size, dtype=np.int64)),
    ]
    position = np.concatenate([part[0] for part in kinds]).astype(np.int64)
    event = np.concatenate([part[1] for part in kinds]).astype(np.int64)
    delay = np.concatenate([part[2] for part in kinds]).astype(np.int64)
    day, second = sends.day[position], sends.second[position] + delay
    opting = event >= 7
    day[opting] = opt_outs["day"].to_numpy()
    second[opting] = 22 * 3600
    return _named_table(sends, fates, (position, event, day, second), spec=habits.spec)


def _named_table(sends: Sends, fates: Fates, rows: tuple[Ints, Ints, Ints, Ints], *, spec: WorldSpec) -> pl.DataFrame:
    position, event, day, second = rows
    user, channel, strategy = sends.user[position], sends.channel[position], sends.strategy[position]
    refused = (event == 5) | (event == 6)
    routine = strategy < 0
    frame = pl.DataFrame(
        {
            "user_id": user_ids(user),
            "message_id": numbered(position, prefix="m", n_digits=8),
            "channel": named(channel, CHANNELS),
            "event": named(event, MESSAGE_EVENTS),
            "occurred_at": local_times(day, second=second, first_on=spec.first_on),
            "campaign_id": named(np.where(routine, -1, 0), (EXPERIMENT_ID,)),
            "strategy_id": named(strategy, STRATEGIES),
            "content_id": named(np.where(routine, position % len(CONTENTS), -1), CONTENTS),
            "category": named(np.where(routine, 0, 1), ("routine", "winback")),
            "code": named(np.where(refused, fates.code[position], -1), CODES),
            "endpoint": endpoint_names(user, channel=channel, generation=fates.generation[position]),
        }
    ).with_columns(utc_from_local(pl.col("occurred_at"), timezone=spec.business_timezone))
    # Message, then time: events of one message lie together and in order, as a provider's log has them.
    order = np.lexsort((event, second, day, position))
    return conform(frame[order], table="message_events")
