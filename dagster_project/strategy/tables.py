"""What the tables of this layer say of themselves."""

from dagster_project.lake.table_doc import table_doc

EXPORTED_TEXT = """
One row per user to contact: with what, on which channel, when, and what it is expected to bring.

grain: user_sk
tests:
  not_null user_sk, user_id, arm, strategy_id, channel, send_at; unique user_sk; arm in ('treat', 'explore');
  uplift_low <= uplift; uplift <= uplift_high; propensity between 0 and 1
columns:
  user_sk: the user's key inside the store
  user_id: the user's own id
  arm: treat or explore
  strategy_id: what to do
  channel: where
  fallback_channel: where, if that fails; null without one
  uplift: what the contact is expected to add to the chance of a return
  uplift_low: a tenth of the belief lies below
  uplift_high: a tenth of the belief lies above
  uplift_cautious: the quantile of the belief by which the contact must pay, by value.caution
  evidence_grade: randomised, observational or prior
  expected_cost (currency): of all touches of the dose
  expected_harm (currency): P(opt-out, removal of the app or complaint) times what the way to the user is worth
  expected_profit (currency): value of the cautious uplift, less cost and harm
  n_options (options): allowed options of the user
  propensity (0 to 1): chance of this arm with this strategy
  send_at: the user's local time with its offset
  hour_basis: user (the likeliest hour of strategy.send_hours that is open) or strategy (its own hour)
  step: of the series; 1 for a strategy of one message
  max_touches (messages): of the dose at most; half of it for a user of whom little is known
  template_id: the words
  consent_basis: on what the permission rests
  law: the packs of rules that bind the user
  offer_basis: why the offer is the same for everybody, where there is one and law asks for that; else null
"""

EXPORTED = table_doc("strategy.exported", EXPORTED_TEXT)

SEND_HOURS = table_doc(
    "strategy.send_hours",
    """
One row per churned or declining user with an active hour in the last year: when in the week to expect the user.

grain: user_id
tests:
  not_null user_sk, user_id, timezone, n_hours, hour_shares; unique user_id; best_hour_of_week between 0 and 167;
  best_hour_probability between 0 and 1
columns:
  user_sk: the user's key inside the store
  user_id: the user's own id
  timezone: the clock of the hours: the user's on record, else the business's
  n_hours (hours): clock hours with a core event in the last year
  best_hour_of_week (hours): the likeliest, from Monday 0:00
  best_hour_probability (0 to 1): chance that an active hour is that one
  hour_shares: chances of the 24 hours of the day after the night, of sum 1

Own hours, smoothed round the clock and shrunk to everybody's; hours soon after a message of ours count by how evenly
we write. A forecast of activity: that a message at that hour causes a return is not shown.
""",
)

AWAITING = table_doc(
    "strategy.awaiting",
    EXPORTED_TEXT.replace(
        "One row per user to contact: with what, on which channel, when, and what it is expected to bring.",
        "One row per user whose contact waits for somebody's approval of its strategy: what would have gone out.",
    ),
)

HANDED_OVER = table_doc(
    "strategy.handover",
    """
One row per churned user to whom nothing is sent and whom somebody else takes on: the rows of handover.csv.

grain: user_id
tests: not_null user_id, strategy_id, handover; unique user_id; handover in ('repairs', 'audience')
columns:
  user_id: the user's own id
  strategy_id: the strategy of deliberate silence that fits
  handover: repairs (of our own data) or audience (of an ad platform)
  stage: one of the fifteen stages
  explanation: why, in one sentence

Nobody is handed to an ad audience without a channel `ads` in the settings that no rule closes for the user.
""",
)

HOLDOUT = table_doc(
    "strategy.holdout",
    """
One row per churned user held out: no contact, so that there is something to compare with.

grain: user_id
tests: not_null user_id, experiment_id, arm; unique user_id; arm = 'control'
columns:
  user_id: the user's own id
  experiment_id: the experiment
  arm: control
  would_be_strategy: what the user would have got
""",
)

SUPPRESSED = table_doc(
    "strategy.suppressed",
    """
One row per churned user who is not contacted for another reason than the holdout.

grain: user_id
tests:
  not_null user_id, rule_id, citation, explanation, ends_with; unique user_id;
  ends_with in ('day', 'never', 'user', 'settings', 'facts'); (ends_with = 'day') = (until is not null)
columns:
  user_id: the user's own id
  rule_id: which rule
  citation: the law or standard behind it, else the user's own choice, the setting or the record of ours
  until (date): first day on which it ends; null where no day is known
  explanation: one sentence
  ends_with: what ends it: day (see until), never, user (only they can), settings or facts (what we know of the user)
""",
)

PRICES = table_doc(
    "strategy.prices",
    """
One row per limit of the night, and one for the profit: what was used, and what one more unit would have earned.

grain: resource
tests: not_null resource, limit, used; unique resource; shadow_price >= 0
columns:
  resource: budget (money), contacts, channel.<name> (contacts on it), strategy.<id> (contacts of it), profit (money)
  limit: from the settings; of the profit, what no allocation could have exceeded
  used: by tonight's contacts; of the profit, what they are expected to bring
  shadow_price (currency): what one more unit of the resource would earn; null for the profit

A limit that was not reached has a price of nought. The profit includes the contacts of the explore arm, whose options
were drawn and not chosen: they are most of what is missing to the bound.
""",
)

CURVE = table_doc(
    "strategy.budget_curve",
    """
One row per budget that the night might have had: what the best list within it would spend, reach and earn.

grain: budget
tests: not_null budget, spent, n_contacts, expected_profit; unique budget; shadow_price >= 0
columns:
  share_of_tonight: of what tonight's contacts are expected to cost
  budget (currency): that it could spend
  spent (currency): that it would
  n_contacts (contacts): that it would make
  expected_profit (currency): that they are expected to bring
  shadow_price (currency): what one more unit of money would earn

All other limits stay. Those held out have no part in it, and explorers their best option.
""",
)

BELIEFS = table_doc(
    "strategy.beliefs",
    """
One row per sending strategy and channel: what is believed of its lift tonight, beside what it began with.

grain: strategy_id, channel
tests:
  not_null strategy_id, channel, lift, evidence_grade; unique strategy_id, channel; harm_probability between 0 and 1;
  lift_sd >= 0; n_outcomes >= 0
columns:
  strategy_id: which
  channel: where
  lift_before (log-odds): of a return, before any outcome; an opinion with its source in the strategy's file
  lift (log-odds): now, for a user of average kind
  lift_sd (log-odds): standard deviation of the belief
  harm_probability (0 to 1): that the contact keeps users away
  n_outcomes (users): that have been read back for it
  evidence_grade: randomised, observational or prior: what the belief rests on
  nights_to_stop (nights): until a harm of half a log-odds would be stopped with chance .9, the horizon not counted

Old outcomes count less, so a strategy that stops working fades. Strategies learn from each other's outcomes too. The
nights to stop are those at the pace of late; null where nobody enters an experiment with the strategy.
""",
)

STOPS = table_doc(
    "strategy.stops",
    """
One row per strategy that the rule on harm keeps stopped: since which night, and why.

grain: strategy_id
tests: not_null strategy_id, stopped_on, explanation; unique strategy_id
columns:
  strategy_id: which
  stopped_on (date): the night that found it out
  explanation: what was seen then

A stop lasts from night to night, whatever later outcomes say, until `strategies.retried_from` names a later night.
""",
)

HANDS = table_doc(
    "strategy.hands",
    """
One row per strategy and setting by which people decided about it: on how many users tonight, and what it did.

grain: strategy_id, hand
tests: not_null strategy_id, hand, n_users, effect; unique strategy_id, hand
columns:
  strategy_id: which
  hand: switched off, sits out, stopped by rule, pinned, capped, waits for approval or holds out
  n_users (users): tonight
  effect: in a sentence
""",
)

CONSIDERED = table_doc(
    "strategy.considered",
    """
One row per churned user and option considered, the best five: what each was expected to earn.

grain: user_sk, place
tests: not_null user_sk, place, strategy_id, channel, expected_profit; unique user_sk, place
columns:
  user_sk: the user's key inside the store
  place: 1 is the most profitable
  strategy_id: what would be done
  channel: where
  uplift: what the contact is expected to add to the chance of a return
  uplift_cautious: the quantile of the belief by which the contact must pay
  attention: how much the user heeds the channel against the others on it; 1 is usual
  expected_cost (currency): of all touches of the dose, and the offer
  expected_harm (currency): P(opt-out, removal of the app or complaint) times what the way to the user is worth
  expected_profit (currency): value of the cautious uplift, less cost and harm
""",
)

GATED = table_doc(
    "strategy.gated",
    """
One row per churned user: where the decision ended, and every gate before it.

grain: user_sk
tests:
  not_null user_sk, user_id, outcome, arm; unique user_sk;
  outcome in ('exported', 'holdout', 'suppressed', 'waiting')
columns:
  user_sk: the user's key inside the store
  user_id: the user's own id
  outcome: exported, holdout, suppressed or waiting (for approval)
  arm: treat, control or explore, drawn before all else
  own_arm: treat or control in the experiment of the strategy itself; null without one
  closed_channels: channel=rule of every configured channel that a rule closes, separated by commas
  block_rule: the strongest of these rules
  block_until (date): first day on which it ends; null if only the user or the facts can end it
  silenced_by: the strategy of deliberate silence that fits; null if none
  cool_until (date): end of the pause after earlier contacts; null if over
  wait_until (date): the day on which contact is expected to earn more; null if tonight
  n_options (options): that fit, are open and have something new to say
  strategy_id: the option that is theirs at the night's prices, or was their best
  channel: of that option
  expected_profit (currency): of that option
  gate: what closed tonight only: capacity, cap, budget or a missing approval; null if nothing did
  value_tier: low, middle or high by thirds of the churned; unknown without a value
""",
)

ASSIGNMENTS = table_doc(
    "strategy.assignments",
    """
One row per user, night and experiment: the arm that the hash gave and the strategy with it. The ledger.

grain: user_id, experiment_id
tests: not_null user_id, experiment_id, arm, assigned_at, as_of; unique user_id, experiment_id
columns:
  user_id: the user's own id
  experiment_id: global_holdout, strategy.<id> (its own controls) or words.<id>.<channel> (templates against each other)
  arm: treat, control or explore; in an experiment of words the template, or control
  assigned_at (UTC): when
  propensity (0 to 1): chance of that arm with that strategy
  strategy_id: what the arm gets, or would have got
  channel: where
  as_of (date): the night
  step: of the series; null in nights before steps were noted
  template_id: the words that the arm gets, or would have got; null in nights before words were noted
  is_contacted: whether a contact went on the list; null in nights before it was noted: all but control
  is_churned: by the primary definition; false for users who are still here
  stage: on the night
  reason: why the user left, as judged on the night
  value_tier: low, middle or high by thirds of the night's users; unknown without a value
  p_return (0 to 1): chance to be back within the horizon without contact, as predicted on the night
  value_if_returned (currency): as expected on the night
  expected_cost (currency): of the contact; nought without one
  uplift: what the contact was believed to add
  fit_content (-1 to 1): how far the content fitted the user
  fit_reason (-1 to 1): how far the strategy answered the reason

A night is added once and never taken away; running the newest night again replaces that night alone. A backfill
writes nothing: a backtest treats nobody. A salt other than the usual one draws another experiment, with a code behind
its name. Words are compared on a user's first contact by the strategy alone.
""",
)
