"""Experiments of several treatments that chance dealt out: is one for each user worth more than the best for all?"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from dagster_project.models.features import sample_rows, to_matrix
from dagster_project.models.threads import on_one_thread
from dagster_project.models.uplift.figures import Figure
from dagster_project.models.uplift.history import POOLED
from dagster_project.models.uplift.judging import CONFIDENCE, LEAST_ROWS
from dagster_project.models.uplift.learners import MOST_ROWS
from dagster_project.models.uplift.metrics import PER
from dagster_project.models.uplift.policies import (
    ArmedTrial,
    PolicyValue,
    arm_outcomes,
    one_against_control,
    policy_value,
)
from dagster_project.models.uplift.tables import CHOICE_SCHEMA

ONE_CHANCE = 1e-6  # chances of one arm further apart than this differ by user


@dataclass(frozen=True)
class Pricing:
    """By which settings money is counted in returns: `margin_share` of what a return brings is profit, and
    `value_per_active_day` is what one brings where nothing tells of it."""

    margin_share: float
    value_per_active_day: float


@dataclass(frozen=True)
class Worth:
    """Profit of a return, None where nobody knows it, and in words where the figure is from."""

    profit: float | None
    source: str


@on_one_thread()
def judge_choices(pairs: pl.DataFrame, *, columns: tuple[str, ...], pricing: Pricing, seed: int) -> pl.DataFrame:
    """CHOICE_SCHEMA, one row per experiment with two or more treatments, each with LEAST_ROWS rows, and a control.

    `pairs`: history.PAIRS with the features in `columns`. Only treatments that chance chose (`is_drawn`) and whose
    chance was the same for everybody are compared: of a row only the chance of its own arm is on record.
    """
    drawn = pairs.filter(pl.col("is_drawn") & (pl.col("strategy_id") != POOLED) & pl.col("is_return").is_not_null())
    rows = [
        _row(experiment, columns, pricing, seed)
        for experiment in drawn.sort("experiment_id").partition_by("experiment_id", maintain_order=True)
        if len(_arms(experiment)) > 1
    ]
    return pl.DataFrame(rows, schema=CHOICE_SCHEMA)


def worth_of_return(rows: pl.DataFrame, *, pricing: Pricing) -> Worth:
    """What a return is worth among these rows (`value`, `spend`, `is_return`): the mean that was thought at entry.

    An import seldom tells that. Then it is what those who returned spent on average, and where no spending is known
    what the settings say, as wherever else a return has to be valued.
    """
    thought = _mean(rows["value"])
    spent = _mean(rows.filter("is_return")["spend"])
    told = (
        (thought, "as thought at entry"),
        (spent, "the mean spend of those who returned"),
        (pricing.value_per_active_day, "by value.value_per_active_day in the settings"),
    )
    amount, source = next((amount, source) for amount, source in told if amount is not None)
    profit = pricing.margin_share * amount
    return Worth(profit if profit > 0 else None, source)


def armed_trial(
    experiment: pl.DataFrame, columns: tuple[str, ...], *, profit: float | None
) -> tuple[ArmedTrial, list[str]]:
    """The trial of one experiment's pairs, and its treatments in the order of the arms 1, 2, …

    What a contact costs is counted in returns, by the `profit` of one; nought where either is not on record.
    """
    arms = _arms(experiment)
    is_treated = pl.col("is_treated")
    rows = (
        experiment.filter(pl.col("strategy_id").is_in(arms))
        .with_columns(pl.when(is_treated).then("strategy_id").alias("treatment"))
        .sort("user_id", "treatment", nulls_last=True)
        .unique(["user_id", "treatment"], keep="first", maintain_order=True)
    )
    numbers = {name: 1 + i for i, name in enumerate(arms)}
    arm = rows["treatment"].replace_strict(numbers, default=0, return_dtype=pl.Int64).to_numpy()
    chances = np.array([_chance(rows.filter(arm == i), rows.height) for i in range(len(arms) + 1)])
    costs = np.array([0.0, *(_mean(rows.filter(arm == i)["cost"]) or 0.0 for i in numbers.values())])
    trial = ArmedTrial(
        x=to_matrix(rows, columns),
        arm=arm,
        outcome=rows["is_return"].cast(pl.Float64).to_numpy(),
        propensities=np.tile(chances / chances.sum(), (rows.height, 1)),
        costs=costs / profit if profit else np.zeros(len(costs)),
    )
    return trial, arms


def _arms(experiment: pl.DataFrame) -> list[str]:
    """The treatments with enough rows and one chance for everybody."""
    treated = experiment.filter("is_treated").group_by("strategy_id")
    spread = (pl.col("arm_propensity").max() - pl.col("arm_propensity").min()).fill_null(0.0)
    told = treated.agg(n=pl.len(), spread=spread).filter((pl.col("n") >= LEAST_ROWS) & (pl.col("spread") < ONE_CHANCE))
    return sorted(told["strategy_id"].to_list())


def _mean(column: pl.Series) -> float | None:
    mean = column.mean()
    return float(mean) if isinstance(mean, float) else None


def _chance(rows: pl.DataFrame, n: int) -> float:
    told = _mean(rows["arm_propensity"])
    return rows.height / n if told is None else told


def _row(experiment: pl.DataFrame, columns: tuple[str, ...], pricing: Pricing, seed: int) -> dict[str, object]:
    drawn = sample_rows(experiment.with_columns(pl.col("experiment_id").alias("cutoff")), max_rows=MOST_ROWS, seed=seed)
    worth = worth_of_return(drawn, pricing=pricing)
    trial, arms = armed_trial(drawn, columns, profit=worth.profit)
    costed = drawn.filter(pl.col("is_treated") & pl.col("cost").is_not_null())["strategy_id"].unique()
    less = _less_cost(worth, without=[name for name in arms if name not in costed], n_arms=len(arms))
    names = ["nobody", *arms]
    choice = one_against_control(trial, seed=seed).argmax(axis=1)
    found = policy_value(arm_outcomes(trial, seed=seed), choice, confidence=CONFIDENCE)
    best = names[found.best_fixed]
    is_better = found.beyond_best.is_positive
    return {
        "experiment_id": experiment["experiment_id"][0],
        "verdict": "choose" if is_better else "one for all",
        "n_users": len(trial.arm),
        "treatments": json.dumps(arms, ensure_ascii=False),
        "best_fixed": best,
        "sentence": _sentence(found, best, is_better=is_better, less=less),
        **dict(_figures(found)),
    }


def _figures(found: PolicyValue) -> Iterator[tuple[str, float]]:
    figures = {"chosen": found.chosen, "best": found.fixed[found.best_fixed], "beyond_best": found.beyond_best}
    for name, figure in figures.items():
        ends = (("", figure.value), ("_low", figure.low), ("_high", figure.high))
        yield from ((f"{name}_value{end}", PER * value) for end, value in ends)


def _less_cost(worth: Worth, *, without: Sequence[str], n_arms: int) -> str:
    """What was taken off for the cost of contacts. `without`: the treatments of which no cost is on record."""
    if len(without) == n_arms:
        return "what contacts cost is not on record"
    if worth.profit is None:
        return f"what contacts cost is not counted, a return bringing no profit, {worth.source}"
    unknown = f"; what {' and '.join(without)} costs is not on record" if without else ""
    return f"less what contacts cost, a return bringing a profit of {worth.profit:,.2f}, {worth.source}{unknown}"


def _sentence(found: PolicyValue, best: str, *, is_better: bool, less: str) -> str:
    said = f"One for each user brings {_text(found.beyond_best)} returns per 1,000 beyond {best} for all ({less})"
    if is_better:
        return f"Choose per user: {said}."
    return f"{best} for all will do: that users differ in which serves them is not established. {said}."


def _text(figure: Figure) -> str:
    return f"{PER * figure.value:+.1f} ({PER * figure.low:+.1f} to {PER * figure.high:+.1f})"
