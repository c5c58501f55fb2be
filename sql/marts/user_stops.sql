-- One row per user who asked to be deleted or complained, by whichever account: from when on nobody may write to them.
--
-- grain:      user_sk
-- partition:  as_of
-- tests:      not_null user_sk; unique user_sk; complained_at is not null or deletion_requested_at is not null
-- columns:
--   user_sk: the user's key inside the store
--   complained_at (UTC): first complaint, in feedback or about a message; null if none
--   deletion_requested_at (UTC): first request to be deleted; null if none
--
-- It is a person who says stop, so the word holds for every account with the same person_key.

with told as (
    select
        user_sk,
        kind,
        occurred_at
    from staging.feedback
    where kind in ('complaint', 'deletion_request')
),

reported as (
    select
        user_sk,
        'complaint' as kind,
        occurred_at
    from staging.message_events
    where event = 'complained'
),

stops as (
    select
        user_sk,
        kind,
        occurred_at
    from told
    union all
    select
        user_sk,
        kind,
        occurred_at
    from reported
),

accounts as (
    select
        user_sk,
        person_key
    from marts.users
    where person_key <> ''
),

spread as (
    select
        user_sk,
        kind,
        occurred_at
    from stops
    union all
    select
        others.user_sk,
        stops.kind,
        stops.occurred_at
    from stops
    inner join accounts as own on stops.user_sk = own.user_sk  -- n to 1
    inner join accounts as others on own.person_key = others.person_key  -- n to the few accounts of one person
)

select
    user_sk,
    min(case when kind = 'complaint' then occurred_at end) as complained_at,
    min(case when kind = 'deletion_request' then occurred_at end) as deletion_requested_at
from spread
group by user_sk
