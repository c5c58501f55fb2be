"""What an experiment says, in one row and in plain words: chance checked, effect, harm, decision."""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from dagster_project.outcomes.looks import WAITING
from dagster_project.outcomes.vocabulary import ALL, BY_NAME, RETURNED, TREAT

BETTER, WORSE, OPEN = "better", "worse", "cannot tell"
WORKS, AT_A_PRICE, HARMS, NOTHING_SHOWN, UNDECIDED, BROKEN, TOO_EARLY = (
    "works",
    "works at a price",
    "harms",
    "no effect shown",
    "cannot tell yet",
    "broken",
    "too early",
)
EXPERIMENTS = pl.Schema(
    {
        "experiment_id": pl.String(),
        "origin": pl.String(),
        "started_on": pl.Date(),
        "newest_on": pl.Date(),
        "n_users": pl.Int64(),
        "arms": pl.String(),
        "arm": pl.String(),
        "baseline": pl.String(),
        "n_planned": pl.Int64(),
        "planned_share": pl.Float64(),
        "sample_ratio_p": pl.Float64(),
        "balance_p": pl.Float64(),
        "decision_days": pl.Int64(),
        "difference": pl.Float64(),
        "low": pl.Float64(),
        "high": pl.Float64(),
        "decision": pl.String(),
        "faults": pl.String(),
        "explanation": pl.String(),
    }
)


@dataclass(frozen=True)
class Examined:
    """One experiment before it is read: its entries, the tests of chance, what is wrong, users planned per arm."""

    experiment_id: str
    entries: pl.DataFrame
    baseline: str
    ratio_p: float | None
    balance_p: float | None
    faults: pl.DataFrame
    plans: Mapping[str, int]


def experiment_row(one: Examined, readouts: pl.DataFrame, decision_days: int) -> dict[str, object]:
    """The row of EXPERIMENTS. The arm it is judged by is treat, else the largest beside the baseline."""
    counts = dict(one.entries.group_by("arm").len().sort("len", "arm", descending=[True, False]).iter_rows())
    arm = leading_arm(counts, one.baseline) or ""
    primary = readouts.filter(pl.col("is_primary") & (pl.col("arm") == arm))
    effect = primary.row(0, named=True) if primary.height else None
    planned = one.plans.get(arm)
    entered = counts.get(arm, 0) + counts.get(one.baseline, 0)
    seen = effect["n_treated"] + effect["n_control"] if effect else 0
    seen_share = seen / planned if planned else 0.0
    harms = harmed(readouts, arm, decision_days)
    decision = BROKEN if one.faults.height else decide(effect, harms, seen_share=seen_share)
    return {
        "experiment_id": one.experiment_id,
        "origin": one.entries["origin"][0],
        "started_on": one.entries["assigned_on"].min(),
        "newest_on": one.entries["assigned_on"].max(),
        "n_users": one.entries.height,
        "arms": ", ".join(f"{name} {n:,}" for name, n in counts.items()),
        "arm": arm or None,
        "baseline": one.baseline,
        "n_planned": planned,
        "planned_share": entered / planned if planned else None,
        "sample_ratio_p": one.ratio_p,
        "balance_p": one.balance_p,
        "decision_days": decision_days,
        **{name: effect[name] if effect else None for name in ("difference", "low", "high")},
        "decision": decision,
        "faults": "; ".join(one.faults["fault"].unique().sort()) or None,
        "explanation": explained(one, effect, harms, decision, decision_days, seen_share),
    }


def leading_arm(counts: Mapping[str, int], baseline: str) -> str | None:
    """Treat, else the largest arm that is not the baseline; None without any."""
    others = [name for name in counts if name != baseline]
    return TREAT if TREAT in others else (others[0] if others else None)


def harmed(readouts: pl.DataFrame, arm: str, decision_days: int) -> list[str]:
    """The harms that an arm surely did to all who entered, by the horizon of decision, in plain words."""
    harms = [name for name, metric in BY_NAME.items() if not metric.is_good]
    found = readouts.filter(
        (pl.col("arm") == arm)
        & (pl.col("dimension") == ALL)
        & (pl.col("verdict") == WORSE)
        & pl.col("metric").is_in(harms)
        & (pl.col("horizon_days") <= decision_days)
    )
    return [BY_NAME[name].title for name in harms if name in set(found["metric"])]


def decide(effect: Mapping[str, object] | None, harms: list[str], *, seen_share: float) -> str:
    """The decision by returns and harms; "no effect shown" only once all that were planned are seen."""
    if effect is None:
        return HARMS if harms else TOO_EARLY
    if effect["verdict"] == BETTER:
        return AT_A_PRICE if harms else WORKS
    if effect["verdict"] == WORSE or harms:
        return HARMS
    if effect["verdict"] == WAITING:
        return TOO_EARLY
    return NOTHING_SHOWN if seen_share >= 1 else UNDECIDED


def explained(
    one: Examined,
    effect: Mapping[str, object] | None,
    harms: list[str],
    decision: str,
    decision_days: int,
    seen_share: float,
) -> str:
    """The decision in plain words, with its figures."""
    if one.faults.height:
        return "Broken, so not read. " + " ".join(one.faults["explanation"].unique().sort())
    if effect is None:
        return f"Too early: nobody of both arms has had the {decision_days} days yet by which it is judged."
    said = (
        f"Of {effect['n_treated']:,} assigned to {effect['arm']} {_percent(effect['treated_mean'])} "
        f"{RETURNED.title} within {decision_days} days, of {effect['n_control']:,} in {effect['baseline']} "
        f"{_percent(effect['control_mean'])}: {_points(effect['difference'])} points"
    )
    if effect["low"] is not None:
        said += f" ({_points(effect['low'])} to {_points(effect['high'])}, sound however often one looks)"
    return f"{said}. {_ending(decision, harms, seen_share)}"


def _ending(decision: str, harms: list[str], seen_share: float) -> str:
    entered = f"{seen_share:.0%} of the planned users have had these days"
    return {
        WORKS: "It works.",
        AT_A_PRICE: f"It works, but more {' and '.join(harms)}.",
        HARMS: f"It harms: more {' and '.join(harms)}." if harms else "It harms: fewer came back.",
        NOTHING_SHOWN: "All that were planned have had these days, and no effect is shown.",
        UNDECIDED: f"It cannot be told yet: {entered}.",
        TOO_EARLY: f"It is too early to say: {entered}.",
    }[decision]


def _percent(share: object) -> str:
    return f"{100 * float(share):.1f} %"  # type: ignore[arg-type]


def _points(share: object) -> str:
    return f"{100 * float(share):+.2f}".replace("-", "−")  # type: ignore[arg-type]
