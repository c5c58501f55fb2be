-- One row per channel, platform, code of failure and closedness of the messages of the last 180 days: how far they got.
--
-- grain:      channel, platform, code, is_closed
-- partition:  as_of
-- params:
--   $as_of (date): last day, inclusive, that the night may see
--   $window_days (integer): length of the horizon
-- tests:
--   not_null channel, platform, is_closed, n_sent; unique channel, platform, code, is_closed;
--   n_arrived <= n_sent; n_opened <= n_arrived; n_clicked <= n_opened; n_stayed <= n_clicked
-- columns:
--   channel: email, push, sms, ...
--   platform: of the user's newest event in the last 180 days that has one; unknown without
--   code: the provider's own reason of the failures; null for the messages that did not fail
--   is_closed: whether a whole horizon has passed since the message
--   n_sent (messages): of any fate
--   n_arrived (messages): neither failed nor bounced in the end
--   n_opened (messages): opened by a human, or clicked
--   n_clicked (messages): clicked
--   n_stayed (messages): clicked, and the user active on a later day within the horizon

with messages as (
    select
        user_sk,
        channel,
        message_id,
        fate not in ('failed', 'bounced') as is_arrived,
        fate in ('opened', 'clicked', 'converted') as is_opened,
        case when fate in ('failed', 'bounced') then coalesce(code, 'no code') end as code,
        cast(first_at as date) <= cast($as_of - $window_days * interval 1 day as date) as is_closed,
        coalesce(cast(clicked_at as date), cast(converted_at as date)) as clicked_on,
        cast(coalesce(clicked_at, converted_at) + $window_days * interval 1 day as date) as stays_until
    from marts.messages
),

platforms as (
    select
        user_sk,
        platform
    from staging.events
    where platform is not null and dt > cast($as_of - interval 180 day as date)
    qualify row_number() over (partition by user_sk order by occurred_at desc, row_hash asc) = 1
),

stays as (
    select distinct
        messages.user_sk,
        messages.channel,
        messages.message_id
    from messages
    inner join intermediate.user_days as days
        on
            messages.user_sk = days.user_sk
            and messages.clicked_on < days.dt
            and messages.stays_until >= days.dt
    where days.n_core_events > 0
)

select
    messages.channel,
    coalesce(platforms.platform, 'unknown') as platform,
    messages.code,
    messages.is_closed,
    count(*) as n_sent,
    count(*) filter (where messages.is_arrived) as n_arrived,
    count(*) filter (where messages.is_arrived and messages.is_opened) as n_opened,
    count(*) filter (where messages.is_arrived and messages.is_opened and messages.clicked_on is not null) as n_clicked,
    count(*) filter (
        where
        messages.is_arrived
        and messages.is_opened
        and messages.clicked_on is not null
        and stays.message_id is not null
    ) as n_stayed
from messages
left join platforms on messages.user_sk = platforms.user_sk
left join stays
    on
        messages.user_sk = stays.user_sk
        and messages.channel = stays.channel
        and messages.message_id = stays.message_id
group by messages.channel, coalesce(platforms.platform, 'unknown'), messages.code, messages.is_closed
