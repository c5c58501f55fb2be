-- One row per user, local hour of the week and hour of the message before: how often the user was active then.
--
-- grain:      user_sk, hour_of_week, sent_hour
-- partition:  as_of
-- params:
--   $as_of (date): last day, inclusive, that the night may see; $timezone (text): zone of the business;
--   $zones (list of text): zones that exist
-- tests:
--   not_null user_sk, user_id, timezone, hour_of_week, n_hours, n_late_hours; unique user_sk, hour_of_week, sent_hour;
--   hour_of_week between 0 and 167; sent_hour between 0 and 23; n_late_hours <= n_hours; n_hours > 0
-- columns:
--   user_sk: the user's key inside the store
--   user_id: the user's own id
--   timezone: the clock that was read: the user's on record, else the business's
--   hour_of_week (hours): from Monday 0:00 of that clock
--   sent_hour (hours): hour of the day, on that clock, of a message sent in the 3 hours before; null without one
--   n_hours (hours): clock hours with a core event
--   n_late_hours (hours): of them in the last 30 % of the days on which anybody was active
--
-- Who was active soon after we wrote was perhaps active because we wrote: such hours tell of our habits, so they are
-- kept apart, by the hour at which we wrote. A year is read: most of those whom we want back have been away for long.

with hours as (
    select
        user_sk,
        dt,
        first_at
    from intermediate.active_hours
    where dt > cast($as_of - interval 365 day as date)
),

days as (
    select min(dt) as first_on
    from hours
),

names as (
    select distinct users.timezone
    from marts.users as users
    where array_contains($zones, users.timezone)
),

profiles as (
    select
        users.user_sk,
        users.user_id,
        names.timezone as known_timezone
    from marts.users as users
    left join names on users.timezone = names.timezone
),

clocks as (
    select
        user_sk,
        user_id,
        coalesce(known_timezone, $timezone) as timezone
    from profiles
),

sends as (
    select distinct
        user_sk,
        sent_at
    from intermediate.message_steps
    where sent_at is not null and dt > cast($as_of - interval 366 day as date)
),

prompts as (
    select
        hours.user_sk,
        hours.first_at,
        max(sends.sent_at) as sent_at
    from hours
    inner join sends
        on
            hours.user_sk = sends.user_sk
            and hours.first_at >= sends.sent_at
            and hours.first_at < sends.sent_at + interval 3 hour
    group by hours.user_sk, hours.first_at
),

told as (
    select
        hours.user_sk,
        clocks.user_id,
        clocks.timezone,
        (hours.first_at at time zone 'UTC') at time zone clocks.timezone as local_at,
        (prompts.sent_at at time zone 'UTC') at time zone clocks.timezone as local_sent_at,
        10 * date_diff('day', days.first_on, hours.dt) >= 7 * date_diff('day', days.first_on, $as_of) as is_late
    from hours
    cross join days
    inner join clocks on hours.user_sk = clocks.user_sk
    left join prompts on hours.user_sk = prompts.user_sk and hours.first_at = prompts.first_at
)

select
    user_sk,
    user_id,
    timezone,
    24 * (date_diff('day', date '1900-01-01', cast(local_at as date)) % 7) + extract(hour from local_at)
        as hour_of_week,
    extract(hour from local_sent_at) as sent_hour,
    count(*) as n_hours,
    count(*) filter (where is_late) as n_late_hours
from told
group by all
