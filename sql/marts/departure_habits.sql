-- One row per user with an active day: what the last days before the silence were like against those before them.
--
-- grain:      user_sk
-- partition:  as_of
-- params:     $as_of (date): last day, inclusive, that the night may see
-- tests:
--   not_null user_sk, last_on; unique user_sk; last_on <= $as_of; n_first_week_days <= n_active_days;
--   own_category_share_late between 0 and 1; own_category_share_early between 0 and 1
-- columns:
--   user_sk: the user's key inside the store
--   first_on (date): first active day
--   last_on (date): last active day
--   n_active_days (days): ever
--   n_first_week_days (days): active days in the first seven days
--   n_gaps (gaps): of the last two years, from which the growth is taken
--   gap_growth_per_day: slope of ln(gap) over the days on which the gaps ended; null with fewer than three gaps
--   gap_days_ss: squared days of these days about their mean; null with fewer than three gaps
--   gap_residual_ss: squared ln(gap) about the line of that slope; null with fewer than three gaps
--   last_gap_ratio: the last gap over the mean of the earlier ones; null with fewer than three gaps
--   n_late_categorised (events): core events with a category in the last 45 days of activity
--   own_category_share_late (0 to 1): of them, those of the user's commonest earlier category; null without both
--   own_category_share_early (0 to 1): the same of the days before
--   n_days_season_ago (days): active days from 400 to 320 days before the last active day
--   amount_ratio: mean amount of a paid day of the last 90 days of activity over that of the days before
--
-- Two years are read at most, counted from the night, for older days say little of why somebody left.

with days as (
    select
        days.user_sk,
        days.dt,
        days.amount,
        states.first_on,
        states.last_on,
        states.n_active_days,
        date_diff('day', states.first_on, days.dt) as since_first,
        date_diff('day', days.dt, states.last_on) as until_last,
        date_diff(
            'day', lag(days.dt) over (partition by days.user_sk order by days.dt), days.dt
        ) as gap_days
    from intermediate.user_days as days
    inner join intermediate.user_states as states on days.user_sk = states.user_sk
    where days.n_core_events > 0 and days.dt > cast($as_of - interval 730 day as date)
),

measured as (
    select
        user_sk,
        min(first_on) as first_on,
        max(last_on) as last_on,
        max(n_active_days) as n_active_days,
        count(*) filter (where since_first < 7) as n_first_week_days,
        count(gap_days) as n_gaps,
        regr_slope(ln(gap_days), since_first) filter (where gap_days is not null) as slope,
        regr_sxx(ln(gap_days), since_first) filter (where gap_days is not null) as days_ss,
        regr_syy(ln(gap_days), since_first) filter (where gap_days is not null) as gaps_ss,
        arg_max(gap_days, dt) filter (where gap_days is not null) as last_gap_days,
        sum(gap_days) as gap_days_sum,
        count(*) filter (where until_last between 320 and 400) as n_days_season_ago,
        avg(amount) filter (where amount > 0 and until_last < 90) as amount_late,
        avg(amount) filter (where amount > 0 and until_last >= 90) as amount_early
    from days
    group by user_sk
),

categories as (
    select
        days.user_sk,
        days.category,
        sum(days.n_core_events) filter (where date_diff('day', days.dt, states.last_on) >= 45) as n_early,
        sum(days.n_core_events) filter (where date_diff('day', days.dt, states.last_on) < 45) as n_late
    from intermediate.category_days as days
    inner join intermediate.user_states as states on days.user_sk = states.user_sk
    where days.dt > cast($as_of - interval 730 day as date) and days.dt <= states.last_on
    group by days.user_sk, days.category
),

own_categories as (
    select
        user_sk,
        n_early,
        n_late,
        sum(n_early) over (partition by user_sk) as n_early_all,
        sum(n_late) over (partition by user_sk) as n_late_all
    from categories
    qualify row_number() over (partition by user_sk order by n_early desc nulls last, category asc) = 1
)

select
    measured.user_sk,
    measured.first_on,
    measured.last_on,
    measured.n_active_days,
    measured.n_first_week_days,
    measured.n_gaps,
    case when measured.n_gaps >= 3 then measured.slope end as gap_growth_per_day,
    case when measured.n_gaps >= 3 then measured.days_ss end as gap_days_ss,
    case
        when measured.n_gaps >= 3
            then greatest(measured.gaps_ss - measured.slope * measured.slope * measured.days_ss, 0)
    end as gap_residual_ss,
    case
        when measured.n_gaps >= 3
            then
                measured.last_gap_days * (measured.n_gaps - 1.0)
                / nullif(measured.gap_days_sum - measured.last_gap_days, 0)
    end as last_gap_ratio,
    coalesce(own_categories.n_late_all, 0) as n_late_categorised,
    case
        when own_categories.n_early > 0
            then coalesce(own_categories.n_late, 0) / cast(nullif(own_categories.n_late_all, 0) as double)
    end as own_category_share_late,
    own_categories.n_early / cast(nullif(own_categories.n_early_all, 0) as double) as own_category_share_early,
    measured.n_days_season_ago,
    cast(measured.amount_late / nullif(measured.amount_early, 0) as double) as amount_ratio
from measured
left join own_categories on measured.user_sk = own_categories.user_sk
