-- One row per message event: what became of a message, once, however often it was delivered to us.
--
-- grain:      user_sk, message_id, event, occurred_at, row_hash
-- partition:  day
-- tests:      not_null user_sk, message_id, channel, event, occurred_at, dt
-- columns:
--   user_sk: the user's key inside the store
--   message_id: the provider's id of the message
--   channel: email, push, sms, ...
--   event: sent, delivered, opened, clicked, converted, failed, bounced, unsubscribed or complained
--   occurred_at (UTC): when it happened
--   campaign_id: campaign that sent it
--   strategy_id: strategy that sent it
--   content_id: what it said
--   category: kind of message
--   code: the provider's own reason
--   endpoint: address or device token
--   row_hash: equal for rows that are equal in every column of their file
--   dt (date): day of the event in the business zone

with arrived as (
    select * from ingest.message_events
)

select
    user_sk,
    message_id,
    lower(channel) as channel,
    lower(event) as event,
    occurred_at,
    campaign_id,
    strategy_id,
    content_id,
    category,
    code,
    endpoint,
    row_hash,
    dt
from arrived
qualify row_number() over (partition by dt, user_sk, row_hash order by delivery) = 1
