-- One row per user, channel and kind of message event: the newest of that kind.
--
-- grain:      user_sk, channel, event
-- partition:  as_of
-- params:     $as_of (date): last day, inclusive, that the night may see
-- tests:      not_null user_sk, channel, event, occurred_at; unique user_sk, channel, event
-- columns:
--   user_sk: the user's key inside the store
--   channel: email, push, sms, ...
--   event: sent, delivered, opened, clicked, converted, failed, bounced, unsubscribed or complained
--   occurred_at (UTC): the newest
--   code: the provider's own reason of the newest
--   endpoint: address or device token of the newest
--   n_events (events): how often so far
--   n_events_90d (events): in the last 90 days

with ranked as (
    select
        user_sk,
        channel,
        event,
        occurred_at,
        code,
        endpoint,
        count(*) over (partition by user_sk, channel, event) as n_events,
        count(*) filter (where dt > cast($as_of - interval 90 day as date))
            over (partition by user_sk, channel, event) as n_events_90d
    from staging.message_events
    qualify
        row_number() over (
            partition by user_sk, channel, event
            order by occurred_at desc, message_id asc, row_hash asc
        ) = 1
)

select
    user_sk,
    channel,
    event,
    occurred_at,
    code,
    endpoint,
    n_events,
    n_events_90d
from ranked
