"""The section on reasons: who left why, how sure that is, and which groups differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from dagster_project.intervals import wilson_interval
from dagster_project.reasons.vocabulary import REASONS, UNKNOWN
from dagster_project.reports import figures
from dagster_project.reports import formatting as fmt
from dagster_project.reports.palette import ACCENT, NEUTRAL, words
from dagster_project.reports.tables import Column, Table

if TYPE_CHECKING:
    import plotly.graph_objects as go

LARGEST_P = 0.05
MOST_GROUPS = 24
"""Rows of the heat map: those with the largest differences."""


def reason_shares(reasons: pl.DataFrame) -> pl.DataFrame:
    """reason, n_users, share, share_low, share_high (Wilson 95 %), mean_confidence of reasons.reasons; the commonest
    first, `unknown` last."""
    counts = (
        reasons.group_by("reason")
        .agg(pl.len().cast(pl.Int64).alias("n_users"), pl.col("reason_confidence").mean().alias("mean_confidence"))
        .with_columns((pl.col("n_users") / pl.col("n_users").sum()).alias("share"))
        .sort(pl.col("reason") == UNKNOWN, -pl.col("n_users"), "reason")
    )
    low, high = wilson_interval(counts["n_users"].to_numpy(), reasons.height)
    bounds = [pl.Series("share_low", low, dtype=pl.Float64), pl.Series("share_high", high, dtype=pl.Float64)]
    return counts.with_columns(bounds).select(
        "reason", "n_users", "share", "share_low", "share_high", "mean_confidence"
    )


def reason_metrics(reasons: pl.DataFrame) -> dict[str, Any]:
    """The figures for metrics.json: nothing per user."""
    shares = reason_shares(reasons)
    unknown = shares.filter(pl.col("reason") == UNKNOWN)["n_users"].sum()
    by_posterior = reasons.filter((pl.col("decided_by") == "posterior") & (pl.col("reason") != UNKNOWN)).height
    return {
        "n_left": reasons.height,
        "n_unknown": int(unknown),
        "n_by_posterior": by_posterior,
        "mean_confidence": reasons["reason_confidence"].mean(),
        "by_reason": shares.to_dicts(),
    }


def about_shares(shares: pl.DataFrame) -> str:
    """How many have a reason, and the commonest."""
    total = int(shares["n_users"].sum())
    known = shares.filter(pl.col("reason") != UNKNOWN)
    share = fmt.percent(int(known["n_users"].sum()) / total if total else None)
    said = f"Of {fmt.counted(total, 'user')} who left, {share} have a reason that something tells"
    if known.is_empty():
        return f"{said}."
    first = known.row(0, named=True)
    return f"{said}; most often {words(first['reason'])} ({fmt.percent(first['share'])})."


def share_bars(shares: pl.DataFrame) -> go.Figure:
    """Shares of the reasons with their intervals, the commonest on top, unknown in grey."""
    figure = figures._figure(height=110 + 24 * shares.height)
    names = [words(reason) for reason in shares["reason"]]
    figure.add_bar(
        orientation="h",
        x=shares["share"].round(4).to_list(),
        y=names,
        marker_color=[NEUTRAL if reason == UNKNOWN else ACCENT for reason in shares["reason"]],
        error_x={
            "type": "data",
            "symmetric": False,
            "array": (shares["share_high"] - shares["share"]).round(4).to_list(),
            "arrayminus": (shares["share"] - shares["share_low"]).round(4).to_list(),
            "thickness": 1.2,
        },
        customdata=shares["n_users"].to_list(),
        hovertemplate="%{y}: %{x:.1%}, %{customdata} users<extra></extra>",
        showlegend=False,
    )
    figure.update_yaxes(categoryorder="array", categoryarray=names[::-1], showgrid=False, ticksuffix=" ")
    figure.update_xaxes(title_text="share of those who left", tickformat=".0%", rangemode="tozero", nticks=6)
    return figure


def share_table(shares: pl.DataFrame) -> Table:
    """The same in figures."""
    columns = (
        Column("reason", lambda row: words(row["reason"]), False),
        Column("users", lambda row: fmt.count(row["n_users"])),
        Column("share", lambda row: fmt.with_interval(row["share"], row["share_low"], row["share_high"])),
        Column("mean confidence", lambda row: fmt.percent(row["mean_confidence"])),
    )
    rows = tuple(tuple(column.cell(row) for column in columns) for row in shares.iter_rows(named=True))
    return Table("Reasons of those who left, and how sure each is on average", columns, rows)


def real_differences(breakdowns: pl.DataFrame) -> pl.DataFrame:
    """The rows of reasons.breakdowns of groups that differ in some reason beyond chance; `shown` is the difference
    where it does, else null. At most 24 groups, those with the largest differences."""
    found = breakdowns.filter(pl.col("p_adjusted") < LARGEST_P)
    groups = (
        found.group_by("dimension", "value")
        .agg(pl.col("difference").abs().max().alias("largest"))
        .sort("largest", "dimension", "value", descending=[True, False, False])
        .head(MOST_GROUPS)
        .select("dimension", "value")
    )
    real = pl.when(pl.col("p_adjusted") < LARGEST_P).then("difference")
    return (
        breakdowns.join(groups, on=["dimension", "value"], how="semi")
        .with_columns(real.alias("shown"))
        .sort("dimension", "value", "reason")
    )


def about_differences(differences: pl.DataFrame) -> str:
    """The largest one in words."""
    top = differences.sort(
        pl.col("shown").abs(), "dimension", "value", "reason", descending=[True, False, False, False], nulls_last=True
    ).row(0, named=True)
    than = "more" if top["difference"] > 0 else "less"
    points = fmt.decimal(abs(top["difference"]) * 100, places=1)
    return (
        f"{fmt.text(words(top['dimension'])).capitalize()} {fmt.text(top['value'])} names {words(top['reason'])} "
        f"{points} points {than} often than all others who left: the largest of the differences that are no chance."
    )


def difference_map(differences: pl.DataFrame) -> go.Figure:
    """Groups down, reasons across, coloured by the difference; empty where it may be chance."""
    reasons = [reason for reason in REASONS if reason in set(differences["reason"])]
    groups = differences.select("dimension", "value").unique(maintain_order=True)
    held = {(row["dimension"], row["value"], row["reason"]): row["shown"] for row in differences.iter_rows(named=True)}
    grid = [[_points(held.get((dimension, value, reason))) for reason in reasons] for dimension, value in groups.rows()]
    most = max((abs(cell) for line in grid for cell in line if cell is not None), default=1.0)
    figure = figures._figure(height=190 + 24 * groups.height)
    figure.add_heatmap(
        x=[words(reason) for reason in reasons],
        y=[f"{words(dimension)}: {value}" for dimension, value in groups.rows()],
        z=grid,
        zmin=-most,
        zmax=most,
        colorscale=[[0, "#3d6ea8"], [0.5, "#d9dee5"], [1, "#b34c42"]],
        colorbar={"title": {"text": "points"}, "thickness": 12},
        hovertemplate="%{y}, %{x}: %{z:+.1f} points<extra></extra>",
        xgap=1,
        ygap=1,
    )
    figure.update_yaxes(autorange="reversed", showgrid=False, ticksuffix=" ")
    figure.update_xaxes(showgrid=False, tickangle=-50)
    return figure


def _points(difference: float | None) -> float | None:
    return None if difference is None else round(100 * difference, 1)
