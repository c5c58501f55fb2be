-- One row per user, day and category: how often the user looked at or bought things of it.
--
-- grain:      user_sk, dt, category
-- partition:  day
-- params:     $core_events (list of text): event types that count as use; $counts_all (boolean): all of them do
-- tests:      not_null user_sk, dt, category; unique user_sk, dt, category; n_core_events > 0
-- columns:
--   user_sk: the user's key inside the store
--   dt (date): the day, in the business zone
--   category: in the source's words
--   n_core_events (events): core events of the category

select
    user_sk,
    dt,
    category,
    count(*) as n_core_events
from staging.events
where category is not null and ($counts_all or array_contains($core_events, event_type))
group by user_sk, dt, category
