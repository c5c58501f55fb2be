-- One row per user with an active day in the last year: where the user was last seen.
--
-- grain:      user_sk
-- partition:  as_of
-- params:     $as_of (date): last day, inclusive, that the night may see
-- tests:      not_null user_sk, user_id, last_on; unique user_sk; last_on <= $as_of
-- columns:
--   user_sk: the user's key inside the store
--   user_id: the user's own id
--   last_on (date): the last active day
--   platform: where it was spent; null if the events do not say
--   app_version: the version of the app
--   country: of the user, by the profile known on the night

with days as (
    select
        user_sk,
        dt,
        platform,
        app_version
    from intermediate.platform_days
    where dt > cast($as_of - interval 365 day as date)
    qualify row_number() over (partition by user_sk order by dt desc) = 1
)

select
    days.user_sk,
    users.user_id,
    days.dt as last_on,
    days.platform,
    days.app_version,
    users.country
from days
inner join marts.users as users on days.user_sk = users.user_sk
