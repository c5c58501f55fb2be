-- One row per change of a consent: what a user allowed or forbade on a channel, and when.
--
-- grain:      user_sk, channel, changed_at, row_hash
-- partition:  whole
-- tests:      not_null user_sk, channel, status, changed_at; unique user_sk, channel, changed_at, row_hash
-- columns:
--   user_sk: the user's key inside the store
--   channel: email, push, sms, ...
--   status: granted, withdrawn, paused, ..., in the source's words
--   changed_at (UTC): from when on it holds
--   basis: legal basis
--   source: where it was given
--   categories: what kinds of message it covers
--   quiet_start: local clock time from which not to send
--   quiet_end: local clock time until which not to send
--   max_per_week (messages): the user's own limit
--   paused_until (date): first day on which a pause is over; null: until the user ends it
--   row_hash: equal for rows that are equal in every column of their file
--   dt (date): day of the change in the business zone

with arrived as (
    select * from ingest.consents
)

select
    user_sk,
    lower(channel) as channel,
    lower(status) as status,
    changed_at,
    basis,
    source,
    categories,
    quiet_start,
    quiet_end,
    max_per_week,
    paused_until,
    row_hash,
    dt
from arrived
qualify row_number() over (partition by user_sk, channel, changed_at, row_hash order by delivery) = 1
