"""The truth of a simulated world, which no night of the product may read: only tests and benchmarks."""

from collections.abc import Mapping

import numpy as np
import polars as pl

from dagster_project.simulate.activity import Habits, Lives, renewed_days
from dagster_project.simulate.clock import dates
from dagster_project.simulate.events import PURCHASE, Happenings
from dagster_project.simulate.feedback import TOPICS_OF_REASONS
from dagster_project.simulate.leaving import died_with_leaving, reachable_on
from dagster_project.simulate.messages import PERMANENT_CODES, endpoint_names
from dagster_project.simulate.people import PUSH, Flags, Ints
from dagster_project.simulate.reasons import REASON_TRAITS, REASONS, STRATEGIES, reason_code
from dagster_project.simulate.spec import CHANNELS, NEVER_DAY, PLATFORMS, WorldSpec
from dagster_project.simulate.tables import named, user_ids

# kind, start day, end day, platform, app version, channel
PlantedFault = tuple[str, int, int | None, str | None, str | None, str | None]


def users_truth(
    lives: Lives,
    *,
    habits: Habits,
    recorded: tuple[Happenings, Flags],
    tables: Mapping[str, pl.DataFrame],
) -> pl.DataFrame:
    """Return one row per user: where they truly stand on the last day, why, and what contact would do.

    `recorded` is everything that happened, and which of it was lost. `has_evidence`: the reason of
    leaving did leave its usual trace in the tables; where false, the right finding is `unknown`.
    """
    spec, people, leaving = habits.spec, habits.people, habits.leaving
    n = people.signup_day.size
    has_left = lives.is_away & (lives.left_day < spec.n_days)
    once_left = lives.first_left_day < spec.n_days
    hidden = _hidden(*recorded, n_users=n, spec=spec) & ~has_left
    first_code, code = leaving.reason, _reasons_now(lives, habits=habits)
    has_trace = _has_trace(tables, habits=habits) & (code == first_code)
    reason = np.where(has_left, code, np.where(hidden, reason_code("measurement_gap"), -1))
    columns = {
        "user_id": user_ids(np.arange(n)),
        "is_prospect": pl.Series(people.is_prospect),
        "has_left": pl.Series(has_left),
        "true_reason": named(reason, REASONS),
        "has_evidence": pl.Series(np.where(has_left, has_trace, hidden)),
        "left_on": dates(np.where(has_left, lives.left_day, -1), first_on=spec.first_on),
        "first_left_on": dates(np.where(once_left, lives.first_left_day, -1), first_on=spec.first_on),
        "first_reason": named(np.where(once_left, first_code, -1), REASONS),
        "n_returns": pl.Series(lives.n_returns),
        "last_returned_on": dates(lives.returned_day, first_on=spec.first_on, until_day=spec.n_days),
        "last_active_on": dates(lives.last_day, first_on=spec.first_on),
        "is_measurement_gap": pl.Series(hidden),
        "successor_of": _successor_ids(leaving.successor_of),
        **_interest(has_left, code, lives=lives, habits=habits),
        **_message_days(habits=habits),
    }
    for index, strategy in enumerate(STRATEGIES):
        columns[f"lift_{strategy}"] = pl.Series(leaving.lift[:, index])
    return pl.DataFrame(columns)


def endpoints_truth(lives: Lives, *, habits: Habits) -> pl.DataFrame:
    """Return one row per user and channel they own: the endpoint's life, and whether it is reachable now."""
    spec, leaving = habits.spec, habits.leaving
    renewed = renewed_days(lives, died_day=leaving.endpoint_died_day[:, PUSH])
    user, channel = np.nonzero(habits.people.has_channel)
    renewed_rows = np.where(channel == PUSH, renewed[user], NEVER_DAY)
    reachable = np.stack(
        [
            reachable_on(spec.n_days - 1, leaving=leaving, channel=c, renewed_day=renewed if c == PUSH else None)
            for c in range(len(CHANNELS))
        ],
        axis=1,
    )
    is_renewed = (renewed_rows < spec.n_days).astype(np.int64)

    def known(days: Ints) -> pl.Series:
        return dates(days, first_on=spec.first_on, until_day=spec.n_days)

    return pl.DataFrame(
        {
            "user_id": user_ids(user),
            "channel": named(channel, CHANNELS),
            "endpoint": endpoint_names(user, channel=channel, generation=is_renewed),
            "token_died_on": known(leaving.endpoint_died_day[user, channel]),
            "token_renewed_on": known(renewed_rows),
            "opted_out_on": known(leaving.opted_out_day[user, channel]),
            "is_reachable": reachable[user, channel],
        }
    )


def outages_truth(spec: WorldSpec) -> pl.DataFrame:
    """Return one row per planted fault or shock: dates from first_on, half-open; end null: still running."""
    rows: list[PlantedFault] = [
        (o.kind, o.start_day, o.end_day, o.platform, o.app_version, o.channel) for o in spec.outages
    ]
    shock_end = spec.service_shock_day + spec.service_shock_days
    rows += [
        ("token_purge", spec.purge_day, spec.purge_day + 1, "android", None, "push"),
        ("service_shock", spec.service_shock_day, shock_end, None, None, None),
        ("price_shock", spec.price_shock_day, None, None, None, None),
    ]
    rows = [row for row in rows if row[1] < spec.n_days]
    starts = np.asarray([row[1] for row in rows], dtype=np.int64)
    ends = np.asarray([NEVER_DAY if row[2] is None else row[2] for row in rows], dtype=np.int64)
    return pl.DataFrame(
        {
            "kind": pl.Series([row[0] for row in rows], dtype=pl.String),
            "start_on": dates(starts, first_on=spec.first_on),
            "end_on": dates(ends, first_on=spec.first_on, until_day=NEVER_DAY),
            "platform": pl.Series([row[3] for row in rows], dtype=pl.String),
            "app_version": pl.Series([row[4] for row in rows], dtype=pl.String),
            "channel": pl.Series([row[5] for row in rows], dtype=pl.String),
        }
    )


def _reasons_now(lives: Lives, *, habits: Habits) -> Ints:
    """Return why users are away now: the first reason, or unknown for a relapse whose endpoint lives again."""
    leaving = habits.leaving
    renewed = renewed_days(lives, died_day=leaving.endpoint_died_day[:, PUSH]) < habits.spec.n_days
    of_endpoint = np.isin(leaving.reason, [reason_code("delivery_dead"), reason_code("uninstalled")])
    return np.where(renewed & of_endpoint, reason_code("unknown"), leaving.reason)


def _hidden(happenings: Happenings, lost: Flags, *, n_users: int, spec: WorldSpec) -> Flags:
    """Return who was active in a running outage and is therefore not seen at the end."""
    running = [o.start_day for o in spec.outages if o.kind == "events" and o.end_day is None]
    hidden = np.zeros(n_users, dtype=np.bool_)
    if running:
        late = happenings.day >= min(running)
        used = happenings.event_type <= PURCHASE
        hidden[happenings.user[lost & late & used]] = True
        hidden[happenings.user[~lost & late & used]] = False
    return hidden


def _has_trace(tables: Mapping[str, pl.DataFrame], *, habits: Habits) -> Flags:
    """Return whose reason left a trace to be found: one was planned, and where it is a row, the row is there."""
    leaving, n = habits.leaving, habits.leaving.reason.size
    messages, feedback = tables["message_events"], tables["feedback"]
    refused = _rows_of(messages.filter(pl.col("code").is_in(PERMANENT_CODES)), n_users=n)
    of_death = _users_refused_where(died_with_leaving(leaving), messages, n_users=n)
    removed = _rows_of(tables["events"].filter(pl.col("event_type") == "app_removed"), n_users=n)
    contracts = tables["subscriptions"]
    dear = _rows_of(contracts.filter(pl.col("end_reason") == "too_expensive"), n_users=n)
    found = leaving.has_evidence.copy()
    found &= (leaving.reason != reason_code("delivery_dead")) | of_death
    found &= (leaving.reason != reason_code("uninstalled")) | refused | removed
    for reason, topics in TOPICS_OF_REASONS.items():
        said = _rows_of(feedback.filter(pl.col("category").is_in(topics)), n_users=n)
        if reason == "price_or_plan":
            said |= dear
        found &= (leaving.reason != reason_code(reason)) | said
    return found


def _users_refused_where(died: Flags, messages: pl.DataFrame, *, n_users: int) -> Flags:
    """Return who had a message refused for good on a channel that `died` (users × CHANNELS)."""
    user, channel = np.nonzero(died)
    where = pl.DataFrame({"user_id": user_ids(user), "channel": named(channel, CHANNELS)})
    refused = messages.filter(pl.col("code").is_in(PERMANENT_CODES))
    return _rows_of(refused.join(where, on=["user_id", "channel"], how="semi"), n_users=n_users)


def _rows_of(table: pl.DataFrame, *, n_users: int) -> Flags:
    users = table["user_id"].str.slice(1).cast(pl.Int64).to_numpy()
    return np.bincount(users, minlength=n_users) > 0


def _successor_ids(successor_of: Ints) -> pl.Series:
    ids = user_ids(np.maximum(successor_of, 0))
    known = pl.Series(successor_of >= 0)
    return pl.select(pl.when(pl.lit(known)).then(pl.lit(ids)).alias("successor_of")).to_series()


def _interest(has_left: Flags, code: Ints, *, lives: Lives, habits: Habits) -> dict[str, pl.Series]:
    people = habits.people
    kept = np.asarray([traits.interest_kept for traits in REASON_TRAITS.values()])[code]
    seen = np.maximum(lives.last_day - people.signup_day, 0)
    at_last = people.interest * np.exp(-people.decay * seen)
    end = np.where(has_left, at_last * kept, at_last)
    return {
        "interest_at_start": pl.Series(people.interest),
        "interest_at_last_activity": pl.Series(at_last),
        "true_interest": pl.Series(end),
        "daily_return_hazard": pl.Series(habits.leaving.return_hazard),
    }


def _message_days(*, habits: Habits) -> dict[str, pl.Series]:
    spec, leaving = habits.spec, habits.leaving
    main = np.asarray(habits.people.main_channel)
    columns = {"main_channel": named(main, CHANNELS), "platform": named(habits.people.platform, PLATFORMS)}
    for index, channel in enumerate(CHANNELS):
        died = leaving.endpoint_died_day[:, index]
        columns[f"token_died_on_{channel}"] = dates(died, first_on=spec.first_on, until_day=spec.n_days)
    first_out = leaving.opted_out_day.min(axis=1)
    columns["opted_out_on"] = dates(first_out, first_on=spec.first_on, until_day=spec.n_days)
    return columns
