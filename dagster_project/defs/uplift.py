"""Whom a contact moves, by past randomised contacts: verdicts per treatment, scores where a learner ships."""

from collections.abc import Mapping
from datetime import date

import dagster as dg
import polars as pl

from dagster_project.defs.frame_tables import frame_assets
from dagster_project.lifecycle.tables import PARAMETERS, STAGES
from dagster_project.models.uplift.choices import Pricing
from dagster_project.models.uplift.history import (
    POOLED,
    History,
    closed_rows,
    comparisons,
    snapshot_days,
    with_snapshot_day,
)
from dagster_project.models.uplift.night import enough_rows, judge_night
from dagster_project.models.uplift.tables import TABLES, UPLIFT_CHOICES, UPLIFT_LEARNERS, UPLIFT_SCORES, UPLIFT_VERDICTS
from dagster_project.outcomes.tables import ENTRIES, EXPERIMENTS
from dagster_project.project import Project

FEATURES, USERS = "marts.user_features", "marts.users"


def make_uplift(project: Project, as_of: date) -> Mapping[str, pl.DataFrame]:
    """Judge every treatment with a randomised past, and score tonight's churned for those that ship."""
    horizon_days = project.rules(as_of).horizon_days
    history = read_history(project, as_of, horizon_days=horizon_days)
    is_enough = pl.col("strategy_id").is_in(enough_rows(history.pairs)["strategy_id"].to_list())
    large, thin = history.pairs.filter(is_enough), history.pairs.filter(~is_enough)
    if large.is_empty():
        pairs, users = thin, pl.DataFrame()
    else:
        pairs = pl.concat([looked_up(project, large), thin], how="diagonal")
        pairs, users = pairs.sort("strategy_id", "user_id", "experiment_id"), churned_features(project, as_of)
    value = project.settings.value
    pricing = Pricing(margin_share=value.margin_share, value_per_active_day=value.value_per_active_day)
    seed = project.settings.seed
    night = judge_night(pairs, users, faults=history.faults, pricing=pricing, as_of=as_of, seed=seed)
    return {
        UPLIFT_VERDICTS.table: night.verdicts,
        UPLIFT_LEARNERS.table: night.learners,
        UPLIFT_CHOICES.table: night.choices,
        UPLIFT_SCORES.table: night.scores,
    }


def read_history(project: Project, as_of: date, *, horizon_days: int) -> History:
    """Every comparison that the ledger and imported campaigns hold and whose horizon is over."""
    entries, experiments = project.scan(ENTRIES.table, as_of=as_of), project.read(EXPERIMENTS.table, as_of=as_of)
    rows = closed_rows(entries, project.read(USERS, as_of=as_of), horizon_days=horizon_days)
    faulty = experiments.filter(pl.col("faults").is_not_null())
    return comparisons(rows, reasons=dict(faulty.select("experiment_id", "faults").iter_rows()))


def looked_up(project: Project, pairs: pl.DataFrame) -> pl.DataFrame:
    """The rows of users who were known before their assignment, with their features then.

    Who was not known then had no features in either arm, and is left out of both.
    """
    first_on = project.event_days()[0]
    days = [day for day in snapshot_days(pairs["assigned_on"]) if day >= first_on]
    dated = with_snapshot_day(pairs, days)
    seen = [features_then(project, day, dated.filter(pl.col("snapshot_on") == day)) for day in days]
    return pl.concat([dated.clear(), *seen], how="diagonal").sort("strategy_id", "user_id", "experiment_id")


def features_then(project: Project, day: date, rows: pl.DataFrame) -> pl.DataFrame:
    """The rows whose users had an active day by `day`, with what was known of them then."""
    features = project.at(FEATURES, as_of=day).drop("user_id").with_columns(pl.col("user_sk").cast(pl.Int64))
    return rows.join(features, on="user_sk", how="inner", maintain_order="left")


def churned_features(project: Project, as_of: date) -> pl.DataFrame:
    """The features of the night's churned users."""
    churned = project.read(STAGES.table, as_of=as_of).filter("is_churned").select("user_sk")
    return project.read(FEATURES, as_of=as_of).join(churned, on="user_sk", how="semi", maintain_order="left")


def verdict_facts(verdicts: pl.DataFrame) -> dict[str, int]:
    """How many treatments have which verdict."""
    of_one = verdicts.filter(pl.col("strategy_id") != POOLED)
    return {f"verdict {name}": n for name, n in of_one.group_by("verdict").len().sort("verdict").iter_rows()}


@dg.definitions
def uplift() -> dg.Definitions:
    """The tables of uplift."""
    tables = frame_assets(
        TABLES,
        make_uplift,
        reads=[FEATURES, USERS, ENTRIES, EXPERIMENTS, STAGES, PARAMETERS],
        facts={UPLIFT_VERDICTS.table: verdict_facts},
    )
    return dg.Definitions(assets=[tables])
