-- One row per user with an active day: what the models may know of the user on a day.
--
-- grain:      user_sk
-- partition:  as_of
-- params:     $as_of (date): last day, inclusive, that a feature may see
-- tests:
--   not_null user_sk, user_id, silence_days; unique user_sk; silence_days >= 0; tenure_days >= silence_days;
--   n_active_days_30d <= n_active_days_90d
-- columns:
--   user_sk: the user's key inside the store
--   user_id: the user's own id
--   silence_days (days): since the last active day
--   tenure_days (days): since the first active day
--   recency_share (0 to 1): silence as a share of the tenure
--   n_active_days (days): active days so far
--   n_core_events (events): core events so far
--   active_days_per_week (days): over the tenure
--   n_active_days_7d (days): in the last 7 days
--   n_active_days_30d (days): in the last 30 days
--   n_active_days_90d (days): in the last 90 days
--   n_active_days_180d (days): in the last 180 days
--   n_events_30d (events): of any kind in the last 30 days
--   n_events_90d (events): of any kind in the last 90 days
--   mean_gap_days (days): mean gap between active days
--   log_gap_mean: mean of ln(gap)
--   log_gap_sd: standard deviation of ln(gap)
--   max_gap_days (days): the longest gap
--   last_gap_days (days): the gap before the last active day
--   silence_per_gap: silence over the mean gap
--   n_returns_7d (gaps): times that the user came back after a week or more
--   amount_total (currency): sum so far
--   amount_90d (currency): sum of the last 90 days
--   amount_per_active_day (currency): mean over the user's active days
--   n_items_180d (items): sum over the last 180 days of different items per day
--   n_categories_180d (categories): sum over the last 180 days of different categories per day
--   weekend_share_180d (0 to 1): share of the active days of the last 180 days on a Saturday or Sunday
--
-- The same query makes the rows to score, on the night, and the rows to learn from, on earlier days. The first of
-- January 1900 was a Monday.

with states as (
    select
        *,
        date_diff('day', last_on, $as_of) as silence_days,
        date_diff('day', first_on, $as_of) as tenure_days
    from intermediate.user_states
    where first_on is not null
),

days as (
    select
        *,
        date_diff('day', dt, $as_of) as age_days,
        n_core_events > 0 as is_active,
        date_diff('day', date '1900-01-01', dt) % 7 in (5, 6) as is_weekend
    from intermediate.user_days
    where dt > cast($as_of - interval 180 day as date)
),

windows as (
    select
        user_sk,
        count(*) filter (where is_active and age_days < 7) as n_active_days_7d,
        count(*) filter (where is_active and age_days < 30) as n_active_days_30d,
        count(*) filter (where is_active and age_days < 90) as n_active_days_90d,
        count(*) filter (where is_active) as n_active_days_180d,
        sum(n_events) filter (where age_days < 30) as n_events_30d,
        sum(n_events) filter (where age_days < 90) as n_events_90d,
        sum(amount) filter (where age_days < 90) as amount_90d,
        sum(n_items) as n_items_180d,
        sum(n_categories) as n_categories_180d,
        count(*) filter (where is_active and is_weekend) as n_weekend_days_180d
    from days
    group by user_sk
)

select
    states.user_sk,
    keys.user_id,
    states.silence_days,
    states.tenure_days,
    states.silence_days / cast(greatest(states.tenure_days, 1) as double) as recency_share,
    states.n_active_days,
    states.n_core_events,
    7.0 * states.n_active_days / (states.tenure_days + 1) as active_days_per_week,
    coalesce(windows.n_active_days_7d, 0) as n_active_days_7d,
    coalesce(windows.n_active_days_30d, 0) as n_active_days_30d,
    coalesce(windows.n_active_days_90d, 0) as n_active_days_90d,
    coalesce(windows.n_active_days_180d, 0) as n_active_days_180d,
    cast(coalesce(windows.n_events_30d, 0) as bigint) as n_events_30d,
    cast(coalesce(windows.n_events_90d, 0) as bigint) as n_events_90d,
    cast(states.gap_days_sum as double) / nullif(states.n_gaps, 0) as mean_gap_days,
    states.gap_log_milli_sum / 1000.0 / nullif(states.n_gaps, 0) as log_gap_mean,
    case
        when states.n_gaps > 0
            then sqrt(
                    greatest(
                        states.gap_log_milli_sq_sum / 1000000.0 / states.n_gaps
                        - power(states.gap_log_milli_sum / 1000.0 / states.n_gaps, 2),
                        0
                    )
                )
    end as log_gap_sd,
    states.max_gap_days,
    states.last_gap_days,
    states.silence_days * cast(states.n_gaps as double) / nullif(states.gap_days_sum, 0) as silence_per_gap,
    coalesce(array_length(states.long_gaps), 0) as n_returns_7d,
    cast(states.amount as double) as amount_total,
    case when states.amount is not null then cast(coalesce(windows.amount_90d, 0) as double) end as amount_90d,
    cast(states.amount as double) / states.n_active_days as amount_per_active_day,
    cast(coalesce(windows.n_items_180d, 0) as bigint) as n_items_180d,
    cast(coalesce(windows.n_categories_180d, 0) as bigint) as n_categories_180d,
    cast(windows.n_weekend_days_180d as double) / nullif(windows.n_active_days_180d, 0) as weekend_share_180d
from states
inner join ingest.user_keys as keys on states.user_sk = keys.user_sk
left join windows on states.user_sk = windows.user_sk
