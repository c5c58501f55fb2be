-- One row per day of the last 180: how much activity there was.
--
-- grain:      active_on
-- partition:  as_of
-- params:     $as_of (date): last day, inclusive
-- tests:      not_null active_on; unique active_on; n_active_users <= n_users
-- columns:
--   active_on (date): the day, in the business zone
--   n_users (users): with an event of any kind
--   n_active_users (users): with a core event
--   n_events (events): of any kind
--   amount (currency): of core events less refunds; null where there is neither

select
    dt as active_on,
    count(*) as n_users,
    count(*) filter (where n_core_events > 0) as n_active_users,
    cast(sum(n_events) as bigint) as n_events,
    cast(sum(amount) as double) as amount
from intermediate.user_days
where dt > cast($as_of - interval 180 day as date)
group by dt
