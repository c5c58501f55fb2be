"""What the tables on trust, fatigue and damage say of themselves."""

from dagster_project.lake.table_doc import table_doc

SATURATION = table_doc(
    "reach.saturation",
    """
One row per stage, window and number of messages: the response and harm that go with it, and what one more is worth.

grain: stage, window_days, n_messages
tests:
  not_null stage, window_days, n_messages, max_per_week; unique stage, window_days, n_messages;
  response_low <= response_share; response_share <= response_high; response_share between 0 and 1;
  opt_out_share between 0 and 1; max_per_week >= 1
columns:
  stage: on the day before the week; all for all stages together
  window_days (days): over which messages are counted, 7 or 28
  n_messages (messages): that arrived in the window; the largest stands for all larger ones
  n_user_weeks (weeks): of users with so many
  observed_share (0 to 1): of them who clicked, or were active in the 7 days after
  response_share (0 to 1): the same by the fitted curve, as if all had the stage's mix of earlier activity
  response_low (0 to 1): lower end of its 95 % interval, by bootstrap over groups of users
  response_high (0 to 1): upper end
  opt_out_share (0 to 1): opt-outs and complaints charged to this message, per week that got so far
  opt_out_low (0 to 1): lower end
  opt_out_high (0 to 1): upper end
  uninstall_share (0 to 1): removals of the app charged to it
  marginal_value: responses per user and week that go with this one more message, less its harm; null for none
  marginal_low: lower end
  marginal_high: upper end
  verdict: pays, costs or cannot tell; null for no message
  best_messages (messages): number with most response less harm, by the curve
  best_low (messages): lower end
  best_high (messages): upper end
  stops_paying_at (messages): first that does not surely pay; null if all do
  starts_costing_at (messages): first that surely costs; null if none does
  max_per_week (messages): recommended maximum; join on stage where window_days = 7, and all for a stage that is absent
  explanation: the verdict in one sentence

Associated with, not caused by: those who are active get more messages and come more often, and stage and earlier
activity take out only a part of that. Thin data recommend the smaller dose. The weeks are the first of up to five
months before the night.
""",
)

HARM_CHARGES = table_doc(
    "reach.harm_charges",
    """
One row per kind of harm, channel and category of message: opt-outs and removals charged to the messages before them.

grain: kind, channel, category
tests: not_null kind, charged; unique kind, channel, category; charged >= 0
columns:
  kind: opt_out, complaint or uninstall
  channel: of the messages charged; null for harm with no message in the 72 hours before it
  category: kind of message
  n_messages (messages): of that channel and category that arrived in 180 days
  charged (events): harm charged to them, shares added up
  charged_share (0 to 1): per message; null without a message
  charged_low (0 to 1): lower end of the 95 % interval
  charged_high (0 to 1): upper end

What is said from within a message is charged to it alone; other harm to the messages of the user in the 72 hours
before it, halved for each day between. A charge is association in time.
""",
)

DAMAGE = table_doc(
    "reach.damage",
    """
One row per cause of damage: how many fewer came back after weeks that it befell than after weeks alike.

grain: cause
tests: not_null cause, n_user_weeks, verdict; unique cause; difference_low <= difference; difference <= difference_high
columns:
  cause: failed_delivery, over_messaging or irrelevance
  n_user_weeks (weeks): that it befell, of users silent beyond their usual gap
  n_matched (weeks): of them with weeks alike to compare
  returned_share (0 to 1): of these who came back within the horizon
  alike_returned_share (0 to 1): of those alike, weighted in the same way
  difference (-1 to 1): the second less the first; positive is a loss
  difference_low: lower end of the 95 % interval, by bootstrap over groups of users
  difference_high: upper end
  lost_returns (returns): difference times weeks; null unless the whole interval is above zero
  lost_returns_low (returns): lower end
  lost_returns_high (returns): upper end
  lost_value (currency): the same times what a return was thought to be worth
  lost_value_low (currency): lower end
  lost_value_high (currency): upper end
  verdict: loss, no loss or cannot tell
  explanation: the verdict in one sentence

Associated with, not caused by. Alike means equal stage, silence and earlier activity, as on the day before the week.
The sums are of the weeks looked at, not of a year.
""",
)

TRUST = table_doc(
    "reach.trust",
    """
One row per user visible on a night: how much the user's own record says that they still let us in.

grain: user_sk
tests:
  not_null user_sk, user_id, trust_index, is_prior; unique user_sk; unique user_id; trust_index between 0 and 1;
  attention between 0 and 1; permission between 0 and 1; delivery between 0 and 1; conduct between 0 and 1;
  fatigue_probability between 0 and 1
columns:
  user_sk: the user's key inside the store
  user_id: the user's own id
  trust_index (0 to 1): permission times the weighted mean of attention, delivery and conduct
  attention (0 to 1): answers against what the user's channels get from anybody; 0.5 is as expected
  permission (0 to 1): what opt-outs and complaints have left
  delivery (0 to 1): messages not lost by our fault
  conduct (0 to 1): messages neither repeated nor sent in quiet hours
  n_messages_180d (messages): sent in 180 days
  n_messages_90d (messages): sent in 90 days
  pressure_per_week (messages): sent in 28 days, per week
  max_per_week (messages): recommended maximum of the user's stage, from reach.saturation; null if not known
  fatigue_probability (0 to 1): opt-out or removal that goes with one more message this week; null if not known
  is_prior: no message in 180 days; the population's record stands in
  explanation: the record in one sentence

Defined in docs/trust.md.
""",
)

TRUST_WEEKS = table_doc(
    "reach.trust_weeks",
    """
One row per week of the last 26 with a message event: the trust of everybody together.

grain: week_start
tests: not_null week_start, week_end, n_users, n_sent; unique week_start; trust_index between 0 and 1
columns:
  week_start (date): first day
  week_end (date): the day after the last
  n_users (users): written to
  n_sent (messages): sent
  trust_index (0 to 1): of the week's messages, by the weights of the users' index; null if none was sent
  attention (0 to 1): answers against the usual of these weeks; 0.5 is as usual
  permission (0 to 1): left by the week's opt-outs and complaints, mean of the users written to
  delivery (0 to 1): messages that neither failed nor bounced
  conduct (0 to 1): messages that were not repeated
  opt_out_share (0 to 1): opt-outs and complaints per message sent
  opt_out_low (0 to 1): lower end of the 95 % interval
  opt_out_high (0 to 1): upper end
  complaint_share (0 to 1): complaints per message sent
""",
)

DELIVERY = table_doc(
    "reach.delivery",
    """
One row per channel, platform and class of failure, arrival among them: messages of 180 days.

grain: channel, platform, failure_class
tests: not_null channel, platform, n_messages, n_sent; unique channel, platform, failure_class; n_messages <= n_sent
columns:
  channel: email, push, sms, ...
  platform: of the user's newest event; unknown without
  failure_class: why it failed; null for messages that arrived
  n_messages (messages): of this class
  n_sent (messages): of this channel and platform
  share (0 to 1): of them
  share_low (0 to 1): lower end of the 95 % interval
  share_high (0 to 1): upper end
""",
)

TRUST_FUNNEL = table_doc(
    "reach.trust_funnel",
    """
One row per channel and step from sent to stayed: how far the messages that are a whole horizon old got.

grain: channel, step
tests: not_null channel, step, step_index, n_messages; unique channel, step
columns:
  channel: email, push, sms, ...; all for all together
  step: sent, delivered, opened (by a human), clicked, stayed (active on a later day within the horizon)
  step_index: 0 to 4
  n_messages (messages): that got so far
  share_of_sent (0 to 1): of those sent
  share_of_previous (0 to 1): of those that got to the step before
  previous_low (0 to 1): lower end of its 95 % interval
  previous_high (0 to 1): upper end
""",
)

TABLES = (SATURATION, HARM_CHARGES, DAMAGE, TRUST, TRUST_WEEKS, DELIVERY, TRUST_FUNNEL)
