-- One row per link between two users: friends, referrals, households.
--
-- grain:      user_sk, other_user_id, kind
-- partition:  whole
-- tests:      not_null user_sk, other_user_id, kind; unique user_sk, other_user_id, kind
-- columns:
--   user_sk: the user's key inside the store
--   other_user_id: the other user's own id
--   kind: friend, referral, household, ...
--   since (UTC): from when on; null if not known
--   dt (date): day of the beginning in the business zone; null if not known

with arrived as (
    select * from ingest.links
)

select
    user_sk,
    other_user_id,
    kind,
    since,
    dt
from arrived
qualify row_number() over (partition by user_sk, other_user_id, kind order by since nulls last, row_hash, delivery) = 1
