-- One row per user, day and thing that may tell why the user left, in the source's own words.
--
-- grain:      user_sk, happened_on, signal, channel, words, text, score
-- partition:  as_of
-- params:     $as_of (date): last day, inclusive, that the night may see
-- tests:      not_null user_sk, happened_on, signal; happened_on <= $as_of; n_times > 0
-- columns:
--   user_sk: the user's key inside the store
--   happened_on (date): the day, in the business zone
--   signal: contract_ended, price_raised, consent_withdrawn, opted_out, ..., or a kind of feedback
--   channel: of a consent or a message
--   words: end reason of a contract, source of a consent, category of feedback, kind of a link, type of an event
--   text: the user's own words
--   score: the number given with feedback; for a price, new over old
--   n_times (times): equal things on the day
--
-- A contract that is followed by another within three days did not end: the plan changed, and if it became dearer
-- the price was raised. A new account of the same person counts from its first day, and only if it is younger than
-- this one.

with contracts as (
    select
        user_sk,
        started_on,
        ended_on,
        price,
        end_reason,
        lead(started_on) over (partition by user_sk order by started_on, row_hash) as next_started_on,
        lead(price) over (partition by user_sk order by started_on, row_hash) as next_price
    from marts.contracts
),

followed as (
    select
        *,
        coalesce(next_started_on <= cast(ended_on + interval 3 day as date), false) as is_followed
    from contracts
    where ended_on is not null
),

linked as (
    select
        links.user_sk,
        others.known_on as happened_on,
        lower(links.kind) as kind
    from staging.links as links
    inner join marts.users as others on links.other_user_id = others.user_id
    inner join marts.users as users on links.user_sk = users.user_sk
    where others.user_sk <> links.user_sk and others.known_on > users.known_on
),

signals as (
    select
        user_sk,
        ended_on as happened_on,
        'contract_ended' as signal,
        cast(null as varchar) as channel,
        end_reason as words,
        cast(null as varchar) as text,
        cast(null as double) as score
    from followed
    where not is_followed
    union all
    select
        user_sk,
        next_started_on as happened_on,
        'price_raised' as signal,
        cast(null as varchar) as channel,
        cast(null as varchar) as words,
        cast(null as varchar) as text,
        next_price / nullif(price, 0) as score
    from followed
    where is_followed and next_price > price
    union all
    select
        user_sk,
        dt as happened_on,
        'consent_withdrawn' as signal,
        channel,
        source as words,
        cast(null as varchar) as text,
        cast(null as double) as score
    from staging.consents
    where status in ('withdrawn', 'revoked', 'opted_out', 'unsubscribed', 'denied', 'refused')
    union all
    select
        user_sk,
        dt as happened_on,
        case when event = 'complained' then 'complained_of_message' else 'opted_out' end as signal,
        channel,
        cast(null as varchar) as words,
        cast(null as varchar) as text,
        cast(null as double) as score
    from staging.message_events
    where event in ('unsubscribed', 'complained')
    union all
    select
        user_sk,
        dt as happened_on,
        kind as signal,
        cast(null as varchar) as channel,
        category as words,
        text,
        score
    from staging.feedback
    union all
    select
        user_sk,
        dt as happened_on,
        signal,
        cast(null as varchar) as channel,
        event_type as words,
        cast(null as varchar) as text,
        cast(null as double) as score
    from intermediate.signal_days
    union all
    select
        users.user_sk,
        others.known_on as happened_on,
        'new_account' as signal,
        cast(null as varchar) as channel,
        'person_key' as words,
        cast(null as varchar) as text,
        cast(null as double) as score
    from marts.users as users
    inner join marts.users as others on users.person_key = others.person_key
    where others.user_sk <> users.user_sk and others.known_on > users.known_on
    union all
    select
        user_sk,
        happened_on,
        case
            when regexp_matches(kind, 'same|duplicate|alias|merge|successor|device') then 'new_account'
            else 'household_account'
        end as signal,
        cast(null as varchar) as channel,
        kind as words,
        cast(null as varchar) as text,
        cast(null as double) as score
    from linked
    where regexp_matches(kind, 'same|duplicate|alias|merge|successor|device|household|family')
)

select
    user_sk,
    happened_on,
    signal,
    channel,
    words,
    text,
    score,
    count(*) as n_times
from signals
where happened_on <= $as_of
group by user_sk, happened_on, signal, channel, words, text, score
