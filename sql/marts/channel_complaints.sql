-- One row per channel and day of the last 30: messages delivered, and complaints.
--
-- grain:      channel, dt
-- partition:  as_of
-- params:     $as_of (date): last day, inclusive, that the night may see
-- tests:      not_null channel, dt, n_delivered, n_complained; unique channel, dt
-- columns:
--   channel: email, push, sms, ...
--   dt (date): day of the event in the business zone
--   n_delivered (messages): delivered on the day; of a channel that reports no delivery, sent on it and not failed
--   n_complained (messages): complained about on the day, whenever sent
--
-- A message is one user's: providers number campaigns, so one id may stand at everybody who got it.

with told as (
    select distinct
        channel,
        dt,
        user_sk,
        message_id,
        event
    from staging.message_events
    where
        event in ('sent', 'delivered', 'failed', 'bounced', 'complained')
        and dt > cast($as_of - interval 30 day as date)
),

failed as (
    select distinct
        channel,
        user_sk,
        message_id
    from told
    where event in ('failed', 'bounced')
),

counted as (
    select
        told.channel,
        told.dt,
        count(case when told.event = 'delivered' then 1 end) as n_reported,
        count(case when told.event = 'sent' and failed.user_sk is null then 1 end) as n_not_failed,
        count(case when told.event = 'complained' then 1 end) as n_complained
    from told
    left join failed  -- 1 to 1
        on
            told.channel = failed.channel
            and told.user_sk = failed.user_sk
            and told.message_id = failed.message_id
    group by told.channel, told.dt
),

settled as (
    select
        channel,
        dt,
        case
            when sum(n_reported) over (partition by channel) > 0 then n_reported
            else n_not_failed
        end as n_delivered,
        n_complained
    from counted
)

select
    channel,
    dt,
    n_delivered,
    n_complained
from settled
where n_delivered + n_complained > 0
