-- One row per user with an event in the last year: how much of what happened in the windows that end with $as_of.
--
-- grain:      user_sk
-- partition:  as_of
-- params:     $as_of (date): last day, inclusive, of every window
-- tests:
--   not_null user_sk; unique user_sk; n_active_days_7d <= n_active_days_30d;
--   n_active_days_90d <= n_active_days_180d
-- columns:
--   user_sk: the user's key inside the store
--   n_active_days_7d (days): in the last 7 days
--   n_active_days_30d (days): in the last 30 days
--   n_active_days_90d (days): in the last 90 days
--   n_active_days_180d (days): in the last 180 days
--   n_active_days_365d (days): in the last 365 days
--   n_active_days_season_ago (days): in the 90 days that began a year ago: the same season of last year
--   n_events_30d (events): of any kind in the last 30 days
--   n_events_90d (events): of any kind in the last 90 days
--   amount_30d (currency): sum of the last 30 days; null where no event has an amount
--   amount_90d (currency): of the last 90 days
--   amount_180d (currency): of the last 180 days
--   amount_last_day (currency): of the last active day with an amount
--   n_items_180d (items): sum over the last 180 days of different items per day
--   n_categories_180d (categories): sum over the last 180 days of different categories per day
--   n_weekend_days_180d (days): active days of the last 180 on a Saturday or Sunday
--
-- The first of January 1900 was a Monday.

with days as (
    select
        *,
        date_diff('day', dt, $as_of) as age_days,
        n_core_events > 0 as is_active,
        date_diff('day', date '1900-01-01', dt) % 7 in (5, 6) as is_weekend
    from intermediate.user_days
    where dt > cast($as_of - interval 365 day as date)
)

select
    user_sk,
    count(*) filter (where is_active and age_days < 7) as n_active_days_7d,
    count(*) filter (where is_active and age_days < 30) as n_active_days_30d,
    count(*) filter (where is_active and age_days < 90) as n_active_days_90d,
    count(*) filter (where is_active and age_days < 180) as n_active_days_180d,
    count(*) filter (where is_active) as n_active_days_365d,
    count(*) filter (where is_active and age_days >= 275) as n_active_days_season_ago,
    cast(sum(n_events) filter (where age_days < 30) as bigint) as n_events_30d,
    cast(sum(n_events) filter (where age_days < 90) as bigint) as n_events_90d,
    cast(sum(amount) filter (where age_days < 30) as double) as amount_30d,
    cast(sum(amount) filter (where age_days < 90) as double) as amount_90d,
    cast(sum(amount) filter (where age_days < 180) as double) as amount_180d,
    cast(arg_max(amount, dt) filter (where is_active and amount is not null) as double) as amount_last_day,
    cast(sum(n_items) filter (where age_days < 180) as bigint) as n_items_180d,
    cast(sum(n_categories) filter (where age_days < 180) as bigint) as n_categories_180d,
    count(*) filter (where is_active and is_weekend and age_days < 180) as n_weekend_days_180d
from days
group by user_sk
