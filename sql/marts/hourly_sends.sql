-- One row per hour, channel, platform and app version: how many messages were sent.
--
-- grain:      hour_at, channel, platform, app_version
-- partition:  as_of
-- params:     $as_of (date): last day, inclusive, that the night may see
-- tests:      not_null hour_at, channel, n_messages; n_messages > 0
-- columns:
--   hour_at (UTC): the hour in which something is first known of the message
--   channel: email, push, sms, ...
--   platform: where the user was last seen before that day, else first after it; null if not known
--   app_version: of the app there
--   n_messages (messages): of that hour, whatever became of them
--
-- The messages of a year, as marts.send_outcomes has them; that one tells which failed. Counted by the hour apart from
-- it, since days since the last message times hours would be nearly a row per message.

with messages as (
    select
        user_sk,
        channel,
        message_id,
        min(dt) as dt,
        min(
            least(
                sent_at, delivered_at, opened_at, machine_opened_at, clicked_at, converted_at, failed_at, bounced_at,
                unsubscribed_at, complained_at
            )
        ) as occurred_at
    from intermediate.message_steps
    where dt > cast($as_of - interval 365 day as date)
    group by user_sk, channel, message_id
    having
        count(sent_at)
        + count(delivered_at)
        + count(opened_at)
        + count(machine_opened_at)
        + count(clicked_at)
        + count(failed_at)
        + count(bounced_at)
        > 0
),

batches as (
    select
        user_sk,
        channel,
        dt,
        date_trunc('hour', occurred_at) as hour_at,
        count(*) as n_messages
    from messages
    group by all
),

days as (
    select
        user_sk,
        dt,
        platform,
        app_version
    from intermediate.platform_days
    where dt > cast($as_of - interval 365 day as date)
),

timelines as (
    select
        user_sk,
        channel,
        dt,
        hour_at,
        n_messages,
        0 as is_visit,
        cast(null as date) as seen_on
    from batches
    union all
    select
        user_sk,
        null as channel,
        dt,
        null as hour_at,
        null as n_messages,
        1 as is_visit,
        dt as seen_on
    from days
),

sightings as (
    select
        user_sk,
        channel,
        hour_at,
        n_messages,
        is_visit,
        coalesce(
            max(seen_on) over (
                partition by user_sk
                order by dt, is_visit
                rows between unbounded preceding and 1 preceding
            ),
            min(seen_on) over (
                partition by user_sk
                order by dt, is_visit
                rows between 1 following and unbounded following
            )
        ) as place_on
    from timelines
)

select
    sightings.hour_at,
    sightings.channel,
    days.platform,
    days.app_version,
    cast(sum(sightings.n_messages) as bigint) as n_messages
from sightings
left join days on sightings.user_sk = days.user_sk and sightings.place_on = days.dt
where sightings.is_visit = 0
group by all
