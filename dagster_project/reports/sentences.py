"""The lead sentence of each section: what the picture below it shows, with the night's numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from dagster_project.lifecycle import PHASE_OF_STAGE
from dagster_project.reports import summaries
from dagster_project.reports.formatting import count, counted, decimal, money, percent, with_interval
from dagster_project.reports.palette import words

if TYPE_CHECKING:
    from dagster_project.reports.content import ReportContent

IN_PHASE = {
    "onboarding": "are still arriving",
    "engaged": "are engaged",
    "declining": "are declining",
    "churned": "have churned",
    "returned": "have come back",
}


def about_stages(stages: pl.DataFrame, *, on: str) -> str:
    """Sizes of the phases and the largest stage."""
    counts = summaries.count_stages(stages)
    phases = counts.group_by("phase", maintain_order=True).agg(pl.col("n_users", "share").sum())
    parts = [
        f"{count(n)} ({percent(share)}) {IN_PHASE.get(phase, phase)}" for phase, n, share in phases.iter_rows() if n
    ]
    largest = counts.sort("n_users", descending=True, maintain_order=True).row(0, named=True)
    return (
        f"Of {_users(stages.height)} on {on}, {_listed(parts)}. "
        f"The largest stage is {words(largest['stage'])}, with {_users(largest['n_users'])}."
    )


def about_migration(migration: pl.DataFrame, *, phases: dict[str, str]) -> str:
    """How many stayed, churned, returned or were first seen since the day before."""
    moves = summaries.count_moves(migration)
    known = moves.filter(pl.col("previous_stage").is_in(list(phases)))
    n_known = _total(known)
    first_seen = _total(moves) - n_known
    if not n_known:
        return f"All {_users(first_seen)} are seen for the first time."
    before, after = (
        known[name].replace_strict(phases, default=None, return_dtype=pl.String) for name in ("previous_stage", "stage")
    )
    churned = _total(known.filter((after == "churned") & (before != "churned")))
    returned = _total(known.filter((after == "returned") & (before == "churned")))
    return (
        f"{percent(_total(known.filter('is_stay')) / n_known)} of the users known the day before stayed "
        f"where they were. {_users(churned)} newly churned, {counted(returned, 'churned user')} came back "
        f"and {_users(first_seen)} {_be(first_seen, 'was', 'were')} seen for the first time."
    )


def about_declining(declining: pl.DataFrame) -> str:
    """How many are on the way out and how far beyond their usual gap."""
    factor = declining["churn_factor"].cast(pl.Float64).drop_nulls().drop_nans()
    return (
        f"{_users(declining.height)} {_be(declining.height)} on the way out but not yet churned. Half of "
        f"them have been silent for at least {decimal(_median(factor), places=1)} times their own usual gap."
    )


def about_silence(stages: pl.DataFrame) -> str:
    """Median silence of all users with a core event."""
    days = stages["days_silent"].drop_nulls()
    return (
        f"Half of the {_users(len(days))} with a core event have been silent for "
        f"{decimal(_median(days), places=0)} days or less. Each line holds the middle 80% of a stage, "
        "the dot is its median."
    )


def about_activity(daily: pl.DataFrame) -> str:
    """The last seven days against the seven before."""
    users = summaries.latest_activity(daily)["n_active_users"]
    span = counted(min(len(users), 7), "day")
    opening = f"Active users a day over the last {span}: {count(_mean(users.tail(7)))} on average"
    if len(users) < 14:
        return f"{opening}."
    return f"{opening}, against {count(_mean(users.tail(14).head(7)))} in the 7 days before."


def about_definitions(content: ReportContent) -> str | None:
    """The definition in use and its regret rate; None without regret rates."""
    if content.regret is None or content.regret.is_empty():
        return None
    rows = content.regret.filter(pl.col("definition").eq_missing(pl.lit(content.primary_definition))).rows(named=True)
    if not rows:
        return "Each row below is one way to say that a user has churned, and how often it spoke too soon."
    row = rows[0]
    return (
        f"The definition in use is “{words(row['definition'])}”. Of {_users(row['n_churned'])} that it had "
        f"labelled churned, {count(row['n_returned'])} came back unaided within "
        f"{counted(content.horizon_days, 'day')}: a regret rate of "
        f"{with_interval(row['regret_rate'], row['regret_rate_low'], row['regret_rate_high'])}."
    )


def about_cadence(parameters: pl.DataFrame) -> str:
    """The population's cadence and the thresholds that follow from it."""
    row = parameters.row(0, named=True)
    threshold = row["data_driven_days"]
    learned = "could not be learned" if threshold is None else f"is {decimal(threshold, places=0)} days"
    return (
        f"The usual gap between two active days is {decimal(row['usual_gap_days'], places=1)} days at the "
        f"median of {_users(row['n_users_with_gaps'])} with gaps. The calendar threshold is "
        f"{decimal(row['calendar_days'], places=0)} days; the data-driven one {learned}."
    )


def about_returns(curves: pl.DataFrame) -> str | None:
    """The stages with the highest and lowest share returned, at the last day that all curves reach."""
    usable = summaries.thin_curves(curves)
    if usable.is_empty():
        return None
    last_common = int(min(usable.group_by("stage").agg(pl.col("day").max())["day"]))
    at_day = (
        usable.filter(pl.col("day") <= last_common)
        .group_by("stage", maintain_order=True)
        .agg(pl.col("p_returned").last())
        .sort("p_returned", descending=True, maintain_order=True)
    )
    best, worst = at_day.row(0), at_day.row(-1)
    opening = f"Within {counted(last_common, 'day')}, {percent(best[1])} of the users in {words(best[0])} returned"
    return f"{opening}." if best == worst else f"{opening}, against {percent(worst[1])} of those in {words(worst[0])}."


def about_winner(evaluations: pl.DataFrame) -> str:
    """Who won on the lapsed and by how much over the recency baseline."""
    winners = summaries.winning_rows(evaluations)
    if winners.is_empty():
        return "No model was declared the winner tonight. The figures of every candidate are below."
    winner = winners.row(0, named=True)
    group = evaluations.filter(pl.col("population").eq_missing(pl.lit(winner["population"])))
    baseline = summaries.baseline_name(group["candidate"].to_list())
    log_loss = decimal(winner["log_loss"], places=4)
    won = f"Judged on “{words(winner['population'])}”, {words(winner['candidate'])} won"
    if baseline is None:
        return f"{won} with log loss {log_loss}; no recency baseline was fitted to compare it with."
    if baseline == winner["candidate"]:
        return f"{won}: no model beat this simplest of baselines out of time, so it is the one in use."
    other = group.filter(pl.col("candidate") == baseline).row(0, named=True)
    return (
        f"{won}: log loss {log_loss} against {decimal(other['log_loss'], places=4)} of the recency baseline "
        f"(lower is better), AUC {decimal(winner['auc'], places=3)} against "
        f"{decimal(other['auc'], places=3)}."
    )


def about_reliability(bins: pl.DataFrame, *, winner: str) -> str:
    """What the winner predicted on average over its bins, and what came true."""
    rows = bins.filter(pl.col("candidate") == winner)
    n = _total(rows, "n")
    predicted, observed = (rows.select((pl.col(name) * pl.col("n")).sum() / n).item() for name in _RELIABILITY_AXES)
    return (
        f"Of {_users(n)} kept from the fit, {words(winner)} expected {percent(predicted)} to be active "
        f"within the horizon; {percent(observed)} were. On the dotted line a probability means what it says; "
        "above it, it was too low."
    )


def about_cohort(content: ReportContent) -> str | None:
    """How many are worth writing to and what that is expected to earn; None for an empty list."""
    if content.cohort is None or content.cohort.is_empty():
        return None
    n_users = content.cohort.height
    profit = money(content.cohort["expected_profit"].cast(pl.Float64).sum(), currency=content.currency)
    return (
        f"{_users(n_users)} {_be(n_users)} worth writing to tonight, for an expected profit of {profit} in "
        "all. They are ranked by the profit that contact is expected to cause, not by their risk."
    )


def about_held_out(content: ReportContent) -> str:
    """Control group and suppressed users."""
    held_out, kept_back = (content.headline.get(key) for key in ("n_held_out", "n_suppressed"))
    return (
        f"Held out: {_users(held_out)} who would have been contacted but stay in the control group, so that "
        "the effect of contact can be measured. "
        f"Not to be contacted at all: {counted(kept_back, 'lapsed user')}."
    )


def about_quality(quality: pl.DataFrame) -> str:
    """Rows read, kept and set aside over all tables."""
    read, kept, bad = (_total(quality, name) for name in ("n_rows_read", "n_kept", "n_quarantined"))
    return (
        f"Of {counted(read, 'row')} read, {count(kept)} ({percent(kept / read if read else None)}) were kept "
        f"and {count(bad)} set aside as unreadable or impossible."
    )


def phase_map(stages: pl.DataFrame | None) -> dict[str, str]:
    """Phase of every stage: as the stages table says where it does, else by the glossary."""
    seen = {} if stages is None else dict(stages.select("stage", "phase").unique().sort("stage", "phase").iter_rows())
    return {**PHASE_OF_STAGE, **seen}


_RELIABILITY_AXES = ("mean_predicted", "observed")


def _users(n: float | None) -> str:
    return counted(n, "user")


def _be(n: int, singular: str = "is", plural: str = "are") -> str:
    return singular if n == 1 else plural


def _listed(parts: list[str]) -> str:
    return ", ".join(parts[:-1]) + (" and " if len(parts) > 1 else "") + parts[-1]


def _total(frame: pl.DataFrame, column: str = "n_users") -> int:
    return int(frame[column].sum())


def _mean(values: pl.Series) -> float:
    return float(values.sum()) / len(values)


def _median(values: pl.Series) -> float | None:
    return None if values.is_empty() else float(values.cast(pl.Float64).median())  # type: ignore[arg-type]
