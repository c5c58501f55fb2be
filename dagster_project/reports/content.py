"""What one night's report is made of. Reading it from the lake is the caller's work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import date

    import polars as pl

    from dagster_project.reports.compliance import RuleFigures
    from dagster_project.reports.experiment_pages import OutcomeContent
    from dagster_project.reports.trust import TrustContent


@dataclass(frozen=True, kw_only=True)
class ReportContent:
    """The frames and figures of one night, as the tables hold them.

    Every frame may be None or empty: its section then says in words what is missing. Shares and
    probabilities are 0 to 1, money is in `currency`, further columns are ignored.
    """

    as_of: date
    currency: str
    horizon_days: int
    notice: str | None = None
    """A banner at both ends of the page, such as "Simulated data: no real person or company."."""
    headline: Mapping[str, float | int | None] = field(default_factory=dict)
    """n_users, n_churned, n_exported, n_held_out, n_suppressed, expected_profit."""

    stages: pl.DataFrame | None = None
    """lifecycle.stages: one row per user; stage, phase, churn_factor and days_silent are used."""
    migration: pl.DataFrame | None = None
    """previous_stage (null: first seen), stage, n_users, share_of_previous."""
    dwell: pl.DataFrame | None = None
    """stage, n_users, median_days_in_stage, p90_days_in_stage, left_share."""
    daily_activity: pl.DataFrame | None = None
    """active_on, n_active_users, n_events; the last 180 days are drawn."""

    outages: pl.DataFrame | None = None
    """outages.outages: what of ours was broken."""
    outage_days: pl.DataFrame | None = None
    """outages.daily_counts: outage_id, dt, observed, expected."""

    prices: pl.DataFrame | None = None
    """strategy.prices: what each limit of the night was worth."""
    budget_curve: pl.DataFrame | None = None
    """strategy.budget_curve: what other budgets would have earned."""
    uplift: pl.DataFrame | None = None
    """models.uplift_verdicts: whether to choose users by uplift."""
    uplift_learners: pl.DataFrame | None = None
    """models.uplift_learners: how well each learner orders users."""
    uplift_choices: pl.DataFrame | None = None
    """models.uplift_choices: one treatment for each user, or one for all."""
    beliefs: pl.DataFrame | None = None
    """strategy.beliefs: what each strategy is believed to change."""
    hands: pl.DataFrame | None = None
    """strategy.hands: what people's settings did."""

    parameters: pl.DataFrame | None = None
    """lifecycle.parameters: one row."""
    definition_agreement: pl.DataFrame | None = None
    """definition, other_definition, n_users, agreement_share, cohen_kappa."""
    regret: pl.DataFrame | None = None
    """definition, n_churned, n_returned, regret_rate, regret_rate_low, regret_rate_high."""

    km_curves: pl.DataFrame | None = None
    """stage, day (since churn), p_returned, low, high, n_at_risk."""
    evaluations: pl.DataFrame | None = None
    """candidate, population, n, base_rate, auc, auc_low, auc_high, average_precision, log_loss, brier, ece,
    top_decile_lift, observed_over_expected, is_winner."""
    reliability: pl.DataFrame | None = None
    """candidate, population, bin, mean_predicted, observed, n."""
    moved_features: tuple[Mapping[str, Any], ...] = ()
    """feature, mean_then, mean_now, shift_sd, psi; most moved first. Empty where drift was not judged."""
    notes: tuple[str, ...] = ()
    """What the models want to have said, one sentence each."""

    cohort: pl.DataFrame | None = None
    """The rows of cohorts.csv. The only place of the report where user ids are shown."""
    strategies: pl.DataFrame | None = None
    """strategy_id, title, n_users, expected_profit."""
    arms: pl.DataFrame | None = None
    """arm, n_users."""
    suppressed_counts: pl.DataFrame | None = None
    """rule_id, n_users, citation."""
    rules: RuleFigures | None = None
    """What the rules of contact kept back and found."""

    outcomes: OutcomeContent | None = None
    """What experiments brought."""
    trust: TrustContent | None = None
    """What the section on trust shows."""
    reasons: pl.DataFrame | None = None
    """reasons.reasons: reason and reason_confidence are used."""
    breakdowns: pl.DataFrame | None = None
    """reasons.breakdowns."""

    quality: pl.DataFrame | None = None
    """table, n_files, n_rows_read, n_kept, n_duplicates, n_anonymous, n_filtered, n_quarantined."""
    quarantine_reasons: pl.DataFrame | None = None
    """table, reason, n_rows."""
    message_quality: pl.DataFrame | None = None
    """marts.message_quality."""
    failure_codes: pl.DataFrame | None = None
    """reach.failure_codes."""
    missing_tables: tuple[str, ...] = ()
    """Optional tables that are absent, each with what that switches off."""

    @property
    def primary_definition(self) -> str | None:
        """The churn definition in use, if lifecycle.parameters is there."""
        if self.parameters is None or self.parameters.is_empty():
            return None
        return str(self.parameters["primary_definition"][0])
