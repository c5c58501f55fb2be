"""What the tables of this layer say of themselves."""

from dagster_project.lake.table_doc import table_doc

REASONS_TABLE = table_doc(
    "reasons.reasons",
    """
One row per user who churned, or fell silent by our doing: why the user left, how sure that is, what it rests on.

grain: user_sk
tests:
  not_null user_sk, user_id, reason, reason_confidence, decided_by; unique user_sk; unique user_id;
  reason_confidence between 0 and 1; not isnan(reason_confidence); p_unknown between 0 and 1
columns:
  user_sk: the user's key inside the store
  user_id: the user's own id
  reason: one of the seventeen; unknown if nothing is strong
  reason_confidence (0 to 1): chance that the reason is right; of unknown: that nothing to be found tells it
  decided_by: the piece of evidence that decided, or posterior
  p_measurement_gap (0 to 1): an outage of ours hid the user
  p_identity_switch (0 to 1): went on under another account
  p_delivery_dead (0 to 1): our messages stopped arriving
  p_uninstalled (0 to 1): removed the app
  p_permission_revoked (0 to 1): switched messages off in the device
  p_message_fatigue (0 to 1): we wrote too much
  p_payment_failure (0 to 1): a payment failed
  p_price_or_plan (0 to 1): price or plan
  p_service_failure (0 to 1): something did not work
  p_privacy_concern (0 to 1): concern for personal data
  p_never_activated (0 to 1): never began in earnest
  p_content_irrelevant (0 to 1): found nothing of interest
  p_value_decay (0 to 1): interest faded
  p_goal_completed_or_seasonal (0 to 1): purpose reached, or season over
  p_competitor_or_life_change (0 to 1): a rival or a change in life
  p_explicit_stop (0 to 1): asked to end it
  p_unknown (0 to 1): nothing found
  evidence (JSON): every piece found: id, on, is_strong, is_earlier, says

The p_ columns sum to 1. Users silenced by an outage of ours, or unreached since a purge, are here too, though they have
not churned. Evidence says what went with the leaving, not what caused it.
""",
)

BREAKDOWNS = table_doc(
    "reasons.breakdowns",
    """
One row per dimension, value and reason: how many of those users left for it, against all others who left.

grain: dimension, value, reason
tests:
  not_null dimension, value, reason; unique dimension, value, reason; n_users <= n_left; share between 0 and 1;
  share_low <= share_high; p_adjusted between 0 and 1
columns:
  dimension: age, gender, region, occupation, acquisition_channel, platform, plan, activity or satisfaction
  value: within the dimension; other: all that are too few for a line of their own; not known: without a value
  reason: one of the seventeen
  n_left (users): with this value, who left
  n_users (users): of them, for this reason
  share (0 to 1): the same
  share_low (0 to 1): lower end of the Wilson 95 % interval
  share_high (0 to 1): upper end
  difference: share less that of all others who left
  p_value (0 to 1): chance of a difference as large if there is none; null where nobody is to compare with
  p_adjusted (0 to 1): the same after Benjamini and Hochberg over all rows; null likewise

Values with fewer than 30 who left are merged. Associations among those who left, by what they have in common; a
difference between groups is not its cause.
""",
)

TABLES = (REASONS_TABLE, BREAKDOWNS)
