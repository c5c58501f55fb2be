-- One row per message of the last 31 days, with the user it went to: what frequency caps count.
--
-- grain:      user_sk, channel, message_id
-- partition:  as_of
-- params:     $as_of (date): last day, inclusive, that the night may see
-- tests:      not_null user_sk, channel, message_id, sent_at; unique user_sk, channel, message_id
-- columns:
--   user_sk: the user's key inside the store
--   channel: email, push, sms, ...
--   message_id: the provider's id of the message
--   sent_at (UTC): first sign of it: sent, or delivered where the sending was not recorded
--   category: kind of message, as first named
--
-- A message that failed counts as well: it was meant to disturb.

with sent as (
    select * from staging.message_events
    where event in ('sent', 'delivered') and dt > cast($as_of - interval 31 day as date)
)

select
    user_sk,
    channel,
    message_id,
    min(occurred_at) as sent_at,
    min(category) as category
from sent
group by user_sk, channel, message_id
