-- One row per local hour of the day at which a message was sent: how many were.
--
-- grain:      sent_hour
-- partition:  as_of
-- params:
--   $as_of (date): last day, inclusive, that the night may see; $timezone (text): zone of the business;
--   $zones (list of text): zones that exist
-- tests:      not_null sent_hour, n_sent; unique sent_hour; sent_hour between 0 and 23; n_sent > 0
-- columns:
--   sent_hour (hours): of the day, on the clock of the user's zone on record, else of the business's
--   n_sent (messages): sent at that hour in the last year
--
-- Our own habit of sending: what the hours of users who were active after a message must be corrected for.

with sends as (
    select
        user_sk,
        sent_at
    from intermediate.message_steps
    where sent_at is not null and dt > cast($as_of - interval 365 day as date)
),

names as (
    select distinct users.timezone
    from marts.users as users
    where array_contains($zones, users.timezone)
),

placed as (
    select
        sends.sent_at,
        names.timezone as known_timezone
    from sends
    inner join marts.users as users on sends.user_sk = users.user_sk
    left join names on users.timezone = names.timezone
),

told as (
    select (sent_at at time zone 'UTC') at time zone coalesce(known_timezone, $timezone) as local_sent_at
    from placed
)

select
    extract(hour from local_sent_at) as sent_hour,
    count(*) as n_sent
from told
group by all
