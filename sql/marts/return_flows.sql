-- One row per active day, where it was spent, how the users came before and when they came next: how many users.
--
-- grain:      dt, platform, app_version, country, previous_gap, next_on
-- partition:  as_of
-- params:     $as_of (date): last day, inclusive, that the night may see
-- tests:      not_null dt, previous_gap, n_users; dt <= $as_of; next_on <= $as_of; dt < next_on; n_users > 0
-- columns:
--   dt (date): the active day
--   platform: where it was spent; null if the events do not say
--   app_version: the version of the app
--   country: of the user, by the profile known on the night
--   previous_gap (days): since the active day before, rounded up to 1, 3, 7, 14, 30 or 366; 0 for a first day
--   next_on (date): the next active day, wherever it was spent; null if none has come
--   n_users (users): who had such a day
--
-- The active days of a year. What an outage takes away are returns of users who were last seen where it is: a
-- version that users leave for a newer one loses none, since their next day counts wherever it is spent.

with days as (
    select
        user_sk,
        dt,
        platform,
        app_version,
        lag(dt) over (partition by user_sk order by dt) as previous_on,
        lead(dt) over (partition by user_sk order by dt) as next_on
    from intermediate.platform_days
    where dt > cast($as_of - interval 365 day as date)
),

gaps as (
    select
        *,
        date_diff('day', previous_on, dt) as gap_days
    from days
)

select
    gaps.dt,
    gaps.platform,
    gaps.app_version,
    users.country,
    case
        when gaps.gap_days is null then 0
        when gaps.gap_days <= 1 then 1
        when gaps.gap_days <= 3 then 3
        when gaps.gap_days <= 7 then 7
        when gaps.gap_days <= 14 then 14
        when gaps.gap_days <= 30 then 30
        else 366
    end as previous_gap,
    gaps.next_on,
    count(*) as n_users
from gaps
left join marts.users as users on gaps.user_sk = users.user_sk
group by all
