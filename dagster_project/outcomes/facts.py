"""What users did, read once for all experiments of a night: sorted keys of user and day, and running sums over them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import polars as pl

from dagster_project.lake.duck import frame

Ints = npt.NDArray[np.int64]

DAYS_PER_USER = 2**17  # a key is user × this + days since 1970: no two users' days ever meet
NOBODY = 2**62  # a key beyond everybody's
FEW_STEPS = 2
SAID = {
    "opened": "is_opened",
    "clicked": "is_clicked",
    "shared": "is_shared",
    "opted_out": "is_opted_out",
    "complained": "is_complained",
    "app_removed": "is_app_removed",
}
MONEY_PARTS, SCORE_PARTS = 10_000, 10**9
"""Money and scores are summed as whole parts of one: exact, in whatever order."""


@dataclass(frozen=True)
class Running:
    """Keys, ascending, and sums of what lies before each place among them, by name: one longer than the keys."""

    keys: Ints
    before: Mapping[str, Ints]

    def within(self, start: Ints, days: Sequence[int]) -> tuple[Ints, list[dict[str, Ints]]]:
        """The places of the starts (ascending) with anything in the longest of `days` (ascending), and their sums.

        One set of sums for each of the days: from the start to as many days later.
        """
        place = np.searchsorted(self.keys, start)
        some = np.flatnonzero(key_at(self.keys, place) < start + days[-1])
        since, place = start[some], place[some]
        first = {name: before[place] for name, before in self.before.items()}
        made = []
        for length in days:
            place = _advanced(self.keys, place, since + length)
            made.append({name: before[place] - first[name] for name, before in self.before.items()})
        return some, made


@dataclass(frozen=True)
class Facts:
    """What persons did up to the night.

    `active`: keys of days with a core event, ascending, each once. `silent_days`: those that followed each, up to the
    next active day or the night. `said`: keys of the days on which each of SAID happened. `money` has the sums of
    `amount`, and is None where no event has one; `scores` those of `score` and of `n`, how many were told.
    """

    active: Ints
    silent_days: Ints
    money: Running | None
    said: Mapping[str, Ints]
    scores: Running


def day_keys(user_sk: Ints, days: Ints) -> Ints:
    """The key of a user's day; `days` since 1970."""
    return user_sk * DAYS_PER_USER + days


def key_at(keys: Ints, places: Ints) -> Ints:
    """The keys at places that ascend; NOBODY's beyond the last."""
    found = np.full(len(places), NOBODY, dtype=np.int64)
    n_inside = int(np.searchsorted(places, len(keys)))
    found[:n_inside] = keys[places[:n_inside]]
    return found


def _advanced(keys: Ints, place: Ints, limit: Ints) -> Ints:
    """The places of the first keys not below the limits, which lie at or after the places given; all ascend.

    Most are few steps away, which costs a fraction of a search; what is left after some is searched for.
    """
    place = place.copy()
    behind = np.flatnonzero(key_at(keys, place) < limit)
    for _ in range(FEW_STEPS):
        place[behind] += 1
        behind = behind[key_at(keys, place[behind]) < limit[behind]]
    place[behind] = np.searchsorted(keys, limit[behind])
    return place


def read_facts(
    con: duckdb.DuckDBPyConnection,
    accounts: pl.DataFrame,
    *,
    since: date,
    as_of: date,
    withdrawals: pl.DataFrame | None = None,
    referrals: pl.DataFrame | None = None,
) -> Facts:
    """The facts of the persons of `accounts` (account_sk, user_sk of the person) from `since` on.

    The connection must show `intermediate.user_days` and `intermediate.response_days` as the night may see them.
    `withdrawals`, `referrals`: user_sk (of the account), dt of consents withdrawn and of links made, if such are kept.
    """
    none = pl.DataFrame(schema={"user_sk": pl.Int64, "dt": pl.Date})
    con.register("accounts", accounts.select("account_sk", "user_sk"))
    con.register("withdrawals", none if withdrawals is None else withdrawals.select("user_sk", "dt"))
    con.register("referrals", none if referrals is None else referrals.select("user_sk", "dt"))
    told = _columns(con, _ACTIVITY, {"since": since})
    active = told["key"][told["is_active"]]
    active = active[np.diff(active, prepend=-1) != 0]
    has_money = bool(told["has_amount"].any())
    answers = _columns(con, _ANSWERS, {"since": since})
    return Facts(
        active=active,
        silent_days=_silences(active, (as_of - date(1970, 1, 1)).days),
        money=_running(told["key"], amount=told["amount"]) if has_money else None,
        said={name: answers["key"][answers[flag]] for name, flag in SAID.items()},
        scores=_running(answers["key"], n=answers["n_scores"], score=answers["score"]),
    )


def _columns(con: duckdb.DuckDBPyConnection, query: str, params: Mapping[str, Any]) -> dict[str, npt.NDArray[Any]]:
    return {column.name: column.to_numpy() for column in frame(con, query, dict(params)).iter_columns()}


def _running(keys: Ints, **values: Ints) -> Running:
    """What is nought in the first of the values is nought in all."""
    some = np.flatnonzero(next(iter(values.values())))
    sums = {name: np.concatenate([[0], one[some].cumsum()]).astype(np.int64) for name, one in values.items()}
    return Running(keys[some], sums)


def _silences(active: Ints, tonight: int) -> Ints:
    user, day = np.divmod(active, DAYS_PER_USER)
    last_silent = np.full(len(active), tonight, dtype=np.int64)
    same = user[1:] == user[:-1]
    last_silent[:-1][same] = day[1:][same] - 1  # the day before the next active one
    return np.asarray(last_silent - day)


_KEY = f"accounts.user_sk * {DAYS_PER_USER} + (day.dt - date '1970-01-01')"
_ACTIVITY = f"""
select
    {_KEY} as key,
    day.n_core_events > 0 as is_active,
    cast(coalesce(day.amount, 0) * {MONEY_PARTS} as bigint) as amount,
    day.amount is not null as has_amount
from intermediate.user_days as day
join accounts on day.user_sk = accounts.account_sk
where day.dt >= $since and (day.n_core_events > 0 or day.amount is not null)
order by key
"""
_ANSWERS = f"""
with scale as (
    select case when max(csat_max) > 0 then max(csat_max) else 1 end as csat_max from intermediate.response_days
),
told as (
    select
        user_sk, dt, {", ".join(SAID.values())},
        coalesce(nps_sum, 0) / 10 + coalesce(csat_sum, 0) / scale.csat_max as score,
        coalesce(nps_n, 0) + coalesce(csat_n, 0) as n_scores
    from intermediate.response_days cross join scale
    union all by name select user_sk, dt, true as is_opted_out from withdrawals
    union all by name select user_sk, dt, true as is_shared from referrals
)
select
    {_KEY} as key,
    {", ".join(f"coalesce(day.{flag}, false) as {flag}" for flag in SAID.values())},
    cast(round(coalesce(day.score, 0) * {SCORE_PARTS}) as bigint) as score,
    cast(coalesce(day.n_scores, 0) as bigint) as n_scores
from told as day
join accounts on day.user_sk = accounts.account_sk
where day.dt >= $since
order by key
"""
