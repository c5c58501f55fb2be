"""What the tables of contracts say of themselves."""

from dagster_project.lake.table_doc import table_doc

SCORES = table_doc(
    "models.contract_scores",
    """
One row per user with a running contract: how likely a contract of theirs ends within the horizon.

grain: user_sk
tests: not_null user_sk, user_id, p_churn; unique user_sk; p_churn between 0 and 1; n_contracts > 0
columns:
  user_sk: the user's key inside the store
  user_id: the user's own id
  p_churn (0 to 1): chance that a running contract ends within the horizon
  n_contracts (contracts): that run
""",
)

CAUSE_SCORES = table_doc(
    "models.contract_cause_scores",
    """
One row per user with a running contract and way of ending: the chance of churn, split.

grain: user_sk, cause
tests: not_null user_sk, user_id, cause, p_churn; unique user_sk, cause; p_churn between 0 and 1
columns:
  user_sk: the user's key inside the store
  user_id: the user's own id
  cause: involuntary for failed payments; other reasons in the source's words
  p_churn (0 to 1): chance of that end; they add up to the user's
""",
)

EVALUATIONS = table_doc(
    "models.contract_evaluations",
    """
One row per candidate model of contracts: how it did on users that it had not seen.

grain: candidate
tests: unique candidate; concordance between 0 and 1; ibs between 0 and 1
columns:
  candidate: the model
  is_winner: whether it ships
  ibs: integrated Brier score over the tenures; lower is better
  ibs_se: its standard error over the folds
  concordance (0 to 1): Harrell's: chance that the one who ends sooner is ranked first
  calibration_index: mean distance of predicted and observed share ended at one horizon of tenure
  calibration_error (0 to 1): the same over ten bins
  observed_over_expected: ends over the sum of their probabilities
  n_folds (folds): that could be measured
  note: what went wrong, if something did
""",
)

SURVIVAL = table_doc(
    "models.contract_survival",
    """
One row per tenure: share of contracts that last longer (Kaplan-Meier).

grain: tenure
tests: unique tenure; survival_share between 0 and 1
columns:
  tenure (days): since the start
  survival_share (0 to 1): still running
  low (0 to 1): lower end of the 95 % interval
  high (0 to 1): upper end
  n_at_risk (contracts): seen running at that tenure
  n_ended (contracts): that ended at it
""",
)

INCIDENCE = table_doc(
    "models.contract_incidence",
    """
One row per way of ending and tenure: share of contracts ended so by then, the other ways standing in its way.

grain: cause, tenure
tests: unique cause, tenure; incidence_share between 0 and 1
columns:
  cause: involuntary for failed payments; other reasons in the source's words
  tenure (days): since the start
  incidence_share (0 to 1): ended so by then
""",
)

COX_SUMMARY = table_doc(
    "models.contract_cox_summary",
    """
One row per covariate of the plain Cox model of contracts.

grain: covariate
tests: unique covariate
columns:
  covariate: what it is
  coef: log hazard ratio; higher = ends sooner
  hr: hazard ratio
  low: lower end of its 95 % interval
  high: upper end
  p: of the test that coef is 0
""",
)

PROPORTIONALITY = table_doc(
    "models.contract_proportionality",
    """
One row per covariate: whether its effect stays the same over the tenure (scaled Schoenfeld residuals).

grain: covariate
tests: unique covariate
columns:
  covariate: what it is
  column: the column that it comes from
  statistic: chi-squared with one degree of freedom
  p: of the test that the effect is constant
  is_violated: whether it is not
""",
)

REFUSED = table_doc(
    "models.contract_refused_columns",
    """
One row per column of subscriptions that the models refuse, because it tells the outcome or the clock.

grain: column
tests: not_null column, kind, reason
columns:
  column: which
  kind: clock, outcome, jump or unusable
  figure: what gave it away
  reason: in a sentence
""",
)

VERDICTS = table_doc(
    "models.contract_verdicts",
    """
One row per night: which model of contracts shipped and what must be said of it.

grain: as_of
tests: not_null as_of, winner
columns:
  as_of (date): the night
  winner: the candidate that ships; base_rate where the data could not carry one; none without subscriptions
  notes (JSON): one sentence each
  metrics (JSON): every figure
""",
)

TABLES = (
    SCORES,
    CAUSE_SCORES,
    EVALUATIONS,
    SURVIVAL,
    INCIDENCE,
    COX_SUMMARY,
    PROPORTIONALITY,
    REFUSED,
    VERDICTS,
)
