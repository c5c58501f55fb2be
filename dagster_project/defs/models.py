"""What will come of every user: learnt from past cutoffs, judged on the newest closed window."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import date, timedelta

import dagster as dg
import polars as pl

from dagster_project.defs.frame_tables import frame_asset, frame_assets
from dagster_project.defs.metadata import asset_key
from dagster_project.defs.outages import OF_MESSAGES, WAYS_READ, silenced_at
from dagster_project.defs.resources import ProjectResource, as_of_date
from dagster_project.lake.sql_model import load_models
from dagster_project.lake.table_doc import Documented
from dagster_project.lifecycle import assign_stages
from dagster_project.lifecycle.tables import PARAMETERS, STAGES
from dagster_project.models.cutoffs import training_cutoffs
from dagster_project.models.drift import read_report
from dagster_project.models.features import sample_rows
from dagster_project.models.night import ModelNight, fit_night
from dagster_project.models.offers import campaign_contacts, offers_before
from dagster_project.models.returns import past_returns, with_offers
from dagster_project.models.service import Before, Served, Service, serve
from dagster_project.models.snapshots import OUTCOME_SCHEMA, SPELL_SCHEMA, labelled_snapshot, return_spells, with_lapse
from dagster_project.models.tables import NIGHT_TABLES, PAST_RETURNS, RETURN_SPELLS, VERDICTS, training_snapshots
from dagster_project.outages.silence import spoilt_users
from dagster_project.outages.tables import OUTAGES
from dagster_project.project import Project
from dagster_project.settings import settings_hash
from dagster_project.strategy.catalogue import every_strategy

FEATURES, OUTCOMES, USERS = "marts.user_features", "marts.user_outcomes", "marts.users"
IMPORTED = "staging.assignments"
LONGEST_FOLLOW_UP_DAYS = 365
N_FEATURES_SHOWN = 10
TRAINING = training_snapshots(load_models()[FEATURES])


def stages_at(project: Project, day: date, *, horizon_days: int) -> pl.DataFrame:
    """Where users stood on any day, by that day's yardsticks and tonight's horizon."""
    rules = project.rules(day, horizon_days=horizon_days)
    return assign_stages(project.at(USERS, as_of=day), as_of=day, rules=rules)


def make_training_snapshots(project: Project, as_of: date) -> pl.DataFrame:
    """Every cutoff's features and outcomes, oldest first; in all no more rows than models may learn from."""
    horizon_days = project.rules(as_of).horizon_days
    cutoffs = training_cutoffs(
        as_of=as_of,
        first_on=project.event_days()[0],
        horizon_days=horizon_days,
        max_cutoffs=project.settings.models.max_cutoffs,
    )
    most = project.settings.models.max_training_rows // max(1, len(cutoffs))
    snapshots = [
        sample_rows(
            snapshot(project, cutoff, as_of=as_of, horizon_days=horizon_days),
            max_rows=most,
            seed=project.settings.seed,
        )
        for cutoff in sorted(cutoffs)
    ]
    if snapshots:
        return pl.concat(snapshots)
    features = project.read(FEATURES, as_of=as_of).clear()
    return pl.concat([features, OUTCOME_SCHEMA.to_frame()], how="horizontal")


def snapshot(project: Project, cutoff: date, *, as_of: date, horizon_days: int) -> pl.DataFrame:
    """One cutoff's features with what came of its users in the horizon after it, and when, up to the night."""
    stages = stages_at(project, cutoff, horizon_days=horizon_days)
    spoilt = spoilt_at(project, cutoff, as_of=as_of, horizon_days=horizon_days)
    features = with_lapse(project.at(FEATURES, as_of=cutoff), stages)
    for untaught in (spoilt, unreached_at(project, cutoff, as_of=as_of)):
        features = features.join(untaught, on="user_sk", how="anti", maintain_order="left")
    closed_on = cutoff + timedelta(days=horizon_days)
    follow_up_days = (as_of - cutoff).days
    return labelled_snapshot(
        features,
        project.at(OUTCOMES, as_of=closed_on, window_days=horizon_days),
        cutoff=cutoff,
        later=project.compute(OUTCOMES, as_of=as_of, window_days=follow_up_days),
        follow_up_days=follow_up_days,
    )


def spoilt_at(project: Project, cutoff: date, *, as_of: date, horizon_days: int) -> pl.DataFrame:
    """Whose next horizon after a cutoff an outage hides, as far as the night knows."""
    outages = project.read(OUTAGES.table, as_of=as_of)
    if outages.filter(pl.col("kind") == "events").is_empty():
        return pl.DataFrame(schema={"user_sk": pl.Int64})
    last_seen = project.at("marts.last_platforms", as_of=cutoff)
    return spoilt_users(outages, last_seen, cutoff=cutoff, horizon_days=horizon_days)


def unreached_at(project: Project, cutoff: date, *, as_of: date) -> pl.DataFrame:
    """user_sk of those whom no message could reach at a cutoff, by a purge or a provider's outage that the night knows.

    Told by what was known at the cutoff, so that whoever came back since is left out like whoever did not: their
    silence is of our making, and teaches nothing of others.
    """
    silenced = silenced_at(project, cutoff, as_of=as_of, kinds=OF_MESSAGES)
    return silenced.filter(pl.col("reached_on").is_null()).select("user_sk").unique().sort("user_sk")


def make_return_spells(project: Project, as_of: date) -> pl.DataFrame:
    """Silences at a cutoff half the history ago, but not nearer than a horizon nor further than a year."""
    horizon_days = project.rules(as_of).horizon_days
    history_days = (as_of - project.event_days()[0]).days
    follow_up_days = max(horizon_days, min(LONGEST_FOLLOW_UP_DAYS, history_days // 2))
    cutoff = as_of - timedelta(days=follow_up_days)
    if cutoff < project.event_days()[0]:
        return SPELL_SCHEMA.to_frame()
    unreached = unreached_at(project, cutoff, as_of=as_of)
    return return_spells(
        stages_at(project, cutoff, horizon_days=horizon_days).join(unreached, on="user_sk", how="anti"),
        project.at(FEATURES, as_of=cutoff),
        project.compute(OUTCOMES, as_of=as_of, window_days=follow_up_days),
        cutoff=cutoff,
        as_of=as_of,
    )


def make_past_returns(project: Project, as_of: date) -> pl.DataFrame:
    """Every return of the log, by tonight's yardsticks."""
    stages = project.read("lifecycle.stages", as_of=as_of)
    users = project.read(USERS, as_of=as_of)
    returns = past_returns(users, stages, as_of=as_of)
    contacts = known_contacts(project, users, as_of=as_of)
    return with_offers(returns, offers_before(returns, contacts, as_of=as_of))


def known_contacts(project: Project, users: pl.DataFrame, *, as_of: date) -> pl.DataFrame:
    """Every contact that our ledger or an imported campaign holds, and whether it made an offer."""
    offers = {strategy.id: strategy.offer.kind != "none" for strategy in every_strategy(project.catalogue_source)}
    ledger = project.ledger_rows(after=date.min, before=as_of)
    imported = project.seen(IMPORTED, as_of=as_of).join(users.select("user_sk", "user_id"), on="user_sk", how="inner")
    return pl.concat([campaign_contacts(ledger, offers=offers), campaign_contacts(imported, offers=offers)])


def make_night(project: Project, as_of: date) -> Mapping[str, pl.DataFrame]:
    """Take up the model in service or learn a new one, and score."""
    stages = project.read("lifecycle.stages", as_of=as_of)
    training = project.read("models.training_snapshots", as_of=as_of)
    features_now = with_lapse(project.read(FEATURES, as_of=as_of), stages)
    spec = project.model_spec(as_of)
    service = model_service(project, as_of, horizon_days=spec.horizon_days)
    served = serve(training, features_now, spec=spec, service=service)
    night = fit_night(
        training,
        features_now,
        stages,
        project.read("models.return_spells", as_of=as_of),
        spec=spec,
        returns=project.read("models.past_returns", as_of=as_of),
        learned=served.learned,
    )
    verdict = verdict_row(night, served, as_of=as_of, data_hash=service.data_hash)
    made = {doc.table.split(".")[1]: getattr(night, doc.table.split(".")[1], verdict) for doc in NIGHT_TABLES}
    return {f"models.{name}": frame for name, frame in made.items()}


def model_service(project: Project, as_of: date, *, horizon_days: int) -> Service:
    """Where models are kept, their rhythm, and what this night decided when it was run last."""
    return Service(
        folder=project.kept_models,
        every_days=project.settings.models.retrain_every_days or horizon_days,
        settings_hash=settings_hash(project.settings),
        data_hash=project.data_hash(as_of),
        before=decided_before(project, as_of),
    )


def decided_before(project: Project, as_of: date) -> Before | None:
    """What stands in the verdict of an earlier run of this night, if it had a model."""
    if as_of.isoformat() not in project.lake.index(VERDICTS.table):
        return None
    row = project.read(VERDICTS.table, as_of=as_of).row(0, named=True)
    if row.get("data_hash") is None or row["model_key"] is None:
        return None
    return Before(row["model_key"], row["data_hash"], row["training"], read_report(json.loads(row["drift"])))


def verdict_row(night: ModelNight, served: Served, *, as_of: date, data_hash: str) -> pl.DataFrame:
    """One row: what ships, which kept model it is, and what must be said of it."""
    card, drift = served.card, served.drift
    said = [*night.notes, *([served.training] if served.training else []), *([drift.reason] if card else [])]
    return pl.DataFrame(
        {
            "as_of": [as_of],
            "winner": [night.winner],
            "model_key": pl.Series([card and card.key], dtype=pl.String),
            "trained_as_of": pl.Series([card and card.trained_as_of], dtype=pl.Date),
            "training": [served.training],
            "data_hash": [data_hash],
            "drift": [json.dumps(asdict(drift), ensure_ascii=False, sort_keys=True)],
            "notes": [json.dumps(said, ensure_ascii=False)],
            "metrics": [json.dumps(night.metrics, ensure_ascii=False, sort_keys=True)],
        }
    )


@dg.asset_check(
    asset=asset_key(VERDICTS.table),
    description="Whether the model that was in service when the newest closed window opened still did as well there as "
    "one fitted freshly, and as many users were active as it expected. It only warns; the night learns anew.",
)
def models_still_fit(context: dg.AssetCheckExecutionContext, winback: ProjectResource) -> dg.AssetCheckResult:
    """Amber when the world has moved away from the model, with what moved."""
    row = winback.project.read(VERDICTS.table, as_of=as_of_date(context)).row(0, named=True)
    drift = read_report(json.loads(row["drift"]))
    return dg.AssetCheckResult(
        passed=not drift.has_drifted,
        severity=dg.AssetCheckSeverity.WARN,
        description=drift.reason,
        metadata={
            "verdict": drift.verdict,
            "model": row["model_key"] or "",
            **{name: value for name, value in drift.figures.items() if value is not None},
            "features": dg.MetadataValue.json(list(drift.features[:N_FEATURES_SHOWN])),
        },
    )


def evaluation_facts(evaluations: pl.DataFrame) -> dict[str, float]:
    """The figures whose history says how the models do: those of what ships and of the recency baseline."""
    shown = evaluations.filter(
        pl.col("population").is_in(["all", "lapsed"]) & pl.col("candidate").is_in(["shipped", "recency"])
    )
    return {
        f"{row['candidate']} {row['population']} {measure}": row[measure]
        for row in shown.iter_rows(named=True)
        for measure in ("auc", "log_loss", "brier", "ece", "observed_over_expected")
        if row[measure] is not None
    }


@dg.definitions
def models() -> dg.Definitions:
    """Every table of the layer."""
    silences: list[Documented | str] = [OUTAGES, "marts.last_platforms", "marts.send_outcomes", *WAYS_READ]
    pasts: list[Documented | str] = [FEATURES, OUTCOMES, USERS, PARAMETERS, *silences]
    return dg.Definitions(
        assets=[
            frame_asset(TRAINING, make_training_snapshots, reads=pasts),
            frame_asset(RETURN_SPELLS, make_return_spells, reads=pasts),
            frame_asset(PAST_RETURNS, make_past_returns, reads=[USERS, STAGES, IMPORTED]),
            frame_assets(
                NIGHT_TABLES,
                make_night,
                reads=[TRAINING, RETURN_SPELLS, PAST_RETURNS, FEATURES, STAGES, PARAMETERS],
                facts={"models.evaluations": evaluation_facts},
            ),
        ],
        asset_checks=[models_still_fit],
    )
