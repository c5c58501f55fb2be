"""What the tables of this layer say of themselves: they are the files of DESIGN's outgoing contract."""

from dagster_project.lake.table_doc import table_doc

EXPLANATIONS = table_doc(
    "cohorts.explanations",
    """
One row per user to contact and feature: what moved the user's score most, the strongest first.

grain: user_id, position
tests: not_null user_id, position, feature, effect_log_odds; unique user_id, position; position between 1 and 3
columns:
  user_id: the user's own id
  position: 1 is the strongest
  feature: column of marts.user_features
  value: the user's own
  typical: of the lapsed that the model learned from
  effect_log_odds: own less typical; above zero the user's value raises the chance of a return

One feature is put at its typical value at a time, all else left as it is: not what would happen if it changed.
""",
)

_CONTACTS_TEXT = """
One row per user to contact, in the order in which we would: the rows of cohorts.csv.

grain: rank
tests:
  not_null rank, user_id, cohort, stage, strategy_id, channel, arm, explanation; unique rank; unique user_id;
  p_return between 0 and 1; arm in ('treat', 'explore')
columns:
  rank: 1 is first
  user_id: the user's own id
  cohort: strategy and channel; the name of the user's file
  stage: one of the fifteen stages
  days_silent (days): since the last active day
  churned_on (date): first day of silence beyond the threshold
  reason: why the user left, one of the seventeen of reasons.reasons; null for users who have not churned
  reason_confidence (0 to 1): chance that the reason is right
  p_return (0 to 1): chance to come back within the horizon without contact
  p_return_low (0 to 1): lower end of its interval
  p_return_high (0 to 1): upper end
  expected_return_on (date): day by which half of p_return has come
  value_if_returned (currency): money within the horizon after a return
  uplift: what the contact is expected to add to the chance of a return
  uplift_low: a tenth of the belief lies below
  uplift_high: a tenth of the belief lies above
  evidence_grade: randomised, observational or prior
  expected_profit (currency): what contact is expected to cause, costs taken off
  strategy_id: what to do
  channel: where
  fallback_channel: where, if that fails
  send_at: the user's local time with its offset
  max_touches (messages): at most
  offer: what is offered; none if nothing
  template_id: what to say
  locale: language of the template
  consent_basis: on what the permission rests
  arm: treat or explore
  explanation: why this user, in one sentence
"""

CONTACTS = table_doc("cohorts.contacts", _CONTACTS_TEXT)

AWAITING_CONTACTS = table_doc(
    "cohorts.awaiting_approval",
    _CONTACTS_TEXT.replace(
        "One row per user to contact, in the order in which we would: the rows of cohorts.csv.",
        "One row per user whose contact waits for somebody's approval: the rows of awaiting_approval.csv.",
    ),
)

DECISIONS = table_doc(
    "cohorts.decisions",
    """
One row per churned user: the whole decision about them, the rows of decisions.parquet.

grain: user_id
tests: not_null user_id, outcome, decision; unique user_id
columns:
  user_id: the user's own id
  outcome: exported, holdout, suppressed or waiting (for approval)
  decision (JSON): facts, reason with evidence, options, gates, choice, and what would change it

`winback explain USER_ID` prints one.
""",
)

USERS = table_doc(
    "cohorts.users",
    """
One row per user visible on a night, with what was decided: the rows of users.parquet.

grain: user_id
tests: not_null user_id, stage, phase, is_churned; unique user_id; p_active between 0 and 1
columns:
  user_id: the user's own id
  stage: one of the fifteen stages
  previous_stage: on the day before
  phase: onboarding, engaged, declining, churned or returned
  is_churned: by the primary definition
  days_silent (days): since the last active day
  churn_factor: silence over the usual gap
  p_active (0 to 1): chance of a core event within the horizon
  p_return (0 to 1): the same for a churned user, without contact
  p_churn (0 to 1): chance that a running contract ends within the horizon; null without one
  expected_events (days): active days to expect within the horizon
  expected_value (currency): money to expect within the horizon
  value_if_returned (currency): money within the horizon after a return
  relapse_probability (0 to 1): of a returned user to leave again within two horizons; null for others
  reason: why the user left, one of the seventeen of reasons.reasons; null for users who have not churned
  reason_confidence (0 to 1): chance that the reason is right
  trust_index (0 to 1): how much the user still lets us in, by the record of our messages; see docs/trust.md
  reachable_channels: channels that may be used, separated by commas
  strategy_id: what to do
  channel: where
  arm: treat, explore or control
  rank: in cohorts.csv
""",
)
