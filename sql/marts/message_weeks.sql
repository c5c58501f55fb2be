-- One row per week and channel of the last 26 weeks, and per week of all channels: how many messages met which fate.
--
-- grain:      week_start, channel
-- partition:  as_of
-- params:     $as_of (date): last day, inclusive, that the night may see
-- tests:      not_null week_start, week_end, channel, n_users; unique week_start, channel; week_start < week_end
-- columns:
--   week_start (date): first day
--   week_end (date): the day after the last: $as_of + 1 for the newest week
--   channel: email, push, sms, ...; all for the row of all channels
--   n_users (users): written to
--   n_sent (messages): sent in the week, and so on for each fate, on the day of its event
--   n_delivered (messages): delivered
--   n_opened (messages): opened by a human
--   n_machine_opened (messages): opened by a machine
--   n_clicked (messages): clicked
--   n_failed (messages): failed or bounced
--   n_unsubscribed (messages): unsubscribed from
--   n_complained (messages): complained of
--   n_duplicates (messages): sent with content sent to the user in the 30 days before

with days as (
    select
        *,
        date_diff('day', dt, $as_of) // 7 as weeks_ago
    from intermediate.message_days
    where dt > cast($as_of - interval 182 day as date)
),

weeks as (
    select
        weeks_ago,
        coalesce(channel, 'all') as channel,
        count(distinct user_sk) filter (where n_sent > 0) as n_users,
        sum(n_sent) as n_sent,
        sum(n_delivered) as n_delivered,
        sum(n_opened) as n_opened,
        sum(n_machine_opened) as n_machine_opened,
        sum(n_clicked) as n_clicked,
        sum(n_failed + n_bounced) as n_failed,
        sum(n_unsubscribed) as n_unsubscribed,
        sum(n_complained) as n_complained,
        sum(n_duplicates) as n_duplicates
    from days
    group by grouping sets ((weeks_ago, channel), (weeks_ago))
)

select
    cast($as_of - (7 * weeks_ago + 6) * interval 1 day as date) as week_start,
    cast($as_of - (7 * weeks_ago - 1) * interval 1 day as date) as week_end,
    channel,
    n_users,
    cast(n_sent as bigint) as n_sent,
    cast(n_delivered as bigint) as n_delivered,
    cast(n_opened as bigint) as n_opened,
    cast(n_machine_opened as bigint) as n_machine_opened,
    cast(n_clicked as bigint) as n_clicked,
    cast(n_failed as bigint) as n_failed,
    cast(n_unsubscribed as bigint) as n_unsubscribed,
    cast(n_complained as bigint) as n_complained,
    cast(n_duplicates as bigint) as n_duplicates
from weeks
