-- One row per message whose first event lies in the last 180 days: its fate as known on a night.
--
-- grain:      user_sk, channel, message_id
-- partition:  as_of
-- params:     $as_of (date): last day, inclusive, that the night may see
-- tests:      not_null user_sk, channel, message_id, fate, first_at; unique user_sk, channel, message_id
-- columns:
--   user_sk: the user's key inside the store
--   message_id: the provider's id of the message
--   channel: email, push, sms, ...
--   campaign_id: campaign that sent it
--   strategy_id: strategy that sent it
--   content_id: what it said
--   category: kind of message
--   endpoint: address or device token
--   first_at (UTC): first event of any kind
--   sent_at (UTC): sent; null where the source tells of no sending
--   delivered_at (UTC): first delivered
--   opened_at (UTC): first opened by a human
--   machine_opened_at (UTC): first opened by a machine
--   clicked_at (UTC): first clicked
--   converted_at (UTC): first converted
--   failed_at (UTC): last failed or bounced
--   unsubscribed_at (UTC): first unsubscribed from within it
--   complained_at (UTC): first complained of
--   code: the provider's own reason of the last failure or bounce; null without one
--   fate: sent, delivered, opened, clicked, converted, failed or bounced
--   is_duplicate_content: its content was sent to the user in the 30 days before
--   is_send_seen: whether its sending is told
--   is_out_of_order: answered or delivered before it was sent, by the source's own times
--
-- The fate is the furthest event, in whatever order the events came: what the user did outranks all. A failure
-- outranks a delivery before it (mail is accepted, then returned), a delivery outranks a failure before it (a retry
-- worked). An opt-out or a complaint from within a message proves its delivery, and so does a machine's open.
-- Times stay as the source has them; an answer before the sending is counted, never mended.
-- Only the last 210 days are read: what befell a message before them is not seen, and a later answer to it stands as a
-- message without a send.

with steps as (
    select *
    from intermediate.message_steps
    where dt > cast($as_of - interval 210 day as date)
),

folded as (
    select
        user_sk,
        channel,
        message_id,
        min(dt) as first_on,
        min(campaign_id) as campaign_id,
        min(strategy_id) as strategy_id,
        min(content_id) as content_id,
        min(category) as category,
        min(endpoint) as endpoint,
        arg_max(code, dt) filter (where code is not null) as code,
        min(sent_at) as sent_at,
        min(delivered_at) as delivered_at,
        max(delivered_at) as last_delivered_at,
        min(opened_at) as opened_at,
        min(machine_opened_at) as machine_opened_at,
        min(clicked_at) as clicked_at,
        min(converted_at) as converted_at,
        max(failed_at) as last_failed_at,
        max(bounced_at) as last_bounced_at,
        min(unsubscribed_at) as unsubscribed_at,
        min(complained_at) as complained_at
    from steps
    group by user_sk, channel, message_id
),

compared as (
    select
        *,
        greatest(last_failed_at, last_bounced_at) as failed_at,
        least(delivered_at, opened_at, machine_opened_at, clicked_at, converted_at, unsubscribed_at, complained_at)
            as answered_at,
        content_id is not null
        and sent_at is not null
        and coalesce(
            lag(sent_at) over (
                partition by user_sk, content_id
                order by sent_at nulls first, channel, message_id
            ) + interval 30 day >= sent_at,
            false
        ) as is_duplicate_content
    from folded
)

select
    user_sk,
    message_id,
    channel,
    campaign_id,
    strategy_id,
    content_id,
    category,
    endpoint,
    least(sent_at, answered_at, failed_at) as first_at,
    sent_at,
    delivered_at,
    opened_at,
    machine_opened_at,
    clicked_at,
    converted_at,
    failed_at,
    unsubscribed_at,
    complained_at,
    code,
    case
        when converted_at is not null then 'converted'
        when clicked_at is not null then 'clicked'
        when opened_at is not null then 'opened'
        when failed_at is not null and (last_delivered_at is null or failed_at > last_delivered_at)
            then case when last_bounced_at >= coalesce(last_failed_at, last_bounced_at) then 'bounced' else 'failed' end
        when answered_at is not null then 'delivered'
        else 'sent'
    end as fate,
    is_duplicate_content,
    sent_at is not null as is_send_seen,
    coalesce(answered_at < sent_at, false) as is_out_of_order
from compared
where first_on > cast($as_of - interval 180 day as date)
