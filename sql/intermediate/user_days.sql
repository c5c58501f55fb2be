-- One row per user and day with an event: how much of what happened.
--
-- grain:      user_sk, dt
-- partition:  day
-- params:     $core_events (list of text): event types that count as use; $counts_all (boolean): all of them do
-- tests:      not_null user_sk, dt; unique user_sk, dt; n_core_events <= n_events; n_events > 0
-- columns:
--   user_sk: the user's key inside the store
--   dt (date): the day, in the business zone
--   n_events (events): of any kind
--   n_core_events (events): that count as use
--   amount (currency): of core events less refunds; null where there is neither
--   other_amount (currency): of the other events, refunds left out
--   n_items (items): different items of core events
--   n_categories (categories): different categories of core events
--   first_at (UTC): first event of any kind
--   last_at (UTC): last event of any kind
--
-- A day on which a user has a core event is an active day. A negative amount on another event is a refund: money that
-- came and went is not worth.

with events as (
    select
        user_sk,
        dt,
        occurred_at,
        amount,
        item,
        category,
        ($counts_all or array_contains($core_events, event_type)) as is_core
    from staging.events
)

select
    user_sk,
    dt,
    count(*) as n_events,
    count(*) filter (where is_core) as n_core_events,
    cast(sum(amount) filter (where is_core or amount < 0) as decimal(38, 4)) as amount,
    cast(sum(amount) filter (where not is_core and amount >= 0) as decimal(38, 4)) as other_amount,
    count(distinct item) filter (where is_core) as n_items,
    count(distinct category) filter (where is_core) as n_categories,
    min(occurred_at) as first_at,
    max(occurred_at) as last_at
from events
group by user_sk, dt
