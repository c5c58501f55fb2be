-- One row per user to whom a message was ever sent: how much we wrote of late, and what came of it.
--
-- grain:      user_sk
-- partition:  as_of
-- tests:      not_null user_sk; unique user_sk
-- columns:
--   user_sk: the user's key inside the store
--   n_sent_90d (messages): sent in the last 90 days
--   n_delivered_90d (messages): delivered in the last 90 days
--   n_opened_90d (messages): opened in the last 90 days
--   n_clicked_90d (messages): clicked in the last 90 days
--   n_failed_90d (messages): failed or bounced in the last 90 days
--   n_opted_out (events): unsubscribed or complained, ever
--   last_response_on (date): last opened or clicked, in UTC; null if never

select
    user_sk,
    cast(coalesce(sum(n_events_90d) filter (where event = 'sent'), 0) as bigint) as n_sent_90d,
    cast(coalesce(sum(n_events_90d) filter (where event = 'delivered'), 0) as bigint) as n_delivered_90d,
    cast(coalesce(sum(n_events_90d) filter (where event = 'opened'), 0) as bigint) as n_opened_90d,
    cast(coalesce(sum(n_events_90d) filter (where event = 'clicked'), 0) as bigint) as n_clicked_90d,
    cast(coalesce(sum(n_events_90d) filter (where event in ('failed', 'bounced')), 0) as bigint) as n_failed_90d,
    cast(coalesce(sum(n_events) filter (where event in ('unsubscribed', 'complained')), 0) as bigint) as n_opted_out,
    cast(max(occurred_at) filter (where event in ('opened', 'clicked')) as date) as last_response_on
from marts.channel_events
group by user_sk
