"""Every experiment read by intention to treat: differences per arm, slice, metric and horizon, or why it cannot be."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import numpy.typing as npt
import polars as pl

from dagster_project.outcomes.arms import baseline_of, contrasts, share_entered
from dagster_project.outcomes.balance import BALANCE, arm_balance
from dagster_project.outcomes.coding import CodedEntries, coded_entries
from dagster_project.outcomes.comparison import compared_arms
from dagster_project.outcomes.differences import READOUTS, difference_rows, judged
from dagster_project.outcomes.faults import FAULTS
from dagster_project.outcomes.moments import take_moments
from dagster_project.outcomes.money import MONEY, money_of_arm, with_money
from dagster_project.outcomes.plans import planned_users
from dagster_project.outcomes.randomisation import BROKEN_BELOW, balance_p, inverse_propensities
from dagster_project.outcomes.ratios import sample_ratio_p
from dagster_project.outcomes.verdicts import DECISIONS, EXPERIMENTS, Examined, decision_rows, experiment_row
from dagster_project.outcomes.vocabulary import (
    ALL,
    HORIZONS,
    METRICS,
    RETURNED,
    Metric,
)

Floats = npt.NDArray[np.float64]

AT_ONCE = 2  # experiments: more would wait for the interpreter and hold more in memory


@dataclass(frozen=True, kw_only=True)
class ReadoutRules:
    """What a night tells its readouts: `decision_days` is the horizon by which an experiment is judged.

    `fixed_days`: that of experiments which began on an earlier night. It was named then and does not move.
    `measured`: names of metrics that a source tells of, so that none means nobody.
    `records_from`: the first day with an event; None: all days before entry are on record.
    """

    decision_days: int
    margin_share: float
    fixed_days: Mapping[str, int] = field(default_factory=dict)
    measured: frozenset[str] = frozenset()
    records_from: date | None = None

    def days_of(self, experiment_id: str) -> int:
        """The horizon by which this one is judged."""
        return self.fixed_days.get(experiment_id, self.decision_days)


@dataclass(frozen=True)
class Readouts:
    """The tables of a night's experiments, each sorted by its key. Broken ones stand in the first three alone."""

    experiments: pl.DataFrame
    decisions: pl.DataFrame
    balance: pl.DataFrame
    readouts: pl.DataFrame
    money: pl.DataFrame


def decision_horizon(horizon_days: int) -> int:
    """The horizon that is read nearest below the night's own; the shortest where that is shorter still."""
    return max((days for days in HORIZONS if days <= horizon_days), default=HORIZONS[0])


def read_experiments(entries: pl.DataFrame, faults: pl.DataFrame, *, rules: ReadoutRules) -> Readouts:
    """The effect of assignment in every experiment of `entries` (ENTRIES joined with OUTCOMES) that is sound.

    `faults`: FAULTS by `find_faults`. A fault, a sample ratio or a difference before entry that chance would give
    less than once in a thousand: broken, shown, not read. Estimand: the mean difference in the outcome between having
    been assigned the arm and the baseline, over all who entered and whose days are over, whatever they then got.
    """
    names = sorted(entries["experiment_id"].unique())
    with ThreadPoolExecutor(AT_ONCE) as pool:  # in the order of their names, whoever is done first
        read = list(pool.map(lambda name: _read_one(name, _of(entries, name), _of(faults, name), rules), names))
    return Readouts(
        experiments=pl.DataFrame([one.row for one in read], schema=EXPERIMENTS, orient="row"),
        decisions=pl.DataFrame([row for one in read for row in one.decisions], schema=DECISIONS, orient="row"),
        balance=pl.concat([BALANCE.to_frame(), *(one.balance for one in read)]),
        readouts=pl.concat([READOUTS.to_frame(), *(one.readouts for one in read)]),
        money=pl.concat([MONEY.to_frame(), *(one.money for one in read)]),
    )


def _of(frame: pl.DataFrame, experiment_id: str) -> pl.DataFrame:
    is_it = frame["experiment_id"] == experiment_id
    return frame if is_it.all() else frame.filter(is_it)  # a copy of a million wide rows is most of the work


@dataclass(frozen=True)
class _Read:
    row: dict[str, object]
    decisions: list[dict[str, object]]
    balance: pl.DataFrame
    readouts: pl.DataFrame
    money: pl.DataFrame


def _read_one(experiment_id: str, entries: pl.DataFrame, faults: pl.DataFrame, rules: ReadoutRules) -> _Read:
    coded = coded_entries(entries)
    n_users = np.bincount(coded.arm.codes)
    counts = {coded.arm.values[arm]: int(n_users[arm]) for arm in np.argsort(-n_users, kind="stable")}
    baseline = baseline_of(experiment_id, list(counts))
    impossible = faults["fault"].is_in(["impossible propensity", "missing propensity"]).any()
    weight = None if impossible else inverse_propensities(entries)
    ratio = None if impossible else sample_ratio_p(entries)
    balance = (
        None if impossible else balance_p(entries, baseline=baseline, weight=weight, records_from=rules.records_from)
    )
    pairs = contrasts(experiment_id, list(counts), baseline)
    examined = Examined(
        experiment_id=experiment_id,
        entries=entries,
        arms=counts,
        baseline=baseline,
        ratio_p=ratio,
        balance_p=balance,
        faults=pl.concat([faults, _chance_faults(experiment_id, ratio, balance, share_entered(entries))]),
        plans={(arm, other): planned_users(entries, arm=arm, baseline=other) for arm, other in pairs},
        decision_days=rules.days_of(experiment_id),
        is_weighted=weight is not None,
    )
    if examined.faults.height:
        readouts, among, money = READOUTS.to_frame(), READOUTS.to_frame(), MONEY.to_frame()
    else:
        readouts, among, money = _compare(examined, coded, weight, rules)
    decisions = decision_rows(examined, pl.concat([readouts, among]))
    return _Read(experiment_row(examined, decisions), decisions, arm_balance(entries, coded), readouts, money)


def _compare(
    one: Examined, coded: CodedEntries, weight: Floats | None, rules: ReadoutRules
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """READOUTS of a sound experiment, READOUTS of templates among each other (of all users alone), and MONEY."""
    told, priced = _told(one.entries, rules.measured), with_money(one.entries, margin_share=rules.margin_share)
    moments = take_moments(
        priced.frame,
        weight=weight,
        covariate=covariate_of(one.entries),
        metrics=(*told, *priced.metrics),
        coded=coded,
        with_cross=True,
    )
    name, days = one.experiment_id, one.decision_days
    compared = [
        compared_arms(moments, arm=arm, baseline=baseline, n_planned=planned)
        for (arm, baseline), planned in one.plans.items()
    ]
    rows = [difference_rows(name, pair, moments, metrics=told, decision_days=days) for pair in compared]
    against = [part for part, pair in zip(rows, compared, strict=True) if pair.baseline == one.baseline]
    among = [
        part.filter(pl.col("dimension") == ALL)
        for part, pair in zip(rows, compared, strict=True)
        if pair.baseline != one.baseline
    ]
    money = [
        money_of_arm(name, pair, moments, basis=priced.basis) for pair in compared if pair.baseline == one.baseline
    ]
    judged_rows = [judged(pl.concat(part)) if part else READOUTS.to_frame() for part in (against, among)]
    return judged_rows[0], judged_rows[1], pl.concat([MONEY.to_frame(), *money])


def covariate_of(entries: pl.DataFrame) -> Floats | None:
    """What was known of each user of one experiment before entry: the chance to come back without contact.

    Where some have none they get the mean; where none has, the days of activity in the 28 before entry stand in.
    """
    told = entries["p_return"]
    if told.null_count() < told.len():
        return told.fill_null(float(told.drop_nulls().to_numpy().mean())).to_numpy()
    return np.asarray(np.log1p(entries["n_active_days_before"].fill_null(0).to_numpy().astype(np.float64)))


def _told(entries: pl.DataFrame, measured: frozenset[str]) -> tuple[Metric, ...]:
    """The metrics of which anything at all is known: that it happened to somebody, or that a source would tell."""
    always, longest = {RETURNED.name, *measured}, HORIZONS[-1]
    return tuple(
        metric
        for metric in METRICS
        if metric.name in always or entries[metric.column(longest)].null_count() < entries.height
    )


def _chance_faults(
    experiment_id: str, ratio: float | None, balance: float | None, entered: float | None
) -> pl.DataFrame:
    told = []
    if ratio is not None and ratio < BROKEN_BELOW:
        said = f"The arms are of other sizes than drawn (p = {ratio:.1g}): some of one arm are missing."
        told.append((experiment_id, "sample ratio", said))
    if balance is not None and balance < BROKEN_BELOW:
        said = f"The arms differed in the 28 days before entry (p = {balance:.1g}): outcomes lie before the assignment."
        told.append((experiment_id, "outcome before assignment", said))
    if entered is not None:
        said = f"By the propensities noted only {entered:.0%} of those drawn are in any arm: an arm has no users."
        told.append((experiment_id, "empty arm", said))
    return pl.DataFrame(told, schema=FAULTS, orient="row")
