-- One row per user and channel with a message in the last 180 days: the record of our messages with the user.
--
-- grain:      user_sk, channel
-- partition:  as_of
-- params:     $as_of (date): last day, inclusive, that the night may see
-- tests:
--   not_null user_sk, channel, n_sent, n_arrived; unique user_sk, channel; n_arrived <= n_sent;
--   n_responded <= n_arrived; n_sent_7d <= n_sent_28d; n_sent_28d <= n_sent_90d; n_sent_90d <= n_sent
-- columns:
--   user_sk: the user's key inside the store
--   channel: email, push, sms, ...
--   n_sent (messages): of any fate
--   n_arrived (messages): neither failed nor bounced in the end
--   n_responded (messages): of those arrived, opened by a human, clicked or converted
--   n_complained (messages): complained of
--   n_duplicates (messages): with content sent to the user in the 30 days before
--   n_sent_7d (messages): in the last 7 days, in UTC
--   n_sent_28d (messages): in the last 28 days
--   n_sent_90d (messages): in the last 90 days
--
-- What was answered has arrived, whatever the provider said of it.

with messages as (
    select
        user_sk,
        channel,
        fate,
        complained_at,
        is_duplicate_content,
        opened_at is not null or clicked_at is not null or converted_at is not null as is_answered,
        date_diff('day', cast(first_at as date), $as_of) as age_days
    from marts.messages
)

select
    user_sk,
    channel,
    count(*) as n_sent,
    count(*) filter (where is_answered or fate not in ('failed', 'bounced')) as n_arrived,
    count(*) filter (where is_answered) as n_responded,
    count(*) filter (where complained_at is not null) as n_complained,
    count(*) filter (where is_duplicate_content) as n_duplicates,
    count(*) filter (where age_days < 7) as n_sent_7d,
    count(*) filter (where age_days < 28) as n_sent_28d,
    count(*) filter (where age_days < 90) as n_sent_90d
from messages
group by user_sk, channel
