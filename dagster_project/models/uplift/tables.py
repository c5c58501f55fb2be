"""What the tables of uplift say of themselves."""

from collections.abc import Iterable

import polars as pl

from dagster_project.lake.table_doc import table_doc

UPLIFT_VERDICTS = table_doc(
    "models.uplift_verdicts",
    """
One row per treatment with a randomised past, and one for any contact: whether to choose users by uplift.

grain: strategy_id
tests:
  not_null strategy_id, verdict, sentence; unique strategy_id; verdict in ('ships', 'average', 'thin', 'broken');
  gain_low <= gain; gain <= gain_high; sleeping_share between 0 and 1; n_treated >= 0; n_control >= 0
columns:
  strategy_id: the treatment: its strategy, else experiment/arm; * is any contact
  verdict: ships, average (do not target by uplift), thin (too few rows or outcomes to tell) or broken (set aside)
  learner: the learner judged; none where nothing was fitted
  n_treated (rows): assigned to the treatment, their horizon over
  n_control (rows): held out beside them
  n_returned_treated (rows): of these came back within the horizon
  n_returned_control (rows): of these came back within the horizon
  average_effect (0 to 1): rise of the chance of a return by the contact, for anybody
  average_effect_low: lower end of its 95 % interval
  average_effect_high: upper end
  qini: area between Qini curve and diagonal over that of the perfect ranking, out of fold
  auuc (returns): per 1,000 eligible, mean over budgets of 5 to 100 %, out of fold
  auuc_everyone (returns): the same if anybody is contacted
  auuc_p_return (returns): the same if the likeliest to return are contacted first
  uplift_at_10: mean effect among the tenth with the highest score
  uplift_at_20: among the best fifth
  uplift_at_30: among the best three tenths
  gain (returns): policy value beyond anybody at the same budgets, per 1,000 eligible
  gain_low (returns): lower end of its interval, its level corrected for how many treatments were judged
  gain_high (returns): upper end
  gain_over_p_return (returns): policy value beyond contacting the likeliest to return first
  gain_over_p_return_low (returns): lower end of its interval
  gain_over_p_return_high (returns): upper end
  slope: of honest effects on the score; above 0 they differ as it says
  slope_low: lower end of its 95 % interval
  slope_high: upper end
  policy_value (returns): per 1,000 eligible, of contacting those with an effect above nought
  policy_value_low (returns): lower end of its 95 % interval
  policy_value_high (returns): upper end
  best_fixed_value (returns): per 1,000 eligible, of contacting all or none, whichever is better
  sleeping_share (0 to 1): share predicted to be kept away by the contact
  sleeping_effect: the effect that was measured among them; null if there are none
  sleeping_effect_low: lower end of its 95 % interval
  sleeping_effect_high: upper end
  n_sleeping_dogs (rows): of the trial whom the contact kept away beyond noise; 0 if that is not established
  sentence: what to do and why
  faults (JSON): experiments that were set aside, each with its reason

By intention to treat, at the first assignment, out of fold, on features of a day before it.
""",
)

UPLIFT_LEARNERS = table_doc(
    "models.uplift_learners",
    """
One row per treatment that was judged and learner: how well each orders users it has not seen.

grain: strategy_id, learner
tests:
  not_null strategy_id, learner, wording, is_chosen, auuc; unique strategy_id, learner; auuc_low <= auuc;
  auuc <= auuc_high; policy_gain_low <= policy_gain; policy_gain <= policy_gain_high
columns:
  strategy_id: the treatment: its strategy, else experiment/arm; * is any contact
  learner: short name
  wording: what it is
  is_chosen: the one that the verdict is about
  qini: area between Qini curve and diagonal over that of the perfect ranking
  qini_low: lower end of its 95 % interval, bootstrap of persons
  qini_high: upper end
  auuc (returns): per 1,000 eligible, mean over budgets of 5 to 100 %
  auuc_low (returns): lower end of its interval
  auuc_high (returns): upper end
  uplift_at_10: mean effect among the tenth with the highest score
  uplift_at_10_low: lower end of its interval
  uplift_at_10_high: upper end
  uplift_at_20: among the best fifth
  uplift_at_20_low: lower end of its interval
  uplift_at_20_high: upper end
  uplift_at_30: among the best three tenths
  uplift_at_30_low: lower end of its interval
  uplift_at_30_high: upper end
  policy_gain (returns): policy value beyond anybody at the same budgets, per 1,000 eligible, old rows faded
  policy_gain_low (returns): lower end of its interval
  policy_gain_high (returns): upper end

All out of fold, mean over two deals. `response` and `random` are there to compare with.
""",
)

UPLIFT_CHOICES = table_doc(
    "models.uplift_choices",
    """
One row per experiment that dealt out several treatments by chance: one for each user, or the best for all.

grain: experiment_id
tests:
  not_null experiment_id, verdict, sentence; unique experiment_id; verdict in ('choose', 'one for all');
  chosen_value_low <= chosen_value; chosen_value <= chosen_value_high; n_users >= 0
columns:
  experiment_id: the experiment
  verdict: choose (per user) or one for all
  n_users (users): of the compared treatments and the control, their horizon over
  treatments (JSON): their names: the strategy, else experiment/arm
  best_fixed: the treatment that is best for all; nobody, if all cost more than they bring
  chosen_value (returns): per 1,000, less what contacts cost, of the treatment learnt for each user
  chosen_value_low (returns): lower end of its 95 % interval
  chosen_value_high (returns): upper end
  best_value (returns): the same of the best for all
  best_value_low (returns): lower end of its interval
  best_value_high (returns): upper end
  beyond_best_value (returns): of the choice beyond the best for all
  beyond_best_value_low (returns): lower end of its interval
  beyond_best_value_high (returns): upper end
  sentence: what to do and why

Treatments whose chance differed by user are not compared: of a user only the chance of the own arm is on record.
""",
)

UPLIFT_SCORES = table_doc(
    "models.uplift_scores",
    """
One row per churned user and treatment whose learner ships: what the contact adds to the chance of a return.

grain: user_sk, strategy_id
tests:
  not_null user_sk, strategy_id, uplift, uplift_low, uplift_high; unique user_sk, strategy_id;
  uplift_low <= uplift; uplift <= uplift_high; uplift between -1 and 1
columns:
  user_sk: the user's key inside the store
  strategy_id: the treatment
  uplift: rise of the chance of a return within the horizon, calibrated on honest effects; below 0, it keeps away
  uplift_low: a tenth of what is believed lies below
  uplift_high: a tenth of what is believed lies above

Empty where no learner ships: the average effect, and p_return times value, then serve.
""",
)

TABLES = (UPLIFT_VERDICTS, UPLIFT_LEARNERS, UPLIFT_CHOICES, UPLIFT_SCORES)
_TEXTS = (
    "strategy_id",
    "experiment_id",
    "verdict",
    "learner",
    "wording",
    "treatments",
    "best_fixed",
    "sentence",
    "faults",
)


def _schema(columns: Iterable[str]) -> pl.Schema:
    def kind(name: str) -> pl.DataType:
        if name in _TEXTS:
            return pl.String()
        return pl.Boolean() if name.startswith("is_") else pl.Int64() if name.startswith("n_") else pl.Float64()

    return pl.Schema({name: kind(name) for name in columns})


VERDICT_SCHEMA = _schema(UPLIFT_VERDICTS.columns)
LEARNER_SCHEMA = _schema(UPLIFT_LEARNERS.columns)
CHOICE_SCHEMA = _schema(UPLIFT_CHOICES.columns)
SCORE_SCHEMA = pl.Schema(
    {
        "user_sk": pl.Int64(),
        "strategy_id": pl.String(),
        "uplift": pl.Float64(),
        "uplift_low": pl.Float64(),
        "uplift_high": pl.Float64(),
    }
)
