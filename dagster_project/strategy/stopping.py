"""Which strategies are stopped because they harm, and how many nights it takes to find that out.

The rule may be asked every night: the chance that it ever stops a strategy that does no harm is known.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from dagster_project.strategy.lift import Floats, log_odds

LEVEL = 0.05  # the chance that a strategy without harm is ever stopped, however many nights it is asked about
HARM_SD = 0.3  # log-odds: the size of harm that is found soonest; smaller and larger ones are found too
POWER = 0.9
MOST_NIGHTS = 3650
_WANTED = ("strategy_id", "experiment_id", "assigned_on", "p_return", "is_treated", "is_return", "is_randomised")


@dataclass(frozen=True)
class HarmEvidence:
    """`score` is below zero where the contacted return less often than the held out; `information` is its variance.

    `log_evidence`: by how much harm foretells the outcomes better than no effect does, as a logarithm, at the night
    when it was greatest; `on`: that night.
    """

    score: float
    information: float
    log_evidence: float
    on: date | None
    n_treated: int
    n_held_out: int
    treated_share: float
    held_out_share: float


def stopped(outcomes: pl.DataFrame, *, since: Mapping[str, date] | None = None, level: float = LEVEL) -> dict[str, str]:
    """Per strategy that is stopped, in the order of their ids, a sentence that says why.

    `outcomes` (see `learning.OUTCOMES`): one row per user and experiment whose horizon has passed. Only randomised
    rows that name a strategy are read, and not those of arm `explore`: whom a draw gave the strategy is not alike to
    whom it was held back from. `since`: from which night on a strategy is judged, for one that is tried again.

    A strategy that does no harm is ever stopped with a chance of at most `level`, however often this is asked. Once
    stopped it stays so, unless `since` moves.
    """
    found = harm_evidence(outcomes, since=since)
    return {
        name: _sentence(name, one, level=level) for name, one in found.items() if one.log_evidence >= np.log(1 / level)
    }


def harm_evidence(outcomes: pl.DataFrame, *, since: Mapping[str, date] | None = None) -> dict[str, HarmEvidence]:
    """Per strategy what its randomised outcomes say of harm, by strategy id."""
    rows = outcomes.filter(
        pl.col("is_randomised").fill_null(value=False)
        & pl.all_horizontal(pl.col(name).is_not_null() for name in ("strategy_id", "assigned_on"))
    )
    if "arm" in rows.columns:
        rows = rows.filter(pl.col("arm").fill_null("") != "explore")
    groups = rows.select(_WANTED).sort("strategy_id", "assigned_on").partition_by("strategy_id", as_dict=True)
    started = {name: group for (name,), group in groups.items()}
    for name, first_on in (since or {}).items():
        if name in started:
            started[name] = started[name].filter(pl.col("assigned_on") >= first_on)
    return {str(name): _of_strategy(started[name]) for name in sorted(started)}


def log_evidence(score: Floats, information: Floats) -> Floats:
    """log of the mean likelihood under harm over that under no effect, harm being half-normal of HARM_SD.

    Under no effect its expectation never rises, so that by Ville's inequality it ever exceeds 1 ÷ level with a chance
    of at most level. Robbins 1970; Howard, Ramdas, McAuliffe & Sekhon 2021 (one-sided normal mixture).
    """
    from scipy.special import log_ndtr

    spread = 1 + HARM_SD**2 * information
    strength = -HARM_SD * score / np.sqrt(spread)
    return np.asarray(np.log(2) - 0.5 * np.log(spread) + strength**2 / 2 + log_ndtr(strength))


def nights_to_stop(
    lift: float, *, p_return: float, n_treated: float, n_held_out: float, level: float = LEVEL, power: float = POWER
) -> int | None:
    """Nights until a strategy of this `lift` (log-odds, below zero) is stopped with chance `power`; None: in no time.

    `n_treated` and `n_held_out` are users a night, `p_return` theirs without contact. The night before its outcomes
    are known is not counted: add the horizon.
    """
    if lift >= 0 or min(n_treated, n_held_out) <= 0:
        return None
    from scipy.special import ndtri

    treated = n_treated * (p := 1 / (1 + np.exp(-(log_odds(np.asarray([p_return]))[0] + lift / 2)))) * (1 - p)
    held_out = n_held_out * p * (1 - p)
    information = np.arange(1, MOST_NIGHTS + 1) * treated * held_out / (treated + held_out)
    score = lift * information + ndtri(power) * np.sqrt(information)
    enough = np.flatnonzero((score < 0) & (log_evidence(score, information) >= np.log(1 / level)))
    return int(enough[0]) + 1 if len(enough) else None


def _of_strategy(rows: pl.DataFrame) -> HarmEvidence:
    """The efficient score of the lift at no effect, night by night: its increments are independent.

    Nights and experiments are compared within themselves, so that what moves everybody's returns cancels. Scharfstein,
    Tsiatis & Robins 1997 (sequential tests by efficient scores).
    """
    treated, is_return = rows["is_treated"].to_numpy(), rows["is_return"].cast(pl.Float64).to_numpy()
    odds = log_odds(rows["p_return"].to_numpy())
    p = 1 / (1 + np.exp(-(odds + _drift(odds, is_return))))
    by_batch = (
        rows.select("assigned_on", "experiment_id", "is_treated")
        .with_columns(pl.Series("left", is_return - p), pl.Series("variance", p * (1 - p)))
        .group_by("assigned_on", "experiment_id")
        .agg(
            _sum("left", is_treated=True).alias("left_1"),
            _sum("left", is_treated=False).alias("left_0"),
            _sum("variance", is_treated=True).alias("i_1"),
            _sum("variance", is_treated=False).alias("i_0"),
        )
        .filter((pl.col("i_1") > 0) & (pl.col("i_0") > 0))
        .with_columns(
            (
                (pl.col("i_0") * pl.col("left_1") - pl.col("i_1") * pl.col("left_0")) / (pl.col("i_1") + pl.col("i_0"))
            ).alias("score"),
            (pl.col("i_1") * pl.col("i_0") / (pl.col("i_1") + pl.col("i_0"))).alias("information"),
        )
        .sort("assigned_on", "experiment_id", nulls_last=True)
        .group_by("assigned_on", maintain_order=True)
        .agg(pl.col("score").sum(), pl.col("information").sum())
    )
    score, information = np.cumsum(by_batch["score"].to_numpy()), np.cumsum(by_batch["information"].to_numpy())
    evidence = log_evidence(score, information)
    place = int(evidence.argmax()) if len(evidence) else -1
    return HarmEvidence(
        score=float(score[-1]) if len(score) else 0.0,
        information=float(information[-1]) if len(score) else 0.0,
        log_evidence=float(evidence[place]) if len(evidence) else -np.inf,
        on=by_batch["assigned_on"][place] if len(evidence) else None,
        n_treated=int(treated.sum()),
        n_held_out=int((~treated).sum()),
        treated_share=float(is_return[treated].mean()) if treated.any() else 0.0,
        held_out_share=float(is_return[~treated].mean()) if not treated.all() else 0.0,
    )


def _sum(column: str, *, is_treated: bool) -> pl.Expr:
    return pl.col(column).filter(pl.col("is_treated") == is_treated).sum()


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


def _sentence(name: str, one: HarmEvidence, *, level: float) -> str:
    return (
        f"{name} is stopped: of {one.n_treated:,} contacted {100 * one.treated_share:.1f} % came back, of "
        f"{one.n_held_out:,} held out {100 * one.held_out_share:.1f} %, and chance alone would stop a strategy that "
        f"does no harm in at most {100 * level:g} of 100 cases."
    )
