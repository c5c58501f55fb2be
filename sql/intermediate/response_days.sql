-- One row per user and day on which the user answered us, told us something or closed a door.
--
-- grain:      user_sk, dt
-- partition:  day
-- tests:      not_null user_sk, dt; unique user_sk, dt; nps_n >= 0; csat_n >= 0
-- columns:
--   user_sk: the user's key inside the store
--   dt (date): the day, in the business zone
--   is_opened: opened a message, by hand
--   is_clicked: clicked in a message
--   is_opted_out: unsubscribed from within a message, or asked to be deleted
--   is_complained: complained of a message or of us
--   is_app_removed: removed the app, by an event that says so
--   is_shared: shared, invited or referred somebody, by an event that says so
--   nps_sum: sum of the scores of kind nps, 0 to 10 each; null without one
--   nps_n (scores): how many
--   csat_sum: sum of the scores of kind csat, 0 to a million each; null without one
--   csat_max: the largest of them
--   csat_n (scores): how many
--
-- What a readout counts beside activity and money, which intermediate.user_days has. Shares are told by the word in
-- the type of an event: share, shared, invite, invited, invitation, referral, referred, 分享, 邀请, 推荐. A score off its
-- scale is none.

with messages as (
    select
        user_sk,
        dt,
        sum(n_opened) as n_opened,
        sum(n_clicked) as n_clicked,
        sum(n_unsubscribed) as n_unsubscribed,
        sum(n_complained) as n_complained
    from intermediate.message_days
    where n_opened + n_clicked + n_unsubscribed + n_complained > 0
    group by user_sk, dt
),

scores as (
    select
        user_sk,
        dt,
        kind,
        case when kind = 'nps' and score between 0 and 10 then cast(score as decimal(18, 4)) end as nps,
        case when kind = 'csat' and score between 0 and 1000000 then cast(score as decimal(18, 4)) end as csat
    from staging.feedback
    where kind in ('deletion_request', 'complaint', 'nps', 'csat')
),

told as (
    select
        user_sk,
        dt,
        count(*) filter (where kind = 'deletion_request') as n_deletions,
        count(*) filter (where kind = 'complaint') as n_complaints,
        cast(sum(nps) as double) as nps_sum,
        count(nps) as nps_n,
        cast(sum(csat) as double) as csat_sum,
        cast(max(csat) as double) as csat_max,
        count(csat) as csat_n
    from scores
    group by user_sk, dt
),

removals as (
    select distinct
        user_sk,
        dt
    from intermediate.signal_days
    where signal = 'app_removed'
),

shares as (
    select distinct
        user_sk,
        dt
    from staging.events
    where
        regexp_matches(
            replace(replace(lower(event_type), '_', ' '), '-', ' '),
            '(^|[^a-z])(shared?|invite[ds]?|invitations?|referrals?|referred)([^a-z]|$)|分享|邀请|推荐'
        )
),

days as (
    select
        user_sk,
        dt
    from messages
    union
    select
        user_sk,
        dt
    from told
    union
    select
        user_sk,
        dt
    from removals
    union
    select
        user_sk,
        dt
    from shares
)

select
    days.user_sk,
    days.dt,
    coalesce(messages.n_opened, 0) > 0 as is_opened,
    coalesce(messages.n_clicked, 0) > 0 as is_clicked,
    coalesce(messages.n_unsubscribed, 0) + coalesce(told.n_deletions, 0) > 0 as is_opted_out,
    coalesce(messages.n_complained, 0) + coalesce(told.n_complaints, 0) > 0 as is_complained,
    removals.user_sk is not null as is_app_removed,
    shares.user_sk is not null as is_shared,
    told.nps_sum,
    coalesce(told.nps_n, 0) as nps_n,
    told.csat_sum,
    told.csat_max,
    coalesce(told.csat_n, 0) as csat_n
from days
left join messages on days.user_sk = messages.user_sk and days.dt = messages.dt
left join told on days.user_sk = told.user_sk and days.dt = told.dt
left join removals on days.user_sk = removals.user_sk and days.dt = removals.dt
left join shares on days.user_sk = shares.user_sk and days.dt = shares.dt
