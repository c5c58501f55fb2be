"""What the tables of this layer say of themselves."""

from dagster_project.lake.table_doc import table_doc

PARAMETERS = table_doc(
    "lifecycle.parameters",
    """
One row per night: the yardsticks by which it judges every user.

grain: as_of
tests: unique as_of; usual_gap_days > 0; horizon_days between 1 and 365; log_gap_sd_within >= 0
columns:
  as_of (date): the night
  n_users_with_gaps (users): users with two active days or more, who inform the rest
  usual_gap_days (days): the population's usual gap, exp of the mean log gap
  log_gap_mean: mean of ln(gap) over users
  log_gap_sd_within: spread of ln(gap) within a user
  log_gap_sd_between: spread of the users' mean ln(gap)
  threshold_z: standard deviations above a user's usual gap at which the cadence definition says churned
  horizon_days (days): how far ahead predictions look
  calendar_days (days): threshold of the calendar definition
  data_driven_days (days): threshold of the data-driven definition; null if returns never get rare enough
  primary_definition: the definition in force
""",
)

STAGES = table_doc(
    "lifecycle.stages",
    """
One row per user visible on a night: where the user stands.

grain: user_sk
tests:
  not_null user_sk, user_id, stage, phase, is_churned, is_measurement_gap, is_unreached; unique user_sk;
  unique user_id; not (is_unreached and is_churned);
  days_silent >= 0; usual_gap_days > 0; is_churned = (phase = 'churned'); is_churned = (churned_on is not null)
columns:
  user_sk: the user's key inside the store
  user_id: the user's own id
  stage: one of the fifteen stages
  previous_stage: the stage on the day before, by that day's yardsticks; null if not visible then
  phase: onboarding, engaged, declining, churned or returned
  is_churned: silent beyond the churn threshold
  days_silent (days): since the last active day, less those on which an outage of ours hid the user or kept every
    message from the user; null without one
  usual_gap_days (days): the user's own usual gap, shrunk to the population
  churn_threshold_days (days): silence beyond which the user is churned, by the primary definition
  churn_factor: silence over the usual gap
  churned_on (date): first day of silence beyond the threshold
  stage_entered_on (date): first day in the stage, by tonight's yardsticks
  days_in_stage (days): since then
  is_churned_calendar: by the calendar definition
  is_churned_cadence: by the cadence definition
  is_churned_data_driven: by the data-driven definition; null if it gives no number of days
  n_returns (returns): gaps beyond today's churn threshold that the user ended
  returned_on (date): the return that began the current spell of activity; null without one
  is_measurement_gap: whether the silence began in an outage of ours, whose days do not count
  is_unreached: whether nothing has reached the user since a purge of ours or an outage of a provider took the only way

A return is the end of a gap that tonight's threshold would have called churn. Gaps under 7 days are not kept one
by one, so none of them counts.
""",
)

STAGE_MIGRATIONS = table_doc(
    "lifecycle.stage_migrations",
    """
One row per move between stages since the day before, staying included.

grain: previous_stage, stage
tests: not_null previous_stage, stage; unique previous_stage, stage; n_users > 0; share_of_previous between 0 and 1
columns:
  previous_stage: the stage of the day before; not_seen for users who were not visible then
  stage: the stage of the night
  n_users (users): who moved so
  share_of_previous (0 to 1): of those who were in previous_stage
""",
)

STAGE_DWELL = table_doc(
    "lifecycle.stage_dwell",
    """
One row per stage: how long its users have been in it, and how many left it since the day before.

grain: stage
tests: unique stage; n_users >= 0; left_share between 0 and 1
columns:
  stage: one of the fifteen stages
  n_users (users): in it on the night
  median_days_in_stage (days): of stays that still go on
  p90_days_in_stage (days): of the same, the 90th percentile
  left_share (0 to 1): of the users of the day before, those now elsewhere
""",
)

DEFINITION_AGREEMENT = table_doc(
    "lifecycle.definition_agreement",
    """
One row per pair of churn definitions: how far they agree on users with a core event.

grain: definition, other_definition
tests: unique definition, other_definition; agreement_share between 0 and 1
columns:
  definition: calendar, cadence or data_driven
  other_definition: the other one
  n_users (users): of whom both definitions speak
  agreement_share (0 to 1): on whom they agree
  cohen_kappa: agreement beyond chance, 1 at best
""",
)

REGRET_RATES = table_doc(
    "lifecycle.regret_rates",
    """
One row per churn definition: how many of those it called churned one horizon ago came back unaided since.

grain: definition
tests: unique definition; n_returned <= n_churned; regret_rate between 0 and 1
columns:
  definition: calendar, cadence or data_driven
  cutoff_on (date): the night one horizon ago
  horizon_days (days): between that night and this one
  is_primary: whether it is the definition in force
  n_churned (users): called churned then, not contacted since
  n_returned (users): of them with a core event since
  regret_rate (0 to 1): the share
  regret_rate_low (0 to 1): lower end of the Wilson 95 % interval
  regret_rate_high (0 to 1): upper end

Never bill those as win-backs: they came on their own.
""",
)

TABLES = (PARAMETERS, STAGES, STAGE_MIGRATIONS, STAGE_DWELL, DEFINITION_AGREEMENT, REGRET_RATES)
