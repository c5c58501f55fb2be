"""What randomised outcomes say of harm, in a test that may be asked every night, and how many nights it needs.

Which strategies are stopped for it, and for how long, is the matter of `stopping`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import polars as pl

from dagster_project.strategy.lift import Floats, log_odds

HARM_SD = 0.3  # log-odds: the size of harm that is found soonest; smaller and larger ones are found too
POWER = 0.9
MOST_NIGHTS = 3650
UNEVEN = 1e-6  # weights that differ by less are the same, but for rounding
PACE_DAYS = 28  # over which users a night are counted


@dataclass(frozen=True)
class Harm:
    """One way to harm. `said`: of those to whom it happened. `tolerated`: share of the contacted beyond that of the
    held out to whom it may happen; None for returns, of which none may be lost.
    """

    column: str
    said: str
    tolerated: float | None


# A message that may be answered by leaving is left by some: none at all would stop every strategy. The shares are
# opinions, but for complaints: .3 % is where Google's and Yahoo's rules for senders (2024) begin to block.
HARMS = (
    Harm("is_return", "came back", None),
    Harm("is_opted_out", "opted out", 0.01),
    Harm("is_complained", "complained", 0.003),
    Harm("is_app_removed", "removed the app", 0.01),
)
LEVEL = 0.05  # the chance that a strategy without harm is ever stopped, however many nights it is asked about
LEVEL_OF_ONE = LEVEL / len(HARMS)
_WANTED = ("strategy_id", "experiment_id", "assigned_on", "p_return", "is_treated", "propensity")


@dataclass(frozen=True)
class HarmEvidence:
    """`score` is below zero where the contacted do worse than the held out; `information` is its variance.

    `log_evidence`: by how much harm foretells the outcomes better than no effect does, as a logarithm, at the night
    when it was greatest; `on`: that night. The shares are of those to whom it happened, weighed by inverse propensity.
    """

    harm: Harm
    score: float
    information: float
    log_evidence: float
    on: date | None
    n_treated: int
    n_held_out: int
    treated_share: float
    held_out_share: float


def harm_evidence(
    outcomes: pl.DataFrame, *, harm: Harm = HARMS[0], since: Mapping[str, date] | None = None
) -> dict[str, HarmEvidence]:
    """Per strategy what its randomised outcomes say of one harm, by strategy id.

    `outcomes`: see `stopping.stopped`. Estimand: what having been assigned the strategy does to the chance of the
    outcome, over the users of each night and experiment, who count by inverse propensity.
    """
    if harm.column not in outcomes.columns:
        return {}
    rows = _judged(outcomes).filter(pl.col(harm.column).is_not_null())
    groups = rows.select(*_WANTED, pl.col(harm.column).alias("y")).sort("strategy_id", "assigned_on")
    started = {str(name): group for (name,), group in groups.partition_by("strategy_id", as_dict=True).items()}
    for name, first_on in (since or {}).items():
        if name in started:
            started[name] = started[name].filter(pl.col("assigned_on") >= first_on)
    return {name: _of_strategy(group, harm) for name, group in sorted(started.items()) if group.height}


def log_evidence(score: Floats, information: Floats, *, sd: float = HARM_SD) -> Floats:
    """log of the mean likelihood under harm over that under no effect, harm being half-normal of `sd`.

    Under no effect its expectation never rises, so that by Ville's inequality it ever exceeds 1 ÷ level with a chance
    of at most level. Robbins 1970; Howard, Ramdas, McAuliffe & Sekhon 2021 (one-sided normal mixture).
    """
    from scipy.special import log_ndtr

    spread = 1 + sd**2 * information
    strength = -sd * score / np.sqrt(spread)
    return np.asarray(np.log(2) - 0.5 * np.log(spread) + strength**2 / 2 + log_ndtr(strength))


def nights_to_stop(
    lift: float,
    *,
    p_return: float,
    n_treated: float,
    n_held_out: float,
    level: float = LEVEL_OF_ONE,
    power: float = POWER,
) -> int | None:
    """Nights until a strategy of this `lift` (log-odds, below zero) is stopped with chance `power`; None: in no time.

    `n_treated` and `n_held_out` are users a night, `p_return` theirs without contact. The night before its outcomes
    are known is not counted: add the horizon.
    """
    if lift >= 0 or min(n_treated, n_held_out) <= 0:
        return None
    p = 1 / (1 + np.exp(-(log_odds(np.asarray([p_return]))[0] + lift / 2)))
    treated, held_out = n_treated * p * (1 - p), n_held_out * p * (1 - p)
    information = np.arange(1, MOST_NIGHTS + 1) * treated * held_out / (treated + held_out)
    return first_enough(information, lift=lift, level=level, power=power)


def first_enough(information: Floats, *, lift: float, level: float = LEVEL_OF_ONE, power: float = POWER) -> int | None:
    """The first place, from 1 on, of growing information that stops a strategy of this `lift` with chance `power`."""
    from scipy.special import ndtri

    score = lift * information + ndtri(power) * np.sqrt(information)
    enough = np.flatnonzero((score < 0) & (log_evidence(score, information) >= np.log(1 / level)))
    return int(enough[0]) + 1 if len(enough) else None


def nights_at_pace(outcomes: pl.DataFrame, *, lift: float) -> dict[str, int | None]:
    """Per strategy of the newest outcomes the nights in which one of this `lift` would be stopped, by their pace.

    `outcomes` as in `stopping.stopped`. The pace is that of the last PACE_DAYS on which anybody entered.
    """
    rows = _judged(outcomes)
    newest = rows["assigned_on"].max()
    if not isinstance(newest, date):
        return {}
    late = rows.filter(pl.col("assigned_on") > newest - timedelta(days=PACE_DAYS))
    n_nights = late["assigned_on"].n_unique()
    paces = late.group_by("strategy_id").agg(
        pl.col("is_treated").sum().alias("n_treated"),
        (~pl.col("is_treated")).sum().alias("n_held_out"),
        pl.col("p_return").sort().mean().alias("p_return"),
    )
    return {
        row["strategy_id"]: nights_to_stop(
            lift,
            p_return=row["p_return"],
            n_treated=row["n_treated"] / n_nights,
            n_held_out=row["n_held_out"] / n_nights,
        )
        for row in paces.sort("strategy_id").iter_rows(named=True)
    }


def _judged(outcomes: pl.DataFrame) -> pl.DataFrame:
    """The rows that may say something of harm."""
    rows = outcomes.filter(pl.col("is_randomised").fill_null(value=False) & pl.col("assigned_on").is_not_null())
    drawn = rows.filter(pl.col("arm").fill_null("") != "explore") if "arm" in rows.columns else rows
    return _with_shared_control(drawn)


def _with_shared_control(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows that name a strategy, and the held out who name none once for each strategy of their experiment.

    Each strategy is judged by itself, at a level of its own, so a control that several share does not make any of
    them likelier to be stopped wrongly. That they share it makes them likelier to be stopped wrongly *together*.
    """
    is_named = pl.col("strategy_id").is_not_null()
    tried = rows.filter(is_named & pl.col("is_treated")).select("experiment_id", "strategy_id").unique()
    shared = rows.filter(~is_named & ~pl.col("is_treated")).drop("strategy_id")
    paired = shared.join(tried, on="experiment_id", how="inner", nulls_equal=True).select(rows.columns)
    return pl.concat([rows.filter(is_named), paired])


def _of_strategy(rows: pl.DataFrame, harm: Harm) -> HarmEvidence:
    """The efficient score at no harm, night by night: its increments are independent.

    Nights and experiments are compared within themselves, so that what moves everybody's outcomes cancels. Scharfstein,
    Tsiatis & Robins 1997 (sequential tests by efficient scores).
    """
    weighed = rows.with_columns(
        (1 / pl.col("propensity").cast(pl.Float64).fill_null(1.0).clip(1e-6)).alias("w"), pl.col("y").cast(pl.Float64)
    )
    judged = _with_returns_left(weighed) if harm.tolerated is None else _with_harms_left(weighed, harm.tolerated)
    by_night = _by_night(judged, sign=1.0 if harm.tolerated is None else -1.0)
    score, information = np.cumsum(by_night["score"].to_numpy()), np.cumsum(by_night["information"].to_numpy())
    evidence = log_evidence(score, information, sd=HARM_SD if harm.tolerated is None else 2 * harm.tolerated)
    place = int(evidence.argmax()) if len(evidence) else -1
    return HarmEvidence(
        harm=harm,
        score=float(score[-1]) if len(score) else 0.0,
        information=float(information[-1]) if len(score) else 0.0,
        log_evidence=float(evidence[place]) if len(evidence) else -np.inf,
        on=by_night["assigned_on"][place] if len(evidence) else None,
        n_treated=int(rows["is_treated"].sum()),
        n_held_out=int((~rows["is_treated"]).sum()),
        treated_share=_share(weighed.filter("is_treated")),
        held_out_share=_share(weighed.filter(~pl.col("is_treated"))),
    )


def _with_returns_left(rows: pl.DataFrame) -> pl.DataFrame:
    """`left`: return less its forecast; `scale`: what a unit of log-odds changes; `variance`: of `left`."""
    is_return, odds = rows["y"].to_numpy(), log_odds(rows["p_return"].to_numpy())
    p = 1 / (1 + np.exp(-(odds + _drift(odds, is_return))))
    return rows.with_columns(
        pl.Series("left", is_return - p), pl.Series("scale", p * (1 - p)), pl.Series("variance", p * (1 - p))
    )


def _with_harms_left(rows: pl.DataFrame, tolerated: float) -> pl.DataFrame:
    """The same of a share that may be higher among the treated by so much, in points of the share."""
    treated = rows["is_treated"].cast(pl.Float64).to_numpy()
    held_out = max((rows["y"].to_numpy().sum() - tolerated * treated.sum()) / max(rows.height, 1), 0.0)
    p = np.minimum(held_out + tolerated * treated, 1.0)
    least = 1 / max(rows.height, 1)  # where none is held to be possible, one might have been
    return rows.with_columns(
        pl.Series("left", rows["y"].to_numpy() - p),
        pl.lit(1.0).alias("scale"),
        pl.Series("variance", np.maximum(p * (1 - p), least)),
    )


def _by_night(rows: pl.DataFrame, *, sign: float) -> pl.DataFrame:
    """assigned_on, score and information, of the nights with both arms; below zero is harm by `sign`."""
    w, both = pl.col("w"), (("1", pl.col("is_treated")), ("0", ~pl.col("is_treated")))
    sums = {"left": w * pl.col("left"), "scale": w * pl.col("scale"), "variance": w**2 * pl.col("variance")}
    odd = _overdispersion(rows)
    error = [pl.col(f"variance_{arm}") / pl.col(f"scale_{arm}") ** 2 for arm, _ in both]
    gap = pl.col("left_1") / pl.col("scale_1") - pl.col("left_0") / pl.col("scale_0")
    return (
        rows.group_by("assigned_on", "experiment_id")
        .agg(
            value.filter(is_it).sort().sum().alias(f"{name}_{arm}")
            for arm, is_it in both
            for name, value in sums.items()
        )
        .filter((pl.col("scale_1") > 0) & (pl.col("scale_0") > 0))
        .with_columns((1 / ((error[0] + error[1]) * odd)).alias("information"))
        .with_columns((sign * gap * pl.col("information")).alias("score"))
        .sort("assigned_on", "experiment_id", nulls_last=True)
        .group_by("assigned_on", maintain_order=True)
        .agg(pl.col("score").sum(), pl.col("information").sum())
    )


def _overdispersion(rows: pl.DataFrame) -> float:
    """By how much weighted sums vary more than chance makes them, since forecasts miss some users: 1 or more.

    Where all of an arm weigh alike, what forecasts miss is as likely in either arm and cancels.
    """
    even = pl.col("w") / pl.col("w").mean().over("assigned_on", "experiment_id", "is_treated")
    if rows.select((even - 1).abs().max() < UNEVEN).item():
        return 1.0
    sums = ((pl.col("w") * pl.col("left")) ** 2, pl.col("w") ** 2 * pl.col("variance"))
    seen, expected = rows.select(*(one.sort().sum().alias(str(at)) for at, one in enumerate(sums))).row(0)
    return max(float(seen / expected), 1.0)


def _share(rows: pl.DataFrame) -> float:
    return (
        float(rows.select((pl.col("w") * pl.col("y")).sum() / pl.col("w").sum()).item() or 0.0) if rows.height else 0.0
    )


def _drift(odds: Floats, is_return: Floats) -> float:
    """How far p_return is off for all rows, in log-odds, by one parameter's Newton steps."""
    drift = 0.0
    for _ in range(20):
        p = 1 / (1 + np.exp(-(odds + drift)))
        # Half a return and half a miss more keep it finite where all outcomes are alike.
        step = ((is_return - p).sum() + 0.5 - p.mean()) / ((p * (1 - p)).sum() + 0.25)
        drift += float(np.clip(step, -1, 1))
        if abs(step) < 1e-9:
            break
    return drift
