"""Fatigue, trust, and what our messages cost: per user, per stage, of everybody."""

from collections.abc import Mapping
from datetime import date, timedelta

import dagster as dg
import polars as pl

from dagster_project.defs.frame_tables import frame_asset, frame_assets
from dagster_project.defs.models import spoilt_at, stages_at
from dagster_project.lake.table_doc import Documented
from dagster_project.lifecycle.tables import PARAMETERS, STAGES
from dagster_project.models.tables import SCORES
from dagster_project.outages.tables import OUTAGES
from dagster_project.project import Project
from dagster_project.reach.conduct import quiet_hour_breaches
from dagster_project.reach.damage import DamageChoices, damage_account
from dagster_project.reach.failures import with_failures
from dagster_project.reach.fatigue import charge_harms, find_harms, harm_by_category
from dagster_project.reach.population import delivery_outcomes, trust_funnel, trust_weeks
from dagster_project.reach.records import (
    dosed,
    lapsed_weeks,
    opt_outs_in_force,
    outcome_cutoffs,
    trust_records,
    user_weeks,
)
from dagster_project.reach.saturation import SaturationChoices, fit_saturation, max_per_week
from dagster_project.reach.trust import trust_of_users
from dagster_project.reach.trust_tables import (
    DAMAGE,
    DELIVERY,
    HARM_CHARGES,
    SATURATION,
    TRUST,
    TRUST_FUNNEL,
    TRUST_WEEKS,
)

WINDOWS = (7, 28)
CHARGED_DAYS = 177  # the messages of 180 days are at hand, and harm looks back three
QUIET_DAYS = 90  # of messages whose hour is looked at; older ones say little of how we behave now


def make_pressure(project: Project, as_of: date) -> Mapping[str, pl.DataFrame]:
    """Curves of response against messages, harm by kind of message, and the damage account."""
    horizon_days, seed = project.rules(as_of).horizon_days, project.settings.seed
    told = harms(project, as_of).filter(pl.col("happened_at").dt.date() > as_of - timedelta(days=CHARGED_DAYS))
    charges = charge_harms(arrived(project, as_of), told)
    weeks = weeks_of_users(project, as_of, charges=charges, horizon_days=horizon_days)
    saturation = pl.concat(
        fit_saturation(
            dosed(weeks, window_days=days),
            choices=SaturationChoices(window_days=days, horizon_days=horizon_days, seed=seed),
        )
        for days in WINDOWS
    )
    values = project.read("models.scores", as_of=as_of)
    return {
        SATURATION.table: saturation,
        HARM_CHARGES.table: charged_by_category(project, as_of, charges=charges),
        DAMAGE.table: damage_account(
            lapsed_weeks(weeks, max_per_week(saturation), values),
            choices=DamageChoices(horizon_days=horizon_days, seed=seed),
        ),
    }


def make_trust(project: Project, as_of: date) -> pl.DataFrame:
    """The index of every user, from the record of 180 days."""
    consents = consents_of(project, as_of)
    users = project.read("marts.users", as_of=as_of)
    recent = project.scan("marts.messages", as_of=as_of).filter(
        pl.col("sent_at").dt.date() > as_of - timedelta(days=QUIET_DAYS)
    )
    breaches = quiet_hour_breaches(
        recent.select("user_sk", "channel", "sent_at").collect(), users.select("user_sk", "timezone"), consents
    )
    records = trust_records(
        project.read("marts.message_records", as_of=as_of),
        failures_of(project, as_of),
        opt_outs_in_force(harms(project, as_of), consents),
        breaches,
    )
    stages = project.read("lifecycle.stages", as_of=as_of)
    return trust_of_users(stages, records, project.read("reach.saturation", as_of=as_of))


def make_population(project: Project, as_of: date) -> Mapping[str, pl.DataFrame]:
    """Trust over the weeks, delivery by reason, and the funnel."""
    outcomes = classified(project.read("marts.message_outcomes", as_of=as_of))
    return {
        TRUST_WEEKS.table: trust_weeks(project.read("marts.message_weeks", as_of=as_of)),
        DELIVERY.table: delivery_outcomes(outcomes),
        TRUST_FUNNEL.table: trust_funnel(outcomes),
    }


def weeks_of_users(project: Project, as_of: date, *, charges: pl.DataFrame, horizon_days: int) -> pl.DataFrame:
    """Past weeks of users with the stage that each had on the day before, by that day's own yardsticks.

    Users whose coming back an outage of ours would have hidden are left out: they would seem to be lost by messages.
    """
    windows = project.read("marts.pressure_windows", as_of=as_of)
    cutoffs = outcome_cutoffs(windows, first_day=project.event_days()[0])
    columns = ["user_sk", "user_id", "stage", "phase", "days_silent"]
    nobody = project.read("lifecycle.stages", as_of=as_of).clear().select(pl.lit(as_of).alias("cutoff_on"), *columns)
    then = [
        stages_at(project, day, horizon_days=horizon_days)
        .join(spoilt_at(project, day, as_of=as_of, horizon_days=horizon_days), on="user_sk", how="anti")
        .select(pl.lit(day).alias("cutoff_on"), *columns)
        for day in cutoffs
    ]
    return user_weeks(windows, pl.concat([nobody, *then]), failures_of(project, as_of), charges)


def harms(project: Project, as_of: date) -> pl.DataFrame:
    """Opt-outs, complaints and removals of the app that the night may see."""
    told = (
        pl.col("unsubscribed_at").is_not_null() | pl.col("complained_at").is_not_null() | pl.col("code").is_not_null()
    )
    columns = ["user_sk", "channel", "message_id", "failed_at", "code", "unsubscribed_at", "complained_at"]
    return find_harms(
        project.scan("marts.messages", as_of=as_of).filter(told).select(columns).collect(),
        consents_of(project, as_of),
        project.read("marts.app_removals", as_of=as_of),
        project.read("marts.users", as_of=as_of).select("user_sk", "last_on"),
        channels=project.settings.channels,
    )


def arrived(project: Project, as_of: date) -> pl.DataFrame:
    """The messages that arrived, of users who did harm to themselves or us."""
    users = harms(project, as_of).select("user_sk").unique().lazy()
    return (
        project.scan("marts.messages", as_of=as_of)
        .filter(~pl.col("fate").is_in(["failed", "bounced"]))
        .select("user_sk", "channel", "message_id", "category", pl.coalesce("sent_at", "first_at").alias("sent_at"))
        .join(users, on="user_sk", how="semi")
        .collect()
    )


def charged_by_category(project: Project, as_of: date, *, charges: pl.DataFrame) -> pl.DataFrame:
    """Harm by channel and category, beside how many messages of each arrived."""
    place = ["channel", "category"]
    came = project.scan("marts.messages", as_of=as_of).filter(~pl.col("fate").is_in(["failed", "bounced"]))
    sent = came.group_by(place).agg(pl.len().cast(pl.Int64).alias("n_messages")).collect()
    kinds = arrived(project, as_of).select("user_sk", "channel", "message_id", "category")
    return harm_by_category(charges.join(kinds, on=["user_sk", "channel", "message_id"], how="left"), sent)


def failures_of(project: Project, as_of: date) -> pl.DataFrame:
    """Failed messages by user, channel and day, with the class of failure."""
    return classified(project.read("marts.message_failures", as_of=as_of))


def classified(counted: pl.DataFrame) -> pl.DataFrame:
    """Counts with the class of the failure that their code stands for; null where nothing failed."""
    failed = "n_failed" in counted.columns
    event = pl.lit("failed") if failed else pl.when(pl.col("code").is_not_null()).then(pl.lit("failed"))
    return with_failures(counted.with_columns(event.alias("event")))


def consents_of(project: Project, as_of: date) -> pl.DataFrame | None:
    """What users allowed and forbade; None where that is not mapped."""
    if "consents" not in project.settings.sources.tables:
        return None
    return project.seen("staging.consents", as_of=as_of)


def saturation_facts(saturation: pl.DataFrame) -> dict[str, int]:
    """The recommended maximum of each stage."""
    return {f"max per week, {stage}": most for stage, most in max_per_week(saturation).iter_rows()}


def damage_facts(account: pl.DataFrame) -> dict[str, str | float]:
    """What is claimed, and what is not."""
    return {
        f"{row['cause']}: lost returns": row["verdict"]
        if row["lost_returns"] is None
        else round(row["lost_returns"], 1)
        for row in account.iter_rows(named=True)
    }


def trust_facts(trust: pl.DataFrame) -> dict[str, float]:
    """The mean index, and for how many it is only the population's."""
    if trust.is_empty():
        return {}
    return {
        "mean trust index": round(float(trust["trust_index"].to_numpy().mean()), 4),
        "share without a message": round(float(trust["is_prior"].to_numpy().mean()), 4),
    }


@dg.definitions
def trust() -> dg.Definitions:
    """Every table of the matter."""
    messages: list[Documented | str] = ["marts.users", "marts.messages", "marts.message_failures", "marts.app_removals"]
    pressure = frame_assets(
        [SATURATION, HARM_CHARGES, DAMAGE],
        make_pressure,
        reads=[*messages, "marts.pressure_windows", "staging.consents", PARAMETERS, STAGES, SCORES, OUTAGES],
        facts={SATURATION.table: saturation_facts, DAMAGE.table: damage_facts},
    )
    of_users = frame_asset(
        TRUST,
        make_trust,
        reads=[*messages, "marts.message_records", "staging.consents", STAGES, SATURATION],
        facts=trust_facts,
    )
    of_all = frame_assets(
        [TRUST_WEEKS, DELIVERY, TRUST_FUNNEL],
        make_population,
        reads=["marts.message_weeks", "marts.message_outcomes"],
    )
    return dg.Definitions(assets=[pressure, of_users, of_all])
