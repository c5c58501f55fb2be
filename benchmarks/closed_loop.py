"""`python -m benchmarks.closed_loop`: twelve nights that read their outcomes back, against twelve that do not.

Per seed one firm (`benchmarks.strategy_world`) whose most promising strategy is planted to do harm. Each week brings
other users; what came of a night is known two weeks later. The closed loop reads it into its beliefs and stops what
harms by the rule; the cut loop believes the same on the last night as on the first. Both see the same users, hold out
and explore the same shares, and the same luck decides who returns. Profit is what the contacts bring in truth.

The stop rule is also asked every night of the cut loop's outcomes, where the harmful strategy is never given up by the
beliefs: there it must speak within the nights that `nights_to_stop` told after the first night.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import polars as pl

from benchmarks.bars import Verdict, show_verdicts
from benchmarks.strategy_world import AS_OF, Night, World, draw_night, draw_world, outcomes_of
from benchmarks.strategy_worlds import profit_of
from benchmarks.tables import table
from dagster_project.strategy.assignment import Decisions, decide
from dagster_project.strategy.catalogue import Catalogue
from dagster_project.strategy.learning import NO_OUTCOMES, beliefs_from
from dagster_project.strategy.priors import Beliefs
from dagster_project.strategy.stopping import nights_to_stop, stopped

SEEDS = range(20)
N_NIGHTS, DAYS_BETWEEN, HORIZON_DAYS = 12, 7, 14
N_USERS = 2_000
KEPT = ("escalating_three", "guided_restart", "loyalty_points", "price_save", "seasonal_recall", "whats_new")
CHANNELS = ("email", "push", "sms")
PLANTED_LIFT = -0.8
POWER = 0.95
BAR_BETTER, BAR_STOPPED, BAR_HARMLESS = 18, 18, 0.05


@dataclass(frozen=True)
class Loop:
    """Twelve nights: profit of each, the first night that begins with a strategy stopped, contacts of the planted."""

    profits: tuple[float, ...]
    stopped_at: dict[str, int]
    n_planted: tuple[int, ...]
    outcomes: pl.DataFrame


@dataclass(frozen=True)
class Seed:
    """Both loops of one seed; `nights_told`: until the planted strategy is stopped with chance POWER, if it is sent."""

    planted: str
    harmless: tuple[str, ...]
    closed: Loop
    cut: Loop
    nights_told: int | None


def measure(seed: int) -> Seed:
    """One seed."""
    world = draw_world(seed, n_users=N_USERS)
    few_channels = {name: world.rules.channels[name] for name in CHANNELS}
    world = replace(world, catalogue=_few(world.catalogue), rules=replace(world.rules, channels=few_channels))
    planted = _most_promising(world)
    world = _with_harm(world, planted)
    nights = [draw_night(world, n_users=N_USERS, stream=k, as_of=_as_of(k)) for k in range(N_NIGHTS)]
    cut = run(world, nights, planted=planted, is_closed=False)
    closed = run(world, nights, planted=planted, is_closed=True)
    means = pl.concat([night.options for night in nights]).group_by("strategy_id").agg(pl.col("true_uplift").mean())
    harmless = sorted(means.filter((pl.col("true_uplift") >= 0) & (pl.col("strategy_id") != planted))["strategy_id"])
    return Seed(planted, tuple(harmless), closed, cut, told(cut.outcomes, planted=planted))


def run(world: World, nights: Sequence[Night], *, planted: str, is_closed: bool) -> Loop:
    """Twelve nights of one loop. The stop rule is asked in both; only the closed loop obeys."""
    outcomes, known = NO_OUTCOMES, world.rules.beliefs
    profits, stopped_at, n_planted = [], {}, []
    for place, night in enumerate(nights):
        as_of = _as_of(place)
        read = outcomes.filter(pl.col("assigned_on") <= as_of - timedelta(days=HORIZON_DAYS))
        stopped_at |= {name: place for name in stopped(read) if name not in stopped_at}
        if is_closed and read.height:
            known = beliefs_from(world.rules.beliefs.priors, read, catalogue=world.catalogue, as_of=as_of)
        made = _decided(world, night, known, without=frozenset(stopped_at) if is_closed else frozenset(), place=place)
        profits.append(profit_of(made.exported, night))
        n_planted.append(made.exported.filter(strategy_id=planted, arm="treat").height)
        outcomes = pl.concat([outcomes, _outcomes(world, night, made, place=place)])
    return Loop(tuple(profits), stopped_at, tuple(n_planted), outcomes)


def told(outcomes: pl.DataFrame, *, planted: str) -> int | None:
    """The first night of which a power calculation after the first night says that it begins without the planted."""
    first = outcomes.filter(pl.col("assigned_on") == outcomes["assigned_on"].min(), strategy_id=planted)
    judged = first.filter(pl.col("arm") != "explore")
    n_treated = int(judged["is_treated"].sum())
    n = nights_to_stop(
        PLANTED_LIFT,
        p_return=float(judged["p_return"].mean() or 0.0),  # type: ignore[arg-type]
        n_treated=n_treated,
        n_held_out=judged.height - n_treated,
        power=POWER,
    )
    # The outcomes of the n-th night, the last that is needed, are known a horizon after it.
    return None if n is None else n - 1 + HORIZON_DAYS // DAYS_BETWEEN


def _decided(world: World, night: Night, beliefs: Beliefs, *, without: frozenset[str], place: int) -> Decisions:
    kept = Catalogue(strategies=tuple(one for one in world.catalogue.strategies if one.id not in without))
    return decide(
        night.candidates,
        night.contact_points,
        catalogue=kept,
        rules=replace(world.rules, beliefs=beliefs),
        as_of=_as_of(place),
    )


def _outcomes(world: World, night: Night, made: Decisions, *, place: int) -> pl.DataFrame:
    users = night.candidates.select("user_sk", "user_id")
    given = made.assignments.join(users, on="user_id", how="left").with_columns(
        (pl.col("arm") != "control").alias("is_treated")
    )
    return outcomes_of(world, night, given, assigned_on=_as_of(place), experiment_id="global_holdout")


def _as_of(place: int) -> date:
    return AS_OF + timedelta(days=DAYS_BETWEEN * place)


def _few(catalogue: Catalogue) -> Catalogue:
    """A handful of strategies, so that a night of few users still tells something of each."""
    kept = tuple(one.model_copy(update={"never_with": ()}) for one in catalogue.strategies if one.id in KEPT)
    return Catalogue(strategies=kept)


def _most_promising(world: World) -> str:
    """The strategy that the priors alone send to most users."""
    night = draw_night(world, n_users=N_USERS, stream=0)
    made = _decided(world, night, world.rules.beliefs, without=frozenset(), place=0)
    return str(made.exported.group_by("strategy_id").len().sort("len", "strategy_id")["strategy_id"][-1])


def _with_harm(world: World, planted: str) -> World:
    """The world where the planted strategy drives everybody away alike."""

    def silenced(lifts: dict[tuple[str, str], float]) -> dict[tuple[str, str], float]:
        return {key: 0.0 if key[0] == planted else lift for key, lift in lifts.items()}

    truth = world.truth
    return replace(
        world,
        truth=replace(
            truth,
            own=truth.own | {planted: PLANTED_LIFT},
            content=truth.content | {planted: 0.0},
            answers=silenced(truth.answers),
            channel=silenced(truth.channel),
            stage=silenced(truth.stage),
        ),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Print every seed and the bars; 1 if one is missed."""
    flags = argparse.ArgumentParser(prog="python -m benchmarks.closed_loop", description=__doc__)
    flags.add_argument("--seeds", type=int, default=len(SEEDS), help="how many (default: %(default)s)")
    flags.add_argument("--first", type=int, default=SEEDS[0], help="the first seed (default: %(default)s)")
    asked = flags.parse_args(arguments)
    started = time.perf_counter()
    found = {seed: measure(seed) for seed in range(asked.first, asked.first + asked.seeds)}
    rows = [(str(seed), *_row(one)) for seed, one in found.items()]
    head = (
        "seed",
        "closed",
        "cut",
        "planted",
        "told",
        "rule, cut",
        "rule, closed",
        "sent until, closed",
        "stopped harmless",
    )
    print(table(head, rows), end="\n\n")
    print(f"{time.perf_counter() - started:.0f} s", end="\n\n")
    return 0 if show_verdicts(verdicts(list(found.values()))) else 1


def _row(one: Seed) -> tuple[str, ...]:
    def night(loop: Loop) -> str:
        return str(loop.stopped_at.get(one.planted, "-"))

    return (
        f"{sum(one.closed.profits):,.0f}",
        f"{sum(one.cut.profits):,.0f}",
        one.planted,
        str(one.nights_told),
        night(one.cut),
        night(one.closed),
        str(_sent_until(one)),
        ", ".join(_stopped_harmless(one)),
    )


def _sent_until(one: Seed) -> int:
    """The first night from which on the closed loop chose the planted strategy for next to nobody."""
    first = one.closed.n_planted[0]
    sent = [place for place, n in enumerate(one.closed.n_planted) if n > first * 0.05]
    return max(sent, default=-1) + 1


def _stopped_harmless(one: Seed) -> list[str]:
    return [name for name in one.harmless if name in one.cut.stopped_at]


def verdicts(found: Sequence[Seed]) -> list[Verdict]:
    """The bars; those on counts of seeds in proportion where fewer are run."""
    n, scale = len(found), len(found) / len(SEEDS)
    better = sum(sum(one.closed.profits) > sum(one.cut.profits) for one in found)
    told_in_time = [one for one in found if one.nights_told is not None and one.nights_told < N_NIGHTS]
    spoken = sum(one.cut.stopped_at.get(one.planted, N_NIGHTS) <= (one.nights_told or 0) for one in told_in_time)
    ended = sum(_sent_until(one) <= (one.nights_told or 0) for one in told_in_time)
    harmless = sum(len(one.harmless) for one in found)
    wrongly = sum(len(_stopped_harmless(one)) for one in found) / max(harmless, 1)
    gain = sum(sum(one.closed.profits) - sum(one.cut.profits) for one in found) / n
    wanted = BAR_STOPPED / len(SEEDS)
    return [
        Verdict("closed loop above cut, seeds", better, BAR_BETTER * scale, is_met=better >= BAR_BETTER * scale),
        Verdict("profit that closing adds, mean of seeds", gain),
        Verdict("seeds with a stop told within twelve nights", len(told_in_time), high=n),
        Verdict(
            "of those, rule spoke by then (sent on, cut loop), share",
            spoken / max(len(told_in_time), 1),
            wanted,
            is_met=spoken >= wanted * len(told_in_time),
        ),
        Verdict(
            "of those, given up by then (closed loop), share",
            ended / max(len(told_in_time), 1),
            wanted,
            is_met=ended >= wanted * len(told_in_time),
        ),
        Verdict("harmless strategies ever stopped, share", wrongly, high=BAR_HARMLESS, is_met=wrongly <= BAR_HARMLESS),
    ]


if __name__ == "__main__":
    sys.exit(main())
