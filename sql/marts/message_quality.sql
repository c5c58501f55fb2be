-- One row per channel with a message in the last 180 days: what is odd about its messages.
--
-- grain:      channel
-- partition:  as_of
-- tests:      not_null channel, n_messages; unique channel; n_messages > 0
-- columns:
--   channel: email, push, sms, ...
--   n_messages (messages): of the last 180 days
--   n_without_send (messages): opened, delivered or failed, but their sending is not told
--   n_out_of_order (messages): answered or delivered before they were sent, by the source's own times
--   n_duplicate_content (messages): with content sent to the user in the 30 days before
--   n_machine_opened (messages): opened by a machine
--   n_machine_opened_only (messages): opened by a machine and by no human
--   n_failed_without_code (messages): failed or bounced without a reason
--   n_ids_of_several_users (ids): message ids that stand at more than one user
--   n_ids_of_several_channels (ids): message ids of one user that stand on more than one channel, of which this is one
--
-- What each oddity does to a message is told in marts.messages and intermediate.message_steps.

with messages as (
    select * from marts.messages
),

ids as (
    select
        channel,
        message_id
    from messages
    group by channel, message_id
    having count(*) > 1
),

fallbacks as (
    select
        user_sk,
        message_id
    from messages
    group by user_sk, message_id
    having count(*) > 1
),

counts as (
    select
        channel,
        count(*) as n_messages,
        count(*) filter (where not is_send_seen) as n_without_send,
        count(*) filter (where is_out_of_order) as n_out_of_order,
        count(*) filter (where is_duplicate_content) as n_duplicate_content,
        count(machine_opened_at) as n_machine_opened,
        count(machine_opened_at) filter (where opened_at is null) as n_machine_opened_only,
        count(failed_at) filter (where code is null) as n_failed_without_code
    from messages
    group by channel
),

shared_ids as (
    select
        channel,
        count(*) as n_ids
    from ids
    group by channel
),

fallback_ids as (
    select
        messages.channel,
        count(*) as n_ids
    from messages
    inner join fallbacks on messages.user_sk = fallbacks.user_sk and messages.message_id = fallbacks.message_id
    group by messages.channel
)

select
    counts.channel,
    counts.n_messages,
    counts.n_without_send,
    counts.n_out_of_order,
    counts.n_duplicate_content,
    counts.n_machine_opened,
    counts.n_machine_opened_only,
    counts.n_failed_without_code,
    coalesce(shared_ids.n_ids, 0) as n_ids_of_several_users,
    coalesce(fallback_ids.n_ids, 0) as n_ids_of_several_channels
from counts
left join shared_ids on counts.channel = shared_ids.channel
left join fallback_ids on counts.channel = fallback_ids.channel
