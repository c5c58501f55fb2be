-- One row per user, channel and kind of message event: the newest of that kind.
--
-- grain:      user_sk, channel, event
-- partition:  as_of
-- tests:      not_null user_sk, channel, event, occurred_at; unique user_sk, channel, event
-- columns:
--   user_sk: the user's key inside the store
--   channel: email, push, sms, ...
--   event: sent, delivered, opened, clicked, converted, failed, bounced, unsubscribed or complained
--   occurred_at (UTC): the newest
--   code: the provider's own reason of the newest
--   endpoint: address or device token of the newest
--   n_events (messages): how many so far; a message counts once on each day of the event
--
-- Opens of machines are left out. Read from the folded states, so that a night costs the users, not their history.

with kinds as (
    select unnest(
        ['sent', 'delivered', 'opened', 'clicked', 'converted', 'unsubscribed', 'complained']
    ) as event
),

known as (
    select
        states.user_sk,
        states.channel,
        states.endpoint,
        kinds.event,
        case kinds.event
            when 'sent' then states.last_sent_at
            when 'delivered' then states.last_delivered_at
            when 'opened' then states.last_opened_at
            when 'clicked' then states.last_clicked_at
            when 'converted' then states.last_converted_at
            when 'unsubscribed' then states.last_unsubscribed_at
            when 'complained' then states.last_complained_at
        end as occurred_at,
        case kinds.event
            when 'sent' then states.n_sent
            when 'delivered' then states.n_delivered
            when 'opened' then states.n_opened
            when 'clicked' then states.n_clicked
            when 'converted' then states.n_converted
            when 'unsubscribed' then states.n_unsubscribed
            when 'complained' then states.n_complained
        end as n_events
    from intermediate.channel_states as states
    cross join kinds
),

all_kinds as (
    select
        user_sk,
        channel,
        event,
        endpoint,
        occurred_at,
        '' as code,
        n_events
    from known
    where occurred_at is not null
    union all
    select
        user_sk,
        channel,
        event,
        endpoint,
        last_failed_at as occurred_at,
        code,
        n_failed as n_events
    from intermediate.failure_states
    where n_failed > 0
),

ranked as (
    select
        user_sk,
        channel,
        event,
        occurred_at,
        nullif(code, '') as code,
        nullif(endpoint, '') as endpoint,
        cast(sum(n_events) over (partition by user_sk, channel, event) as bigint) as n_events
    from all_kinds
    qualify
        row_number() over (
            partition by user_sk, channel, event
            order by occurred_at desc, endpoint desc, code asc
        ) = 1
)

select
    user_sk,
    channel,
    event,
    occurred_at,
    code,
    endpoint,
    n_events
from ranked
