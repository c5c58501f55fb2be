-- One row per channel and day of the last 30: messages delivered, and complaints.
--
-- grain:      channel, dt
-- partition:  as_of
-- params:     $as_of (date): last day, inclusive, that the night may see
-- tests:      not_null channel, dt, n_delivered, n_complained; unique channel, dt
-- columns:
--   channel: email, push, sms, ...
--   dt (date): day of the event in the business zone
--   n_delivered (messages): delivered on the day
--   n_complained (messages): complained about on the day, whenever sent

select
    channel,
    dt,
    count(distinct case when event = 'delivered' then message_id end) as n_delivered,
    count(distinct case when event = 'complained' then message_id end) as n_complained
from staging.message_events
where event in ('delivered', 'complained') and dt > cast($as_of - interval 30 day as date)
group by channel, dt
