-- One row per user, channel, endpoint, kind of failure and code ever seen: how often up to a day, folded forward.
--
-- grain:      user_sk, channel, endpoint, event, code
-- partition:  state
-- start:
--   user_sk bigint, channel varchar, endpoint varchar, event varchar, code varchar, n_failed bigint,
--   first_failed_at timestamp, last_failed_at timestamp, n_since_alive bigint, first_since_alive_at timestamp
-- tests:
--   not_null user_sk, channel, endpoint, event, code; unique user_sk, channel, endpoint, event, code;
--   first_failed_at <= last_failed_at; n_since_alive <= n_failed
-- columns:
--   user_sk: the user's key inside the store
--   channel: email, push, sms, ...
--   endpoint: address or device token; empty where the source tells none
--   event: failed or bounced
--   code: the provider's own reason; empty where it gave none
--   n_failed (messages): so far; 0 where another failure of the same message followed on every such day
--   first_failed_at (UTC): the first
--   last_failed_at (UTC): the newest
--   n_since_alive (messages): later than the endpoint's newest proof of life
--   first_since_alive_at (UTC): the first of these; null without one
--
-- A message that fails several times on one day failed once, by the last of them. The codes before it are kept with a
-- count of none: they say nothing more of the endpoint, but a STOP among them is a word of the user. A delivery of the
-- same instant as a failure wins: it is the retry. What counts as a proof of life is told in
-- intermediate.channel_states.

with before as (
    select * from intermediate.failure_states_before
),

steps as (
    select
        user_sk,
        channel,
        coalesce(endpoint, '') as endpoint,
        coalesce(code, '') as code,
        case
            when bounced_at is null then 'failed'
            when failed_at > bounced_at then 'failed'
            else 'bounced'
        end as event,
        greatest(failed_at, bounced_at) as failed_at,
        greatest(delivered_at, opened_at, machine_opened_at, clicked_at, converted_at) as alive_at
    from intermediate.message_steps
),

alive as (
    select
        user_sk,
        channel,
        endpoint,
        max(alive_at) as last_alive_at
    from steps
    where alive_at is not null
    group by user_sk, channel, endpoint
),

new_failures as (
    select
        steps.user_sk,
        steps.channel,
        steps.endpoint,
        steps.event,
        steps.code,
        count(*) as n_failed,
        min(steps.failed_at) as first_failed_at,
        max(steps.failed_at) as last_failed_at,
        count(*) filter (
            where alive.last_alive_at is null or steps.failed_at > alive.last_alive_at
        ) as n_since_alive,
        min(steps.failed_at) filter (
            where alive.last_alive_at is null or steps.failed_at > alive.last_alive_at
        ) as first_since_alive_at
    from steps
    left join alive
        on steps.user_sk = alive.user_sk and steps.channel = alive.channel and steps.endpoint = alive.endpoint
    where steps.failed_at is not null
    group by steps.user_sk, steps.channel, steps.endpoint, steps.event, steps.code
),

followed as (
    select
        user_sk,
        channel,
        coalesce(endpoint, '') as endpoint,
        event,
        coalesce(code, '') as code,
        0 as n_failed,
        min(occurred_at) as first_failed_at,
        max(occurred_at) as last_failed_at,
        0 as n_since_alive,
        cast(null as timestamp) as first_since_alive_at
    from staging.message_events
    where event in ('failed', 'bounced')
    group by user_sk, channel, coalesce(endpoint, ''), event, coalesce(code, '')
),

kept as (
    select
        before.user_sk,
        before.channel,
        before.endpoint,
        before.event,
        before.code,
        before.n_failed,
        before.first_failed_at,
        before.last_failed_at,
        case when alive.last_alive_at is null then before.n_since_alive else 0 end as n_since_alive,
        case when alive.last_alive_at is null then before.first_since_alive_at end as first_since_alive_at
    from before
    left join alive
        on before.user_sk = alive.user_sk and before.channel = alive.channel and before.endpoint = alive.endpoint
),

all_failures as (
    select * from kept
    union all
    select * from new_failures
    union all
    select * from followed
)

select
    user_sk,
    channel,
    endpoint,
    event,
    code,
    cast(sum(n_failed) as bigint) as n_failed,
    min(first_failed_at) as first_failed_at,
    max(last_failed_at) as last_failed_at,
    cast(sum(n_since_alive) as bigint) as n_since_alive,
    min(first_since_alive_at) as first_since_alive_at
from all_failures
group by user_sk, channel, endpoint, event, code
