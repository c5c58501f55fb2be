-- One row per piece of feedback: what a user told us.
--
-- grain:      user_sk, occurred_at, row_hash
-- partition:  day
-- tests:      not_null user_sk, occurred_at, kind, dt; unique user_sk, occurred_at, row_hash
-- columns:
--   user_sk: the user's key inside the store
--   occurred_at (UTC): when it was given
--   kind: nps, csat, ticket, refund, exit_survey, complaint or deletion_request
--   score: the number given, on the scale of its kind
--   category: subject
--   text: the user's own words
--   row_hash: equal for rows that are equal in every column of their file
--   dt (date): day of the feedback in the business zone

with arrived as (
    select * from ingest.feedback
)

select
    user_sk,
    occurred_at,
    lower(kind) as kind,
    score,
    category,
    text,
    row_hash,
    dt
from arrived
qualify row_number() over (partition by dt, user_sk, row_hash order by delivery) = 1
