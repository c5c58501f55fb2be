"""Plotly figures, each from one small or large frame. What they mean in words is said in `sentences`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from dagster_project.reports import summaries
from dagster_project.reports.palette import (
    ACCENT,
    FIRST_SEEN,
    NEUTRAL,
    in_lifecycle_order,
    phase_colour,
    stage_colour,
    translucent,
    words,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import plotly.graph_objects as go

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
GRID = "rgba(128,138,150,0.25)"
INK = "#374151"
SANKEY_ROW_PX = 20
SANKEY_MARGIN_PX = 14
FIRST_SEEN_COLOUR = "#b6bec9"


def stage_bars(stages: pl.DataFrame) -> go.Figure:
    """Users per stage as horizontal bars, first stage of a user's life on top, coloured by phase."""
    counts = summaries.count_stages(stages)
    figure = _figure(height=130 + 26 * counts.height)
    for phase in counts["phase"].unique(maintain_order=True):
        rows = counts.filter(pl.col("phase") == phase)
        figure.add_bar(
            orientation="h",
            name=phase,
            x=rows["n_users"].to_list(),
            y=[words(stage) for stage in rows["stage"]],
            text=[f"{n:,}" for n in rows["n_users"]],
            customdata=rows["share"].round(4).to_list(),
            textposition="outside",
            cliponaxis=False,
            marker_color=phase_colour(phase),
            hovertemplate="%{y}: %{text} users, %{customdata:.1%} of all<extra></extra>",
        )
    names = [words(stage) for stage in counts["stage"]]
    figure.update_yaxes(categoryorder="array", categoryarray=names[::-1], showgrid=False, ticksuffix=" ")
    most = max(int(counts["n_users"].max() or 0), 1)  # type: ignore[arg-type]  # a column of integers
    figure.update_xaxes(title_text="users", range=[0, most * 1.5], nticks=5)
    return figure


def stage_sankey(migration: pl.DataFrame) -> go.Figure:
    """Yesterday's stages on the left, today's on the right, both in lifecycle order; staying is grey."""
    moves = summaries.count_moves(migration)
    left = _column_nodes(moves, "previous_stage")
    right = _column_nodes(moves, "stage")
    height = _sankey_height(max(left.height, right.height))
    places = [*_node_places(left, moves, height=height), *_node_places(right, moves, height=height)]
    nodes = [*left.rows(), *right.rows()]
    sources = {stage: place for place, stage in enumerate(left[:, 0])}
    targets = {stage: place + left.height for place, stage in enumerate(right[:, 0])}
    figure = _figure(height=height)
    figure.add_sankey(
        arrangement="fixed",
        node={
            "label": [f"{words(stage)} {n:,}" for stage, n in nodes],
            "color": [_node_colour(stage) for stage, _ in nodes],
            "x": [0.001] * left.height + [0.999] * right.height,
            "y": places,
            "pad": SANKEY_ROW_PX,
            "thickness": 12,
            "line": {"width": 0},
            "hovertemplate": "%{label}<extra></extra>",
        },
        link={
            "source": [sources[stage] for stage in moves["previous_stage"]],
            "target": [targets[stage] for stage in moves["stage"]],
            "value": moves["n_users"].to_list(),
            "color": [_link_colour(stage, is_stay) for stage, is_stay in moves.select("stage", "is_stay").iter_rows()],
            "customdata": [_move_label(*move) for move in moves.iter_rows()],
            "hovertemplate": "%{customdata}<extra></extra>",
        },
    )
    figure.update_layout(margin={"l": 4, "r": 4, "t": SANKEY_MARGIN_PX, "b": SANKEY_MARGIN_PX})
    return figure


def churn_factor_bars(declining: pl.DataFrame) -> go.Figure:
    """How far into their own cadence the declining users are: stacked counts of churn_factor by stage."""
    bins, width = summaries.bin_by_stage(declining, "churn_factor")
    figure = _figure(height=340)
    for stage in in_lifecycle_order(set(bins["stage"])):
        rows = bins.filter(pl.col("stage") == stage)
        figure.add_bar(
            name=words(stage),
            x=(rows["bin_start"] + width / 2).round(4).to_list(),
            y=rows["n_users"].to_list(),
            width=width,
            customdata=[f"{low:g} to {low + width:g}" for low in rows["bin_start"]],
            marker={"color": stage_colour(stage), "line": {"width": 0}},
            hovertemplate=f"%{{y:,}} {words(stage)} at %{{customdata}} × their usual gap<extra></extra>",
        )
    figure.update_layout(barmode="stack", bargap=0.05)
    figure.update_xaxes(title_text="silence ÷ the user's own usual gap", showgrid=False)
    figure.update_yaxes(title_text="users")
    return figure


def silence_ranges(stages: pl.DataFrame) -> go.Figure:
    """Days silent per stage: a line from the 10th to the 90th percentile, a dot at the median."""
    spread = summaries.silence_quantiles(stages)
    figure = _figure(height=110 + 26 * spread.height)
    names = [words(stage) for stage in spread["stage"]]
    figure.add_scatter(
        mode="markers",
        x=spread["p50"].to_list(),
        y=names,
        marker={"size": 10, "color": [stage_colour(stage) for stage in spread["stage"]]},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": (spread["p90"] - spread["p50"]).to_list(),
            "arrayminus": (spread["p50"] - spread["p10"]).to_list(),
            "thickness": 3,
            "width": 0,
            "color": translucent(NEUTRAL, 0.55),
        },
        customdata=spread.select("p10", "p90").rows(),
        hovertemplate="%{y}: median %{x:,} days, middle %{customdata[0]} to %{customdata[1]}<extra></extra>",
        cliponaxis=False,
        showlegend=False,
    )
    figure.update_yaxes(
        categoryorder="array", categoryarray=names[::-1], ticksuffix=" ", range=[-0.6, len(names) - 0.4]
    )
    figure.update_xaxes(title_text="days since the last core event", rangemode="tozero", nticks=6)
    return figure


def activity_line(daily: pl.DataFrame) -> go.Figure:
    """Active users per day, with the mean of seven days over it once there are two weeks."""
    latest = summaries.latest_activity(daily)
    days = [day.isoformat() for day in latest["active_on"]]
    figure = daily_axes(of="users", height=300)
    figure.add_scatter(
        mode="lines" if latest.height > 1 else "markers",
        name="active users",
        x=days,
        y=latest["n_active_users"].to_list(),
        line={"color": translucent(ACCENT, 0.4), "width": 1.5},
        customdata=latest["n_events"].to_list(),
        hovertemplate="%{x}: %{y:,} active users, %{customdata:,} events<extra></extra>",
    )
    if latest.height >= 14:
        figure.add_scatter(
            mode="lines",
            name="mean of the last 7 days",
            x=days,
            y=latest["n_active_users"].cast(pl.Float64).rolling_mean(7).round(2).to_list(),
            line={"color": ACCENT, "width": 2.5},
            hoverinfo="skip",
        )
    return figure


def daily_axes(*, of: str, height: int) -> go.Figure:
    """An empty figure over days that counts `of` upwards from nought."""
    figure = _figure(height=height)
    # Two short lines per tick fit a phone, where plotly would otherwise turn the labels.
    ticks = [
        {"dtickrange": [None, "M1"], "value": "%-d %b\n%Y"},
        {"dtickrange": ["M1", None], "value": "%b\n%Y"},
    ]
    figure.update_xaxes(type="date", showgrid=False, nticks=7, tickangle=0, tickformatstops=ticks)
    figure.update_xaxes(hoverformat="%Y-%m-%d")
    figure.update_yaxes(title_text=of, rangemode="tozero")
    return figure


def plain_axes(*, x: str, y: str, height: int) -> go.Figure:
    """An empty figure over two amounts, both from nought."""
    figure = _figure(height=height)
    figure.update_xaxes(title_text=x, rangemode="tozero", showgrid=False)
    figure.update_yaxes(title_text=y, rangemode="tozero")
    return figure


def return_curves(curves: pl.DataFrame) -> go.Figure:
    """Share returned by day, one step curve per stage, its interval as a band."""
    thinned = summaries.thin_curves(curves)
    figure = _figure(height=400)
    for stage in thinned["stage"].unique(maintain_order=True):
        _add_return_curve(figure, thinned.filter(pl.col("stage") == stage), stage=stage)
    figure.update_xaxes(title_text="days", rangemode="tozero", showgrid=False)
    figure.update_yaxes(title_text="share returned", tickformat=".0%", rangemode="tozero")
    return figure


def reliability_lines(reliability: pl.DataFrame, *, candidates: Sequence[str]) -> go.Figure:
    """Observed against predicted share per bin; on the diagonal a probability means what it says.

    The first of `candidates` is drawn strong (the winner), the others grey. Dots grow with their bin.
    """
    figure = _figure(height=420)
    shown = reliability.filter(pl.col("candidate").is_in(list(candidates)))
    top = min(1.0, max([0.05, *shown["mean_predicted"], *shown["observed"]]) * 1.08)
    figure.add_scatter(
        mode="lines", name="perfectly honest", x=[0, top], y=[0, top], hoverinfo="skip",
        line={"color": NEUTRAL, "dash": "dot", "width": 1.5},
    )  # fmt: skip
    for place, candidate in reversed(list(enumerate(candidates))):
        _add_reliability(figure, shown.filter(pl.col("candidate") == candidate), candidate, is_first=place == 0)
    figure.update_xaxes(title_text="predicted probability", tickformat=".0%", range=[0, top], nticks=7)
    figure.update_yaxes(title_text="observed share", tickformat=".0%", range=[0, top], nticks=7)
    return figure


def _figure(*, height: int) -> go.Figure:
    import plotly.graph_objects as go

    # An empty template keeps plotly's default of 7 kB out of each figure; dragging is off because on
    # a phone it would catch the finger that scrolls the page.
    return go.Figure(
        layout={
            "template": {},
            "height": height,
            "autosize": True,
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "font": {"family": FONT, "size": 13, "color": INK},
            "margin": {"l": 8, "r": 12, "t": 12, "b": 8},
            "dragmode": False,
            "hoverlabel": {"bgcolor": "#1f2937", "bordercolor": "#1f2937", "font": {"color": "#f9fafb"}},
            "legend": {
                "orientation": "h",
                "yanchor": "bottom",
                "y": 1.01,
                "xanchor": "left",
                "x": 0,
                "traceorder": "normal",
            },
            "xaxis": _axis(),
            "yaxis": _axis(),
        }
    )


def _axis() -> dict[str, Any]:
    return {
        "automargin": True,
        "fixedrange": True,
        "gridcolor": GRID,
        "zeroline": False,
        "title": {"standoff": 8, "font": {"size": 12}},
    }


def _column_nodes(moves: pl.DataFrame, column: str) -> pl.DataFrame:
    """The nodes of one side with their sizes, first seen on top, then in lifecycle order."""
    sizes = dict(moves.group_by(column).agg(pl.col("n_users").sum()).iter_rows())
    order = [*([FIRST_SEEN] if FIRST_SEEN in sizes else []), *in_lifecycle_order(set(sizes) - {FIRST_SEEN})]
    return pl.DataFrame({column: order, "n_users": [sizes[stage] for stage in order]})


def _sankey_height(n_rows: int) -> int:
    return 220 + SANKEY_ROW_PX * n_rows + 2 * SANKEY_MARGIN_PX


def _node_places(nodes: pl.DataFrame, moves: pl.DataFrame, *, height: int) -> list[float]:
    """Middles of the nodes as shares of the height: sizes to scale, an even pad between them.

    Plotly scales all columns by the fullest one; the fuller side has at most the rows that the
    height was made for, so what is over here becomes a wider pad on the side with fewer nodes.
    """
    n_most = max(moves["previous_stage"].n_unique(), moves["stage"].n_unique())
    inner = height - 2 * SANKEY_MARGIN_PX
    scale = (inner - SANKEY_ROW_PX * (n_most - 1)) / int(moves["n_users"].sum())
    spare = inner - scale * int(nodes["n_users"].sum())
    pad = spare / (nodes.height - 1) if nodes.height > 1 else 0.0
    places, top = [], 0.0
    for size in nodes["n_users"]:
        places.append(round(min(max((top + size * scale / 2) / inner, 0.001), 0.999), 4))
        top += size * scale + pad
    return places


def _node_colour(stage: str) -> str:
    return FIRST_SEEN_COLOUR if stage == FIRST_SEEN else stage_colour(stage)


def _link_colour(stage: str, is_stay: bool) -> str:
    return translucent(NEUTRAL, 0.18) if is_stay else translucent(stage_colour(stage), 0.55)


def _move_label(previous: str, stage: str, n_users: int, share: float | None, is_stay: bool) -> str:
    of_previous = "" if share is None else f" ({share:.1%} of that stage)"
    what = f"stayed {words(stage)}" if is_stay else f"{words(previous)} → {words(stage)}"
    return f"{what}: {n_users:,}{of_previous}"


def _add_return_curve(figure: go.Figure, curve: pl.DataFrame, *, stage: str) -> None:
    colour = stage_colour(stage)
    days = curve["day"].to_list()
    step = {"x": days, "mode": "lines", "legendgroup": stage, "line_shape": "hv"}
    if curve.select("low", "high").null_count().sum_horizontal().item() == 0:
        unseen = {**step, "showlegend": False, "hoverinfo": "skip", "line_width": 0}
        figure.add_scatter(y=curve["low"].round(4).to_list(), **unseen)
        figure.add_scatter(
            y=curve["high"].round(4).to_list(), fill="tonexty", fillcolor=translucent(colour, 0.14), **unseen
        )
    figure.add_scatter(
        y=curve["p_returned"].round(4).to_list(),
        name=words(stage),
        line_color=colour,
        line_width=2.5,
        customdata=curve["n_at_risk"].to_list(),
        hovertemplate=f"{words(stage)}, day %{{x}}: %{{y:.1%}} back, %{{customdata:,}} left<extra></extra>",
        **step,
    )


def _add_reliability(figure: go.Figure, bins: pl.DataFrame, candidate: str, *, is_first: bool) -> None:
    rows = bins.sort("mean_predicted", "bin")
    most = max([1, *rows["n"]])
    colour = ACCENT if is_first else NEUTRAL
    figure.add_scatter(
        mode="lines+markers",
        name=words(candidate),
        x=rows["mean_predicted"].round(4).to_list(),
        y=rows["observed"].round(4).to_list(),
        line={"color": colour, "width": 2.5 if is_first else 1.5},
        marker={"color": colour, "size": [round(6 + 10 * (n / most) ** 0.5, 1) for n in rows["n"]]},
        customdata=rows["n"].to_list(),
        hovertemplate=f"{words(candidate)}: %{{y:.1%}} for %{{x:.1%}} (%{{customdata:,}})<extra></extra>",
    )
