"""Where every user stands: usual gap, churn by three definitions, one of fifteen stages. Pure functions."""

from dagster_project.lifecycle.cadence import Cadence, estimate_cadence, horizon_days, usual_gaps
from dagster_project.lifecycle.data_driven import data_driven_days, return_shares
from dagster_project.lifecycle.definitions import agreement, churn_labels, churn_thresholds, regret_rates
from dagster_project.lifecycle.migration import migration_matrix, stage_dwell
from dagster_project.lifecycle.parameters import (
    DEFINITIONS,
    LifecycleChoices,
    StageRules,
    estimate_rules,
    lifecycle_parameters,
)
from dagster_project.lifecycle.stages import (
    PHASE_OF_STAGE,
    PHASES,
    STAGE_COLUMNS,
    STAGES,
    assign_stages,
    with_previous,
)

__all__ = [
    "DEFINITIONS",
    "PHASES",
    "PHASE_OF_STAGE",
    "STAGES",
    "STAGE_COLUMNS",
    "Cadence",
    "LifecycleChoices",
    "StageRules",
    "agreement",
    "assign_stages",
    "churn_labels",
    "churn_thresholds",
    "data_driven_days",
    "estimate_cadence",
    "estimate_rules",
    "horizon_days",
    "lifecycle_parameters",
    "migration_matrix",
    "regret_rates",
    "return_shares",
    "stage_dwell",
    "usual_gaps",
    "with_previous",
]
