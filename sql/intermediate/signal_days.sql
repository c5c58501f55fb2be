-- One row per user, day and type of event that tells of trouble: errors, failed payments, removals of the app.
--
-- grain:      user_sk, dt, event_type
-- partition:  day
-- tests:      not_null user_sk, dt, event_type, signal; unique user_sk, dt, event_type; n_events > 0
-- columns:
--   user_sk: the user's key inside the store
--   dt (date): the day, in the business zone
--   event_type: in the source's words
--   signal: app_removed, payment_failed or app_error
--   n_events (events): of this type on the day
--
-- Types are told by the words in their names, whether they count as use or not: uninstall, removed, delete with app;
-- payment, charge, renewal, card with fail, declined, refused; error, crash, exception, timeout. The first that fits
-- stands.

with named as (
    select
        user_sk,
        dt,
        event_type,
        replace(replace(lower(event_type), '_', ' '), '-', ' ') as name
    from staging.events
),

judged as (
    select
        user_sk,
        dt,
        event_type,
        case
            when regexp_matches(name, 'uninstall|卸载|app.*(removed|deleted)|(removed|deleted).*app')
                then 'app_removed'
            when
                regexp_matches(name, 'payment|charge|billing|renewal|invoice|(^|[^a-z])card')
                and regexp_matches(name, 'fail|declin|refus|reject|unpaid|past due|overdue|dunning|insufficient')
                then 'payment_failed'
            when regexp_matches(name, '(^|[^a-z])(errors?|crash|crashed|exception|timeout)([^a-z]|$)|报错|崩溃|闪退')
                then 'app_error'
        end as signal
    from named
)

select
    user_sk,
    dt,
    event_type,
    signal,
    count(*) as n_events
from judged
where signal is not null
group by user_sk, dt, event_type, signal
