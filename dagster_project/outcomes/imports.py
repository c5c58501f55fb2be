"""Imported assignments in the form of the ledger: when outcomes came, what channels cost, whose control."""

from collections.abc import Mapping
from dataclasses import replace

import polars as pl

from dagster_project.ingest.typed import ZONE_AFTER_CLOCK
from dagster_project.lake.duck import literal
from dagster_project.outcomes.entries import IMPORTED, Assignments
from dagster_project.outcomes.vocabulary import CONTROL

OUTCOME_ATTRIBUTE = "outcome_at"  # when the file itself says that the outcome came
WORDS_AT_ENTRY = ("template_id", "stage", "reason", "value_tier")
NUMBERS_AT_ENTRY = {
    "p_return": (0, 1),
    "uplift": (-1, 1),
    "value_if_returned": (0, None),
    "expected_cost": (0, None),
}
"""Attributes that say what was known of a user at entry, in the form of the ledger: numbers with their bounds."""


def imported_query(*, source_zone: str, business_zone: str) -> str:
    """The select of staging.assignments with `outcome_at` in naive UTC and what was known at entry (WORDS_AT_ENTRY,
    NUMBERS_AT_ENTRY); each null where the file tells none, a number also where it cannot be read or is out of bounds.

    A zone in the value counts, else the source's, as for `assigned_at`. A value without a clock time (a date, or
    midnight) stands for the whole day in the business zone, so that only a later day of assignment is after it.
    """
    day = "(cast(try_cast(said as timestamp) as date) + interval 1 day - interval 1 microsecond)"
    return f"""
        with told as (
            select *, {_text(OUTCOME_ATTRIBUTE)} as said from staging.assignments
        )
        select
            user_sk, experiment_id, arm, assigned_at, propensity, strategy_id, channel, dt,
            {", ".join(f"{_text(name)} as {name}" for name in WORDS_AT_ENTRY)},
            {", ".join(f"{_number(name, *ends)} as {name}" for name, ends in NUMBERS_AT_ENTRY.items())},
            case
                when regexp_matches(said, {literal(ZONE_AFTER_CLOCK)}) then try_cast(said as timestamptz)
                when cast(try_cast(said as timestamp) as time) = time '00:00:00'
                    then {day} at time zone {literal(business_zone)}
                else try_cast(said as timestamp) at time zone {literal(source_zone)}
            end at time zone 'UTC' as outcome_at
        from told
    """


def _text(name: str) -> str:
    """An attribute without blanks around it; null where nothing else is in it."""
    return f"nullif(trim(json_extract_string(attributes, '$.{name}')), '')"


def _number(name: str, low: float, high: float | None) -> str:
    said = f"try_cast({_text(name)} as double)"
    within = f"{said} >= {low}" + ("" if high is None else f" and {said} <= {high}")
    return f"case when isfinite({said}) and {within} then {said} end"


def imported_rows(told: pl.DataFrame, *, costs: Mapping[str, float | None]) -> pl.DataFrame:
    """The rows of `imported_query`, with user_id, as `assignment_rows` takes them.

    `costs`: of one message by channel. An import that does not tell its costs is taken to have cost one message each.
    """
    by_channel = {name.lower(): cost for name, cost in costs.items()}
    channel = pl.col("channel").str.to_lowercase()
    return told.with_columns(
        pl.col("dt").alias("assigned_on"),
        pl.col("assigned_at", "outcome_at").dt.replace_time_zone("UTC"),
        pl.lit(IMPORTED).alias("origin"),
        channel.alias("channel"),
        pl.coalesce("expected_cost", channel.replace_strict(by_channel, default=None, return_dtype=pl.Float64)).alias(
            "expected_cost"
        ),
    )


def with_control_named(assigned: Assignments) -> Assignments:
    """The assignments, whose imported control has the strategy and the channel that it was held out from.

    Files seldom name either in the rows of the control. Where all others of an experiment name the same one, the
    control can have been held out from no other. Of several nobody knows which: such a control stays without.
    """
    is_asked = (pl.col("origin") == IMPORTED) & (pl.col("arm") == CONTROL)
    imported = assigned.rows.filter(pl.col("origin") == IMPORTED).group_by("experiment_id")
    named = imported.agg(_only_of_others(name) for name in ("strategy_id", "channel")).sort("experiment_id")
    filled = [
        pl.when(is_asked)
        .then(pl.coalesce(name, pl.col("experiment_id").replace_strict(only, default=None, return_dtype=pl.String)))
        .otherwise(name)
        .alias(name)
        for name in ("strategy_id", "channel")
        if (only := dict(named.select("experiment_id", name).drop_nulls().iter_rows()))
    ]
    return replace(assigned, rows=assigned.rows.with_columns(filled)) if filled else assigned


def _only_of_others(name: str) -> pl.Expr:
    """What all rows but the control's have there, if it is the same and the control has nothing."""
    is_control = pl.col("arm") == CONTROL
    others = pl.col(name).filter(~is_control)
    is_one = (others.n_unique() == 1) & pl.col(name).filter(is_control).is_null().all()
    return pl.when(is_one).then(others.first()).alias(name)
