"""The night's decisions, and the ledger of who was in which arm."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta

import dagster as dg
import polars as pl

from dagster_project.defs.frame_tables import audited, frame_asset, frame_assets, table_spec, written
from dagster_project.defs.metadata import check_specs
from dagster_project.defs.proof import proof_check
from dagster_project.defs.resources import ProjectResource, as_of_date, nights
from dagster_project.lifecycle.tables import PARAMETERS, STAGES
from dagster_project.models.contracts.tables import SCORES as CONTRACT_SCORES
from dagster_project.models.tables import RETURN_CURVES, SCORES
from dagster_project.models.uplift.tables import UPLIFT_SCORES
from dagster_project.outcomes.learning import learning_rows
from dagster_project.outcomes.tables import ENTRIES
from dagster_project.project import Project
from dagster_project.reach.tables import CONTACT_POINTS
from dagster_project.reach.trust_tables import TRUST
from dagster_project.reasons.tables import REASONS_TABLE
from dagster_project.reasons.vocabulary import REASONS
from dagster_project.strategy.assignment import Known, decide
from dagster_project.strategy.attention import attention
from dagster_project.strategy.belief_table import TOLD_HARM, belief_table
from dagster_project.strategy.evidence import user_evidence
from dagster_project.strategy.harm import nights_at_pace
from dagster_project.strategy.hours import day_hours, fit_hours
from dagster_project.strategy.learning import beliefs_from, with_base_rates
from dagster_project.strategy.ledger import contacts, first_arms, may_write
from dagster_project.strategy.occasions import with_occasions
from dagster_project.strategy.options import SCORES as MODELLED
from dagster_project.strategy.priors import load_priors
from dagster_project.strategy.series import Past, known_to_every_account
from dagster_project.strategy.stopping import NO_STOPS, night_stops, stop_reasons
from dagster_project.strategy.tables import (
    ASSIGNMENTS,
    AWAITING,
    BELIEFS,
    CONSIDERED,
    CURVE,
    EXPORTED,
    GATED,
    HANDED_OVER,
    HANDS,
    HOLDOUT,
    PRICES,
    SEND_HOURS,
    STOPS,
    SUPPRESSED,
)
from dagster_project.strategy.waiting import ReturnCurves

BACKFILL_TAG = "dagster/backfill"
BACKTEST_TAG = "winback/backtest"
PROPOSED = "strategy.proposed_assignments"
OCCASION_DAYS = 3  # ahead of the day of sending: a greeting that comes late is none
OWN_CATEGORIES = "select distinct user_sk, lower(category) as category from intermediate.category_days"


def make_decisions(project: Project, as_of: date) -> Mapping[str, pl.DataFrame]:
    """Who is written to, who is held out, who is left alone and why."""
    candidates = priced_candidates(project, as_of)
    lessons = lessons_of(project, as_of)
    beliefs = beliefs_from(load_priors(), lessons, catalogue=project.catalogue, as_of=as_of)
    retried = project.settings.strategies.retried_from
    stops = night_stops(earlier_stops(project, as_of), lessons, retried_from=retried, as_of=as_of)
    hands = replace(project.hands(as_of), stopped=stop_reasons(stops))
    decisions = decide(
        candidates,
        project.read("reach.contact_points", as_of=as_of),
        catalogue=project.catalogue,
        rules=replace(project.decision_rules(), beliefs=beliefs, hands=hands),
        as_of=as_of,
        past=past_of(project, candidates, as_of),
        known=known_of(project, candidates, as_of),
    )
    return {
        EXPORTED.table: decisions.exported,
        HOLDOUT.table: decisions.holdout,
        SUPPRESSED.table: decisions.suppressed,
        AWAITING.table: decisions.awaiting,
        HANDED_OVER.table: decisions.handover,
        CONSIDERED.table: decisions.considered,
        GATED.table: decisions.gated,
        PRICES.table: decisions.prices,
        CURVE.table: decisions.curve,
        HANDS.table: decisions.hands,
        STOPS.table: stops,
        BELIEFS.table: belief_table(
            beliefs, catalogue=project.catalogue, nights=nights_at_pace(lessons, lift=TOLD_HARM)
        ),
        PROPOSED: decisions.assignments,
    }


def lessons_of(project: Project, as_of: date) -> pl.DataFrame:
    """The outcomes that strategies learn from: of users whose horizon is over, by the ledger and imported campaigns."""
    entries = project.scan(ENTRIES.table, as_of=as_of)
    return with_base_rates(learning_rows(entries, horizon_days=horizon_of(project, as_of)))


def earlier_stops(project: Project, as_of: date) -> pl.DataFrame:
    """The stops of the newest night before; none where no night has written them."""
    nights = [key for key in project.lake.index(STOPS.table) if key < as_of.isoformat()]
    return project.lake.read(STOPS.table, key=max(nights)) if nights else NO_STOPS


def horizon_of(project: Project, as_of: date) -> int:
    """The days ahead that the night's predictions look."""
    return int(project.read(PARAMETERS.table, as_of=as_of)["horizon_days"][0])


def known_of(project: Project, candidates: pl.DataFrame, as_of: date) -> Known:
    """Hours, heed, return curves and modelled uplift of the users whom we may want to write to."""
    lapsed = candidates.filter("is_churned").select("user_sk")
    records = project.read("marts.message_records", as_of=as_of).join(lapsed, on="user_sk", how="semi")
    curves = project.read(RETURN_CURVES.table, as_of=as_of)
    return Known(
        send_hours=project.read(SEND_HOURS.table, as_of=as_of),
        attention=attention(records),
        scores=project.read(UPLIFT_SCORES.table, as_of=as_of).select(list(MODELLED)),
        curves=ReturnCurves(curves, horizon_days=horizon_of(project, as_of)) if curves.height else None,
    )


def past_of(project: Project, candidates: pl.DataFrame, as_of: date) -> Past:
    """The whole ledger, and when each user last did anything: was active, opened or clicked."""
    responses = project.read("marts.user_messages", as_of=as_of).select("user_sk", "last_response_on")
    answered = pl.max_horizontal("last_on", "last_response_on").alias("answered_on")
    answers = candidates.join(responses, on="user_sk", how="left").select("user_sk", answered)
    ledger = project.ledger_rows(after=date.min, before=as_of)
    rules = replace(project.decision_rules(), hands=project.hands(as_of))
    past = Past(
        contacts=contacts(ledger, candidates, catalogue=project.catalogue),
        answers=answers,
        arms=first_arms(ledger, candidates, rules=rules),
    )
    return known_to_every_account(past, candidates)


def make_send_hours(project: Project, as_of: date) -> pl.DataFrame:
    """Learn from everybody's hours, tell those of the users whom we may want to write to."""
    hours = project.read("marts.user_hours", as_of=as_of)
    sent = project.read("marts.sent_hours", as_of=as_of)
    stages = project.read("lifecycle.stages", as_of=as_of)
    wanted = stages.filter(pl.col("is_churned") | (pl.col("phase") == "declining")).select("user_sk")
    model = fit_hours(hours, sent)
    own = hours.join(wanted, on="user_sk", how="semi")
    return day_hours(own, sent, model=model, weekday=(as_of + timedelta(days=1)).weekday())


def priced_candidates(project: Project, as_of: date) -> pl.DataFrame:
    """Every user of a night, with what triggers and prices rest on: fatigue, P(each reason), facts, occasions."""
    harm = project.read(TRUST.table, as_of=as_of).select("user_sk", "fatigue_probability")
    why = project.read(REASONS_TABLE.table, as_of=as_of).select("user_sk", *(f"p_{reason}" for reason in REASONS))
    facts = [harm, why]
    if any(strategy.content for strategy in project.catalogue.sending):
        chosen = project.ask(OWN_CATEGORIES, table="intermediate.category_days", as_of=as_of)
        facts.append(chosen.group_by("user_sk").agg(pl.col("category").sort().alias("categories")))
    candidates = project.candidates(as_of)
    facts.append(evidence_of(project, candidates, as_of))
    for more in facts:
        candidates = candidates.join(more, on="user_sk", how="left", maintain_order="left")
    return with_occasions(candidates, on=as_of + timedelta(days=1), days_ahead=OCCASION_DAYS)


def evidence_of(project: Project, users: pl.DataFrame, as_of: date) -> pl.DataFrame:
    """The plain facts of users that triggers may ask for; a table that is not mapped tells none."""
    mapped = project.settings.sources.tables
    return user_evidence(
        users,
        as_of=as_of,
        signals=project.read("marts.reason_signals", as_of=as_of),
        links=project.read("marts.user_links", as_of=as_of) if "links" in mapped else None,
        contracts=project.read("marts.contracts", as_of=as_of) if "subscriptions" in mapped else None,
    )


def ledger_asset() -> dg.AssetsDefinition:
    """The ledger. A run of an older night or of a backfill leaves it as it is."""

    @dg.multi_asset(
        name="strategy__assignments",
        specs=[table_spec(ASSIGNMENTS, [EXPORTED, HOLDOUT])],
        check_specs=check_specs(ASSIGNMENTS),
        partitions_def=nights,
    )
    def assignments(context: dg.AssetExecutionContext, winback: ProjectResource):  # type: ignore[no-untyped-def]
        project, as_of = winback.project, as_of_date(context)
        made = project.read(PROPOSED, as_of=as_of)
        yield from audited(ASSIGNMENTS, made)
        is_backtest = not {BACKFILL_TAG, BACKTEST_TAG}.isdisjoint(context.run.tags)
        if may_write(list(project.lake.index(ASSIGNMENTS.table)), as_of=as_of, is_backtest=is_backtest):
            project.write(ASSIGNMENTS.table, made, as_of=as_of)
            yield written(ASSIGNMENTS, made, facts=arm_facts)
        else:
            yield dg.MaterializeResult(metadata={"ledger": "left as it is: this run replays the past"})

    return assignments


def arm_facts(assignments: pl.DataFrame) -> dict[str, int]:
    """How many users each arm has."""
    return {f"arm {arm}": n for arm, n in assignments.group_by("arm").len().sort("arm").iter_rows()}


def export_facts(exported: pl.DataFrame) -> dict[str, float]:
    """What the night expects of its contacts."""
    return {"expected profit": round(float(exported["expected_profit"].sum()), 2)}


@dg.definitions
def strategy() -> dg.Definitions:
    """Every table of the layer."""
    decisions = frame_assets(
        [EXPORTED, HOLDOUT, SUPPRESSED, AWAITING, HANDED_OVER, CONSIDERED, GATED, PRICES, CURVE, HANDS, STOPS, BELIEFS],
        make_decisions,
        reads=[
            "marts.users",
            "marts.user_messages",
            "marts.message_records",
            "marts.reason_signals",
            "marts.user_links",
            "marts.contracts",
            STAGES,
            SCORES,
            PARAMETERS,
            RETURN_CURVES,
            CONTRACT_SCORES,
            REASONS_TABLE,
            CONTACT_POINTS,
            SEND_HOURS,
            ENTRIES,
            UPLIFT_SCORES,
            TRUST,
            "intermediate.category_days",
        ],
        facts={"strategy.exported": export_facts},
    )
    send_hours = frame_asset(SEND_HOURS, make_send_hours, reads=["marts.user_hours", "marts.sent_hours", STAGES])
    return dg.Definitions(assets=[send_hours, decisions, ledger_asset()], asset_checks=[proof_check(EXPORTED)])
