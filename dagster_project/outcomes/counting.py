"""Outcomes per entry, counted in DuckDB from the days of the lake: what happened from the day of entry on.

The connection must show `intermediate.user_days` and `intermediate.response_days` as the night may see them.
"""

from datetime import date

import duckdb
import polars as pl

from dagster_project.lake.duck import frame
from dagster_project.outcomes.vocabulary import AFTER, DAYS_BEFORE, HORIZONS, LONGEST

OUTCOMES = pl.Schema(
    {
        "user_sk": pl.Int64(),
        "assigned_on": pl.Date(),
        "n_days_seen": pl.Int64(),
        "n_active_days_before": pl.Int64(),
        **{metric.column(0): pl.Int64() for metric in AFTER},
        **{f"spend_{days}": pl.Float64() for days in HORIZONS},
        **{f"satisfaction_{days}": pl.Float64() for days in HORIZONS},
    }
)
_SAID = {
    "opened": "is_opened",
    "clicked": "is_clicked",
    "shared": "is_shared",
    "opted_out": "is_opted_out",
    "complained": "is_complained",
    "app_removed": "is_app_removed",
}
_SINCE = "date_diff('day', entry.assigned_on, day.dt)"


def count_outcomes(
    con: duckdb.DuckDBPyConnection,
    starts: pl.DataFrame,
    *,
    as_of: date,
    thresholds: pl.DataFrame,
    withdrawals: pl.DataFrame | None = None,
    referrals: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """One row per user and day of entry, as OUTCOMES, sorted by user_sk, assigned_on.

    `starts`: user_sk, assigned_on. `thresholds`: user_sk, churn_threshold_days, by which a user who came back has left
    again. `withdrawals`, `referrals`: user_sk, dt of consents withdrawn and of links made, if such are kept.
    `<metric>_after` is in days from the day of entry (0: on that day), null if not within 180 days or not by `as_of`;
    `n_days_seen` says how many of the days are over. `relapsed` happens on the first day of a silence beyond the
    threshold after a return. Spend is money of core events less refunds; null where no event has an amount.
    `satisfaction` is the mean score from 0 to 1 (nps ÷ 10, csat ÷ the highest seen); null of those who told nothing.
    """
    none = pl.DataFrame(schema={"user_sk": pl.Int64, "dt": pl.Date})
    con.register("starts", starts.select("user_sk", "assigned_on").unique())
    con.register("thresholds", thresholds.select("user_sk", "churn_threshold_days"))
    con.register("withdrawals", none if withdrawals is None else withdrawals.select("user_sk", "dt"))
    con.register("referrals", none if referrals is None else referrals.select("user_sk", "dt"))
    return frame(con, _QUERY, {"as_of": as_of}).select(list(OUTCOMES)).cast(OUTCOMES)


def _sums(expression: str, *, name: str, kind: str) -> str:
    """`expression` of the days within each horizon."""
    return ",\n    ".join(
        f"{kind}({expression}) filter (where since >= 0 and since < {days}) as {name}_{days}" for days in HORIZONS
    )


def _first(flag: str, *, name: str) -> str:
    return f"min(since) filter (where {flag} and since >= 0) as {name}_after"


_QUERY = f"""
with entry as (select user_sk, assigned_on from starts),
first_day as (select min(assigned_on) as first_on from entry),
wanted as (select distinct user_sk from entry),
scale as (select case when max(csat_max) > 0 then max(csat_max) else 1 end as csat_max from intermediate.response_days),
days as (
    select day.user_sk, day.dt, day.n_core_events, day.amount
    from intermediate.user_days as day
    semi join wanted using (user_sk)
    where day.dt >= (select first_on from first_day) - interval {DAYS_BEFORE} day
),
has_money as (select count(amount) > 0 as known from days),
activity as (
    select
        entry.user_sk, entry.assigned_on, {_SINCE} as since, day.n_core_events > 0 as is_active, day.amount
    from entry join days as day
        on entry.user_sk = day.user_sk
        and day.dt >= entry.assigned_on - interval {DAYS_BEFORE} day
        and day.dt < entry.assigned_on + interval {LONGEST} day
),
active as (
    select
        user_sk, assigned_on,
        count(*) filter (where is_active and since < 0) as n_active_days_before,
        {_first("is_active", name="returned")},
        {_sums("amount", name="spend", kind="sum")}
    from activity group by user_sk, assigned_on
),
silences as (
    select
        user_sk, dt,
        coalesce(lead(dt) over (partition by user_sk order by dt), $as_of) as next_on
    from days where n_core_events > 0
),
leavings as (
    select silences.user_sk, silences.dt, silences.dt + cast(floor(churn_threshold_days) + 1 as integer) as left_on
    from silences join thresholds using (user_sk)
    where date_diff('day', silences.dt, silences.next_on) > churn_threshold_days
),
relapses as (
    select entry.user_sk, entry.assigned_on, min(date_diff('day', entry.assigned_on, leavings.left_on)) as relapsed
    from entry join leavings
        on entry.user_sk = leavings.user_sk and leavings.dt >= entry.assigned_on
    group by entry.user_sk, entry.assigned_on
),
answers as (
    select user_sk, dt, {", ".join(_SAID.values())}, nps_sum, nps_n, csat_sum, csat_n from intermediate.response_days
    where dt >= (select first_on from first_day)
    union all by name select user_sk, dt, true as is_opted_out from withdrawals
    union all by name select user_sk, dt, true as is_shared from referrals
),
answered as (
    select
        entry.user_sk, entry.assigned_on, {_SINCE} as since, day.* exclude (user_sk, dt),
        cast(coalesce(day.nps_sum, 0) / 10 + coalesce(day.csat_sum, 0) / scale.csat_max as decimal(18, 9)) as score_sum,
        coalesce(day.nps_n, 0) + coalesce(day.csat_n, 0) as n_scores
    from entry join answers as day
        on entry.user_sk = day.user_sk
        and day.dt >= entry.assigned_on
        and day.dt < entry.assigned_on + interval {LONGEST} day
    cross join scale
),
said as (
    select
        user_sk, assigned_on,
        {", ".join(_first(f"coalesce({flag}, false)", name=name) for name, flag in _SAID.items())},
        {_sums("score_sum", name="score", kind="sum")},
        {_sums("n_scores", name="n_scores", kind="sum")}
    from answered group by user_sk, assigned_on
)
select
    entry.user_sk,
    entry.assigned_on,
    date_diff('day', entry.assigned_on, $as_of) + 1 as n_days_seen,
    coalesce(active.n_active_days_before, 0) as n_active_days_before,
    active.returned_after,
    {", ".join(f"said.{name}_after" for name in _SAID)},
    case when relapses.relapsed < {LONGEST} then relapses.relapsed end as relapsed_after,
    {
    ", ".join(
        f"case when has_money.known then cast(coalesce(active.spend_{d}, 0) as double) end as spend_{d}"
        for d in HORIZONS
    )
},
    {
    ", ".join(
        f"case when said.n_scores_{d} > 0 then cast(said.score_{d} as double) / said.n_scores_{d} end"
        f" as satisfaction_{d}"
        for d in HORIZONS
    )
}
from entry
cross join has_money
left join active using (user_sk, assigned_on)
left join relapses using (user_sk, assigned_on)
left join said using (user_sk, assigned_on)
order by entry.user_sk, entry.assigned_on
"""
