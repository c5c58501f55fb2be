"""The blocking check that no row which would leave breaks a rule, proved anew from the source facts."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import dagster as dg
import polars as pl

from dagster_project.compliance.proof import Breach, ProofFacts, ProofRules, breaches
from dagster_project.compliance.rules import ComplaintRate, minutes_of
from dagster_project.defs.metadata import asset_key
from dagster_project.defs.resources import ProjectResource
from dagster_project.lake.table_doc import TableDoc
from dagster_project.project import Project
from dagster_project.strategy.catalogue import LOCALES

PARTITION_TAG = "dagster/partition"  # a check of its own partitions is a preview of Dagster's, and warns
CHECK = "no_row_breaks_a_rule"
SHOWN = 20
LIST_LASTS = timedelta(days=3)
# `exported` are the users of the list by their own account, `persons` by every account of theirs.
_CONSENTS = """
    select exported.user_id, said.* from staging.consents as said join exported using (user_sk)
"""
_FEEDBACK = """
    select distinct persons.user_id from staging.feedback as said join persons using (user_sk)
    where said.kind in ('complaint', 'deletion_request')
"""
_COMPLAINED = """
    select distinct persons.user_id from staging.message_events as told join persons using (user_sk)
    where told.event = 'complained'
"""
_LEFT = """
    select exported.user_id, told.channel, max(told.occurred_at) as occurred_at
    from staging.message_events as told join exported using (user_sk)
    where told.event = 'unsubscribed' group by all
"""
_REFUSALS = """
    select exported.user_id, told.channel, told.code, max(told.occurred_at) as occurred_at
    from staging.message_events as told join exported using (user_sk)
    where told.event in ('failed', 'bounced') and told.code is not null group by all
"""
_SENDS = """
    select persons.user_id, told.user_sk, told.channel, min(told.occurred_at) as sent_at,
        lower(min(told.category)) as category
    from staging.message_events as told join persons using (user_sk)
    where told.event in ('sent', 'delivered') group by persons.user_id, told.user_sk, told.channel, told.message_id
"""
_COUNTS = """
    with lost as (
        select distinct channel, user_sk, message_id from staging.message_events where event in ('failed', 'bounced')
    )
    select channel, dt,
        count(distinct (user_sk, message_id)) filter (where event = 'delivered') as n_delivered,
        count(distinct (user_sk, message_id)) filter (where event = 'complained') as n_complained,
        count(distinct (user_sk, message_id)) filter (
            where event = 'sent' and (channel, user_sk, message_id) not in (from lost)
        ) as n_sent
    from staging.message_events group by channel, dt
"""
REPORTS_WITHIN = timedelta(days=30)  # a channel without a delivery in these days is taken not to report any


def proof_check(doc: TableDoc) -> dg.AssetChecksDefinition:
    """The check of a table of contacts: one breach of one rule stops the night before anything leaves."""

    @dg.asset_check(
        asset=asset_key(doc.table),
        name=CHECK,
        blocking=True,
        description="Proves each row from consents, messages, feedback, profiles and packs, without the gate's tables.",
    )
    def proof(context: dg.AssetCheckExecutionContext, winback: ProjectResource) -> dg.AssetCheckResult:
        as_of = date.fromisoformat(context.run.tags[PARTITION_TAG])
        found = find_breaches(winback.project, winback.project.read(doc.table, as_of=as_of), as_of)
        rows = [f"{one.user_id} by {one.channel}: {one.rule_id}, {one.what}" for one in found[:SHOWN]]
        said = f"{len(found)} breaches: {'; '.join(rows)}" if found else "No row breaks a rule."
        return dg.AssetCheckResult(passed=not found, description=said, metadata={"breaches": len(found)})

    return proof


def find_breaches(project: Project, contacts: pl.DataFrame, as_of: date) -> list[Breach]:
    """Every rule that a row of `contacts` (`user_id`, `channel`, `strategy_id`, `send_at`) breaks."""
    if contacts.is_empty():
        return []
    rows = contacts.select("user_id", "channel", "strategy_id", "send_at").to_dicts()
    return breaches(rows, proof_facts(project, contacts, as_of), rules=proof_rules(project, as_of))


def proof_facts(project: Project, contacts: pl.DataFrame, as_of: date) -> ProofFacts:
    """The source facts of the users of `contacts`, and of their other accounts."""
    stages = project.read("lifecycle.stages", as_of=as_of).select("user_sk", "stage")
    everybody = project.read("marts.users", as_of=as_of).join(stages, on="user_sk", how="left")
    users = everybody.join(contacts.select("user_id"), on="user_id", how="semi")
    exported, persons = users.select("user_sk", "user_id"), _accounts(users, everybody)

    def asked(query: str, table: str) -> pl.DataFrame:
        return _naive(project.ask(query, table=table, as_of=as_of, exported=exported, persons=persons))

    mapped = project.settings.sources.tables
    told, complained = asked(_FEEDBACK, "staging.feedback"), asked(_COMPLAINED, "staging.message_events")
    sends = _sends(project, asked(_SENDS, "staging.message_events"), persons, everybody, as_of)
    return ProofFacts(
        users={row["user_id"]: row for row in users.to_dicts()},
        consents=_by_user(asked(_CONSENTS, "staging.consents")) if "consents" in mapped else None,
        stops=frozenset([*told["user_id"], *complained["user_id"]]),
        unsubscribed=_by_user(asked(_LEFT, "staging.message_events")),
        refusals=_by_user(asked(_REFUSALS, "staging.message_events")),
        sends=_by_user(sends),
        complaint_counts=_complaint_counts(project, as_of),
    )


def proof_rules(project: Project, as_of: date) -> ProofRules:
    """By what the rows are judged."""
    settings, catalogue = project.settings, project.catalogue
    caps = settings.caps
    return ProofRules(
        book=project.law_book,
        business_zone=settings.timezone,
        send_on=as_of + timedelta(days=1),
        industry=settings.compliance.industry,
        categories=frozenset(word.lower() for word in settings.compliance.categories),
        channel_hours={
            name: (minutes_of(f"{channel.opens_at:%H:%M}"), minutes_of(f"{channel.closes_at:%H:%M}"))
            for name, channel in settings.channels.items()
        },
        caps=((caps.max_touches_per_day, 24), (caps.max_touches_per_week, 168)),
        wordings={
            (one.id, channel): [
                (locale, template.text(locale).model_dump() | {"postal_address": settings.compliance.postal_address})
                for template in one.templates
                if channel in template.channels
                for locale in LOCALES
            ]
            for one in catalogue.sending
            for channel in one.channels
        },
        unequal=frozenset(one.id for one in catalogue.sending if one.is_unequal),
        offers={one.id: (one.offer.kind, one.offer.cost) for one in catalogue.sending if one.has_offer},
    )


def _accounts(users: pl.DataFrame, everybody: pl.DataFrame) -> pl.DataFrame:
    """user_id of each of `users` with the user_sk of every account of that person, the own one included."""
    named = users.filter(pl.col("person_key").fill_null("") != "").select("user_id", "person_key")
    others = named.join(everybody.select("user_sk", "person_key"), on="person_key", how="inner")
    return pl.concat([users.select("user_id", "user_sk"), others.select("user_id", "user_sk")]).unique()


def _sends(
    project: Project, messages: pl.DataFrame, persons: pl.DataFrame, everybody: pl.DataFrame, as_of: date
) -> pl.DataFrame:
    """Messages that caps count, and listed contacts that no message of the days after confirms, by any account."""
    exempt = [word.lower() for word in project.settings.caps.exempt_categories]
    counted = messages.filter(~pl.col("category").fill_null("").is_in(exempt)).drop("category")
    ledger = _naive(project.ledger_rows(after=as_of - timedelta(days=31), before=as_of))
    keyed = ledger.filter(pl.col("arm") != "control").join(everybody.select("user_sk", "user_id"), on="user_id")
    listed = keyed.drop("user_id").join(persons, on="user_sk").select("user_id", "user_sk", "channel", "assigned_at")
    seen = listed.join(counted, on=["user_id", "user_sk", "channel"]).filter(
        (pl.col("sent_at") >= pl.col("assigned_at")) & (pl.col("sent_at") < pl.col("assigned_at") + LIST_LASTS)
    )
    unseen = listed.join(seen, on=["user_id", "user_sk", "channel", "assigned_at"], how="anti")
    planned = unseen.with_columns((pl.col("assigned_at") + timedelta(days=1)).alias("sent_at"))
    return pl.concat([counted, planned.select(counted.columns).match_to_schema(counted.schema)])


def _complaint_counts(project: Project, as_of: date) -> Mapping[tuple[str, int], tuple[int, int]]:
    counts = project.ask(_COUNTS, table="staging.message_events", as_of=as_of)
    laws = project.law_book.every_law()
    windows = {rule.window_days for law in laws for rule in law.of_kind(ComplaintRate)}
    found = {}
    for channel in project.settings.channels:
        own = counts.filter((pl.col("channel") == channel) & (pl.col("dt") > as_of - REPORTS_WITHIN))
        delivered = "n_delivered" if own["n_delivered"].sum() else "n_sent"
        for days in sorted(windows):
            rows = own.filter(pl.col("dt") > as_of - timedelta(days=days))
            found[channel, days] = (int(rows[delivered].sum()), int(rows["n_complained"].sum()))
    return found


def _naive(rows: pl.DataFrame) -> pl.DataFrame:
    times = [name for name, kind in rows.schema.items() if isinstance(kind, pl.Datetime)]
    return rows.with_columns(pl.col(times).cast(pl.Datetime("us")))


def _by_user(rows: pl.DataFrame) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    found: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows.to_dicts():
        found[row["user_id"]].append(row)
    return found
