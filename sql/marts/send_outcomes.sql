-- One row per day, channel, place and outcome of messages: how many there were, and whose failed, in which hour.
--
-- grain:      dt, channel, platform, app_version, code, is_failed, alive_on, user_sk, hour_at, next_seen_on
-- partition:  as_of
-- params:     $as_of (date): last day, inclusive, that the night may see
-- tests:
--   not_null dt, channel, is_failed, n_messages; dt <= $as_of; alive_on <= dt; next_seen_on >= dt;
--   next_seen_on <= $as_of; n_messages > 0
-- columns:
--   dt (date): first day on which something is known of the message
--   channel: email, push, sms, ...
--   platform: where the user was last seen before that day, else first after it; null if not known
--   app_version: of the app there
--   code: the provider's own reason of a failure
--   is_failed: failed or bounced
--   alive_on (date): last day before that on which the endpoint is known to have lived; null if none is
--   user_sk: whose message failed; null where it did not
--   hour_at (UTC): the hour in which the message that failed was sent; null where none failed
--   next_seen_on (date): of a message that failed, the user's first active day from dt on; null if none is known
--   n_messages (messages): of that kind
--
-- The messages of a year. A message that is known to be sent and not known to have failed has got through.
--
-- An endpoint lived on the day of the last message that got through. A push token lived, too, on the last day on which
-- its app was used: an app that is opened reports its token anew. A visit on the web, or one that does not say where it
-- was, proves no app. Channels of push are named as in reach/failures/push.toml.

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
        ) as occurred_at,
        min(code) as code,
        count(failed_at) + count(bounced_at) > 0 as is_failed
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

days as (
    select
        user_sk,
        dt,
        platform,
        app_version
    from intermediate.platform_days
    where dt > cast($as_of - interval 365 day as date)
),

-- Messages among the active days of their user, those of a day before the day's own visit.
timelines as (
    select
        user_sk,
        channel,
        message_id,
        dt,
        occurred_at,
        code,
        is_failed,
        0 as is_visit,
        cast(null as date) as seen_on,
        cast(null as date) as app_seen_on
    from messages
    union all
    select
        user_sk,
        null as channel,
        null as message_id,
        dt,
        null as occurred_at,
        null as code,
        null as is_failed,
        1 as is_visit,
        dt as seen_on,
        case when lower(platform) <> 'web' then dt end as app_seen_on
    from days
),

sightings as (
    select
        user_sk,
        channel,
        message_id,
        dt,
        occurred_at,
        code,
        is_failed,
        is_visit,
        max(seen_on) over earlier as seen_on,
        max(app_seen_on) over earlier as app_seen_on,
        min(seen_on) over later as next_seen_on
    from timelines
    window
        earlier as (
            partition by user_sk
            order by dt, is_visit
            rows between unbounded preceding and 1 preceding
        ),
        later as (
            partition by user_sk
            order by dt, is_visit
            rows between 1 following and unbounded following
        )
),

histories as (
    select
        user_sk,
        channel,
        dt,
        occurred_at,
        code,
        is_failed,
        app_seen_on,
        next_seen_on,
        coalesce(seen_on, next_seen_on) as place_on,
        max(case when not is_failed then dt end) over (
            partition by user_sk, channel
            order by occurred_at, message_id
            rows between unbounded preceding and 1 preceding
        ) as through_on
    from sightings
    where is_visit = 0
)

select
    histories.dt,
    histories.channel,
    days.platform,
    days.app_version,
    histories.code,
    histories.is_failed,
    case
        when lower(histories.channel) in (
                'push', 'app_push', 'mobile_push', 'push_notification', 'notification', 'fcm', 'apns', 'ios', 'android'
            ) then greatest(histories.through_on, histories.app_seen_on)
        else histories.through_on
    end as alive_on,
    case when histories.is_failed then histories.user_sk end as user_sk,
    case when histories.is_failed then date_trunc('hour', histories.occurred_at) end as hour_at,
    case when histories.is_failed then histories.next_seen_on end as next_seen_on,
    count(*) as n_messages
from histories
left join days on histories.user_sk = days.user_sk and histories.place_on = days.dt
group by all
