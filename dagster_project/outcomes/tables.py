"""What the tables of this layer say of themselves."""

from dagster_project.lake.table_doc import table_doc
from dagster_project.outcomes.vocabulary import AFTER, HORIZONS


def _each_horizon(name: str, unit: str, said: str) -> str:
    return "\n".join(f"  {name}_{days} ({unit}): {said} within {days} days of entry" for days in HORIZONS)


_AFTERS = "\n".join(
    f"  {metric.name}_after (days): from the day of entry to the first on which the user {metric.title}; null if never"
    for metric in AFTER
)

ENTRIES = table_doc(
    "outcomes.entries",
    f"""
One row per person and experiment: how the person entered it, and what came of it so far.

grain: experiment_id, user_id
tests:
  not_null experiment_id, user_id, arm, assigned_on, n_days_seen, is_randomised; unique experiment_id, user_id;
  returned_after >= 0; relapsed_after > returned_after
columns:
  experiment_id: the experiment
  user_id: the user's own id
  arm: control, treat, explore, or in the source's words
  assigned_on (date): first day on which the arm could show
  propensity (0 to 1): chance of the arm, as noted
  origin: ledger or imported
  strategy_id: what the arm gets, or would have got
  channel: where
  template_id: the words
  stage: at entry
  reason: at entry
  value_tier: at entry
  p_return (0 to 1): chance to come back without contact, as forecast at entry
  uplift: what contact was expected to add
  value_if_returned (currency): what a return was thought to be worth
  fit_content (-1 to 1): content fit at entry
  fit_reason (-1 to 1): reason fit at entry
  is_churned: at entry
  is_contacted: whether a contact went on a list at entry; null where it was not noted
{_each_horizon("cost", "currency", "expected cost of the contacts begun")}
  n_days_seen (days): of the outcome, the day of entry included; a horizon counts once it is that long
  n_active_days_before (days): active days in the 28 before entry
{_AFTERS}
{_each_horizon("spend", "currency", "core events less refunds")}
{_each_horizon("satisfaction", "0 to 1", "mean score told")}
  is_known: whether an event or a profile of the user is seen; else the assignment is all that is known
  is_randomised: whether the experiment is sound

A user counts by the first assignment, whatever came later and whether or not anything was sent or arrived. Of several
accounts of one person (users.person_key) the first to enter stands, with what all of them did.
""",
)

EXPERIMENTS = table_doc(
    "outcomes.experiments",
    """
One row per experiment: whether chance made its arms, what it shows, and what to make of it.

grain: experiment_id
tests: not_null experiment_id, origin, n_users, decision, explanation, decided_on; unique experiment_id; low <= high
columns:
  experiment_id: the experiment
  origin: ledger or imported
  started_on (date): first entry
  newest_on (date): last entry
  n_users (users): who entered
  arms: with their users
  arm: by which it is judged
  baseline: with which that is compared
  n_planned (users): of both, by the entries of the first 14 days; null until an import's are over
  planned_share: of them who have entered
  sample_ratio_p (0 to 1): of arms as uneven, if drawn as noted; below .001 it is broken; null if nothing is noted
  balance_p (0 to 1): of arms as different in the 28 days before entry; below .001 broken; null if too few are on record
  decision_days (days): horizon by which it is judged, named on its first night
  difference: in the share who came back, treated less control
  low: of its interval, sound however often one looks
  high: upper end
  decision: works, works at a price, harms, no effect shown, no gain shown, cannot tell yet, too early or broken
  faults: why it is broken
  explanation: all of it in plain words, with what its other arms say
  n_unknown (users): of whom nothing but the assignment is known: no event, no profile; they count as not back
  decided_on (date): night since which the decision stands; the first that read the experiment, if it never changed

`decided_on` is carried on from the newest earlier night. A night of a version that did not keep it counts as the one.
""",
)

DECISIONS = table_doc(
    "outcomes.decisions",
    """
One row per experiment and pair of arms compared: what to make of each arm, and of each template beside another.

grain: experiment_id, arm, baseline
tests:
  not_null experiment_id, arm, baseline, decision, explanation; unique experiment_id, arm, baseline; low <= high;
  p_adjusted between 0 and 1
columns:
  experiment_id: the experiment
  arm: judged
  baseline: with which it is compared; in experiments on words also every template before it by name
  n_planned (users): of both, by the entries of the first 14 days; null until an import's are over
  planned_share: of them who have entered
  decision_days (days): horizon by which it is judged
  n_treated (users): of the arm whose days are over
  n_control (users): of the baseline
  treated_mean (0 to 1): of the arm who came back; weighted by inverse propensity where chances differ within an arm
  control_mean (0 to 1): of the baseline
  difference: adjusted for the forecast of returns
  low: of its interval, sound however often one looks
  high: upper end
  p_adjusted (0 to 1): of looks and, beside other arms than treat, of their number
  harms: what surely happened more often, in plain words
  decision: works, works at a price, harms, no effect shown, no gain shown, cannot tell yet, too early or broken
  explanation: all of it in plain words
""",
)

READOUTS = table_doc(
    "outcomes.readouts",
    """
One row per experiment, arm, part of the users, metric and horizon: treated less control, by intention to treat.

grain: experiment_id, arm, dimension, value, metric, horizon_days
tests:
  not_null experiment_id, arm, dimension, value, metric, horizon_days, difference, error, verdict;
  unique experiment_id, arm, dimension, value, metric, horizon_days; fixed_low <= fixed_high; low <= high;
  p_adjusted between 0 and 1
columns:
  experiment_id: the experiment
  arm: read
  baseline: with which it is compared
  dimension: all, strategy_id, channel, stage, reason or value_tier, as at entry
  value: of it
  metric: returned, spend, opened, clicked, shared, satisfaction, opted_out, complained, app_removed or relapsed
  horizon_days (days): from the day of entry on, that day included
  n_treated (users): of the arm whose days are over; who told, for satisfaction
  n_control (users): of the baseline
  treated_mean: share, money per user or score; weighted by inverse propensity where chances differ within an arm
  control_mean: the same of the baseline
  difference: adjusted for the forecast of returns
  error: its standard error
  low: of the 95 % interval that is sound however often one looks; null while it is too early for any
  high: upper end
  method: obrien_fleming up to the plan, confidence_sequence beyond it, too early before the first look
  fixed_low: of the plain 95 % interval, right for a single look alone
  fixed_high: upper end
  sequence_low: of the always-valid confidence sequence
  sequence_high: upper end
  p_fixed (0 to 1): of a single look
  p_looks (0 to 1): below .05 where the interval that is sound leaves nought out
  p_adjusted (0 to 1): the same after Benjamini-Hochberg over the experiment; primary comparisons stand apart
  is_primary: returns of all at the horizon of decision, named beforehand
  verdict: better, worse, cannot tell (always, where an arm has fewer than 20 users) or too early

Defined in docs/outcomes.md. Slices are of what was known at entry; control carries the would-be strategy and channel.
""",
)

MONEY = table_doc(
    "outcomes.money",
    """
One row per experiment, arm, part of the users and horizon: what the treated brought beyond the held out, and its cost.

grain: experiment_id, arm, dimension, value, horizon_days
tests:
  not_null experiment_id, arm, dimension, value, horizon_days, n_treated, n_control, basis;
  unique experiment_id, arm, dimension, value, horizon_days; incremental_returns_low <= incremental_returns_high;
  incremental_profit_low <= incremental_profit_high; cost_per_return_low <= cost_per_return_high;
  win_back_share_low <= win_back_share_high; control_return_share_low <= control_return_share_high
columns:
  experiment_id: the experiment
  arm: read
  dimension: all, one of those of outcomes.readouts, or all of them crossed
  value: of it
  horizon_days (days): from the day of entry on
  n_treated (users): whose days are over
  n_control (users): of the baseline
  win_back_share (0 to 1): of the treated who came back, caused or not
  win_back_share_low (0 to 1): of its plain 95 % interval, by Wilson
  win_back_share_high (0 to 1): upper end
  control_return_share (0 to 1): of the held out who came back
  control_return_share_low (0 to 1): of its plain 95 % interval, by Wilson
  control_return_share_high (0 to 1): upper end
  incremental_returns (returns): of the treated beyond what as many held out would have done
  incremental_returns_low (returns): of the 95 % interval that is sound however often one looks
  incremental_returns_high (returns): upper end
  incremental_profit (currency): the same of margin less cost; null where `basis` says why
  incremental_profit_low (currency): lower end
  incremental_profit_high (currency): upper end
  cost (currency): of contacting the treated, as expected at the time; null if of nobody known
  cost_per_return (currency): per incremental return; null (unknown) unless returns surely rose
  cost_per_return_low (currency): lower end
  cost_per_return_high (currency): upper end
  return_on_spend: incremental margin over cost; null without cost
  return_on_spend_low: lower end
  return_on_spend_high: upper end
  control_cost (currency): profit that the held out would have brought, had they been treated
  control_cost_low (currency): lower end
  control_cost_high (currency): upper end
  basis: of profit, or why there is none; see below

`basis`: spend (margin of what was spent) or worth of a return (as thought at entry, where no spending is known).
Without profit: cost unknown, value unknown, or value and cost unknown.
""",
)

BALANCE = table_doc(
    "outcomes.balance",
    """
One row per experiment, arm and trait known at entry: on whom it was tried, and how like the baseline the arm was.

grain: experiment_id, arm, trait, value
tests: not_null experiment_id, arm, trait, n_users, mean; unique experiment_id, arm, trait, value
columns:
  experiment_id: the experiment
  arm: other than the baseline
  trait: p_return, n_active_days_before, value_if_returned, or a dimension of outcomes.readouts
  value: of a dimension; null for a number
  n_users (users): of the arm of whom it is known
  mean: of the number, or share of the arm with the value
  baseline_mean: the same of the baseline
  standardised_difference: in standard deviations of all; small arms differ by more than .1 by chance alone
""",
)

SECOND_LIFE = table_doc(
    "outcomes.second_life",
    """
One row per experiment, arm and day after a return: how many of those who came back are still here.

grain: experiment_id, arm, day
tests:
  not_null experiment_id, arm, day, p_still_here; unique experiment_id, arm, day; p_still_here between 0 and 1;
  low <= p_still_here; p_still_here <= high
columns:
  experiment_id: the experiment
  arm: control beside the others
  day (days): after the return
  n_returned (users): who came back within 180 days of entry
  n_at_risk (users): still here and seen for so long
  p_still_here (0 to 1): Kaplan-Meier
  low (0 to 1): of its 95 % interval
  high (0 to 1): upper end

Of those who came back, who are not the same kind of people in both arms: no effect of contact. `relapsed` of
outcomes.readouts is over all who entered, and is one.
""",
)

POWER = table_doc(
    "outcomes.power",
    """
One row per strategy of the last 28 nights: what its comparison with the held out could show, and how soon.

grain: strategy_id
tests: not_null strategy_id, n_per_night, base_share, control_share, explanation; unique strategy_id; n_per_night > 0
columns:
  strategy_id: the strategy
  n_per_night (users): who enter, held out included
  base_share (0 to 1): who would come back without contact, by forecast
  control_share (0 to 1): of those who enter, held out
  expected_effect: mean uplift expected of it
  n_needed (users): to find that, with chance .8 at 5 %; null without an effect to plan for
  days_needed (days): until they have entered and the horizon is over
  detectable_28: smallest gain that 28 nights of entries would show; null if none
  detectable_90: the same of 90 nights
  explanation: in plain words
""",
)

TABLES = (ENTRIES, EXPERIMENTS, DECISIONS, BALANCE, READOUTS, MONEY, SECOND_LIFE, POWER)
