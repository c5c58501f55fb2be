"""What an experiment says, in one row and in plain words: chance checked, effect, harm, decision."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from dagster_project.outcomes.entries import IMPORTED
from dagster_project.outcomes.looks import WAITING
from dagster_project.outcomes.plans import LEAST_EFFECT, USUAL_GAIN
from dagster_project.outcomes.power import detectable_effect
from dagster_project.outcomes.vocabulary import ALL, BY_NAME, HARMS, RETURNED, TREAT
from dagster_project.strategy.harm import HARMS as STOPPING

BETTER, WORSE, OPEN = "better", "worse", "cannot tell"
WORKS, AT_A_PRICE, HARMFUL, NOTHING_SHOWN, NO_GAIN, UNDECIDED, BROKEN, TOO_EARLY = (
    "works",
    "works at a price",
    "harms",
    "no effect shown",
    "no gain shown",
    "cannot tell yet",
    "broken",
    "too early",
)
# Users of each arm. With fewer a plain test of shares errs in up to 8 of 100 cases instead of 5; with so many in 5.
FEWEST_TO_JUDGE = 20
LEAST = f"{FEWEST_TO_JUDGE} users of either arm are the least to judge by"
MOST_BLIND = 2  # times a usual gain: an import that would not show twice of it tells nothing by showing nothing
# In points of the share: the rule that stops strategies for harm lets as much pass.
TOLERATED = {harm.column.removeprefix("is_"): harm.tolerated for harm in STOPPING if harm.tolerated is not None}
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
        "n_unknown": pl.Int64(),
    }
)
DECISIONS = pl.Schema(
    {
        "experiment_id": pl.String(),
        "arm": pl.String(),
        "baseline": pl.String(),
        "n_planned": pl.Int64(),
        "planned_share": pl.Float64(),
        "decision_days": pl.Int64(),
        "n_treated": pl.Int64(),
        "n_control": pl.Int64(),
        "treated_mean": pl.Float64(),
        "control_mean": pl.Float64(),
        "difference": pl.Float64(),
        "low": pl.Float64(),
        "high": pl.Float64(),
        "p_adjusted": pl.Float64(),
        "harms": pl.String(),
        "decision": pl.String(),
        "explanation": pl.String(),
    }
)
_EFFECT = ("n_treated", "n_control", "treated_mean", "control_mean", "difference", "low", "high", "p_adjusted")


@dataclass(frozen=True)
class Examined:
    """One experiment before it is read: its entries, the tests of chance, what is wrong.

    `arms`: users by arm, the largest first. `plans`: users planned per pair of arm and baseline, None while unknown.
    `is_weighted`: chances differ within an arm, so shares are weighted by inverse propensity and no counts.
    """

    experiment_id: str
    entries: pl.DataFrame
    arms: Mapping[str, int]
    baseline: str
    ratio_p: float | None
    balance_p: float | None
    faults: pl.DataFrame
    plans: Mapping[tuple[str, str], int | None]
    decision_days: int
    is_weighted: bool

    @property
    def is_imported(self) -> bool:
        """Whether its plan is its own size, which says nothing of what it can see."""
        return bool((self.entries["origin"] == IMPORTED).all())

    def n_ready(self, arm: str) -> int:
        """Users of an arm whose days by the horizon of decision are over."""
        return int(((self.entries["arm"] == arm) & (self.entries["n_days_seen"] >= self.decision_days)).sum())


@dataclass(frozen=True, kw_only=True)
class Found:
    """What is known of one arm beside its baseline by the horizon of decision.

    `effect`: the row of READOUTS of returns, None where an arm has too few users for any. `harms`: sure ones, in plain
    words; `grave`: those of them that are more than is tolerated. `seen_share`: of the planned users whose days are
    over, None without a plan. `unseen`: see `unseen_gain`; None of our own experiments. `ready`: users of both whose
    days are over, by arm; asked where there is no effect.
    """

    effect: Mapping[str, object] | None = None
    harms: list[str] = field(default_factory=list)
    grave: list[str] = field(default_factory=list)
    seen_share: float | None = None
    unseen: float | None = None
    ready: Mapping[str, int] = field(default_factory=dict)


def decision_rows(one: Examined, readouts: pl.DataFrame) -> list[dict[str, object]]:
    """The rows of DECISIONS: one per pair of arm and baseline that was compared, sorted.

    `readouts`: of the experiment, with those of templates among each other.
    """
    return [decision_row(one, readouts, arm=arm, baseline=baseline) for arm, baseline in sorted(one.plans)]


def decision_row(one: Examined, readouts: pl.DataFrame, *, arm: str, baseline: str) -> dict[str, object]:
    """What to make of one arm beside its baseline."""
    mine = readouts.filter((pl.col("arm") == arm) & (pl.col("baseline") == baseline))
    primary = mine.filter(pl.col("is_primary"))
    effect = primary.row(0, named=True) if primary.height else None
    planned = one.plans[(arm, baseline)]
    entered = one.arms.get(arm, 0) + one.arms.get(baseline, 0)
    seen = effect["n_treated"] + effect["n_control"] if effect else 0
    found = Found(
        effect=effect,
        harms=harmed(mine, one.decision_days),
        grave=harmed(mine, one.decision_days, beyond=TOLERATED),
        seen_share=seen / planned if planned else None,
        unseen=unseen_gain(effect) if effect and one.is_imported else None,
        ready={} if effect else {name: one.n_ready(name) for name in (arm, baseline)},
    )
    decision = BROKEN if one.faults.height else decide(found)
    return {
        "experiment_id": one.experiment_id,
        "arm": arm,
        "baseline": baseline,
        "n_planned": planned,
        "planned_share": entered / planned if planned else None,
        "decision_days": one.decision_days,
        **{name: effect[name] if effect else None for name in _EFFECT},
        "harms": ", ".join(found.harms) or None,
        "decision": decision,
        "explanation": explained(one, found, decision),
    }


def experiment_row(one: Examined, decisions: list[dict[str, object]]) -> dict[str, object]:
    """The row of EXPERIMENTS. The arm it is judged by is treat, else the largest beside the baseline.

    `decisions`: those of all its arms. What the others say stands in the explanation after it.
    """
    arm = leading_arm(one.arms, one.baseline)
    by_arm = {str(row["arm"]): row for row in decisions if row["baseline"] == one.baseline}
    leading: Mapping[str, object] = by_arm.get(arm or "", {})
    n_unknown = int((~one.entries["is_known"]).sum()) if "is_known" in one.entries.columns else 0
    said = [str(leading["explanation"]) if leading else explained(one, Found(), TOO_EARLY)]
    if not one.faults.height:
        said += [f"{row['arm']} against {row['baseline']}: {row['decision']}." for row in decisions if row != leading]
    if n_unknown:
        said.append(f"{n_unknown:,} of its users are known by their assignment alone and count as not back.")
    return {
        "experiment_id": one.experiment_id,
        "origin": one.entries["origin"][0],
        "started_on": one.entries["assigned_on"].min(),
        "newest_on": one.entries["assigned_on"].max(),
        "n_users": one.entries.height,
        "arms": ", ".join(f"{name} {n:,}" for name, n in one.arms.items()),
        "arm": arm,
        "baseline": one.baseline,
        "n_planned": leading.get("n_planned"),
        "planned_share": leading.get("planned_share"),
        "sample_ratio_p": one.ratio_p,
        "balance_p": one.balance_p,
        "decision_days": one.decision_days,
        **{name: leading.get(name) for name in ("difference", "low", "high")},
        "decision": leading.get("decision", BROKEN if one.faults.height else TOO_EARLY),
        "faults": "; ".join(one.faults["fault"].unique().sort()) or None,
        "explanation": " ".join(said),
        "n_unknown": n_unknown,
    }


def leading_arm(counts: Mapping[str, int], baseline: str) -> str | None:
    """Treat, else the largest arm that is not the baseline; None without any."""
    others = [name for name in counts if name != baseline]
    return TREAT if TREAT in others else (others[0] if others else None)


def harmed(readouts: pl.DataFrame, decision_days: int, *, beyond: Mapping[str, float] | None = None) -> list[str]:
    """The harms that an arm surely did to all who entered, by the horizon of decision, in plain words.

    `beyond`: only those whose difference is larger than this, in points of the share by metric.
    """
    harms = [metric.name for metric in HARMS]
    tolerated = pl.col("metric").replace_strict(dict(beyond or {}), default=0.0, return_dtype=pl.Float64)
    found = readouts.filter(
        (pl.col("dimension") == ALL)
        & (pl.col("verdict") == WORSE)
        & pl.col("metric").is_in(harms)
        & (pl.col("horizon_days") <= decision_days)
        & (pl.col("difference") > tolerated)
    )
    return [BY_NAME[name].title for name in harms if name in set(found["metric"])]


def decide(found: Found) -> str:
    """The decision by returns and harms; "no effect shown" only once all that were planned are seen.

    A harm that is sure but tolerated harms no strategy: it is a price where returns rose, and named where they did not.
    An arm of fewer than FEWEST_TO_JUDGE users decides nothing, though all are seen; nor does one of which gains up to
    `unseen` would go unseen, if that is more than a usual gain.
    """
    effect = found.effect
    if effect is None:
        return HARMFUL if found.grave else UNDECIDED if min(found.ready.values(), default=0) else TOO_EARLY
    if effect["verdict"] == BETTER:
        return AT_A_PRICE if found.harms else WORKS
    if effect["verdict"] == WORSE or found.grave:
        return HARMFUL
    if effect["verdict"] == WAITING:
        return TOO_EARLY
    too_few = too_small(effect) or is_blind(effect, found.unseen)
    if (found.seen_share or 0) < 1 or too_few:
        return UNDECIDED
    return NO_GAIN if found.harms else NOTHING_SHOWN


def unseen_gain(effect: Mapping[str, object]) -> float:
    """The gain in points of the share that as many users would show with power .8; 1 where none would be shown.

    Looks are not allowed for. The share without contact is the baseline's, drawn a little to one half where it is none
    or all.
    """
    n_control, control = (float(str(effect[name])) for name in ("n_control", "control_mean"))
    n_users = float(str(effect["n_treated"])) + n_control
    base = min(max((control * n_control + 1) / (n_control + 2), 1e-6), 1 - 1e-6)
    return detectable_effect(base, n_users=n_users, control_share=n_control / n_users) or 1.0


def is_blind(effect: Mapping[str, object], unseen: float | None) -> bool:
    """Whether a gain of the usual size could not be seen: a fifth of the returns without contact."""
    usual = max(USUAL_GAIN * float(str(effect["control_mean"])), LEAST_EFFECT)
    return unseen is not None and unseen > MOST_BLIND * usual


def too_small(effect: Mapping[str, object]) -> bool:
    """Whether either arm of a row of READOUTS has too few users to judge by."""
    return min(int(str(effect[side])) for side in ("n_treated", "n_control")) < FEWEST_TO_JUDGE


def explained(one: Examined, found: Found, decision: str) -> str:
    """The decision in plain words, with its figures."""
    if one.faults.height:
        return "Broken, so not read. " + " ".join(one.faults["explanation"].unique().sort())
    effect = found.effect
    if effect is None:
        return _without_effect(found, decision, one.decision_days)
    of = "Weighted by the chances of the arms, of" if one.is_weighted else "Of"
    said = (
        f"{of} {effect['n_treated']:,} assigned to {effect['arm']} {_percent(effect['treated_mean'])} "
        f"{RETURNED.title} within {one.decision_days} days, of {effect['n_control']:,} in {effect['baseline']} "
        f"{_percent(effect['control_mean'])}: {_points(effect['difference'])} points"
    )
    if effect["low"] is not None:
        said += f" ({_points(effect['low'])} to {_points(effect['high'])}, sound however often one looks)"
    if decision == UNDECIDED and too_small(effect):
        return f"{said}. It cannot be told: {LEAST}."
    if is_chance_of_many(effect):
        said += ". Chance gives as much where so many arms are compared, for which the interval does not allow"
    if decision == UNDECIDED and (found.seen_share or 0) >= 1 and found.unseen is not None:
        sight = f"an effect below {100 * found.unseen:.1f} points could not be seen"
        return f"{said}. These are too few to tell: {sight}.{_tolerated(found, decision)}"
    return f"{said}. {_ending(found, decision)}{_tolerated(found, decision)}"


def _tolerated(found: Found, decision: str) -> str:
    """A word on harms that are sure and do not decide."""
    if not found.harms or decision in (HARMFUL, AT_A_PRICE, NO_GAIN):
        return ""
    return f" More {' and '.join(found.harms)}, though no more than is tolerated."


def _without_effect(found: Found, decision: str, days: int) -> str:
    """Why nothing is told of returns: nobody's days are over, or too few users' are."""
    fewest = min(found.ready, key=lambda name: found.ready[name], default=None)
    if fewest is not None and found.ready[fewest]:
        of = f"only {found.ready[fewest]} of {fewest} has had the {days} days by which it is judged"
        said = f"It cannot be told: {of}, and {LEAST}."
    else:
        missing = [name for name, n in found.ready.items() if not n]
        of = missing[0] if len(missing) == 1 else "both arms"
        said = f"Too early: nobody of {of} has had the {days} days yet by which it is judged."
    ending = f" {_ending(found, decision)}" if decision == HARMFUL else _tolerated(found, decision)
    return said + ending


def is_chance_of_many(effect: Mapping[str, object]) -> bool:
    """Whether the interval of a row of READOUTS leaves nought out, and the number of arms does not let it count."""
    low, high = effect["low"], effect["high"]
    leaves_out = isinstance(low, float) and isinstance(high, float) and (low > 0 or high < 0)
    return leaves_out and effect["verdict"] == OPEN


def _ending(found: Found, decision: str) -> str:
    harms, seen_share = found.harms, found.seen_share
    more = [f"more {' and '.join(harms)}"] if harms else []
    fewer = ["fewer came back"] if found.effect and found.effect["verdict"] == WORSE else []
    entered = (
        "its first fortnight, which makes the plan, is not over"
        if seen_share is None
        else f"{seen_share:.0%} of the planned users have had these days"
    )
    return {
        WORKS: "It works.",
        AT_A_PRICE: f"It works, but more {' and '.join(harms)}.",
        HARMFUL: f"It harms: {', and '.join([*fewer, *more])}.",
        NOTHING_SHOWN: "All that were planned have had these days, and no effect is shown.",
        NO_GAIN: f"No gain is shown, and more {' and '.join(harms)}, though no more than is tolerated.",
        UNDECIDED: f"It cannot be told yet: {entered}.",
        TOO_EARLY: f"It is too early to say: {entered}.",
    }[decision]


def _percent(share: object) -> str:
    return f"{100 * float(share):.1f} %"  # type: ignore[arg-type]


def _points(share: object) -> str:
    return f"{100 * float(share):+.2f}".replace("-", "−")  # type: ignore[arg-type]
