-- One row per user visible on a night: profile, and the sum of the history up to it.
--
-- grain:      user_sk
-- partition:  as_of
-- params:     $as_of (date): last day, inclusive, that the night may see
-- tests:
--   not_null user_sk, user_id, n_active_days; unique user_sk; unique user_id; known_on <= $as_of;
--   last_on <= $as_of; first_on <= last_on
-- columns:
--   user_sk: the user's key inside the store
--   user_id: the user's own id
--   known_on (date): first thing seen of the user; null if nothing of the user has a date
--   signed_up_on (date): day of signing up, in UTC; null if not known
--   birth_on (date): birthday
--   gender: as the source names it
--   country: as the source has it
--   region: part of the country
--   timezone: IANA zone of the user
--   locale: language and region
--   occupation: as the source names it
--   acquisition_channel: how the user came
--   person_key: equal for the accounts of one person
--   first_on (date): first active day; null if none
--   second_on (date): second active day; null if none
--   last_on (date): last active day; null if none
--   n_active_days (days): days with a core event
--   n_core_events (events): core events
--   amount_total (currency): of core events less refunds; null where there is neither
--   n_gaps (gaps): gaps between active days
--   gap_days_sum (days): their sum
--   gap_log_milli_sum: sum of the rounded 1000 ln(gap)
--   gap_log_milli_sq_sum: sum of the squares of the same
--   max_gap_days (days): the longest gap
--   last_gap_days (days): the gap before the last active day
--   long_gaps: every gap of at least 7 days: the active day that ended it, its days, active days before its end
--
-- A user is visible who has an event of any kind up to the night, or a profile that is not dated after it.

with states as (
    select * from intermediate.user_states
),

profiles as (
    select
        user_sk,
        birth_on,
        gender,
        country,
        region,
        timezone,
        locale,
        occupation,
        acquisition_channel,
        person_key,
        dt
    from staging.users
    qualify row_number() over (partition by user_sk order by delivery desc, dt desc nulls last) = 1
)

select
    keys.user_sk,
    keys.user_id,
    least(profiles.dt, states.first_seen_on) as known_on,
    profiles.dt as signed_up_on,
    profiles.birth_on,
    profiles.gender,
    profiles.country,
    profiles.region,
    profiles.timezone,
    profiles.locale,
    profiles.occupation,
    profiles.acquisition_channel,
    profiles.person_key,
    states.first_on,
    states.second_on,
    states.last_on,
    cast(coalesce(states.n_active_days, 0) as integer) as n_active_days,
    coalesce(states.n_core_events, 0) as n_core_events,
    cast(states.amount as double) as amount_total,
    cast(coalesce(states.n_gaps, 0) as integer) as n_gaps,
    coalesce(states.gap_days_sum, 0) as gap_days_sum,
    coalesce(states.gap_log_milli_sum, 0) as gap_log_milli_sum,
    coalesce(states.gap_log_milli_sq_sum, 0) as gap_log_milli_sq_sum,
    cast(coalesce(states.max_gap_days, 0) as integer) as max_gap_days,
    cast(states.last_gap_days as integer) as last_gap_days,
    states.long_gaps
from ingest.user_keys as keys
left join states on keys.user_sk = states.user_sk
left join profiles on keys.user_sk = profiles.user_sk
where
    (states.user_sk is not null or profiles.user_sk is not null)
    and coalesce(profiles.dt, states.first_seen_on, $as_of) <= $as_of
