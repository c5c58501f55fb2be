-- One row per subscription: from when to when a user paid for a plan.
--
-- grain:      user_sk, started_at, row_hash
-- partition:  whole
-- tests:      not_null user_sk, started_at; unique user_sk, started_at, row_hash
-- columns:
--   user_sk: the user's key inside the store
--   started_at (UTC): when it began
--   ended_at (UTC): when it ended; null while it runs
--   plan: what was subscribed to
--   price (currency): per period
--   end_reason: why it ended, in the source's words
--   attributes (JSON): every further column that the settings name
--   row_hash: equal for rows that are equal in every column of their file
--   dt (date): day of the start in the business zone
--
-- A subscription that is delivered again (same user, start and plan) replaces what was known of it: its end is
-- learned later than its start. An end after the night is not known to that night: marts take care of it.

with arrived as (
    select * from ingest.subscriptions
)

select
    user_sk,
    started_at,
    ended_at,
    plan,
    price,
    end_reason,
    attributes,
    row_hash,
    dt
from arrived
qualify
    row_number()
        over (partition by user_sk, started_at, plan order by delivery desc, ended_at asc nulls last, row_hash asc)
    = 1
