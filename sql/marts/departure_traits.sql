-- One row per user with a platform, a plan or a score: where and how the user was a customer, as last known.
--
-- grain:      user_sk
-- partition:  as_of
-- params:     $as_of (date): last day, inclusive, that the night may see
-- tests:      not_null user_sk; unique user_sk
-- columns:
--   user_sk: the user's key inside the store
--   platform: of the newest core event of a day that names one, within two years
--   plan: of the newest subscription
--   satisfaction: low, middle or high: third of the user's newest score among all newest scores of its kind
--
-- A score is nps or csat; those of one kind are compared with one another only, so scales need not be known.

with platforms as (
    select
        user_sk,
        platform
    from intermediate.platform_days
    where platform is not null and dt > cast($as_of - interval 730 day as date)
    qualify row_number() over (partition by user_sk order by dt desc) = 1
),

plans as (
    select
        user_sk,
        plan
    from marts.contracts
    where plan is not null
    qualify row_number() over (partition by user_sk order by started_on desc, row_hash asc) = 1
),

scores as (
    select
        user_sk,
        kind,
        score
    from staging.feedback
    where kind in ('nps', 'csat') and score is not null
    qualify row_number() over (partition by user_sk order by occurred_at desc, kind asc, row_hash asc) = 1
),

counted as (
    select
        user_sk,
        rank() over (partition by kind order by score) as n_up_to,
        count(*) over (partition by kind, score) as n_equal,
        count(*) over (partition by kind) as n_scores
    from scores
),

ranked as (
    select
        user_sk,
        max((n_up_to + (n_equal - 1) / 2.0) / n_scores) as place
    from counted
    group by user_sk
),

known as (
    select user_sk from platforms
    union
    select user_sk from plans
    union
    select user_sk from ranked
)

select
    known.user_sk,
    platforms.platform,
    plans.plan,
    case
        when ranked.place <= 1 / 3.0 then 'low'
        when ranked.place <= 2 / 3.0 then 'middle'
        when ranked.place is not null then 'high'
    end as satisfaction
from known
left join platforms on known.user_sk = platforms.user_sk
left join plans on known.user_sk = plans.user_sk
left join ranked on known.user_sk = ranked.user_sk
