-- One row per user and one of up to five past weeks, of users with a message: the messages, then the activity.
--
-- grain:      user_sk, window_index
-- partition:  as_of
-- params:
--   $as_of (date): last day, inclusive, that the night may see
--   $window_days (integer): length of the horizon
-- tests:
--   not_null user_sk, window_index, cutoff_on, n_arrived_7d, n_arrived_28d; unique user_sk, window_index;
--   n_arrived_7d <= n_arrived_28d; n_irrelevant_7d <= n_arrived_7d; window_index between 0 and 4
-- columns:
--   user_sk: the user's key inside the store
--   window_index: 0 is the newest
--   cutoff_on (date): the day before the week begins
--   n_arrived_7d (messages): of the week, neither failed nor bounced
--   n_arrived_28d (messages): of the 28 days that end with the week
--   n_irrelevant_7d (messages): of the week's, repeated within 30 days or of a content that nobody clicks
--   n_clicked_7d (messages): of the week's, clicked by the end of the 7 days after it
--   n_active_days_before (days): active days in the 28 days that end with cutoff_on
--   n_active_days_after (days): active days in the 7 days after the week
--   back_after_days (days): from the week's last day to the next active day, if within the horizon; else null
--   is_closed: whether the whole horizon after the week is over
--
-- The first weeks of months, for cutoff_on is a month's end, whose states are kept. The newest week has 7 days after
-- it, the oldest no message older than 180 days. Nobody clicks a content that has arrived at least 50 times in 180
-- days without a click. Days of messages are in UTC, active days in the business zone.

with messages as (
    select
        user_sk,
        content_id,
        clicked_at,
        is_duplicate_content,
        date_diff('day', cast(first_at as date), $as_of) as age_days,
        fate not in ('failed', 'bounced') as is_arrived
    from marts.messages
),

dull_contents as (
    select content_id
    from messages
    where content_id is not null and is_arrived
    group by content_id
    having count(*) >= 50 and count(clicked_at) = 0
),

month_ends as (
    select
        months.window_index,
        cast(
            cast(
                date_trunc('month', cast($as_of - interval 13 day as date))
                - months.window_index * interval 1 month as date
            )
            - interval 1 day as date
        ) as cutoff_on
    from (values (0), (1), (2), (3), (4)) as months (window_index)
),

windows as (
    select
        window_index,
        cutoff_on,
        date_diff('day', cutoff_on, $as_of) - 14 as newest_age,
        date_diff('day', cutoff_on, $as_of) - 7 - $window_days as horizon_age
    from month_ends
    where date_diff('day', cutoff_on, $as_of) + 21 <= 180
),

sent as (
    select
        messages.user_sk,
        windows.window_index,
        count(*) filter (where messages.is_arrived) as n_arrived_28d,
        count(*) filter (where messages.is_arrived and messages.age_days < windows.newest_age + 14) as n_arrived_7d,
        count(*) filter (
            where
            messages.is_arrived
            and messages.age_days < windows.newest_age + 14
            and (messages.is_duplicate_content or dull_contents.content_id is not null)
        ) as n_irrelevant_7d,
        count(*) filter (
            where
            messages.is_arrived
            and messages.age_days < windows.newest_age + 14
            and date_diff('day', cast(messages.clicked_at as date), $as_of) >= windows.newest_age
        ) as n_clicked_7d
    from messages
    inner join windows
        on messages.age_days >= windows.newest_age + 7 and messages.age_days < windows.newest_age + 35
    left join dull_contents on messages.content_id = dull_contents.content_id
    group by messages.user_sk, windows.window_index
),

written_to as (
    select distinct user_sk
    from messages
    where age_days >= 7
),

days as (
    select
        user_sk,
        date_diff('day', dt, $as_of) as age_days
    from intermediate.user_days
    where n_core_events > 0 and dt > cast($as_of - interval 190 day as date)
),

active as (
    select
        days.user_sk,
        windows.window_index,
        count(*) filter (where days.age_days >= windows.newest_age + 14) as n_active_days_before,
        count(*) filter (
            where days.age_days >= windows.newest_age and days.age_days < windows.newest_age + 7
        ) as n_active_days_after,
        max(days.age_days) filter (where days.age_days < windows.newest_age + 7) as back_age
    from days
    inner join written_to on days.user_sk = written_to.user_sk
    inner join windows
        on
            days.age_days < windows.newest_age + 42
            and days.age_days >= least(windows.horizon_age, windows.newest_age)
    group by days.user_sk, windows.window_index
)

select
    written_to.user_sk,
    windows.window_index,
    windows.cutoff_on,
    coalesce(sent.n_arrived_7d, 0) as n_arrived_7d,
    coalesce(sent.n_arrived_28d, 0) as n_arrived_28d,
    coalesce(sent.n_irrelevant_7d, 0) as n_irrelevant_7d,
    coalesce(sent.n_clicked_7d, 0) as n_clicked_7d,
    coalesce(active.n_active_days_before, 0) as n_active_days_before,
    coalesce(active.n_active_days_after, 0) as n_active_days_after,
    case when active.back_age >= windows.horizon_age then windows.newest_age + 7 - active.back_age end
        as back_after_days,
    windows.horizon_age >= 0 as is_closed
from written_to
cross join windows
left join sent on written_to.user_sk = sent.user_sk and windows.window_index = sent.window_index
left join active on written_to.user_sk = active.user_sk and windows.window_index = active.window_index
