"""What the rules of contact did in a night, gathered for the report and metrics.json."""

from datetime import date, timedelta
from typing import Any

import polars as pl

from dagster_project.compliance.rules import ComplaintRate
from dagster_project.compliance.zones import country_code, zone
from dagster_project.project import Project
from dagster_project.reach.complaints import complaint_counts
from dagster_project.reports.compliance import RuleFigures, kept_back_by_rule
from dagster_project.strategy.content import fault_sentences

NOTICE = "The packs are not legal advice."
_CONFLICTS = """
    select count(*) from (
        select user_sk, channel, changed_at from staging.consents
        group by user_sk, channel, changed_at having count(distinct status) > 1
    )
"""


def rule_figures(project: Project, suppressed: pl.DataFrame, as_of: date) -> RuleFigures:
    """The figures of a night whose suppressed rows are given."""
    users = project.read("marts.users", as_of=as_of)
    zones = users["timezone"].drop_nulls()
    countries = users["country"].drop_nulls()
    no_zone = [name for name in zones.unique() if name and zone(name) is None]
    no_country = [name for name in countries.unique() if name and country_code(name) is None]
    return RuleFigures(
        packs=tuple(law.key for law in project.law_book.every_law()),
        kept_back=kept_back_by_rule(suppressed),
        template_faults=fault_sentences(project.content_faults),
        n_unknown_zones=int(zones.is_in(no_zone).sum()),
        n_unknown_countries=int(countries.is_in(no_country).sum()),
        n_conflicting_consents=int(project.ask(_CONFLICTS, table="staging.consents", as_of=as_of).item()),
        complaint_rates=complaint_rates(project, as_of),
        n_recalled=project.read("reach.recalled", as_of=as_of).height,
        n_late_messages=project.read("reach.late_messages", as_of=as_of).height,
    )


def rule_metrics(figures: RuleFigures) -> dict[str, Any]:
    """The same as the `compliance` of metrics.json."""
    told = {name: value for name, value in vars(figures).items() if name != "kept_back"}
    return {"notice": NOTICE, **told, "kept_back": figures.kept_back.to_dicts()}


def complaint_rates(project: Project, as_of: date) -> list[dict[str, Any]]:
    """channel, n_delivered, n_complained, share, warn_share, max_share of each channel with a guard."""
    complaints = project.read("marts.channel_complaints", as_of=as_of)
    send_on = as_of + timedelta(days=1)
    rows = []
    for channel in project.settings.channels:
        guards = [rule for law in project.law_book.every_law() for rule in law.of_kind(ComplaintRate, channel)]
        if guards:
            strictest = min(guards, key=lambda rule: rule.max_share)
            delivered, complained = complaint_counts(
                complaints, channel, window_days=strictest.window_days, send_on=send_on
            )
            rows.append(
                {
                    "channel": channel,
                    "n_delivered": delivered,
                    "n_complained": complained,
                    "share": complained / delivered if delivered else None,
                    "warn_share": strictest.warn_share,
                    "max_share": strictest.max_share,
                }
            )
    return rows
