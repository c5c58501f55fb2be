-- One row per day, channel, platform and outcome of messages: how many there were, and whose failed.
--
-- grain:      dt, channel, platform, code, is_failed, alive_on, user_sk
-- partition:  as_of
-- params:     $as_of (date): last day, inclusive, that the night may see
-- tests:      not_null dt, channel, is_failed, n_messages; dt <= $as_of; alive_on <= dt; n_messages > 0
-- columns:
--   dt (date): first day on which something is known of the message
--   channel: email, push, sms, ...
--   platform: where the user was last seen, whatever the channel; null if not known
--   code: the provider's own reason of a failure
--   is_failed: failed or bounced
--   alive_on (date): day of the user's last message before that got through on the channel; null if none did
--   user_sk: whose message failed; null where it did not
--   n_messages (messages): of that kind
--
-- The messages of a year. A message that is known to be sent and not known to have failed has got through.

with messages as (
    select
        user_sk,
        channel,
        message_id,
        min(dt) as dt,
        min(
            least(
                sent_at, delivered_at, opened_at, machine_opened_at, clicked_at, converted_at, failed_at, bounced_at,
                unsubscribed_at, complained_at
            )
        ) as occurred_at,
        min(code) as code,
        count(failed_at) + count(bounced_at) > 0 as is_failed
    from intermediate.message_steps
    where dt > cast($as_of - interval 365 day as date)
    group by user_sk, channel, message_id
    having
        count(sent_at)
        + count(delivered_at)
        + count(opened_at)
        + count(machine_opened_at)
        + count(clicked_at)
        + count(failed_at)
        + count(bounced_at)
        > 0
),

histories as (
    select
        *,
        max(case when not is_failed then dt end) over (
            partition by user_sk, channel
            order by occurred_at, message_id
            rows between unbounded preceding and 1 preceding
        ) as alive_on
    from messages
)

select
    histories.dt,
    histories.channel,
    last_seen.platform,
    histories.code,
    histories.is_failed,
    histories.alive_on,
    case when histories.is_failed then histories.user_sk end as user_sk,
    count(*) as n_messages
from histories
left join marts.last_platforms as last_seen on histories.user_sk = last_seen.user_sk
group by all
