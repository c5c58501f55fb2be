-- One row per user with a link to another user: whether those around the user are still here.
--
-- grain:      user_sk
-- partition:  as_of
-- params:     $as_of (date): last day, inclusive, that the night may see
-- tests:      not_null user_sk; unique user_sk; n_active_links <= n_links
-- columns:
--   user_sk: the user's key inside the store
--   n_links (users): different linked users
--   n_active_links (users): of them with a core event in the last 30 days

with linked as (
    select distinct
        links.user_sk,
        others.user_sk as other_user_sk
    from staging.links as links
    inner join ingest.user_keys as others on links.other_user_id = others.user_id
    where others.user_sk <> links.user_sk
)

select
    linked.user_sk,
    count(*) as n_links,
    count(*) filter (where states.last_on > cast($as_of - interval 30 day as date)) as n_active_links
from linked
left join intermediate.user_states as states on linked.other_user_sk = states.user_sk
group by linked.user_sk
