-- One row per user and channel of messages: how many before the last active day and since.
--
-- grain:      user_sk, channel
-- partition:  as_of
-- tests:      not_null user_sk, channel; unique user_sk, channel; n_sent_28d <= n_sent_before; n_sent_before <= n_sent
-- columns:
--   user_sk: the user's key inside the store
--   channel: email, push, sms, ...
--   n_sent (messages): ever, up to the night; a message counts once on each day of the event, as in all below
--   n_sent_before (messages): in the 180 days up to the last active day
--   n_sent_28d (messages): in the 28 days up to the last active day
--   n_delivered_since (messages): delivered after the last active day
--   n_failed_since (messages): failed or bounced after the last active day
--
-- Read from the days of messages, so that no event is read again. Whether a channel died, and when, is known to
-- reach.endpoints.

with days as (
    select
        messages.user_sk,
        messages.channel,
        messages.dt,
        messages.n_sent,
        messages.n_delivered,
        messages.n_failed + messages.n_bounced as n_failed,
        states.last_on
    from intermediate.message_days as messages
    inner join intermediate.user_states as states on messages.user_sk = states.user_sk
    where states.last_on is not null
)

select
    user_sk,
    channel,
    cast(sum(n_sent) as bigint) as n_sent,
    cast(coalesce(sum(n_sent) filter (
        where dt <= last_on and dt > cast(last_on - interval 180 day as date)
    ), 0) as bigint) as n_sent_before,
    cast(coalesce(sum(n_sent) filter (
        where dt <= last_on and dt > cast(last_on - interval 28 day as date)
    ), 0) as bigint) as n_sent_28d,
    cast(coalesce(sum(n_delivered) filter (where dt > last_on), 0) as bigint) as n_delivered_since,
    cast(coalesce(sum(n_failed) filter (where dt > last_on), 0) as bigint) as n_failed_since
from days
group by user_sk, channel
