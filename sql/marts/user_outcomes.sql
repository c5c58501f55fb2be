-- One row per user with an active day in the window that ends with $as_of: what came of them in it.
--
-- grain:      user_sk
-- partition:  as_of
-- params:
--   $as_of (date): last day, inclusive, of the window
--   $window_days (integer): length of the window
-- tests:      not_null user_sk, first_active_on; unique user_sk; n_active_days > 0; first_active_on <= $as_of
-- columns:
--   user_sk: the user's key inside the store
--   first_active_on (date): first active day in the window
--   n_active_days (days): active days in the window
--   amount (currency): of core events less refunds in the window; null where there is neither
--
-- The label of a training row at the cutoff $as_of - $window_days. It may only be read on a night that is not
-- earlier than $as_of, when the window is closed.

select
    user_sk,
    min(dt) filter (where n_core_events > 0) as first_active_on,
    count(*) filter (where n_core_events > 0) as n_active_days,
    cast(sum(amount) as double) as amount
from intermediate.user_days
where dt > cast($as_of - $window_days * interval 1 day as date)
group by user_sk
having count(*) filter (where n_core_events > 0) > 0
