"""The section on trust: its index by week, delivery, the funnel, saturation, and what messages are charged with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from dagster_project.reports import figures
from dagster_project.reports import formatting as fmt
from dagster_project.reports.palette import ACCENT, NEUTRAL, in_lifecycle_order, stage_colour, translucent, words
from dagster_project.reports.tables import Column, Table

if TYPE_CHECKING:
    import plotly.graph_objects as go

ALL = "all"
PARTS = {"attention": "#d99a2b", "permission": "#2f9470", "delivery": "#7b69bd", "conduct": "#b34c42"}
FAILURE_COLOURS = {
    "server_fault": "#b34c42",
    "network": "#cf6f5e",
    "blocked": "#8a3a36",
    "quota": "#e09a8b",
    "window": "#efc0b4",
    "endpoint_dead": "#5f8fc4",
    "endpoint_moved": "#8fb3d9",
    "permission_revoked": "#7b69bd",
    "user_side": "#a698d6",
    "unknown": NEUTRAL,
}
"""Ours in reds, the endpoint in blues, the user's in violets."""
DRAWN_STAGES = 3
HARM_ROWS = 12


@dataclass(frozen=True)
class TrustContent:
    """The tables of `reach` that the section shows, as the lake holds them, and each channel's messages."""

    weeks: pl.DataFrame
    delivery: pl.DataFrame
    funnel: pl.DataFrame
    saturation: pl.DataFrame
    harm: pl.DataFrame
    damage: pl.DataFrame
    n_users: int
    n_prior: int
    mean_index: float | None


@dataclass(frozen=True)
class Drawing:
    """A figure, the sentence above it, and what kind of picture it is."""

    name: str
    figure: go.Figure
    lead: str
    kind: str


def drawings(trust: TrustContent) -> list[Drawing]:
    """The pictures for which there is something to draw."""
    drawn = []
    if trust.weeks.height > 1:
        lead = about_weeks(trust.weeks)
        drawn.append(Drawing("trust-weeks", index_lines(trust.weeks), lead, "Line chart of the trust index by week"))
    if not trust.delivery.is_empty():
        lead = about_delivery(trust.delivery)
        drawn.append(Drawing("trust-delivery", failure_bars(trust.delivery), lead, "Bars of failed messages by reason"))
    if not trust.funnel.is_empty():
        lead = about_funnel(trust.funnel)
        drawn.append(Drawing("trust-funnel", funnel_bars(trust.funnel), lead, "Funnel from sent to stayed"))
    weekly = trust.saturation.filter(pl.col("window_days") == 7)
    if weekly["n_messages"].n_unique() > 1:
        lead = about_saturation(weekly)
        kind = "Curves of response by messages in a week"
        drawn.append(Drawing("trust-saturation", saturation_curves(weekly), lead, kind))
    return drawn


def tables(trust: TrustContent, *, currency: str) -> list[Table]:
    """The tables that have a row."""
    made = [
        saturation_table(trust.saturation),
        damage_table(trust.damage, currency=currency),
        harm_table(trust.harm),
        delivery_table(trust.delivery),
    ]
    return [table for table in made if table.rows]


def about_users(trust: TrustContent) -> str:
    """How the index is spread over users, and for how many it is only the population's."""
    mean = fmt.decimal(trust.mean_index)
    return (
        f"The trust index runs from 0 to 1; the mean of {fmt.counted(trust.n_users, 'user')} is {mean}. "
        f"{fmt.count(trust.n_prior)} of them got no message in 180 days and have the population's."
    )


def about_weeks(weeks: pl.DataFrame) -> str:
    """The newest weeks against the first ones, and the newest share of opt-outs."""
    known = weeks.filter(pl.col("trust_index").is_not_null())
    if known.is_empty():
        return "No message was sent in these weeks."
    newest = known.row(-1, named=True)
    before, after = (part["trust_index"].to_numpy().mean() for part in (known.head(4), known.tail(4)))
    share = fmt.with_interval(newest["opt_out_share"], newest["opt_out_low"], newest["opt_out_high"])
    return (
        f"The index of all messages was {fmt.decimal(before)} in the first four weeks shown and {fmt.decimal(after)} "
        f"in the last four. In the newest week {share} of the messages were opted out of or complained of."
    )


def about_delivery(delivery: pl.DataFrame) -> str:
    """How many messages arrived, and the most frequent reason why not."""
    total = int(delivery["n_messages"].sum())
    failed = delivery.filter(pl.col("failure_class").is_not_null())
    arrived = 1 - int(failed["n_messages"].sum()) / total
    if failed.is_empty():
        return f"All of {fmt.counted(total, 'message')} of the last 180 days arrived."
    by_class = failed.group_by("failure_class").agg(pl.col("n_messages").sum())
    most = by_class.sort("n_messages", "failure_class", descending=[True, False]).row(0)
    return (
        f"{fmt.percent(arrived)} of {fmt.counted(total, 'message')} of the last 180 days arrived. "
        f"The most frequent reason of failure is {words(most[0])}, with {fmt.counted(most[1], 'message')}."
    )


def about_funnel(funnel: pl.DataFrame) -> str:
    """From sent to stayed, of all channels."""
    found = {
        step: (n, share) for step, n, share in _of_all(funnel).select("step", "n_messages", "share_of_sent").rows()
    }
    parts = [f"{fmt.percent(found[step][1])} were {step}" for step in ("delivered", "opened", "clicked")]
    return (
        f"Of {fmt.counted(found['sent'][0], 'message')} at least a horizon old {', '.join(parts)}; after "
        f"{fmt.percent(found['stayed'][1])} the user was also active on a later day within the horizon."
    )


def about_saturation(weekly: pl.DataFrame) -> str:
    """The verdict for all stages together, and how many stages have one of their own."""
    said = weekly.filter(pl.col("stage") == ALL)["explanation"].to_list()[:1]
    stages = weekly.filter(pl.col("stage") != ALL)
    pays = stages.filter(pl.col("verdict") == "pays")["stage"].n_unique()
    told = f"Of {fmt.counted(stages['stage'].n_unique(), 'stage')}, {fmt.count(pays)} show a clear gain by a message."
    return " ".join([*said, told])


def index_lines(weeks: pl.DataFrame) -> go.Figure:
    """The index strong, its four parts thin; weeks by their first day."""
    figure = figures._figure(height=340)
    days = [day.isoformat() for day in weeks["week_start"]]
    for part, colour in (*PARTS.items(), ("trust_index", ACCENT)):
        is_index = part == "trust_index"
        figure.add_scatter(
            mode="lines",
            name=words(part),
            x=days,
            y=weeks[part].round(4).to_list(),
            connectgaps=False,
            line={"color": colour if is_index else translucent(colour, 0.6), "width": 3 if is_index else 1.5},
            hovertemplate=f"{words(part)}, week of %{{x}}: %{{y:.3f}}<extra></extra>",
        )
    # Half a year has six or seven months, whose names over their years fit a phone.
    figure.update_xaxes(type="date", showgrid=False, dtick="M1", tickformat="%b\n%Y", tickangle=0)
    figure.update_xaxes(hoverformat="%Y-%m-%d")
    figure.update_yaxes(title_text="0 to 1, higher is better", range=[0, 1.03], nticks=6)
    return figure


def failure_bars(delivery: pl.DataFrame) -> go.Figure:
    """Share of a channel's messages on a platform that failed, stacked by reason."""
    place = pl.format("{}, {}", "channel", "platform").alias("place")
    named = delivery.with_columns(place).sort("channel", "platform")
    places = named["place"].unique(maintain_order=True).to_list()
    figure = figures._figure(height=120 + 26 * len(places))
    failed = named.filter(pl.col("failure_class").is_not_null())
    for failure, colour in FAILURE_COLOURS.items():
        rows = failed.filter(pl.col("failure_class") == failure)
        if rows.height:
            figure.add_bar(
                orientation="h",
                name=words(failure),
                x=rows["share"].round(5).to_list(),
                y=rows["place"].to_list(),
                customdata=rows.select("n_messages", "n_sent").rows(),
                marker_color=colour,
                hovertemplate=f"%{{y}}, {words(failure)}: %{{x:.1%}} (%{{customdata[0]:,}} of %{{customdata[1]:,}})"
                "<extra></extra>",
            )
    figure.update_layout(barmode="stack")
    figure.update_yaxes(categoryorder="array", categoryarray=places[::-1], showgrid=False, ticksuffix=" ")
    figure.update_xaxes(title_text="share that did not arrive", tickformat=".0%", rangemode="tozero", nticks=6)
    return figure


def funnel_bars(funnel: pl.DataFrame) -> go.Figure:
    """Messages by step, all channels, from sent on top to stayed."""
    steps = _of_all(funnel)
    figure = figures._figure(height=240)
    figure.add_bar(
        orientation="h",
        x=steps["n_messages"].to_list(),
        y=steps["step"].to_list(),
        text=[f"{n:,} ({fmt.percent(share)})" for n, share in steps.select("n_messages", "share_of_sent").rows()],
        textposition="outside",
        cliponaxis=False,
        marker_color=ACCENT,
        hovertemplate="%{y}: %{text}<extra></extra>",
        showlegend=False,
    )
    figure.update_yaxes(
        categoryorder="array", categoryarray=steps["step"].to_list()[::-1], showgrid=False, ticksuffix=" "
    )
    most = max(int(steps["n_messages"].to_numpy().max()), 1)
    figure.update_xaxes(title_text="messages", range=[0, most * 1.6], nticks=5)
    return figure


def saturation_curves(weekly: pl.DataFrame) -> go.Figure:
    """Response by messages in a week: all stages, and the stages with most weeks, each with its band."""
    sizes = weekly.filter(pl.col("stage") != ALL).group_by("stage").agg(pl.col("n_user_weeks").sum())
    largest = sizes.sort("n_user_weeks", "stage", descending=[True, False]).head(DRAWN_STAGES)["stage"].to_list()
    figure = figures._figure(height=360)
    for stage in [*in_lifecycle_order(set(largest)), ALL]:
        rows = weekly.filter(pl.col("stage") == stage).sort("n_messages")
        colour = ACCENT if stage == ALL else stage_colour(stage)
        doses = rows["n_messages"].to_list()
        unseen = {"x": doses, "mode": "lines", "legendgroup": stage, "showlegend": False, "line_width": 0}
        figure.add_scatter(y=rows["response_low"].round(4).to_list(), hoverinfo="skip", **unseen)
        figure.add_scatter(
            y=rows["response_high"].round(4).to_list(),
            fill="tonexty",
            fillcolor=translucent(colour, 0.14),
            hoverinfo="skip",
            **unseen,
        )
        figure.add_scatter(
            mode="lines+markers",
            name="all stages" if stage == ALL else words(stage),
            legendgroup=stage,
            x=doses,
            y=rows["response_share"].round(4).to_list(),
            line={"color": colour, "width": 3 if stage == ALL else 2},
            marker={"size": 6},
            customdata=rows["n_user_weeks"].to_list(),
            hovertemplate=f"{words(stage)}, %{{x}} messages: %{{y:.1%}} (%{{customdata:,}} weeks)<extra></extra>",
        )
    figure.update_xaxes(title_text="messages that arrived in the week", dtick=1, showgrid=False)
    figure.update_yaxes(title_text="clicked, or active in the week after", tickformat=".0%", rangemode="tozero")
    return figure


def saturation_table(saturation: pl.DataFrame) -> Table:
    """Per stage where one more message stops paying and starts costing, in a week."""
    firsts = (
        saturation.filter(pl.col("window_days") == 7).sort("stage", "n_messages").group_by("stage", maintain_order=True)
    )
    rows = {
        row["stage"]: row
        for row in firsts.agg(pl.col("n_user_weeks").sum(), pl.all().exclude("n_user_weeks").first()).rows(named=True)
    }
    ordered = [*in_lifecycle_order(set(rows) - {ALL}), *([ALL] if ALL in rows else [])]
    return _table(
        "Messages a week, by stage: from which on one more shows no clear gain, and from which a clear loss",
        [rows[stage] for stage in ordered],
        Column("stage", lambda row: "all stages" if row["stage"] == ALL else words(row["stage"]), False),
        Column("user-weeks", lambda row: fmt.count(row["n_user_weeks"])),
        Column("best number", _best),
        Column("no clear gain from", lambda row: fmt.count(row["stops_paying_at"])),
        Column("clear loss from", lambda row: fmt.count(row["starts_costing_at"])),
        Column("recommended maximum", lambda row: fmt.count(row["max_per_week"])),
    )


def damage_table(damage: pl.DataFrame, *, currency: str) -> Table:
    """The account: each cause with the difference that goes with it, and what is claimed."""
    return _table(
        "Damage account: returns of lapsed users after such weeks, against weeks alike",
        damage.rows(named=True),
        Column("cause", lambda row: words(row["cause"]), False),
        Column("user-weeks", lambda row: fmt.count(row["n_user_weeks"])),
        Column("compared", lambda row: fmt.count(row["n_matched"])),
        Column("returned", lambda row: fmt.percent(row["returned_share"])),
        Column("of those alike", lambda row: fmt.percent(row["alike_returned_share"])),
        Column("difference, points", _points),
        Column("lost returns", lambda row: _ranged(row, "lost_returns", fmt.decimal)),
        Column(f"lost value, {currency}", lambda row: _ranged(row, "lost_value", fmt.decimal)),
    )


def harm_table(harm: pl.DataFrame) -> Table:
    """The kinds of message with most opt-outs, complaints and removals charged to them."""
    most = harm.sort("charged", "kind", "channel", "category", descending=[True, False, False, False], nulls_last=True)
    return _table(
        "Opt-outs, complaints and removals of the app, charged to the messages of the 72 hours before",
        most.head(HARM_ROWS).rows(named=True),
        Column("kind", lambda row: words(row["kind"]), False),
        Column("channel", lambda row: fmt.text(row["channel"]), False),
        Column("category", lambda row: _category(row), False),
        Column("messages", lambda row: fmt.count(row["n_messages"])),
        Column("charged", lambda row: fmt.decimal(row["charged"], places=1)),
        Column(
            "per message",
            lambda row: fmt.with_interval(row["charged_share"], row["charged_low"], row["charged_high"]),
        ),
    )


def delivery_table(delivery: pl.DataFrame) -> Table:
    """Delivery success by channel and platform."""
    arrived = delivery.filter(pl.col("failure_class").is_null()).sort("channel", "platform")
    return _table(
        "Delivery success by channel and platform, 180 days",
        arrived.rows(named=True),
        Column("channel", lambda row: fmt.text(row["channel"]), False),
        Column("platform", lambda row: fmt.text(row["platform"]), False),
        Column("messages", lambda row: fmt.count(row["n_sent"])),
        Column("arrived", lambda row: fmt.with_interval(row["share"], row["share_low"], row["share_high"])),
    )


def _of_all(funnel: pl.DataFrame) -> pl.DataFrame:
    return funnel.filter(pl.col("channel") == ALL).sort("step_index")


def _best(row: Mapping[str, Any]) -> str:
    return f"{row['best_messages']} ({row['best_low']} to {row['best_high']})"


def _points(row: Mapping[str, Any]) -> str:
    if row["difference"] is None:
        return fmt.MISSING
    value, low, high = (
        fmt.decimal(100 * row[name], places=1) for name in ("difference", "difference_low", "difference_high")
    )
    return f"{value} ({low} to {high})"


def _ranged(row: Mapping[str, Any], name: str, shown: Any) -> str:
    if row[name] is None:
        return "nothing claimed"
    value, low, high = (shown(row[key], places=0) for key in (name, f"{name}_low", f"{name}_high"))
    return f"{value} ({low} to {high})"


def _category(row: Mapping[str, Any]) -> str:
    return "no message before" if row["n_messages"] is None else fmt.text(row["category"])


def _table(caption: str, rows: list[dict[str, Any]], *columns: Column) -> Table:
    return Table(caption, columns, tuple(tuple(column.cell(row) for column in columns) for row in rows))
