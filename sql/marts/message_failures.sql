-- One row per user, channel, provider's code and day of messages of the last 180 days that failed in the end.
--
-- grain:      user_sk, channel, code, sent_on
-- partition:  as_of
-- tests:      not_null user_sk, channel, sent_on, n_failed; unique user_sk, channel, code, sent_on; n_failed > 0
-- columns:
--   user_sk: the user's key inside the store
--   channel: email, push, sms, ...
--   code: the provider's own reason; null without one
--   sent_on (date): day of the first event of the messages, in UTC
--   n_failed (messages): failed or bounced
--
-- What a code means, and whose fault it is, is judged elsewhere.

select
    user_sk,
    channel,
    code,
    cast(first_at as date) as sent_on,
    count(*) as n_failed
from marts.messages
where fate in ('failed', 'bounced')
group by user_sk, channel, code, cast(first_at as date)
