"""Experiments read back: the ledger of the nights before, and imported campaigns, against what users did since."""

from collections.abc import Mapping
from datetime import date, timedelta

import dagster as dg
import polars as pl

from dagster_project.defs.frame_tables import frame_assets
from dagster_project.lifecycle.tables import PARAMETERS, STAGES
from dagster_project.outcomes.balance import arm_balance
from dagster_project.outcomes.counting import OUTCOMES, count_outcomes
from dagster_project.outcomes.entries import (
    IMPORTED,
    LEDGER,
    assignment_rows,
    find_faults,
    first_entries,
    set_aside,
)
from dagster_project.outcomes.plans import USUAL_SHARE
from dagster_project.outcomes.power import strategy_power
from dagster_project.outcomes.readout import ReadoutRules, decision_horizon, read_experiments
from dagster_project.outcomes.second_life import second_lives
from dagster_project.outcomes.tables import BALANCE, ENTRIES, EXPERIMENTS, MONEY, POWER, READOUTS, SECOND_LIFE
from dagster_project.outcomes.verdicts import BROKEN
from dagster_project.outcomes.vocabulary import EXPLORE
from dagster_project.project import Project
from dagster_project.reach.fatigue import WITHDRAWN

POWER_NIGHTS = 28
OUTCOME_ATTRIBUTE = "outcome_at"  # of imported assignments: when the file itself says that the outcome came
DAYS = ("intermediate.user_days", "intermediate.response_days")


def make_outcomes(project: Project, as_of: date) -> Mapping[str, pl.DataFrame]:
    """Every experiment that the night knows of: entries, readouts, money, second lives, and what could be seen."""
    users = project.read("marts.users", as_of=as_of).select("user_sk", "user_id")
    horizon_days = int(project.read("lifecycle.parameters", as_of=as_of)["horizon_days"][0])
    rows = known_assignments(project, users, as_of)
    entries = with_outcomes(project, first_entries(rows), users, as_of)
    rules = ReadoutRules(
        decision_days=decision_horizon(horizon_days),
        margin_share=project.settings.value.margin_share,
    )
    found = read_experiments(entries, find_faults(rows, entries, as_of=as_of), rules=rules)
    broken = found.experiments.filter(pl.col("decision") == BROKEN)["experiment_id"]
    is_broken = pl.col("experiment_id").is_in(broken.implode())
    told = with_set_aside(found.experiments, set_aside(rows))
    return {
        ENTRIES.table: entries.with_columns((~is_broken).alias("is_randomised")),
        EXPERIMENTS.table: told,
        BALANCE.table: arm_balance(entries),
        READOUTS.table: found.readouts,
        MONEY.table: found.money,
        SECOND_LIFE.table: second_lives(entries.filter(~is_broken)),
        POWER.table: power_of_night(project, entries, as_of, horizon_days=horizon_days),
    }


def with_set_aside(experiments: pl.DataFrame, aside: pl.DataFrame) -> pl.DataFrame:
    """The experiments, whose explanations also count the users who are left out because they moved from arm to arm."""
    said = " Users set aside, being in two arms: " + pl.col("n_users").cast(pl.String) + "."
    return (
        experiments.join(aside.select("experiment_id", said.alias("said")), on="experiment_id", how="left")
        .with_columns(pl.concat_str("explanation", pl.col("said").fill_null("")).alias("explanation"))
        .select(experiments.columns)
        .sort("experiment_id")
    )


def known_assignments(project: Project, users: pl.DataFrame, as_of: date) -> pl.DataFrame:
    """The rows of the ledger before the night and of imported campaigns, of users whom the night may see."""
    ledger = project.ledger_rows(after=date.min, before=as_of).with_columns(
        (pl.col("as_of") + timedelta(days=1)).alias("assigned_on"), pl.lit(LEDGER).alias("origin")
    )
    frames = [ledger]
    if "assignments" in project.settings.sources.tables:
        costs = {name: channel.cost for name, channel in project.settings.channels.items()}
        said = pl.col("attributes").cast(pl.String).str.json_path_match(f"$.{OUTCOME_ATTRIBUTE}")
        imported = project.seen("staging.assignments", as_of=as_of).join(users, on="user_sk", how="inner")
        frames.append(
            imported.with_columns(
                pl.col("dt").alias("assigned_on"),
                pl.col("assigned_at").dt.replace_time_zone("UTC"),
                pl.lit(IMPORTED).alias("origin"),
                said.str.to_datetime(strict=False, time_zone="UTC").alias("outcome_at"),
                pl.col("channel").replace_strict(costs, default=None, return_dtype=pl.Float64).alias("expected_cost"),
            )
        )
    return assignment_rows(*frames).join(users.select("user_id"), on="user_id", how="semi")


def with_outcomes(project: Project, entries: pl.DataFrame, users: pl.DataFrame, as_of: date) -> pl.DataFrame:
    """The entries with what came of each by the night, sorted as they were."""
    known = entries.join(users, on="user_id", how="inner", maintain_order="left")
    counted = OUTCOMES.to_frame()
    if known.height:
        with project.connect() as con:
            for table in DAYS:
                project.builder().view(con, table, through=as_of)
            counted = count_outcomes(
                con,
                known,
                as_of=as_of,
                thresholds=project.read("lifecycle.stages", as_of=as_of).select("user_sk", "churn_threshold_days"),
                withdrawals=withdrawals(project, as_of),
                referrals=referrals(project, as_of),
            )
    key = ["user_sk", "assigned_on"]
    return known.join(counted, on=key, how="inner", maintain_order="left").drop("user_sk")


def withdrawals(project: Project, as_of: date) -> pl.DataFrame | None:
    """user_sk, dt of consents withdrawn; None where consents are not kept."""
    if "consents" not in project.settings.sources.tables:
        return None
    said = pl.col("status").str.to_lowercase().is_in(WITHDRAWN)
    return project.seen("staging.consents", as_of=as_of).filter(said).select("user_sk", "dt")


def referrals(project: Project, as_of: date) -> pl.DataFrame | None:
    """user_sk, dt of users who brought another; None where links are not kept."""
    if "links" not in project.settings.sources.tables:
        return None
    dated = pl.col("dt").is_not_null() & pl.col("kind").str.to_lowercase().str.contains("referral")
    return project.seen("staging.links", as_of=as_of).filter(dated).select("user_sk", "dt")


def power_of_night(project: Project, entries: pl.DataFrame, as_of: date, *, horizon_days: int) -> pl.DataFrame:
    """What each strategy's comparison with the global holdout could show, from the nights of late."""
    rules, holdout = project.decision_rules(), project.settings.holdout
    since = as_of - timedelta(days=POWER_NIGHTS)
    nights = [night for night in project.lake.index("strategy.assignments") if since.isoformat() <= night]
    recent = entries.filter(
        (pl.col("experiment_id") == rules.experiment_id) & (pl.col("arm") != EXPLORE) & (pl.col("assigned_on") > since)
    )
    return strategy_power(
        recent,
        n_nights=len([night for night in nights if night < as_of.isoformat()]),
        control_share=holdout.control_share / (1 - holdout.explore_share),
        horizon_days=horizon_days,
        fallback_share=USUAL_SHARE,
    )


def experiment_facts(experiments: pl.DataFrame) -> dict[str, object]:
    """A page per experiment in short: what it is, and what it says."""
    return {
        f"{row['experiment_id']}: {row['decision']}": dg.MetadataValue.md(
            f"{row['explanation']}\n\n| arms | entered | sample ratio p | decision by |\n|---|---|---|---|\n"
            f"| {row['arms']} | {row['started_on']} to {row['newest_on']} | {p_text(row['sample_ratio_p'])} "
            f"| {row['decision_days']} days |"
        )
        for row in experiments.iter_rows(named=True)
    }


def p_text(p: float | None) -> str:
    """A p as a reader sees it."""
    return "not known" if p is None else ("< .001" if p < 0.001 else f"{p:.3f}")


@dg.definitions
def outcomes() -> dg.Definitions:
    """Every table of the layer."""
    made = frame_assets(
        [ENTRIES, EXPERIMENTS, BALANCE, READOUTS, MONEY, SECOND_LIFE, POWER],
        make_outcomes,
        reads=[
            *DAYS,
            "staging.assignments",
            "staging.consents",
            "staging.links",
            "marts.users",
            STAGES,
            PARAMETERS,
        ],
        facts={EXPERIMENTS.table: experiment_facts},
    )
    return dg.Definitions(assets=[made])
