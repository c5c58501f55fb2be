"""`python -m benchmarks.closed_loop`: twelve nights that read their outcomes back, against twelve that do not.

Per seed one firm (`benchmarks.strategy_world`) whose most promising strategy is planted to do harm. Its lapsed users
are there on every weekly night until they return, and some lapse anew each week. A night runs as the product's does:
the ledger of the nights before becomes entries, faults and lessons; these become beliefs and stops; whoever was
written to or held out rests, keeps the arm and gets no words twice. On one night a hundredth of the users get a
`person_key`. The closed loop believes and obeys what it reads; the cut loop believes the same on the last night as on
the first and stops nothing. Both hold out and explore the same shares, and the same luck decides who returns.

A contact moves the chance to return in the two weeks after it, if no other contact comes between. Profit is what the
contacts bring in truth: the chances that they add each week, in money, less what they cost and the harm they do.

The stop rule is asked in both loops, but obeyed in the closed one alone. In the cut loop the harmful strategy is never
given up by the beliefs: there the rule must speak by the night of which the power calculation says so, by the users
who entered.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import date, timedelta
from multiprocessing import get_context

import numpy as np
import polars as pl

from benchmarks.bars import Verdict, show_verdicts
from benchmarks.strategy_world import (
    AS_OF,
    KEYS,
    MARGIN_SHARE,
    Night,
    World,
    draw_night,
    draw_world,
    true_options,
)
from benchmarks.tables import table
from dagster_project.outcomes.entries import LEDGER, assignment_rows, first_entries
from dagster_project.outcomes.faults import find_faults
from dagster_project.outcomes.learning import learning_rows
from dagster_project.outcomes.randomisation import BROKEN_BELOW
from dagster_project.outcomes.ratios import sample_ratio_p
from dagster_project.strategy.assignment import decide
from dagster_project.strategy.catalogue import Catalogue
from dagster_project.strategy.hands import Hands
from dagster_project.strategy.harm import first_enough
from dagster_project.strategy.learning import beliefs_from, with_base_rates
from dagster_project.strategy.ledger import ASSIGNMENTS, contacts, first_arms
from dagster_project.strategy.series import ANSWERS, Past
from dagster_project.strategy.stopping import NO_STOPS, night_stops, stop_reasons

SEEDS = range(20)
N_NIGHTS, DAYS_BETWEEN, HORIZON_DAYS = 12, 7, 14
N_FIRST, N_NEW = 2_000, 300  # users of the first night, and users who lapse before each other
CONTROL_SHARE = 0.2
NAMED_FROM, NAMED_SHARE = 3, 0.01  # the night from which a few users' person is known
KEPT = ("guided_restart", "loyalty_points", "price_save", "whats_new")
CHANNELS = ("email", "push", "sms")
PLANTED_LIFT = -1.0
POWER = 0.95
BAR_BETTER, BAR_STOPPED, BAR_HARMLESS = 18, 18, 0.05


@dataclass(frozen=True)
class Loop:
    """Twelve nights: profit of each, the night that first finds a strategy to harm, contacts of the planted, what was
    broken by the last night, and what was learned of by it.
    """

    profits: tuple[float, ...]
    stopped_at: dict[str, int]
    n_planted: tuple[int, ...]
    broken: tuple[str, ...]
    lessons: pl.DataFrame


@dataclass(frozen=True)
class Seed:
    """Both loops of one seed; `night_told`: when the planted strategy is stopped with chance POWER, if it is sent."""

    planted: str
    harmless: tuple[str, ...]
    closed: Loop
    cut: Loop
    night_told: int | None


@dataclass(frozen=True)
class Base:
    """All users who lapse by the last night, with the night on which they first do, and the luck of every week."""

    users: Night
    first_night: pl.DataFrame
    luck: pl.DataFrame


def measure(seed: int) -> Seed:
    """One seed."""
    world = draw_world(seed, n_users=N_FIRST, control_share=CONTROL_SHARE)
    few_channels = {name: world.rules.channels[name] for name in CHANNELS}
    world = replace(world, catalogue=_few(world.catalogue), rules=replace(world.rules, channels=few_channels))
    planted = _most_promising(world)
    world = _with_harm(world, planted)
    base = draw_base(world)
    nights = [night_of(world, base, place) for place in range(N_NIGHTS)]
    cut = run(world, base, nights, planted=planted, is_closed=False)
    closed = run(world, base, nights, planted=planted, is_closed=True)
    means = pl.concat([night.options for night in nights]).group_by("strategy_id").agg(pl.col("true_uplift").mean())
    harmless = sorted(means.filter((pl.col("true_uplift") >= 0) & (pl.col("strategy_id") != planted))["strategy_id"])
    return Seed(planted, tuple(harmless), closed, cut, told(cut.lessons, planted=planted))


def draw_base(world: World) -> Base:
    """The users of all nights, numbered through."""
    sizes = [N_FIRST] + [N_NEW] * (N_NIGHTS - 1)
    drawn = [draw_night(world, n_users=n, stream=k, as_of=_as_of(k)) for k, n in enumerate(sizes)]
    starts = np.cumsum([0, *sizes[:-1]])

    def all_of(name: str) -> pl.DataFrame:
        return pl.concat(
            getattr(one, name).with_columns(pl.col("user_sk") + int(start))
            for one, start in zip(drawn, starts, strict=True)
        )

    users = Night(*(all_of(name) for name in ("candidates", "contact_points", "people", "options")))
    user_sk = users.candidates["user_sk"]
    rng = np.random.default_rng([world.seed, 5])
    luck = {str(k): rng.random(len(user_sk)) for k in range(N_NIGHTS)}
    return Base(
        users,
        pl.DataFrame({"user_sk": user_sk, "first_night": np.repeat(np.arange(N_NIGHTS), sizes)}),
        pl.DataFrame({"user_sk": user_sk, **luck}),
    )


def night_of(world: World, base: Base, place: int) -> Night:
    """Everybody who has lapsed by the night, as if nobody had returned."""
    here = base.first_night.filter(pl.col("first_night") <= place)
    age_days = DAYS_BETWEEN * (place - pl.col("first_night"))
    is_named = (place >= NAMED_FROM) & (pl.col("user_sk") % round(1 / NAMED_SHARE) == 0)
    candidates = (
        base.users.candidates.join(here, on="user_sk", how="inner", maintain_order="left")
        .with_columns(
            (pl.col("days_silent") + age_days).cast(pl.Int32).alias("days_silent"),
            pl.when(is_named).then("person " + pl.col("user_id")).alias("person_key"),
        )
        .drop("first_night")
    )
    points, people = (
        frame.join(here, on="user_sk", how="semi", maintain_order="left")
        for frame in (base.users.contact_points, base.users.people)
    )
    return Night(candidates, points, people, true_options(world, candidates, points, people, as_of=_as_of(place)))


def run(world: World, base: Base, nights: Sequence[Night], *, planted: str, is_closed: bool) -> Loop:
    """Twelve nights of one loop, and the reading of a night after the last."""
    ledger, stops, returned = ASSIGNMENTS.to_frame(), NO_STOPS, _nobody()
    running, profits, n_planted = _no_contacts(), [], []
    for place, night in enumerate(nights):
        as_of = _as_of(place)
        lessons, _ = read(ledger, returned, as_of=as_of)
        stops = night_stops(stops, lessons, retried_from={}, as_of=as_of)
        rules = world.rules
        if is_closed:
            beliefs = beliefs_from(rules.beliefs.priors, lessons, catalogue=world.catalogue, as_of=as_of)
            rules = replace(rules, beliefs=beliefs, hands=Hands(stopped=stop_reasons(stops)))
        users = night.candidates.join(returned, on="user_sk", how="anti", maintain_order="left")
        made = decide(
            users,
            night.contact_points.join(users, on="user_sk", how="semi", maintain_order="left"),
            catalogue=world.catalogue,
            rules=rules,
            as_of=as_of,
            past=Past(
                contacts=contacts(ledger, users, catalogue=world.catalogue),
                answers=ANSWERS.to_frame(),
                arms=first_arms(ledger, users, rules=rules),
            ),
        )
        ledger = pl.concat([ledger, made.assignments])
        sent = made.exported.select(KEYS).join(night.options, on=KEYS, how="left", validate="1:1")
        running = pl.concat([running.filter(pl.col("night") > place - 2), sent.with_columns(night=pl.lit(place))])
        running = running.sort("night").unique("user_sk", keep="last")
        week = _week(users, night.people, running, base.luck, place=place)
        profits.append(_profit(week, sent, users))
        returned = pl.concat([returned, week.filter("is_return").select("user_sk", "user_id", "returned_on")])
        n_planted.append(made.exported.filter(strategy_id=planted, arm="treat").height)
    lessons, broken = read(ledger, returned, as_of=_as_of(N_NIGHTS))
    stops = night_stops(stops, lessons, retried_from={}, as_of=_as_of(N_NIGHTS))
    found = {name: (on - AS_OF).days // DAYS_BETWEEN for name, on in stops.select("strategy_id", "stopped_on").rows()}
    return Loop(tuple(profits), found, tuple(n_planted), broken, lessons)


def read(ledger: pl.DataFrame, returned: pl.DataFrame, *, as_of: date) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """What strategies learn from on a night, and which experiments are broken."""
    rows = assignment_rows(
        ledger.with_columns((pl.col("as_of") + timedelta(days=1)).alias("assigned_on"), pl.lit(LEDGER).alias("origin"))
    )
    entries = first_entries(rows).join(returned.select("user_id", "returned_on"), on="user_id", how="left")
    since = (pl.col("returned_on") - pl.col("assigned_on")).dt.total_days()
    entries = entries.with_columns(
        ((pl.lit(as_of) - pl.col("assigned_on")).dt.total_days() + 1).alias("n_days_seen"),
        pl.when(pl.col("returned_on") <= as_of).then(since).alias("returned_after"),
    )
    uneven = {
        str(name)
        for (name,), part in entries.partition_by("experiment_id", as_dict=True).items()
        if (p := sample_ratio_p(part)) is not None and p < BROKEN_BELOW
    }
    broken = uneven | set(find_faults(rows, entries, as_of=as_of)["experiment_id"])
    judged = entries.with_columns((~pl.col("experiment_id").is_in(sorted(broken))).alias("is_randomised"))
    return with_base_rates(learning_rows(judged.lazy(), horizon_days=HORIZON_DAYS)), tuple(sorted(broken))


def _week(
    users: pl.DataFrame, people: pl.DataFrame, running: pl.DataFrame, luck: pl.DataFrame, *, place: int
) -> pl.DataFrame:
    """The users with the chance to return that contacts add this week, whether they return, and when."""
    weeks = HORIZON_DAYS // DAYS_BETWEEN

    def of_week(chance: pl.Expr) -> pl.Expr:
        return 1 - (1 - chance).clip(0, 1) ** (1 / weeks)

    chance = pl.col("p_true") + pl.col("caused").fill_null(0.0)
    day = (pl.col("luck") / pl.col("chance") * DAYS_BETWEEN).floor().cast(pl.Int64, strict=False)
    return (
        users.select("user_sk", "user_id", "value_if_returned")
        .join(people.select("user_sk", "p_true"), on="user_sk", how="left", maintain_order="left")
        .join(running.select("user_sk", "caused"), on="user_sk", how="left", maintain_order="left")
        .join(luck.select("user_sk", pl.col(str(place)).alias("luck")), on="user_sk", how="left", maintain_order="left")
        .with_columns(of_week(chance).alias("chance"), (of_week(chance) - of_week(pl.col("p_true"))).alias("added"))
        .with_columns((pl.col("luck") < pl.col("chance")).alias("is_return"))
        .with_columns(pl.when("is_return").then(pl.lit(_as_of(place)) + pl.duration(days=1 + day)).alias("returned_on"))
    )


def _profit(week: pl.DataFrame, sent: pl.DataFrame, users: pl.DataFrame) -> float:
    """What contacts add this week, in money, less what those of the night cost."""
    worth = pl.col("value_if_returned") * MARGIN_SHARE
    priced = sent.join(users.select("user_sk", "value_if_returned"), on="user_sk", how="left")
    spent = (pl.col("true_uplift") * worth - pl.col("true_profit")).sum()
    gained, lost = week.select((pl.col("added") * worth).sum()).item(), priced.select(spent).item()
    return float(gained - lost)


def told(lessons: pl.DataFrame, *, planted: str) -> int | None:
    """The first night of which a power calculation by those who entered says that it finds the planted to harm."""
    entered = lessons.filter(strategy_id=planted, experiment_id="global_holdout").filter(pl.col("arm") != "explore")
    p = 1 / (1 + np.exp(-(np.log(entered["p_return"] / (1 - entered["p_return"])) + PLANTED_LIFT / 2)))
    by_night = (
        entered.with_columns(pl.Series("i", p * (1 - p)))
        .group_by("assigned_on")
        .agg(
            pl.col("i").filter("is_treated").sum().alias("t"),
            pl.col("i").filter(~pl.col("is_treated")).sum().alias("c"),
        )
        .sort("assigned_on")
        .with_columns((pl.col("t") * pl.col("c") / (pl.col("t") + pl.col("c"))).fill_nan(0.0).alias("information"))
    )
    n = first_enough(by_night["information"].cum_sum().to_numpy(), lift=PLANTED_LIFT, power=POWER)
    # The outcomes of the last night that is needed are known a horizon after it.
    return (
        None
        if n is None
        else (by_night["assigned_on"][n - 1] - AS_OF).days // DAYS_BETWEEN + HORIZON_DAYS // DAYS_BETWEEN
    )


def _nobody() -> pl.DataFrame:
    return pl.DataFrame(schema={"user_sk": pl.Int64, "user_id": pl.String, "returned_on": pl.Date})


def _no_contacts() -> pl.DataFrame:
    schema = {"user_sk": pl.Int64, "strategy_id": pl.String, "channel": pl.String, "caused": pl.Float64}
    return pl.DataFrame(
        schema=schema | dict.fromkeys(("true_uplift", "true_cost", "true_profit"), pl.Float64) | {"night": pl.Int32}
    )


def _as_of(place: int) -> date:
    return AS_OF + timedelta(days=DAYS_BETWEEN * place)


def _few(catalogue: Catalogue) -> Catalogue:
    """A handful of strategies, so that a night of few users still tells something of each."""
    kept = tuple(one.model_copy(update={"never_with": ()}) for one in catalogue.strategies if one.id in KEPT)
    return Catalogue(strategies=kept)


def _most_promising(world: World) -> str:
    """The strategy that the priors alone send to most users."""
    night = draw_night(world, n_users=N_FIRST, stream=0)
    made = decide(night.candidates, night.contact_points, catalogue=world.catalogue, rules=world.rules, as_of=AS_OF)
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
    flags.add_argument("--jobs", type=int, default=2, help="processes (default: %(default)s)")
    asked = flags.parse_args(arguments)
    started = time.perf_counter()
    seeds = range(asked.first, asked.first + asked.seeds)
    with ProcessPoolExecutor(asked.jobs, mp_context=get_context("spawn")) as pool:
        found = dict(zip(seeds, pool.map(measure, seeds), strict=True))
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
        "broken",
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
        str(one.night_told),
        night(one.cut),
        night(one.closed),
        str(_sent_until(one)),
        ", ".join(_stopped_harmless(one)),
        ", ".join(sorted({*one.closed.broken, *one.cut.broken})),
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
    told_in_time = [one for one in found if one.night_told is not None and one.night_told < N_NIGHTS]
    spoken = sum(one.cut.stopped_at.get(one.planted, N_NIGHTS) <= (one.night_told or 0) for one in told_in_time)
    ended = sum(_sent_until(one) <= (one.night_told or 0) for one in told_in_time)
    harmless = sum(len(one.harmless) for one in found)
    wrongly = sum(len(_stopped_harmless(one)) for one in found) / max(harmless, 1)
    broken = sum(bool({*one.closed.broken, *one.cut.broken}) for one in found)
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
        Verdict("seeds with a broken experiment", broken, 0, is_met=broken == 0),
        Verdict("harmless strategies ever stopped, share", wrongly, high=BAR_HARMLESS, is_met=wrongly <= BAR_HARMLESS),
    ]


if __name__ == "__main__":
    sys.exit(main())
