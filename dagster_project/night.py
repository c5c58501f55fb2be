"""A finished night as files: the page, the lists, the figures, and the manifest that vouches for them."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from dagster_project.cohorts.dictionary import DICTIONARY
from dagster_project.cohorts.publish import manifest, publish_folder, write_manifest
from dagster_project.errors import LakeError
from dagster_project.exports import exports_of, write_lists
from dagster_project.ingest.quality import quality_counts, quarantine_reasons
from dagster_project.lake.store import fingerprint
from dagster_project.project import Project
from dagster_project.reach.saturation import max_per_week
from dagster_project.reports import ReportContent, render_report, write_plotly_js
from dagster_project.reports.compliance import RuleFigures
from dagster_project.reports.experiment_pages import OutcomeContent
from dagster_project.reports.messages import message_metrics
from dagster_project.reports.outcomes import outcome_metrics
from dagster_project.reports.reasons import reason_metrics
from dagster_project.reports.trust import TrustContent
from dagster_project.rule_figures import rule_figures, rule_metrics
from dagster_project.settings import CANONICAL, settings_hash
from dagster_project.settings.tables import SWITCHED_OFF

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Night:
    """The tables of one night, read when they are asked for."""

    project: Project
    as_of: date

    def table(self, name: str) -> pl.DataFrame:
        """A table that the night has made."""
        return self.project.read(name, as_of=self.as_of)

    @property
    def folder(self) -> Path:
        """Where its files lie."""
        return self.project.settings.reports_dir / self.as_of.isoformat()

    def quality(self) -> pl.DataFrame:
        """Rows read by table and fate."""
        tables = list(self.project.sources)
        counts = {name: self.project.arrivals.row_counts(name) for name in tables}
        staged = {name: self.project.n_seen(f"staging.{name}", as_of=self.as_of) for name in tables}
        return quality_counts(counts, staged_rows=staged, as_of=self.as_of)

    def rules(self) -> RuleFigures:
        """What the rules of contact kept back and found."""
        return rule_figures(self.project, self.table("strategy.suppressed"), self.as_of)

    def verdict(self) -> Mapping[str, Any]:
        """What the models decided."""
        return self.table("models.verdicts").row(0, named=True)


def publish_night(project: Project, as_of: date) -> Path:
    """Write every file of a night aside and move the folder into place. The same night gives the same bytes."""
    night = Night(project, as_of)
    staged = night.folder.with_name(f".{night.folder.name}.staged")
    clear(staged)
    destinations = write_lists(project, as_of, folder=staged)
    quality = night.quality()
    figures = {**metrics(night, quality), "destinations": destinations}
    (staged / "metrics.json").write_text(dump(figures), encoding="utf-8", newline="\n")
    page = render_report(report_content(night, quality))
    (staged / "report.html").write_text(page, encoding="utf-8", newline="\n")
    settings, data = settings_hash(project.settings), project.data_hash(as_of)
    content = manifest(
        staged,
        as_of=as_of,
        run_id=f"{as_of}-{fingerprint(settings, data, SCHEMA_VERSION)[:12]}",
        settings_hash=settings,
        data_hash=data,
        schema_version=SCHEMA_VERSION,
    )
    write_manifest(staged, content=content)
    write_plotly_js(project.settings.reports_dir)
    publish_folder(staged, night.folder)
    return night.folder


def clear(folder: Path) -> None:
    """An empty folder, whatever a killed run left there."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def metrics(night: Night, quality: pl.DataFrame) -> dict[str, Any]:
    """The content of metrics.json."""
    verdict = night.verdict()
    return {
        "as_of": night.as_of,
        "notice": night.project.settings.notice,
        "lifecycle": {
            "parameters": night.table("lifecycle.parameters").row(0, named=True),
            "regret": night.table("lifecycle.regret_rates").to_dicts(),
            "agreement": night.table("lifecycle.definition_agreement").to_dicts(),
        },
        "models": {
            "winner": verdict["winner"],
            "model_key": verdict["model_key"],
            "trained_as_of": verdict["trained_as_of"],
            **json.loads(verdict["metrics"]),
        },
        "contracts": json.loads(night.table("models.contract_verdicts")["metrics"][0]),
        "compliance": rule_metrics(night.rules()),
        "drift": json.loads(verdict["drift"]),
        "trust": trust_metrics(night),
        "reasons": reason_metrics(night.table("reasons.reasons")),
        "freshness": asdict(night.project.freshness(night.as_of)),
        "outages": night.table("outages.outages").to_dicts(),
        "prices": night.table("strategy.prices").to_dicts(),
        "budget_curve": night.table("strategy.budget_curve").to_dicts(),
        "hands": night.table("strategy.hands").to_dicts(),
        "beliefs": night.table("strategy.beliefs").to_dicts(),
        "uplift": night.table("models.uplift_verdicts").to_dicts(),
        "uplift_choices": night.table("models.uplift_choices").to_dicts(),
        "outcomes": outcome_metrics(outcome_content(night), as_of=night.as_of),
        "data_quality": quality.to_dicts(),
        "messages": message_metrics(
            night.table("marts.message_quality"),
            night.table("reach.failure_codes"),
            channels=list(night.project.settings.channels),
        ),
    }


def dump(value: Any) -> str:
    """JSON with sorted keys, floats at six digits, dates and decimals as text."""
    return json.dumps(rounded(value), indent=1, sort_keys=True, ensure_ascii=False, default=str) + "\n"


def rounded(value: Any) -> Any:
    """The value with every float in it rounded for export."""
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, Mapping):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    return value


def find_report(project: Project, as_of: date) -> Path:
    """Where the report of a night is.

    Raises:
        LakeError: the night was not run.
    """
    path = Night(project, as_of).folder / "report.html"
    if not path.exists():
        raise LakeError(f"there is no report of {as_of}", fix=f"winback run --as-of {as_of}")
    return path


def standalone_report(project: Project, as_of: date) -> Path:
    """The report of a night as one file beside the nights' folders, with the script inside."""
    find_report(project, as_of)
    night = Night(project, as_of)
    path = project.settings.reports_dir / f"report-{as_of}.html"
    page = render_report(report_content(night, night.quality()), plotly_js="inline")
    path.write_text(page, encoding="utf-8", newline="\n")
    return path


def summary(project: Project, as_of: date) -> list[str]:
    """What a night has made and where it is, in lines for a terminal."""
    night = Night(project, as_of)
    folder, stages = night.folder, night.table("lifecycle.stages")
    waiting = night.table("cohorts.awaiting_approval").height
    recalled = night.table("reach.recalled").height
    counts = {
        "cohorts.csv": f"{night.table('cohorts.contacts').height:,} users to contact, best first",
        "holdout.csv": f"{night.table('strategy.holdout').height:,} held out as control",
        "suppressed.csv": f"{night.table('strategy.suppressed').height:,} lapsed users not to contact, and why",
        **({"awaiting_approval.csv": f"{waiting:,} contacts that wait for somebody's yes"} if waiting else {}),
        **({"recalled.csv": f"{recalled:,} contacts of earlier lists not to send any more"} if recalled else {}),
        "decisions.parquet": "the whole decision about each of them; winback explain USER_ID prints one",
        "users.parquet": f"{stages.height:,} users, {int(stages['is_churned'].sum()):,} of them churned",
        "metrics.json": f"model figures; {night.verdict()['winner']} ships",
        "report.html": "the pictures; open it in a browser",
        **{one.path: "for the tool of that name" for one in exports_of(project.settings).destinations},
        DICTIONARY: "what each column of each file means",
        "manifest.json": "checksums",
    }
    files = [f"  {folder / name}  {text}" for name, text in counts.items()]
    cohorts = sorted((folder / "cohorts").glob("*.csv"))
    by_cohort = [f"  {folder / 'cohorts'}  {len(cohorts)} files, one per strategy and channel"]
    warehouse = project.settings.data_dir / "warehouse.duckdb"
    notice = [project.settings.notice] if project.settings.notice else []
    return [*files[:1], *by_cohort, *files[1:], f"  {warehouse}  every table, for any DuckDB client", *notice]


def explained(project: Project, as_of: date, user_id: str) -> str:
    """The decision of a night about one user, as indented JSON.

    Raises:
        LakeError: the night was not run, or it decided nothing about such a user.
    """
    if as_of.isoformat() not in project.lake.index("cohorts.decisions"):
        raise LakeError(f"the night of {as_of} was not run", fix=f"winback run --as-of {as_of}")
    found = project.scan("cohorts.decisions", as_of=as_of).filter(pl.col("user_id") == user_id).collect()
    if found.is_empty():
        raise LakeError(
            f"the night of {as_of} decided nothing about a user {user_id!r}",
            fix="name a user who has churned, by the id in your files; users.parquet lists all with their stage",
        )
    return json.dumps(json.loads(found["decision"][0]), indent=2, ensure_ascii=False)


def report_content(night: Night, quality: pl.DataFrame) -> ReportContent:
    """What the page shows."""
    project, as_of = night.project, night.as_of
    contacts, stages = night.table("cohorts.contacts"), night.table("lifecycle.stages")
    holdout, suppressed = night.table("strategy.holdout"), night.table("strategy.suppressed")
    return ReportContent(
        as_of=as_of,
        currency=project.settings.currency,
        horizon_days=int(night.table("lifecycle.parameters")["horizon_days"][0]),
        notice=project.settings.notice,
        headline={
            "n_users": stages.height,
            "n_churned": int(stages["is_churned"].sum()),
            "n_exported": contacts.height,
            "n_held_out": holdout.height,
            "n_suppressed": suppressed.height,
            "expected_profit": float(contacts["expected_profit"].sum()),
        },
        stages=stages.select("stage", "phase", "churn_factor", "days_silent"),
        migration=night.table("lifecycle.stage_migrations"),
        dwell=night.table("lifecycle.stage_dwell"),
        daily_activity=night.table("marts.daily_activity"),
        outages=night.table("outages.outages"),
        prices=night.table("strategy.prices"),
        budget_curve=night.table("strategy.budget_curve"),
        uplift=night.table("models.uplift_verdicts"),
        uplift_learners=night.table("models.uplift_learners"),
        uplift_choices=night.table("models.uplift_choices"),
        beliefs=night.table("strategy.beliefs"),
        hands=night.table("strategy.hands"),
        outage_days=night.table("outages.daily_counts"),
        parameters=night.table("lifecycle.parameters"),
        definition_agreement=night.table("lifecycle.definition_agreement"),
        regret=night.table("lifecycle.regret_rates"),
        km_curves=night.table("models.km_curves"),
        evaluations=night.table("models.evaluations"),
        reliability=night.table("models.reliability"),
        moved_features=tuple(json.loads(night.verdict()["drift"])["features"]),
        notes=notes(night),
        cohort=contacts,
        strategies=by_strategy(contacts, titles={s.id: s.title for s in project.catalogue.strategies}),
        arms=arms(contacts, n_held_out=holdout.height),
        rules=night.rules(),
        suppressed_counts=suppressed.group_by("rule_id", "citation").len("n_users").sort("rule_id", "citation"),
        outcomes=outcome_content(night),
        trust=trust_content(night),
        reasons=night.table("reasons.reasons"),
        breakdowns=night.table("reasons.breakdowns"),
        quality=quality,
        quarantine_reasons=quarantine_reasons(project.quarantine(), as_of=as_of),
        message_quality=night.table("marts.message_quality"),
        failure_codes=night.table("reach.failure_codes"),
        missing_tables=tuple(
            f"{name}: without it {SWITCHED_OFF[name]}" for name in CANONICAL if name not in project.sources
        ),
    )


def outcome_content(night: Night) -> OutcomeContent:
    """What the pages of experiments show."""
    return OutcomeContent(
        experiments=night.table("outcomes.experiments"),
        decisions=night.table("outcomes.decisions"),
        balance=night.table("outcomes.balance"),
        readouts=night.table("outcomes.readouts"),
        money=night.table("outcomes.money"),
        second_life=night.table("outcomes.second_life"),
        power=night.table("outcomes.power"),
    )


def trust_content(night: Night) -> TrustContent:
    """What the section on trust shows."""
    of_users = night.table("reach.trust")
    return TrustContent(
        weeks=night.table("reach.trust_weeks"),
        delivery=night.table("reach.delivery"),
        funnel=night.table("reach.trust_funnel"),
        saturation=night.table("reach.saturation"),
        harm=night.table("reach.harm_charges"),
        damage=night.table("reach.damage"),
        n_users=of_users.height,
        n_prior=int(of_users["is_prior"].sum()),
        mean_index=float(of_users["trust_index"].to_numpy().mean()) if of_users.height else None,
    )


def trust_metrics(night: Night) -> dict[str, Any]:
    """The figures of trust for metrics.json: nothing per user."""
    of_users, weeks = night.table("reach.trust"), night.table("reach.trust_weeks")
    return {
        "mean_index": float(of_users["trust_index"].to_numpy().mean()) if of_users.height else None,
        "n_users": of_users.height,
        "n_without_message": int(of_users["is_prior"].sum()),
        "newest_week": weeks.row(-1, named=True) if weeks.height else None,
        "max_per_week": dict(max_per_week(night.table("reach.saturation")).iter_rows()),
        "funnel": night.table("reach.trust_funnel").to_dicts(),
        "damage": night.table("reach.damage").to_dicts(),
        "harm": night.table("reach.harm_charges").to_dicts(),
    }


def notes(night: Night) -> tuple[str, ...]:
    """What a reader of the figures has to know: of the data, then of the models."""
    stale = night.project.freshness(night.as_of).note
    of_contracts = json.loads(night.table("models.contract_verdicts")["notes"][0])
    return (*([stale] if stale else []), *json.loads(night.verdict()["notes"]), *of_contracts)


def by_strategy(contacts: pl.DataFrame, *, titles: Mapping[str, str]) -> pl.DataFrame:
    """strategy_id, title, n_users, expected_profit; the most profitable first."""
    return (
        contacts.group_by("strategy_id")
        .agg(pl.len().alias("n_users"), pl.col("expected_profit").sum())
        .with_columns(pl.col("strategy_id").replace_strict(titles, return_dtype=pl.String).alias("title"))
        .sort("expected_profit", "strategy_id", descending=[True, False])
    )


def arms(contacts: pl.DataFrame, *, n_held_out: int) -> pl.DataFrame:
    """arm, n_users of the exported and the held out."""
    found = dict(contacts.group_by("arm").len().iter_rows())
    counts = {"treat": found.get("treat", 0), "control": n_held_out, "explore": found.get("explore", 0)}
    return pl.DataFrame({"arm": list(counts), "n_users": list(counts.values())})
