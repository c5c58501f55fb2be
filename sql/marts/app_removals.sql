-- One row per user who removed the app in the last 180 days, by an event that says so: when first.
--
-- grain:      user_sk
-- partition:  as_of
-- params:     $as_of (date): last day, inclusive, that the night may see
-- tests:      not_null user_sk, occurred_at; unique user_sk
-- columns:
--   user_sk: the user's key inside the store
--   occurred_at (UTC): the first removal in these days
--
-- Such events are known by their type, in whatever case: app_remove (Google Analytics for Firebase), and the words
-- app_removed, app_uninstall, app_uninstalled, uninstall, uninstalled. A token that the provider calls unregistered is
-- told apart elsewhere, for it may as well have been renewed.

select
    user_sk,
    min(occurred_at) as occurred_at
from staging.events
where
    dt > cast($as_of - interval 180 day as date)
    and lower(event_type) in (
        'app_remove', 'app_removed', 'app_uninstall', 'app_uninstalled', 'uninstall', 'uninstalled'
    )
group by user_sk
