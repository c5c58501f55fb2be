-- One row per user, channel and endpoint ever written to: the sum of its messages up to a day, folded forward.
--
-- grain:      user_sk, channel, endpoint
-- partition:  state
-- start:
--   user_sk bigint, channel varchar, endpoint varchar, first_seen_at timestamp, last_seen_at timestamp,
--   last_sent_at timestamp, last_delivered_at timestamp, last_opened_at timestamp, last_machine_opened_at timestamp,
--   last_clicked_at timestamp, last_converted_at timestamp, last_unsubscribed_at timestamp,
--   last_complained_at timestamp, last_alive_at timestamp, n_sent bigint, n_delivered bigint, n_opened bigint,
--   n_clicked bigint, n_converted bigint, n_unsubscribed bigint, n_complained bigint, n_sent_since_alive bigint,
--   first_sent_since_alive_at timestamp
-- tests:
--   not_null user_sk, channel, endpoint, first_seen_at, last_seen_at; unique user_sk, channel, endpoint;
--   first_seen_at <= last_seen_at; n_sent_since_alive <= n_sent
-- columns:
--   user_sk: the user's key inside the store
--   channel: email, push, sms, ...
--   endpoint: address or device token; empty where the source tells none
--   first_seen_at (UTC): first message event
--   last_seen_at (UTC): newest message event
--   last_sent_at (UTC): newest of its kind, as those below; null without one
--   last_delivered_at (UTC): delivered
--   last_opened_at (UTC): opened by a human
--   last_machine_opened_at (UTC): opened by a machine
--   last_clicked_at (UTC): clicked
--   last_converted_at (UTC): converted
--   last_unsubscribed_at (UTC): unsubscribed
--   last_complained_at (UTC): complained
--   last_alive_at (UTC): newest proof that messages arrive: delivered, opened by anyone, clicked or converted
--   n_sent (messages): so far, as those below; a message counts once on each day of the event
--   n_delivered (messages): delivered
--   n_opened (messages): opened by a human
--   n_clicked (messages): clicked
--   n_converted (messages): converted
--   n_unsubscribed (messages): unsubscribed from
--   n_complained (messages): complained of
--   n_sent_since_alive (messages): sent later than last_alive_at; all of them where that is null
--   first_sent_since_alive_at (UTC): the first of these
--
-- state(D) = f(state(D - k), message steps after D - k through D), for any k: newest, first and counts only.
-- What is counted since the last proof of life starts anew with each proof.

with before as (
    select * from intermediate.channel_states_before
),

steps as (
    select
        user_sk,
        channel,
        coalesce(endpoint, '') as endpoint,
        sent_at,
        delivered_at,
        opened_at,
        machine_opened_at,
        clicked_at,
        converted_at,
        unsubscribed_at,
        complained_at,
        greatest(delivered_at, opened_at, machine_opened_at, clicked_at, converted_at) as alive_at,
        least(
            sent_at, delivered_at, opened_at, machine_opened_at, clicked_at, converted_at, failed_at, bounced_at,
            unsubscribed_at, complained_at
        ) as first_at,
        greatest(
            sent_at, delivered_at, opened_at, machine_opened_at, clicked_at, converted_at, failed_at, bounced_at,
            unsubscribed_at, complained_at
        ) as last_at
    from intermediate.message_steps
),

new_steps as (
    select
        user_sk,
        channel,
        endpoint,
        min(first_at) as first_seen_at,
        max(last_at) as last_seen_at,
        max(sent_at) as last_sent_at,
        max(delivered_at) as last_delivered_at,
        max(opened_at) as last_opened_at,
        max(machine_opened_at) as last_machine_opened_at,
        max(clicked_at) as last_clicked_at,
        max(converted_at) as last_converted_at,
        max(unsubscribed_at) as last_unsubscribed_at,
        max(complained_at) as last_complained_at,
        max(alive_at) as last_alive_at,
        count(sent_at) as n_sent,
        count(delivered_at) as n_delivered,
        count(opened_at) as n_opened,
        count(clicked_at) as n_clicked,
        count(converted_at) as n_converted,
        count(unsubscribed_at) as n_unsubscribed,
        count(complained_at) as n_complained
    from steps
    group by user_sk, channel, endpoint
),

unanswered as (
    select
        steps.user_sk,
        steps.channel,
        steps.endpoint,
        count(*) as n_sent_since_alive,
        min(steps.sent_at) as first_sent_since_alive_at
    from steps
    inner join new_steps
        on
            steps.user_sk = new_steps.user_sk
            and steps.channel = new_steps.channel
            and steps.endpoint = new_steps.endpoint
    where
        steps.sent_at is not null
        and (new_steps.last_alive_at is null or steps.sent_at > new_steps.last_alive_at)
    group by steps.user_sk, steps.channel, steps.endpoint
)

select
    coalesce(before.user_sk, new_steps.user_sk) as user_sk,
    coalesce(before.channel, new_steps.channel) as channel,
    coalesce(before.endpoint, new_steps.endpoint) as endpoint,
    least(before.first_seen_at, new_steps.first_seen_at) as first_seen_at,
    greatest(before.last_seen_at, new_steps.last_seen_at) as last_seen_at,
    greatest(before.last_sent_at, new_steps.last_sent_at) as last_sent_at,
    greatest(before.last_delivered_at, new_steps.last_delivered_at) as last_delivered_at,
    greatest(before.last_opened_at, new_steps.last_opened_at) as last_opened_at,
    greatest(before.last_machine_opened_at, new_steps.last_machine_opened_at) as last_machine_opened_at,
    greatest(before.last_clicked_at, new_steps.last_clicked_at) as last_clicked_at,
    greatest(before.last_converted_at, new_steps.last_converted_at) as last_converted_at,
    greatest(before.last_unsubscribed_at, new_steps.last_unsubscribed_at) as last_unsubscribed_at,
    greatest(before.last_complained_at, new_steps.last_complained_at) as last_complained_at,
    greatest(before.last_alive_at, new_steps.last_alive_at) as last_alive_at,
    cast(coalesce(before.n_sent, 0) + coalesce(new_steps.n_sent, 0) as bigint) as n_sent,
    cast(coalesce(before.n_delivered, 0) + coalesce(new_steps.n_delivered, 0) as bigint) as n_delivered,
    cast(coalesce(before.n_opened, 0) + coalesce(new_steps.n_opened, 0) as bigint) as n_opened,
    cast(coalesce(before.n_clicked, 0) + coalesce(new_steps.n_clicked, 0) as bigint) as n_clicked,
    cast(coalesce(before.n_converted, 0) + coalesce(new_steps.n_converted, 0) as bigint) as n_converted,
    cast(coalesce(before.n_unsubscribed, 0) + coalesce(new_steps.n_unsubscribed, 0) as bigint) as n_unsubscribed,
    cast(coalesce(before.n_complained, 0) + coalesce(new_steps.n_complained, 0) as bigint) as n_complained,
    cast(
        case when new_steps.last_alive_at is null then coalesce(before.n_sent_since_alive, 0) else 0 end
        + coalesce(unanswered.n_sent_since_alive, 0) as bigint
    ) as n_sent_since_alive,
    least(
        case when new_steps.last_alive_at is null then before.first_sent_since_alive_at end,
        unanswered.first_sent_since_alive_at
    ) as first_sent_since_alive_at
from before
full outer join new_steps
    on
        before.user_sk = new_steps.user_sk
        and before.channel = new_steps.channel
        and before.endpoint = new_steps.endpoint
left join unanswered
    on
        new_steps.user_sk = unanswered.user_sk
        and new_steps.channel = unanswered.channel
        and new_steps.endpoint = unanswered.endpoint
