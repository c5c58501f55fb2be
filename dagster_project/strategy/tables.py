"""What the tables of this layer say of themselves."""

from dagster_project.lake.table_doc import table_doc

EXPORTED = table_doc(
    "strategy.exported",
    """
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
  template_id: the words
  consent_basis: on what the permission rests
  law: the packs of rules that bind the user
  offer_basis: why the offer is the same for everybody, where law asks for that; else null
""",
)

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
tests: not_null user_id, rule_id, explanation; unique user_id
columns:
  user_id: the user's own id
  rule_id: which rule
  citation: the law or standard behind it; null for our own rules
  until (date): first day on which it ends; null if nothing but the user, the settings or the facts can end it
  explanation: one sentence
""",
)

PRICES = table_doc(
    "strategy.prices",
    """
One row per limit of the night, and one for the profit: what was used, and what one more unit would have earned.

grain: resource
tests: not_null resource, limit, used; unique resource; shadow_price >= 0
columns:
  resource: budget (money), contacts, channel.<name> (contacts on it), profit (money)
  limit: from the settings; of the profit, what no allocation could have exceeded
  used: by tonight's contacts; of the profit, what they are expected to bring
  shadow_price (currency): what one more unit of the resource would earn; null for the profit

A limit that was not reached has a price of nought. The profit includes the contacts of the explore arm, whose options
were drawn and not chosen: they are most of what is missing to the bound.
""",
)

ASSIGNMENTS = table_doc(
    "strategy.assignments",
    """
One row per user and night: the arm that the hash gave and the strategy with it. The ledger of all experiments.

grain: user_id, experiment_id
tests: not_null user_id, experiment_id, arm, assigned_at, as_of; unique user_id, experiment_id
columns:
  user_id: the user's own id
  experiment_id: the experiment
  arm: treat, control or explore
  assigned_at (UTC): when
  propensity (0 to 1): chance of that arm with that strategy
  strategy_id: what the arm gets, or would have got
  channel: where
  as_of (date): the night
  step: of the series; null in nights before steps were noted
  template_id: the words that the arm gets, or would have got; null in nights before words were noted

A night is added once and never taken away; running the newest night again replaces that night alone. A backfill
writes nothing: a backtest treats nobody.
""",
)
