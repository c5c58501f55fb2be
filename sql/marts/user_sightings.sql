-- One row per user with an event of any kind in the last year: the last day on which something was seen of them.
--
-- grain:      user_sk
-- partition:  as_of
-- params:     $as_of (date): last day, inclusive, that the night may see
-- tests:      not_null user_sk, last_seen_on; unique user_sk; last_seen_on <= $as_of
-- columns:
--   user_sk: the user's key inside the store
--   last_seen_on (date): last day with an event of any kind, in the business zone
--
-- Whoever was seen after a token died still has the app: the failure was technical.

select
    user_sk,
    max(dt) as last_seen_on
from intermediate.user_days
where dt > cast($as_of - interval 365 day as date)
group by user_sk
