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
--   active_days_trend_30d: active days of the last 30 days against a third of those of the last 90
--   active_days_trend_90d: active days of the last 90 days against half of those of the last 180
--   n_active_days_season_ago (days): in the same season of last year; null for a tenure under a year
--   n_events_30d (events): of any kind in the last 30 days
--   n_events_90d (events): of any kind in the last 90 days
--   mean_gap_days (days): mean gap between active days
--   log_gap_mean: mean of ln(gap)
--   log_gap_sd: standard deviation of ln(gap)
--   shrunk_gap_days (days): usual gap, drawn to the population's as by two gaps of its own
--   max_gap_days (days): the longest gap
--   last_gap_days (days): the gap before the last active day
--   gap_trend: the last gap over the mean gap
--   silence_per_gap: silence over the mean gap
--   silence_per_shrunk_gap: silence over the shrunk usual gap
--   n_returns_7d (gaps): times that the user came back after a week or more
--   n_returns_30d (gaps): times that the user came back after a month or more
--   amount_total (currency): sum so far
--   amount_90d (currency): sum of the last 90 days
--   amount_per_active_day (currency): mean over the user's active days
--   amount_last_day (currency): of the last active day with an amount, if within a year
--   amount_trend_90d: amount of the last 90 days against half of that of the last 180
--   n_items_180d (items): sum over the last 180 days of different items per day
--   n_categories_180d (categories): sum over the last 180 days of different categories per day
--   weekend_share_180d (0 to 1): share of the active days of the last 180 days on a Saturday or Sunday
--   n_sent_90d (messages): sent to the user in the last 90 days; null if none was ever sent
--   open_share_90d (0 to 1): opened of delivered in the last 90 days
--   click_share_90d (0 to 1): clicked of delivered in the last 90 days
--   failed_share_90d (0 to 1): failed or bounced of sent in the last 90 days
--   n_opted_out (events): unsubscribed or complained, ever
--   days_since_response (days): since the user last opened or clicked
--   active_link_share (0 to 1): share of linked users with a core event in the last 30 days; null without links
--   age_years (years): from the birthday
--   days_since_signup (days): from the profile
--   country_share (0 to 1): share of all users in the user's country
--   acquisition_share (0 to 1): share of all users who came as the user did
--
-- The same query makes the rows to score, on the night, and the rows to learn from, on earlier days. An optional
-- table that is absent leaves its columns null, and the models leave such columns out.

with states as (
    select
        *,
        date_diff('day', last_on, $as_of) as silence_days,
        date_diff('day', first_on, $as_of) as tenure_days,
        sum(gap_log_milli_sum) over () / 1000.0 / nullif(sum(n_gaps) over (), 0) as population_log_gap
    from intermediate.user_states
    where first_on is not null
),

gaps as (
    select
        *,
        gap_log_milli_sum / 1000.0 / nullif(n_gaps, 0) as log_gap_mean,
        cast(gap_days_sum as double) / nullif(n_gaps, 0) as mean_gap_days,
        exp((gap_log_milli_sum / 1000.0 + 2 * population_log_gap) / (n_gaps + 2)) as shrunk_gap_days
    from states
),

newest_profiles as (
    select
        user_sk,
        dt,
        birth_on,
        country,
        acquisition_channel
    from staging.users
    qualify row_number() over (partition by user_sk order by delivery desc, dt desc nulls last) = 1
),

profiles as (
    select
        user_sk,
        dt as signed_up_on,
        birth_on,
        case
            when country is not null
                then cast(count(*) over (partition by country) as double) / count(*) over ()
        end as country_share,
        case
            when acquisition_channel is not null
                then cast(count(*) over (partition by acquisition_channel) as double) / count(*) over ()
        end as acquisition_share
    from newest_profiles
)

select
    gaps.user_sk,
    keys.user_id,
    gaps.silence_days,
    gaps.tenure_days,
    gaps.silence_days / cast(greatest(gaps.tenure_days, 1) as double) as recency_share,
    gaps.n_active_days,
    gaps.n_core_events,
    7.0 * gaps.n_active_days / (gaps.tenure_days + 1) as active_days_per_week,
    coalesce(windows.n_active_days_7d, 0) as n_active_days_7d,
    coalesce(windows.n_active_days_30d, 0) as n_active_days_30d,
    coalesce(windows.n_active_days_90d, 0) as n_active_days_90d,
    coalesce(windows.n_active_days_180d, 0) as n_active_days_180d,
    3.0 * windows.n_active_days_30d / nullif(windows.n_active_days_90d, 0) as active_days_trend_30d,
    2.0 * windows.n_active_days_90d / nullif(windows.n_active_days_180d, 0) as active_days_trend_90d,
    case
        when gaps.tenure_days >= 365 then coalesce(windows.n_active_days_season_ago, 0)
    end as n_active_days_season_ago,
    coalesce(windows.n_events_30d, 0) as n_events_30d,
    coalesce(windows.n_events_90d, 0) as n_events_90d,
    gaps.mean_gap_days,
    gaps.log_gap_mean,
    case
        when gaps.n_gaps > 0
            then sqrt(
                    greatest(
                        gaps.gap_log_milli_sq_sum / 1000000.0 / gaps.n_gaps - power(gaps.log_gap_mean, 2), 0
                    )
                )
    end as log_gap_sd,
    gaps.shrunk_gap_days,
    gaps.max_gap_days,
    gaps.last_gap_days,
    gaps.last_gap_days / gaps.mean_gap_days as gap_trend,
    gaps.silence_days / gaps.mean_gap_days as silence_per_gap,
    gaps.silence_days / gaps.shrunk_gap_days as silence_per_shrunk_gap,
    coalesce(array_length(gaps.long_gaps), 0) as n_returns_7d,
    coalesce(array_length(list_filter(gaps.long_gaps, lambda g: g.gap_days >= 30)), 0) as n_returns_30d, -- noqa: RF01
    cast(gaps.amount as double) as amount_total,
    case when gaps.amount is not null then coalesce(windows.amount_90d, 0) end as amount_90d,
    cast(gaps.amount as double) / gaps.n_active_days as amount_per_active_day,
    windows.amount_last_day,
    2.0 * windows.amount_90d / nullif(windows.amount_180d, 0) as amount_trend_90d,
    coalesce(windows.n_items_180d, 0) as n_items_180d,
    coalesce(windows.n_categories_180d, 0) as n_categories_180d,
    cast(windows.n_weekend_days_180d as double) / nullif(windows.n_active_days_180d, 0) as weekend_share_180d,
    messages.n_sent_90d,
    cast(messages.n_opened_90d as double) / nullif(messages.n_delivered_90d, 0) as open_share_90d,
    cast(messages.n_clicked_90d as double) / nullif(messages.n_delivered_90d, 0) as click_share_90d,
    cast(messages.n_failed_90d as double) / nullif(messages.n_sent_90d, 0) as failed_share_90d,
    messages.n_opted_out,
    date_diff('day', messages.last_response_on, $as_of) as days_since_response,
    cast(links.n_active_links as double) / links.n_links as active_link_share,
    date_diff('day', profiles.birth_on, $as_of) / 365.25 as age_years,
    date_diff('day', profiles.signed_up_on, $as_of) as days_since_signup,
    profiles.country_share,
    profiles.acquisition_share
from gaps
inner join ingest.user_keys as keys on gaps.user_sk = keys.user_sk
left join marts.user_windows as windows on gaps.user_sk = windows.user_sk
left join marts.user_messages as messages on gaps.user_sk = messages.user_sk
left join marts.user_links as links on gaps.user_sk = links.user_sk
left join profiles on gaps.user_sk = profiles.user_sk
