"""What one night judges all users by: the population's cadence, the horizon, the days of each definition."""

from dataclasses import dataclass
from datetime import date
from typing import Literal

import polars as pl

from dagster_project.lifecycle.cadence import Cadence, estimate_cadence, horizon_days
from dagster_project.lifecycle.data_driven import data_driven_days, return_shares

Definition = Literal["calendar", "cadence", "data_driven"]
DEFINITIONS: tuple[Definition, ...] = ("calendar", "cadence", "data_driven")


@dataclass(frozen=True)
class StageRules:
    """The yardsticks of one night. Estimate them from the same day's users, never from a later day's."""

    cadence: Cadence
    horizon_days: int
    calendar_days: int
    data_driven_days: int | None
    primary: Definition

    @property
    def primary_definition(self) -> Definition:
        """The definition in force: calendar stands in for a data-driven N that the data does not give."""
        if self.primary == "data_driven" and self.data_driven_days is None:
            return "calendar"
        return self.primary


@dataclass(frozen=True)
class LifecycleChoices:
    """What the business decides. `horizon_days` None: twice the usual gap, within 14 to 90."""

    horizon_days: int | None
    calendar_days: int
    max_return_share: float
    primary: Definition


def estimate_rules(users: pl.DataFrame, *, as_of: date, choices: LifecycleChoices) -> StageRules:
    """The night's yardsticks, from marts.users as of `as_of` and nothing later."""
    cadence = estimate_cadence(users)
    horizon = horizon_days(cadence, configured=choices.horizon_days)
    shares = return_shares(users, as_of=as_of, horizon_days=horizon)
    return StageRules(
        cadence=cadence,
        horizon_days=horizon,
        calendar_days=choices.calendar_days,
        data_driven_days=data_driven_days(shares, max_return_share=choices.max_return_share),
        primary=choices.primary,
    )


def lifecycle_parameters(rules: StageRules, *, as_of: date) -> pl.DataFrame:
    """The one row of lifecycle.parameters; `primary_definition` is the one in force, after any fallback."""
    cadence = rules.cadence
    row = {
        "as_of": as_of,
        "n_users_with_gaps": cadence.n_users_with_gaps,
        "usual_gap_days": cadence.usual_gap_days,
        "log_gap_mean": cadence.log_gap_mean,
        "log_gap_sd_within": cadence.log_gap_sd_within,
        "log_gap_sd_between": cadence.log_gap_sd_between,
        "threshold_z": cadence.threshold_z,
        "horizon_days": rules.horizon_days,
        "calendar_days": rules.calendar_days,
        "data_driven_days": rules.data_driven_days,
        "primary_definition": rules.primary_definition,
    }
    whole_days = ("horizon_days", "calendar_days", "data_driven_days")
    # An absent data-driven N must still be a column of whole days, or nights could not be stacked.
    return pl.DataFrame([row], schema_overrides=dict.fromkeys(whole_days, pl.Int32))
