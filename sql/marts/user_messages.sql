-- One row per user to whom a message was ever sent: how much we wrote of late, and what came of it.
--
-- grain:      user_sk
-- partition:  as_of
-- params:     $as_of (date): last day, inclusive, that the night may see
-- tests:      not_null user_sk; unique user_sk
-- columns:
--   user_sk: the user's key inside the store
--   n_sent_90d (messages): sent in the last 90 days
--   n_delivered_90d (messages): delivered in the last 90 days
--   n_opened_90d (messages): opened by a human in the last 90 days
--   n_clicked_90d (messages): clicked in the last 90 days
--   n_failed_90d (messages): failed or bounced in the last 90 days
--   n_opted_out (messages): unsubscribed from or complained of, ever
--   last_response_on (date): last opened by a human or clicked, in UTC; null if never

with states as (
    select
        user_sk,
        cast(sum(n_unsubscribed + n_complained) as bigint) as n_opted_out,
        cast(max(greatest(last_opened_at, last_clicked_at)) as date) as last_response_on
    from intermediate.channel_states
    group by user_sk
),

recent as (
    select
        user_sk,
        sum(n_sent) as n_sent,
        sum(n_delivered) as n_delivered,
        sum(n_opened) as n_opened,
        sum(n_clicked) as n_clicked,
        sum(n_failed + n_bounced) as n_failed
    from intermediate.message_days
    where dt > cast($as_of - interval 90 day as date)
    group by user_sk
)

select
    states.user_sk,
    cast(coalesce(recent.n_sent, 0) as bigint) as n_sent_90d,
    cast(coalesce(recent.n_delivered, 0) as bigint) as n_delivered_90d,
    cast(coalesce(recent.n_opened, 0) as bigint) as n_opened_90d,
    cast(coalesce(recent.n_clicked, 0) as bigint) as n_clicked_90d,
    cast(coalesce(recent.n_failed, 0) as bigint) as n_failed_90d,
    states.n_opted_out,
    states.last_response_on
from states
left join recent on states.user_sk = recent.user_sk
