-- One row per event: what a user did, once, however often it was delivered.
--
-- grain:      user_sk, occurred_at, row_hash
-- partition:  day
-- tests:      not_null user_sk, occurred_at, event_type, dt; unique user_sk, occurred_at, row_hash
-- columns:
--   user_sk: the user's key inside the store
--   occurred_at (UTC): when it happened
--   event_type: what kind of activity, in the user's own words
--   amount (currency): money that the event brought; negative for a refund, null where the source has none
--   item: what it was about
--   category: kind of item
--   platform: device or site
--   app_version: version of the app or site
--   event_id: the source's own id
--   row_hash: equal for rows that are equal in every column of their file
--   dt (date): day of the event in the business zone
--
-- Rows with an event_id are one event per id: the earliest row stands, of the earliest day. Rows without one are
-- the same event only if they are equal in every column of their file.

with arrived as (
    select * from ingest.events
),

copies_of_other_days as (
    select
        event_id,
        dt
    from ingest.repeated_events
)

select
    arrived.user_sk,
    arrived.occurred_at,
    arrived.event_type,
    arrived.amount,
    arrived.item,
    arrived.category,
    arrived.platform,
    arrived.app_version,
    arrived.event_id,
    arrived.row_hash,
    arrived.dt
from arrived
left join copies_of_other_days
    on
        arrived.event_id = copies_of_other_days.event_id
        and arrived.dt = copies_of_other_days.dt
where copies_of_other_days.event_id is null
qualify row_number() over (
        partition by
            arrived.dt,
            coalesce('id ' || arrived.event_id, 'row ' || arrived.user_sk || ' ' || arrived.row_hash)
        order by arrived.occurred_at, arrived.row_hash, arrived.user_sk, arrived.delivery
    ) = 1
