"""Replayed nights: which they are, and what their honest evaluations say together of each model.

Running a night is the pipeline's work, the page is `reports.backtest`.
"""

from collections.abc import Mapping
from datetime import date, timedelta

import polars as pl

from dagster_project.errors import WinbackError
from dagster_project.models.activity import BASELINE
from dagster_project.models.evaluation import EVALUATION_SCHEMA

NIGHT_SCHEMA = pl.Schema({"night": pl.Date(), **EVALUATION_SCHEMA})
SUMMARY_SCHEMA = pl.Schema(
    {
        "population": pl.String,
        "candidate": pl.String,
        "n_nights": pl.Int64,
        "n_nights_won": pl.Int64,
        "n_users": pl.Int64,
        "auc": pl.Float64,
        "auc_worst": pl.Float64,
        "brier": pl.Float64,
        "log_loss": pl.Float64,
        "log_loss_worst": pl.Float64,
        "log_loss_saved": pl.Float64,
        "n_nights_ahead": pl.Int64,
        "ece": pl.Float64,
        "top_decile_lift": pl.Float64,
        "observed_over_expected": pl.Float64,
        "calibration_miss": pl.Float64,
    }
)


def backtest_nights(first: date, last: date, *, every_days: int) -> list[date]:
    """`first` and every `every_days` days after it, up to `last` inclusive where the step falls on it, ascending.

    Raises WinbackError: `last` lies before `first`, or the step is under a day.
    """
    if every_days < 1:
        raise WinbackError(f"nights cannot be {every_days} days apart", fix="give --every at least one day")
    if last < first:
        raise WinbackError(f"the backtest would end on {last}, before it begins on {first}", fix="swap --from and --to")
    return [first + timedelta(days=days) for days in range(0, (last - first).days + 1, every_days)]


def stack_nights(evaluations: Mapping[date, pl.DataFrame]) -> pl.DataFrame:
    """NIGHT_SCHEMA: the evaluation rows of each night under its date, sorted by night, population, candidate.

    A night that was refused (no row) adds none.
    """
    stacked = [frame.select(pl.lit(night).alias("night"), *EVALUATION_SCHEMA) for night, frame in evaluations.items()]
    return pl.concat([NIGHT_SCHEMA.to_frame(), *stacked]).sort("night", "population", "candidate")


def rolling_origin_summary(nights: pl.DataFrame) -> pl.DataFrame:
    """SUMMARY_SCHEMA: one row per population and candidate, lowest mean log-loss first within a population.

    Estimand: how a candidate would have done over the newest window closed by each night, fitted on what
    was known when that window opened. Every night counts alike; a figure that a night could not measure is left
    out of that figure's mean. n_nights: with a log-loss. log_loss_saved: mean of recency's log-loss minus
    the candidate's on the same nights (higher = better), n_nights_ahead: how often above zero.
    observed_over_expected: exp of the mean log; calibration_miss: mean |log| of it, so that under- and
    over-forecasting nights do not cancel. No interval is given: nights share users, and share outcomes
    too where they are closer than a horizon, so the nights are no independent sample.
    """
    judged = nights.filter(pl.col("log_loss").is_not_null())
    baseline = judged.filter(pl.col("candidate") == BASELINE).select("night", "population", baseline_loss="log_loss")
    saved = pl.col("baseline_loss") - pl.col("log_loss")
    log_ratio = pl.col("observed_over_expected").filter(pl.col("observed_over_expected") > 0).log()
    return (
        judged.join(baseline, on=["night", "population"], how="left", validate="m:1")
        .sort("night", "population", "candidate")
        .group_by("population", "candidate", maintain_order=True)
        .agg(
            n_nights=pl.len(),
            n_nights_won=pl.col("is_winner").sum(),
            n_users=pl.col("n").sum(),
            auc=pl.col("auc").mean(),
            auc_worst=pl.col("auc").min(),
            brier=pl.col("brier").mean(),
            log_loss=pl.col("log_loss").mean(),
            log_loss_worst=pl.col("log_loss").max(),
            log_loss_saved=saved.mean(),
            n_nights_ahead=(saved > 0).sum(),
            ece=pl.col("ece").mean(),
            top_decile_lift=pl.col("top_decile_lift").mean(),
            observed_over_expected=log_ratio.mean().exp(),
            calibration_miss=log_ratio.abs().mean(),
        )
        .match_to_schema(SUMMARY_SCHEMA, integer_cast="upcast")
        .sort("population", "log_loss", "candidate")
    )


def sayings(nights: pl.DataFrame, summary: pl.DataFrame, *, horizon_days: int) -> tuple[str, ...]:
    """What a reader must know before the pictures, one sentence each."""
    if nights.is_empty():
        return ("No night could be judged: every one of them lacked the history for it.",)
    days = nights["night"].unique().sort()
    said = [f"{len(days)} {'night' if len(days) == 1 else 'nights'} were judged, {days[0]} to {days[-1]}."]
    said += [_best(summary, population) for population in ("lapsed", "all") if population in summary["population"]]
    closest = days.diff().dt.total_days().min()
    if isinstance(closest, int) and closest < horizon_days:
        said.append(
            f"Nights stand {closest} days apart, the horizon is {horizon_days}: neighbours share outcomes, "
            "so runs of good or bad nights are partly one event seen twice."
        )
    return tuple(said)


def _best(summary: pl.DataFrame, population: str) -> str:
    rows = summary.filter(pl.col("population") == population)
    best = rows.row(0, named=True)
    whom = "the lapsed" if population == "lapsed" else "all users"
    if best["candidate"] == BASELINE:
        return f"For {whom} nothing had a lower mean log-loss than {BASELINE} alone ({best['log_loss']:.4f})."
    beside = "" if best["log_loss_saved"] is None else f", {best['log_loss_saved']:.4f} below {BASELINE}"
    return (
        f"For {whom} {best['candidate']} had the lowest mean log-loss ({best['log_loss']:.4f}{beside}), "
        f"ahead of {BASELINE} on {best['n_nights_ahead']} of {best['n_nights']} nights."
    )
