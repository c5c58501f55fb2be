-- One row per user and active day: on which platform and app version it was spent.
--
-- grain:      user_sk, dt
-- partition:  day
-- params:     $core_events (list of text): event types that count as use; $counts_all (boolean): all of them do
-- tests:      not_null user_sk, dt; unique user_sk, dt
-- columns:
--   user_sk: the user's key inside the store
--   dt (date): the day, in the business zone
--   platform: of the day's last core event that names one; null if none does
--   app_version: of the same event
--
-- Where a user was last seen tells which recorder would see the next visit: the last event of the day decides.

with core_events as (
    select
        user_sk,
        dt,
        occurred_at,
        row_hash,
        platform,
        app_version
    from staging.events
    where $counts_all or array_contains($core_events, event_type)
)

select
    user_sk,
    dt,
    platform,
    app_version
from core_events
qualify row_number() over (
        partition by user_sk, dt
        order by
            case when platform is null and app_version is null then 1 else 0 end,
            occurred_at desc,
            row_hash asc
    ) = 1
