-- One row per user, channel, message and day: what became of the message on that day, and when first.
--
-- grain:      dt, user_sk, channel, message_id
-- partition:  day
-- tests:      not_null user_sk, channel, message_id, dt; unique dt, user_sk, channel, message_id
-- columns:
--   user_sk: the user's key inside the store
--   channel: email, push, sms, ...
--   message_id: the provider's id of the message
--   dt (date): the day, in the business zone
--   campaign_id: campaign that sent it
--   strategy_id: strategy that sent it
--   content_id: what it said
--   category: kind of message
--   endpoint: address or device token
--   code: the provider's reason of the day's last failure or bounce; null without one
--   sent_at (UTC): first on that day, as all below; null if not on that day
--   delivered_at (UTC): delivered
--   opened_at (UTC): opened by a human
--   machine_opened_at (UTC): opened by a machine
--   clicked_at (UTC): clicked
--   converted_at (UTC): converted
--   failed_at (UTC): failed, the last of the day
--   bounced_at (UTC): bounced, the last of the day
--   unsubscribed_at (UTC): unsubscribed from within it
--   complained_at (UTC): complained of
--
-- A message is one user's on one channel: a provider that numbers campaigns gives one id to many users, and an id
-- that stands at two users is two messages. Whoever opens what was sent to another has an open without a send.
--
-- An open is a machine's, not a human's, by any of three rules. All are heuristics but the first.
-- 1. The provider says so in `code`: a text with prefetch, machine_open, machine open, privacy protection, or the
--    word true or mpp (SendGrid sg_machine_open, SparkPost is_prefetched, Customer.io prefetched name the same fact).
-- 2. It comes before the delivery and the sending, or within 5 seconds of the later of them: too soon to be seen,
--    taken up and opened. Apple's Mail Privacy Protection loads pictures in the background on receipt, whether or not
--    the mail is read (support.apple.com, Use Mail Privacy Protection), and gateways open what they scan while they
--    take it, before they answer that it is delivered. Off e-mail only up to 2 seconds after, for a phone in the hand
--    is quick; in-app messages open as they arrive and are exempt.
-- 3. At least 10 users of one campaign (or content, where no campaign is told) open in the same second, and they are
--    more than 50 times the campaign's opens per second over that day: a busy hour has some 3 to 10 times.
-- Rules 2 and 3 ask for a clock with seconds: they rest where most times of the channel's day are whole minutes.
-- Gmail's image proxy (GoogleImageProxy) fetches when a human opens, so it is no sign of a machine. A delivery just
-- before midnight and an open just after it are of two days and not compared. Rule 1 reads words in `code` alone: a
-- source whose mapping fills it with nothing for opens has its proxies told by haste and bursts only.

with events as (
    select
        *,
        coalesce(campaign_id, content_id) as campaign
    from staging.message_events
),

clocks as (
    select
        dt,
        channel,
        2 * count(*) filter (where date_trunc('minute', occurred_at) < occurred_at) >= count(*) as has_seconds
    from events
    group by dt, channel
),

arrivals as (
    select
        dt,
        user_sk,
        channel,
        message_id,
        greatest(
            min(occurred_at) filter (where event = 'sent'), min(occurred_at) filter (where event = 'delivered')
        ) as arrived_at
    from events
    where event in ('sent', 'delivered')
    group by dt, user_sk, channel, message_id
),

opens as (
    select
        *,
        lower(code) as said,
        date_trunc('second', occurred_at) as second_at
    from events
    where event = 'opened'
),

campaign_days as (
    select
        dt,
        channel,
        campaign,
        count(*) as n_opens
    from opens
    where campaign is not null
    group by dt, channel, campaign
),

campaign_seconds as (
    select
        dt,
        channel,
        campaign,
        second_at,
        count(distinct user_sk) as n_users
    from opens
    where campaign is not null
    group by dt, channel, campaign, second_at
),

bursts as (
    select
        seconds.dt,
        seconds.channel,
        seconds.campaign,
        seconds.second_at
    from campaign_seconds as seconds
    inner join campaign_days as days
        on seconds.dt = days.dt and seconds.channel = days.channel and seconds.campaign = days.campaign
    where seconds.n_users >= 10 and seconds.n_users * 86400 > 50 * days.n_opens
),

judged_opens as (
    select
        opens.dt,
        opens.user_sk,
        opens.channel,
        opens.message_id,
        opens.occurred_at,
        opens.campaign_id,
        opens.strategy_id,
        opens.content_id,
        opens.category,
        opens.endpoint,
        coalesce(
            opens.said in ('true', 'mpp')
            or opens.said like '%prefetch%'
            or opens.said like '%machine_open%'
            or opens.said like '%machine open%'
            or opens.said like '%privacy protection%',
            false
        )
        or (
            clocks.has_seconds
            and (
                coalesce(
                    opens.channel not in ('in_app', 'inapp', 'in-app')
                    and opens.occurred_at <= case
                        when opens.channel in ('email', 'e-mail', 'mail') then arrivals.arrived_at + interval 5 second
                        else arrivals.arrived_at + interval 2 second
                    end,
                    false
                )
                or bursts.second_at is not null
            )
        ) as is_machine
    from opens
    inner join clocks on opens.dt = clocks.dt and opens.channel = clocks.channel
    left join arrivals
        on
            opens.dt = arrivals.dt
            and opens.user_sk = arrivals.user_sk
            and opens.channel = arrivals.channel
            and opens.message_id = arrivals.message_id
    left join bursts
        on
            opens.dt = bursts.dt
            and opens.channel = bursts.channel
            and opens.campaign = bursts.campaign
            and opens.second_at = bursts.second_at
),

steps as (
    select
        dt,
        user_sk,
        channel,
        message_id,
        occurred_at,
        event,
        campaign_id,
        strategy_id,
        content_id,
        category,
        endpoint
    from events
    where event <> 'opened'
    union all
    select
        dt,
        user_sk,
        channel,
        message_id,
        occurred_at,
        case when is_machine then 'machine_opened' else 'opened' end as event,
        campaign_id,
        strategy_id,
        content_id,
        category,
        endpoint
    from judged_opens
),

last_failures as (
    select
        dt,
        user_sk,
        channel,
        message_id,
        code
    from events
    where event in ('failed', 'bounced')
    qualify
        row_number() over (
            partition by dt, user_sk, channel, message_id
            order by occurred_at desc, code asc nulls last, row_hash asc
        ) = 1
),

messages as (
    select
        dt,
        user_sk,
        channel,
        message_id,
        min(campaign_id) as campaign_id,
        min(strategy_id) as strategy_id,
        min(content_id) as content_id,
        min(category) as category,
        min(endpoint) as endpoint,
        min(occurred_at) filter (where event = 'sent') as sent_at,
        min(occurred_at) filter (where event = 'delivered') as delivered_at,
        min(occurred_at) filter (where event = 'opened') as opened_at,
        min(occurred_at) filter (where event = 'machine_opened') as machine_opened_at,
        min(occurred_at) filter (where event = 'clicked') as clicked_at,
        min(occurred_at) filter (where event = 'converted') as converted_at,
        max(occurred_at) filter (where event = 'failed') as failed_at,
        max(occurred_at) filter (where event = 'bounced') as bounced_at,
        min(occurred_at) filter (where event = 'unsubscribed') as unsubscribed_at,
        min(occurred_at) filter (where event = 'complained') as complained_at
    from steps
    group by dt, user_sk, channel, message_id
)

select
    messages.user_sk,
    messages.channel,
    messages.message_id,
    messages.dt,
    messages.campaign_id,
    messages.strategy_id,
    messages.content_id,
    messages.category,
    messages.endpoint,
    last_failures.code,
    messages.sent_at,
    messages.delivered_at,
    messages.opened_at,
    messages.machine_opened_at,
    messages.clicked_at,
    messages.converted_at,
    messages.failed_at,
    messages.bounced_at,
    messages.unsubscribed_at,
    messages.complained_at
from messages
left join last_failures
    on
        messages.dt = last_failures.dt
        and messages.user_sk = last_failures.user_sk
        and messages.channel = last_failures.channel
        and messages.message_id = last_failures.message_id
