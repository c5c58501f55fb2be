"""What the tables of this layer say of themselves."""

from dataclasses import replace

from dagster_project.lake.sql_model import SqlModel
from dagster_project.lake.table_doc import TableDoc, table_doc


def training_snapshots(features: SqlModel) -> TableDoc:
    """The document of the training rows: the columns of the feature table, and those of the outcome."""
    outcome = table_doc(
        "models.training_snapshots",
        """
One row per user and past cutoff: what could be known of the user then, and what came of them in the window after.

grain: user_sk, cutoff
tests: not_null user_sk, user_id, cutoff, is_active, is_lapsed; unique user_sk, cutoff; silence_days >= 0;
  next_active_in_days > 0
columns:
  cutoff (date): the last day that the features see
  is_lapsed: churned on the cutoff, by that day's yardsticks
  is_active: a core event in the window of one horizon after the cutoff
  n_active_days_next (days): active days in that window
  amount_next (currency): sum over core events in that window; null where no amounts exist
  next_active_in_days (days): from the cutoff to the first core event after it; null if none was seen
  follow_up_days (days): how long the user was watched after the cutoff; null stands for one horizon

Windows are closed on the night: no cutoff is later than one horizon before it.
""",
    )
    return replace(outcome, columns={**features.columns, **outcome.columns})


RETURN_SPELLS = table_doc(
    "models.return_spells",
    """
One row per user churned at a past cutoff: how long until the first core event after it.

grain: user_sk
tests: not_null user_sk, user_id, stage, duration_days, returned; unique user_sk; duration_days > 0
columns:
  user_sk: the user's key inside the store
  user_id: the user's own id
  stage: the stage at the cutoff
  duration_days (days): from the cutoff to the first core event after it, or to the night
  returned: whether it came; otherwise the spell is censored
  silence_days (days): at the cutoff
  n_active_days (days): up to the cutoff
  usual_gap_days (days): at the cutoff
""",
)

SCORES = table_doc(
    "models.scores",
    """
One row per user visible on a night: how likely what is, and what it is worth.

grain: user_sk
tests:
  not_null user_sk, user_id; unique user_sk; p_active between 0 and 1; p_return between 0 and 1;
  p_return_low <= p_return; p_return <= p_return_high; expected_value >= 0; value_if_returned >= 0;
  relapse_probability between 0 and 1; second_lifetime_value >= 0
columns:
  user_sk: the user's key inside the store
  user_id: the user's own id
  p_active (0 to 1): chance of a core event within the horizon; null without a core event so far
  p_return (0 to 1): the same for a churned user, without contact; null for others
  p_return_low (0 to 1): lower end of the 95 % interval of the share who returned among users scored alike
  p_return_high (0 to 1): upper end
  expected_return_on (date): day by which half of p_return has come
  expected_events (days): active days to expect within the horizon
  expected_value (currency): money to expect within the horizon
  value_if_returned (currency): money to expect within the horizon once there is a core event
  expected_return_low_on (date): day by which a tenth of p_return has come
  expected_return_high_on (date): day by which nine tenths of p_return have come
  relapse_probability (0 to 1): chance that a user who is back is churned again within two horizons; null for others
  second_lifetime_value (currency): money in the year after a return tonight, relapse included; only the churned
""",
)

EVALUATIONS = table_doc(
    "models.evaluations",
    """
One row per candidate model and population: how it did on a window that it had not seen.

grain: candidate, population
tests: unique candidate, population; auc between 0 and 1; brier between 0 and 1
columns:
  candidate: the model; recency is the baseline; shipped is what the night uses, put together and recalibrated
  population: all, lapsed, or a bucket of silence in horizons
  is_winner: whether it ships for the lapsed
  n (users): judged on
  base_rate (0 to 1): share who were active in the window
  auc (0 to 1): chance that an active user is ranked above an inactive one; null with one class
  auc_low (0 to 1): lower end of the 95 % bootstrap interval
  auc_high (0 to 1): upper end
  average_precision (0 to 1): area under precision and recall
  log_loss: mean negative log-likelihood; lower is better
  log_loss_low: lower end of the 95 % bootstrap interval
  log_loss_high: upper end
  brier: mean squared error of the probability
  ece (0 to 1): expected calibration error over ten bins of equal count
  top_decile_lift: activity of the best-scored tenth over the base rate
  observed_over_expected: active users over the sum of their probabilities
""",
)

RELIABILITY = table_doc(
    "models.reliability",
    """
One row per candidate, population and tenth of the scores: what was predicted and what came.

grain: candidate, population, bin
tests: unique candidate, population, bin; observed between 0 and 1
columns:
  candidate: the model
  population: all or lapsed
  bin: 1 holds the lowest scores
  mean_predicted (0 to 1): mean probability
  observed (0 to 1): share active
  n (users): in the bin
""",
)

VALUE_EVALUATION = table_doc(
    "models.value_evaluation",
    """
One row per measure: how the forecast of activity and money did on a window that it had not seen.

grain: measure
tests: unique measure
columns:
  measure: events or value
  n (users): judged on
  predicted_total: sum of the forecasts
  actual_total: sum of what came
  predicted_over_actual: the ratio
  normalised_gini: ranking against perfect ranking, 1 at best
""",
)

VALUE_COMPARISON = table_doc(
    "models.value_comparison",
    """
One row per forecast of value and population: how it did beside the one that ships.

grain: candidate, population
tests: unique candidate, population
columns:
  candidate: shipped, or a plainer forecast
  population: all or lapsed
  n (users): judged on
  predicted_total (currency): sum of the forecasts
  actual_total (currency): sum of what came
  predicted_over_actual: the ratio
  normalised_gini: ranking against perfect ranking, 1 at best
  mae (currency): mean absolute error
""",
)

PAST_RETURNS = table_doc(
    "models.past_returns",
    """
One row per return that was seen: who came back after churn, and whether they were lost again.

grain: user_id, returned_on
tests: not_null user_id, returned_on, spell_days, relapsed; unique user_id, returned_on; spell_days >= 0
columns:
  user_id: the user's own id
  returned_on (date): the active day that ended the silence
  spell_days (days): from then until the user was churned again, or the night
  relapsed: whether they were; otherwise the spell is censored
  absence_days (days): the silence that the return ended
  n_active_days_before (days): active days before the return
  n_returns_before (returns): earlier ones of the user
  churn_threshold_days (days): the user's, by tonight's yardstick
  came_by_offer: whether the last contact of the 30 days before made an offer; null where none is on record
""",
)

RELAPSE_SUMMARY = table_doc(
    "models.relapse_summary",
    """
One row per covariate of the Cox model of relapses; empty where Kaplan-Meier had to serve.

grain: covariate
tests: unique covariate
columns:
  covariate: what it is
  coef: log hazard ratio; higher = lost again sooner
  hr: hazard ratio per unit
  low: lower end of its 95 % interval
  high: upper end
  p: of the test that coef is 0
""",
)

KM_CURVES = table_doc(
    "models.km_curves",
    """
One row per stage and day after a cutoff: share of the churned who had come back (Kaplan-Meier).

grain: stage, day
tests: unique stage, day; p_returned between 0 and 1
columns:
  stage: at the cutoff; all for everybody
  day (days): since the cutoff
  p_returned (0 to 1): share come back by that day
  low (0 to 1): lower end of the 95 % interval
  high (0 to 1): upper end
  n_at_risk (users): neither back nor censored before that day
""",
)

COX_SUMMARY = table_doc(
    "models.cox_summary",
    """
One row per covariate of the Cox model of returns; empty where Kaplan-Meier had to serve.

grain: covariate
tests: unique covariate
columns:
  covariate: what it is
  coef: log hazard ratio; higher = back sooner
  hr: hazard ratio per unit
  low: lower end of its 95 % interval
  high: upper end
  p: of the test that coef is 0
""",
)

RETURN_CURVES = table_doc(
    "models.return_curves",
    """
One row per churned user and day: chance to be back by then, without contact.

grain: user_sk, day
tests: not_null user_sk, day, p_returned; unique user_sk, day; p_returned between 0 and 1
columns:
  user_sk: the user's key inside the store
  user_id: the user's own id
  day (days): after the night; the curve at the horizon is p_return
  p_returned (0 to 1): chance to be back
""",
)

VERDICTS = table_doc(
    "models.verdicts",
    """
One row per night: which model shipped and what must be said of it.

grain: as_of
tests: not_null as_of, winner
columns:
  as_of (date): the night
  winner: the candidate that ships; base_rate where the data could not carry one
  model_key: names the model's card and file in the folder of kept models; null where plain rates had to serve
  trained_as_of (date): the last day that the model's training could see
  training: why it was trained on this night, or was not
  data_hash: of the rows that the night saw; the same rows again get the same model again
  drift (JSON): how the model in service when the newest closed window opened did there, and what moved
  notes (JSON): what was decided and what is missing, one sentence each
  metrics (JSON): every figure of the evaluation
""",
)

NIGHT_TABLES = (
    SCORES,
    EVALUATIONS,
    RELIABILITY,
    VALUE_EVALUATION,
    VALUE_COMPARISON,
    RELAPSE_SUMMARY,
    KM_CURVES,
    COX_SUMMARY,
    RETURN_CURVES,
    VERDICTS,
)
