-- One row per user and channel of messages: how many before the last active day and since, and how the channel fares.
--
-- grain:      user_sk, channel
-- partition:  as_of
-- params:     $as_of (date): last day, inclusive, that the night may see
-- tests:      not_null user_sk, channel; unique user_sk, channel; last_delivered_on <= $as_of; n_sent_28d <= n_sent
-- columns:
--   user_sk: the user's key inside the store
--   channel: email, push, sms, ...
--   n_sent (messages): ever, up to the night
--   n_sent_before (messages): in the 180 days up to the last active day
--   n_sent_28d (messages): in the 28 days up to the last active day
--   n_delivered_since (messages): delivered after the last active day
--   n_failed_since (messages): failed or bounced after the last active day
--   last_delivered_on (date): last delivered, opened or clicked; null if never
--   first_failed_on (date): first failure that no delivery followed; null if there is none
--   n_failed_in_row (messages): failures that no delivery followed
--   failed_code: the provider's reason that is most frequent among them

with events as (
    select
        messages.user_sk,
        messages.channel,
        messages.event,
        messages.occurred_at,
        messages.dt,
        messages.code,
        messages.event in ('delivered', 'opened', 'clicked', 'converted') as is_alive,
        messages.event in ('failed', 'bounced') as is_failed,
        states.last_on
    from staging.message_events as messages
    inner join intermediate.user_states as states on messages.user_sk = states.user_sk
    where states.last_on is not null
),

followed as (
    select
        *,
        max(occurred_at) filter (where is_alive) over (partition by user_sk, channel) as alive_at
    from events
),

codes as (
    select
        user_sk,
        channel,
        code,
        count(*) as n_failed
    from followed
    where is_failed and code is not null and (alive_at is null or occurred_at > alive_at)
    group by user_sk, channel, code
),

commonest as (
    select
        user_sk,
        channel,
        code
    from codes
    qualify row_number() over (partition by user_sk, channel order by n_failed desc, code asc) = 1
),

counted as (
    select
        user_sk,
        channel,
        count(*) filter (where event = 'sent') as n_sent,
        count(*) filter (
            where event = 'sent' and dt <= last_on and dt > cast(last_on - interval 180 day as date)
        ) as n_sent_before,
        count(*) filter (
            where event = 'sent' and dt <= last_on and dt > cast(last_on - interval 28 day as date)
        ) as n_sent_28d,
        count(*) filter (where event = 'delivered' and dt > last_on) as n_delivered_since,
        count(*) filter (where is_failed and dt > last_on) as n_failed_since,
        max(dt) filter (where is_alive) as last_delivered_on,
        min(dt) filter (where is_failed and (alive_at is null or occurred_at > alive_at)) as first_failed_on,
        count(*) filter (where is_failed and (alive_at is null or occurred_at > alive_at)) as n_failed_in_row
    from followed
    where dt <= $as_of
    group by user_sk, channel
)

select
    counted.user_sk,
    counted.channel,
    counted.n_sent,
    counted.n_sent_before,
    counted.n_sent_28d,
    counted.n_delivered_since,
    counted.n_failed_since,
    counted.last_delivered_on,
    counted.first_failed_on,
    counted.n_failed_in_row,
    commonest.code as failed_code
from counted
left join commonest on counted.user_sk = commonest.user_sk and counted.channel = commonest.channel
