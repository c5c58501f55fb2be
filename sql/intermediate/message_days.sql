-- One row per user, channel and day with a message event: how many messages met which fate on that day.
--
-- grain:      dt, user_sk, channel
-- partition:  day
-- lookback:   30 days
-- tests:      not_null user_sk, channel, dt; unique dt, user_sk, channel; n_duplicates <= n_sent
-- columns:
--   user_sk: the user's key inside the store
--   channel: email, push, sms, ...
--   dt (date): the day of the event, in the business zone
--   n_sent (messages): sent on that day
--   n_delivered (messages): delivered on that day
--   n_opened (messages): opened by a human on that day
--   n_machine_opened (messages): opened by a machine on that day
--   n_clicked (messages): clicked on that day
--   n_converted (messages): converted on that day
--   n_failed (messages): failed on that day
--   n_bounced (messages): bounced on that day
--   n_unsubscribed (messages): unsubscribed from on that day
--   n_complained (messages): complained of on that day
--   n_duplicates (messages): sent on that day with content of another message to the user in the 30 days before
--
-- A message counts once for each of its events on the day of the event: opened twice in one day is one open, on two
-- days it is two. Content is compared by `content_id`, on all channels; a message without one is no duplicate, and one
-- sent again on another day none of itself. Of copies of one instant the one with the smaller channel and message id
-- came first.

with steps as (
    select * from intermediate.message_steps
),

sends as (
    select
        user_sk,
        channel,
        message_id,
        dt,
        content_id,
        sent_at,
        lag(channel) over (
            partition by user_sk, content_id
            order by sent_at, channel, message_id, dt
        ) as channel_before,
        lag(message_id) over (
            partition by user_sk, content_id
            order by sent_at, channel, message_id, dt
        ) as message_before,
        lag(sent_at) over (
            partition by user_sk, content_id
            order by sent_at, channel, message_id, dt
        ) as sent_before_at
    from steps
    where sent_at is not null and content_id is not null
),

-- Sends of one message that follow each other share what came before the first of them: the newest of another message.
preceded as (
    select
        user_sk,
        channel,
        dt,
        sent_at,
        max(case when channel <> channel_before or message_id <> message_before then sent_before_at end) over (
            partition by user_sk, content_id
            order by sent_at, channel, message_id, dt
            rows between unbounded preceding and current row
        ) as other_sent_at
    from sends
),

duplicates as (
    select
        user_sk,
        channel,
        dt,
        count(*) as n_duplicates
    from preceded
    where other_sent_at + interval 30 day >= sent_at
    group by user_sk, channel, dt
),

days as (
    select
        user_sk,
        channel,
        dt,
        count(sent_at) as n_sent,
        count(delivered_at) as n_delivered,
        count(opened_at) as n_opened,
        count(machine_opened_at) as n_machine_opened,
        count(clicked_at) as n_clicked,
        count(converted_at) as n_converted,
        count(failed_at) as n_failed,
        count(bounced_at) as n_bounced,
        count(unsubscribed_at) as n_unsubscribed,
        count(complained_at) as n_complained
    from steps
    group by user_sk, channel, dt
)

select
    days.user_sk,
    days.channel,
    days.dt,
    days.n_sent,
    days.n_delivered,
    days.n_opened,
    days.n_machine_opened,
    days.n_clicked,
    days.n_converted,
    days.n_failed,
    days.n_bounced,
    days.n_unsubscribed,
    days.n_complained,
    coalesce(duplicates.n_duplicates, 0) as n_duplicates
from days
left join duplicates
    on days.user_sk = duplicates.user_sk and days.channel = duplicates.channel and days.dt = duplicates.dt
