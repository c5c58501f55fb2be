-- One row per subscription visible on a night: from when to when, on which plan, and why it ended if it has.
--
-- grain:      user_sk, started_on, row_hash
-- partition:  as_of
-- params:
--   $as_of (date): last day, inclusive, that the night may see
--   $timezone (text): zone of the business, whose days count
-- tests:      not_null user_sk, user_id, started_on; ended_on <= $as_of; ended_on is not null or end_reason is null
-- columns:
--   user_sk: the user's key inside the store
--   user_id: the user's own id
--   started_on (date): first day
--   ended_on (date): last day; null while it runs, as the night sees it
--   plan: what was subscribed to
--   price (currency): per period
--   end_reason: why it ended; null while it runs
--   attributes (JSON): every further column that the settings name
--   row_hash: tells apart two subscriptions of one user that began on one day
--
-- An end after the night has not happened yet for the night, and neither has its reason.

with subscriptions as (
    select
        *,
        cast((ended_at at time zone 'UTC') at time zone $timezone as date) as ended_on
    from staging.subscriptions
)

select
    subscriptions.user_sk,
    keys.user_id,
    subscriptions.dt as started_on,
    case when subscriptions.ended_on <= $as_of then subscriptions.ended_on end as ended_on,
    subscriptions.plan,
    cast(subscriptions.price as double) as price,
    case when subscriptions.ended_on <= $as_of then subscriptions.end_reason end as end_reason,
    subscriptions.attributes,
    subscriptions.row_hash
from subscriptions
inner join ingest.user_keys as keys on subscriptions.user_sk = keys.user_sk
