-- One row per user ever seen: the sum of the user's history up to a day, folded forward from an earlier day.
--
-- grain:      user_sk
-- partition:  state
-- start:
--   user_sk bigint, first_seen_on date, first_on date, second_on date, last_on date, n_active_days bigint,
--   n_core_events bigint, n_events bigint, amount decimal(38, 4), n_gaps bigint, gap_days_sum bigint,
--   gap_log_milli_sum bigint, gap_log_milli_sq_sum bigint, max_gap_days bigint, last_gap_days bigint,
--   long_gaps struct(ended_on date, gap_days bigint, n_active_days_before bigint)[]
-- tests:
--   not_null user_sk, first_seen_on; unique user_sk; first_on <= last_on; n_gaps <= n_active_days;
--   max_gap_days >= last_gap_days
-- columns:
--   user_sk: the user's key inside the store
--   first_seen_on (date): first day with an event of any kind
--   first_on (date): first active day; null if none
--   second_on (date): second active day; null if none
--   last_on (date): last active day; null if none
--   n_active_days (days): days with a core event
--   n_core_events (events): core events
--   n_events (events): events of any kind
--   amount (currency): of core events less refunds; null where there is neither
--   n_gaps (gaps): gaps between active days
--   gap_days_sum (days): their sum
--   gap_log_milli_sum: sum of the rounded 1000 ln(gap)
--   gap_log_milli_sq_sum: sum of the squares of the same
--   max_gap_days (days): the longest gap
--   last_gap_days (days): the gap before the last active day
--   long_gaps: every gap of at least 7 days: the active day that ended it, its days, active days before its end
--
-- state(D) = f(state(D - k), user days after D - k through D), for any k: whole numbers and decimals only, so that
-- folding in steps and folding at once give the same rows. Gaps of 7 days and more are kept one by one, since a
-- return can only be told when the churn threshold of a later night is known.

with before as (
    select * from intermediate.user_states_before
),

days as (
    select
        days.user_sk,
        days.dt,
        days.n_events,
        days.n_core_events,
        days.amount,
        case when days.n_core_events > 0 then days.dt end as active_on
    from intermediate.user_days as days
),

active as (
    select
        days.user_sk,
        days.dt,
        coalesce(lag(days.dt) over (partition by days.user_sk order by days.dt), before.last_on) as previous_on,
        coalesce(before.n_active_days, 0)
        + row_number() over (partition by days.user_sk order by days.dt)
        - 1 as n_active_days_before
    from days
    left join before on days.user_sk = before.user_sk
    where days.n_core_events > 0
),

gaps as (
    select
        user_sk,
        dt,
        n_active_days_before,
        date_diff('day', previous_on, dt) as gap_days,
        cast(round(1000 * ln(date_diff('day', previous_on, dt))) as bigint) as gap_log_milli
    from active
),

new_gaps as (
    select
        user_sk,
        min(dt) filter (where n_active_days_before = 1) as second_on,
        count(gap_days) as n_gaps,
        sum(gap_days) as gap_days_sum,
        sum(gap_log_milli) as gap_log_milli_sum,
        sum(gap_log_milli * gap_log_milli) as gap_log_milli_sq_sum,
        max(gap_days) as max_gap_days,
        arg_max(gap_days, dt) as last_gap_days,
        list_sort(
            list(struct_pack(ended_on := dt, gap_days := gap_days, n_active_days_before := n_active_days_before))
            filter (where gap_days >= 7)
        ) as long_gaps
    from gaps
    group by user_sk
),

new_days as (
    select
        user_sk,
        min(dt) as first_seen_on,
        min(active_on) as first_on,
        max(active_on) as last_on,
        count(active_on) as n_active_days,
        sum(n_core_events) as n_core_events,
        sum(n_events) as n_events,
        sum(amount) as amount
    from days
    group by user_sk
)

select
    coalesce(before.user_sk, new_days.user_sk) as user_sk,
    coalesce(before.first_seen_on, new_days.first_seen_on) as first_seen_on,
    coalesce(before.first_on, new_days.first_on) as first_on,
    coalesce(before.second_on, new_gaps.second_on) as second_on,
    coalesce(new_days.last_on, before.last_on) as last_on,
    cast(coalesce(before.n_active_days, 0) + coalesce(new_days.n_active_days, 0) as bigint) as n_active_days,
    cast(coalesce(before.n_core_events, 0) + coalesce(new_days.n_core_events, 0) as bigint) as n_core_events,
    cast(coalesce(before.n_events, 0) + coalesce(new_days.n_events, 0) as bigint) as n_events,
    cast(
        case
            when before.amount is null then new_days.amount
            else before.amount + coalesce(new_days.amount, 0)
        end as decimal(38, 4)
    ) as amount,
    cast(coalesce(before.n_gaps, 0) + coalesce(new_gaps.n_gaps, 0) as bigint) as n_gaps,
    cast(coalesce(before.gap_days_sum, 0) + coalesce(new_gaps.gap_days_sum, 0) as bigint) as gap_days_sum,
    cast(
        coalesce(before.gap_log_milli_sum, 0) + coalesce(new_gaps.gap_log_milli_sum, 0) as bigint
    ) as gap_log_milli_sum,
    cast(
        coalesce(before.gap_log_milli_sq_sum, 0) + coalesce(new_gaps.gap_log_milli_sq_sum, 0) as bigint
    ) as gap_log_milli_sq_sum,
    greatest(before.max_gap_days, new_gaps.max_gap_days) as max_gap_days,
    coalesce(new_gaps.last_gap_days, before.last_gap_days) as last_gap_days,
    case
        when before.long_gaps is null then new_gaps.long_gaps
        when new_gaps.long_gaps is null then before.long_gaps
        else list_concat(before.long_gaps, new_gaps.long_gaps)
    end as long_gaps
from before
full outer join new_days on before.user_sk = new_days.user_sk
left join new_gaps on new_days.user_sk = new_gaps.user_sk
