"""The page itself: figures, tables and sentences put into the template, and the script they share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from dagster_project.reports import (
    beliefs,
    compliance,
    figures,
    outages,
    outcomes,
    prices,
    sentences,
    summaries,
    tables,
    trust,
)
from dagster_project.reports import formatting as fmt
from dagster_project.reports import reasons as of_reasons

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from markupsafe import Markup

    from dagster_project.reports.content import ReportContent
    from dagster_project.reports.experiment_pages import ArmBlock
from dagster_project.reports.messages import message_tables

SHARED_SCRIPT = "assets/plotly.min.js"
"""Where all nights' pages look for plotly.js, from the folder of the reports."""

PLOT_CONFIG = {"displayModeBar": False, "displaylogo": False, "showSendToCloud": False, "responsive": True}

GLOSSARY = (
    ("core event", "An activity that counts as use."),
    (
        "churn factor",
        "Days since the last core event ÷ the user's own usual gap, shrunk towards the population's.",
    ),
    ("lapsed", "Silent beyond their own cadence."),
    ("churned", "Lapsed by the primary churn definition."),
    ("return", "The first core event after churn."),
    ("regret rate", "Share of those labelled churned who came back unaided within the horizon."),
    ("strategy", "Channel × message × offer × timing × dose."),
    ("arm", "What randomisation gave a user: treat, control or explore."),
    ("uplift", "P(return | contact) − P(return | none): what contact itself changes."),
    (
        "expected profit",
        "What contacting a user is expected to earn beyond leaving them alone, costs taken off.",
    ),
    ("trust index", "What a user's own record says of how much they still let us in; 0 to 1."),
    ("user-week", "One week of one user; its stage is that of the day before."),
    ("AUC", "Chance that a user who returns is ranked above one who does not; 0.5 is a coin."),
    ("log loss, Brier", "How far the probabilities are from what happened; lower is better."),
    ("calibration error", "Mean distance between predicted and observed shares; 0 is honest."),
)


@dataclass(frozen=True)
class Picture:
    """A drawn figure with the sentence above it; the label is what a screen reader says of it."""

    lead: str
    label: str
    html: Markup


@dataclass(frozen=True)
class Tile:
    """One number of the headline."""

    label: str
    value: str
    hint: str


def render_report(content: ReportContent, *, plotly_js: Literal["shared", "inline"] = "shared") -> str:
    """The whole page as HTML; equal content gives equal bytes.

    "shared" expects the script at `../assets/plotly.min.js` (see `write_plotly_js`), since the page
    lies in `reports/<as_of>/`. "inline" holds the script itself, 4.8 MB, and can be sent alone.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    environment = Environment(
        loader=PackageLoader("dagster_project", "reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2").render(
        content=content,
        as_of=fmt.day(content.as_of),
        horizon=fmt.counted(content.horizon_days, "day"),
        tiles=_tiles(content),
        pictures=_pictures(content),
        tables=_tables(content),
        leads=_leads(content),
        outages=_outages(content),
        prices=_prices(content),
        outcomes=_outcomes(content),
        beliefs=_beliefs(content),
        targeting=beliefs.targeting(content.uplift, content.uplift_choices),
        learners=beliefs.learner_tables(content.uplift_learners),
        messages=message_tables(content),
        trust=_trust(content),
        rules=_rules(content),
        reasons=_reasons(content),
        glossary=GLOSSARY,
        script_path=f"../{SHARED_SCRIPT}",
        # The library is trusted and holds no "</script"; a test keeps watch over that.
        script=Markup(get_plotlyjs()) if plotly_js == "inline" else None,  # noqa: S704
    )


def write_plotly_js(reports_dir: Path) -> Path:
    """Where the script of all nights lies; written unless the same bytes are there."""
    from plotly.offline import get_plotlyjs

    target = reports_dir / SHARED_SCRIPT
    script = get_plotlyjs().encode()
    if target.is_file() and target.read_bytes() == script:
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}.new")
    aside.write_bytes(script)
    return aside.replace(target)


def _tiles(content: ReportContent) -> list[Tile]:
    numbers = content.headline
    users = numbers.get("n_users")
    churned = numbers.get("n_churned")
    share = churned / users if churned is not None and users else None
    profit = fmt.money(numbers.get("expected_profit"), currency="")
    return [
        Tile("users", fmt.count(users), "known on this day"),
        Tile("churned", fmt.count(churned), f"{fmt.percent(share)} of all users"),
        Tile("to contact", fmt.count(numbers.get("n_exported")), "in cohorts.csv"),
        Tile("expected profit", profit, f"{content.currency} from contacting them"),
        Tile("held out", fmt.count(numbers.get("n_held_out")), "control group, to measure by"),
        Tile("suppressed", fmt.count(numbers.get("n_suppressed")), "lapsed, not to be contacted"),
    ]


def _pictures(content: ReportContent) -> dict[str, Picture | None]:
    return {
        "stages": _stages_picture(content),
        "migration": _migration_picture(content),
        "churn_factor": _churn_factor_picture(content),
        "silence": _silence_picture(content),
        "activity": _activity_picture(content),
        "returns": _returns_picture(content),
        "reliability": _reliability_picture(content),
    }


def _stages_picture(content: ReportContent) -> Picture | None:
    if content.stages is None or content.stages.is_empty():
        return None
    lead = sentences.about_stages(content.stages, on=fmt.day(content.as_of))
    return _picture("stages", figures.stage_bars(content.stages), lead, kind="Bar chart of users per stage")


def _migration_picture(content: ReportContent) -> Picture | None:
    if content.migration is None or not content.migration["n_users"].sum():
        return None
    lead = sentences.about_migration(content.migration, phases=sentences.phase_map(content.stages))
    kind = "Flow diagram from yesterday's stages to today's"
    return _picture("migration", figures.stage_sankey(content.migration), lead, kind=kind)


def _churn_factor_picture(content: ReportContent) -> Picture | None:
    if content.stages is None:
        return None
    declining = content.stages.filter(pl.col("phase") == "declining", pl.col("churn_factor").is_finite())
    if declining.is_empty():
        return None
    figure = figures.churn_factor_bars(declining)
    return _picture("churn-factor", figure, sentences.about_declining(declining), kind="Histogram of churn factors")


def _silence_picture(content: ReportContent) -> Picture | None:
    if content.stages is None or content.stages["days_silent"].drop_nulls().is_empty():
        return None
    lead = sentences.about_silence(content.stages)
    return _picture("silence", figures.silence_ranges(content.stages), lead, kind="Ranges of days silent per stage")


def _activity_picture(content: ReportContent) -> Picture | None:
    daily = content.daily_activity
    if daily is None or daily["active_on"].drop_nulls().is_empty():
        return None
    figure = figures.activity_line(daily)
    return _picture("activity", figure, sentences.about_activity(daily), kind="Line chart of active users per day")


def _returns_picture(content: ReportContent) -> Picture | None:
    if content.km_curves is None or (lead := sentences.about_returns(content.km_curves)) is None:
        return None
    figure = figures.return_curves(content.km_curves)
    return _picture("returns", figure, lead, kind="Curves of the share returned by day, one per stage")


def _reliability_picture(content: ReportContent) -> Picture | None:
    if content.reliability is None or content.evaluations is None:
        return None
    bins, candidates = summaries.bins_to_compare(content.reliability, content.evaluations)
    if bins.is_empty():
        return None
    lead = sentences.about_reliability(bins, winner=candidates[0])
    figure = figures.reliability_lines(bins, candidates=candidates)
    return _picture("reliability", figure, lead, kind="Observed against predicted share of users who return")


def _tables(content: ReportContent) -> dict[str, tables.Table | None]:
    return {
        "dwell": tables.stage_dwell(content),
        "moves": tables.largest_moves(content),
        "regret": tables.regret(content),
        "agreement": tables.definition_agreement(content),
        "evaluations": tables.evaluations(content),
        "moved": tables.moved_features(content),
        "cohort": tables.cohort(content),
        "strategies": tables.strategies(content),
        "arms": tables.arms(content),
        "suppressed": tables.suppressed(content),
        "quality": tables.quality(content),
        "reasons": tables.quarantine_reasons(content),
    }


def _leads(content: ReportContent) -> dict[str, str | None]:
    return {
        "definitions": sentences.about_definitions(content),
        "cadence": _said(sentences.about_cadence, content.parameters),
        "winner": _said(sentences.about_winner, content.evaluations),
        "cohort": sentences.about_cohort(content),
        "held_out": sentences.about_held_out(content),
        "quality": _said(sentences.about_quality, content.quality),
    }


def _prices(content: ReportContent) -> dict[str, object] | None:
    if content.prices is None or content.prices.is_empty():
        return None
    return {
        "lead": prices.about_prices(content.prices, currency=content.currency),
        "table": prices.price_table(content.prices, currency=content.currency),
        "curve": _curve_picture(content),
        "hands": None if content.hands is None else prices.hands_table(content.hands),
    }


def _curve_picture(content: ReportContent) -> Picture | None:
    if content.budget_curve is None or content.budget_curve.is_empty():
        return None
    lead = prices.about_curve(content.budget_curve, currency=content.currency)
    if lead is None:
        return None
    line = prices.curve_line(content.budget_curve, currency=content.currency)
    return _picture("budget-curve", line, lead, kind="Line chart of expected profit against budget")


def _beliefs(content: ReportContent) -> dict[str, object] | None:
    if content.beliefs is None or content.beliefs.is_empty():
        return None
    return {"lead": beliefs.about_beliefs(content.beliefs), "table": beliefs.belief_rows(content.beliefs)}


def _outcomes(content: ReportContent) -> dict[str, Any]:
    shown = content.outcomes
    if shown is None or shown.experiments.is_empty():
        power = None if shown is None else outcomes.power_table(shown.power)
        return {"lead": "", "learned": [], "all": None, "left_out": None, "pages": [], "power": power}
    pages = outcomes.pages(shown, as_of=content.as_of, currency=content.currency)
    return {
        "lead": outcomes.about_experiments(shown),
        "learned": outcomes.learned(shown, as_of=content.as_of),
        "all": outcomes.experiment_table(shown, as_of=content.as_of),
        "left_out": outcomes.about_pages(len(pages), shown.experiments.height),
        "pages": [
            {
                "anchor": (anchor := f"experiment-{place}"),
                "page": page,
                "arms": [_arm_pictures(arm, f"{anchor}-{n}") for n, arm in enumerate(page.arms, start=1)],
            }
            for place, page in enumerate(pages, start=1)
        ],
        "power": outcomes.power_table(shown.power),
    }


def _arm_pictures(arm: ArmBlock, name: str) -> dict[str, object]:
    pictures = [
        _picture(
            f"{name}-{course.metric.name.replace('_', '-')}",
            outcomes.effect_lines(course),
            course.lead,
            kind=f"Lines of the share who {course.metric.title}, by days since entry",
        )
        for course in arm.courses
    ]
    return {"arm": arm, "pictures": pictures}


def _outages(content: ReportContent) -> dict[str, object] | None:
    if content.outages is None or content.outage_days is None:
        return None
    pictured = outages.pictured(content.outages, content.outage_days)
    kind = "Line chart of what was seen and what was due per day"
    return {
        "lead": outages.about_outages(content.outages),
        "table": outages.outage_table(content.outages),
        "pictures": [_picture(name, figure, lead, kind=kind) for name, lead, figure in pictured],
    }


def _trust(content: ReportContent) -> dict[str, Any]:
    shown = content.trust
    if shown is None:
        return {"pictures": [], "tables": [], "said": [], "lead": ""}
    drawn = trust.drawings(shown)
    return {
        "lead": trust.about_users(shown),
        "pictures": [_picture(one.name, one.figure, one.lead, kind=one.kind) for one in drawn],
        "tables": trust.tables(shown, currency=content.currency) if drawn else [],
        "said": shown.damage["explanation"].to_list() if drawn else [],
    }


def _rules(content: ReportContent) -> dict[str, object] | None:
    found = content.rules
    if found is None:
        return None
    return {
        "lead": compliance.lead(found),
        "table": compliance.kept_back_table(found),
        "findings": compliance.findings(found),
    }


def _reasons(content: ReportContent) -> dict[str, object] | None:
    if content.reasons is None or content.reasons["reason"].drop_nulls().is_empty():
        return None
    shares = of_reasons.reason_shares(content.reasons)
    bars = of_reasons.share_bars(shares)
    return {
        "shares": _picture("reasons", bars, of_reasons.about_shares(shares), kind="Bar chart of reasons for leaving"),
        "table": of_reasons.share_table(shares),
        "differences": _differences_picture(content),
    }


def _differences_picture(content: ReportContent) -> Picture | None:
    if content.breakdowns is None or (found := of_reasons.real_differences(content.breakdowns)).is_empty():
        return None
    lead = of_reasons.about_differences(found)
    kind = "Heat map of groups and reasons"
    return _picture("reason-differences", of_reasons.difference_map(found), lead, kind=kind)


def _said(about: Callable[[pl.DataFrame], str], frame: pl.DataFrame | None) -> str | None:
    return None if frame is None or frame.is_empty() else about(frame)


def _picture(name: str, figure: go.Figure, lead: str, *, kind: str) -> Picture:
    from markupsafe import Markup
    from plotly.io import to_html

    # A fixed id: plotly's own is random, and the page must come out byte for byte the same.
    html = to_html(figure, config=PLOT_CONFIG, include_plotlyjs=False, full_html=False, div_id=f"figure-{name}")
    return Picture(lead, f"{kind}. {lead}", Markup(html))  # noqa: S704  # plotly escapes its JSON
