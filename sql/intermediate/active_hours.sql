-- One row per user and clock hour with a core event: when in the day a user is here.
--
-- grain:      user_sk, first_at
-- partition:  day
-- params:     $core_events (list of text): event types that count as use; $counts_all (boolean): all of them do
-- tests:      not_null user_sk, dt, first_at; unique user_sk, first_at
-- columns:
--   user_sk: the user's key inside the store
--   dt (date): the day, in the business zone
--   first_at (UTC): first core event of the hour
--
-- An hour counts once, however much happened in it: forty lines of one order are one visit. Hours are cut in UTC;
-- whose clock they are told on is a matter of the night, for profiles change.

with core_events as (
    select
        user_sk,
        dt,
        occurred_at
    from staging.events
    where $counts_all or array_contains($core_events, event_type)
)

select
    user_sk,
    dt,
    min(occurred_at) as first_at
from core_events
group by user_sk, dt, date_trunc('hour', occurred_at)
