"""`python -m benchmarks.readouts`: are the readouts of experiments right, sound when looked at every night, and quick.

Known experiments: the MineThatData e-mail test (three arms, 64,000) and Cookie Cats (two arms, 90,189), read by the
night's own code. A/A: users of three logs split at random 400 times, when nothing was done to anybody. Simulated:
twenty looks, the sample-size tool, coverage of intervals. Speed: made-up experiments from the store that nights leave
(ledger, days of users) to all tables of the layer, by the night's own code; nothing but time and memory can be read
from them. The bar of a minute is for a hundred experiments of a million users, and scales with their product; it is
put to the readout alone, and to all from the store on.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache, partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from benchmarks.bars import Verdict, level_verdict, show_verdicts
from benchmarks.measure import REPOSITORY, Stopwatch
from benchmarks.readout_store import made_up_store
from benchmarks.tables import table
from dagster_project.defs.outcomes import OutcomeNight, count_entries, read_entries
from dagster_project.intervals import NORMAL_975
from dagster_project.outcomes.coding import coded_entries
from dagster_project.outcomes.counting import OUTCOMES
from dagster_project.outcomes.effects import compare_arms
from dagster_project.outcomes.entries import ENTRIES
from dagster_project.outcomes.faults import FAULTS
from dagster_project.outcomes.looks import obrien_fleming, sequence_width
from dagster_project.outcomes.moments import BASE, OUTCOME, take_moments
from dagster_project.outcomes.power import sample_size
from dagster_project.outcomes.readout import AT_ONCE, ReadoutRules, read_experiments
from dagster_project.outcomes.vocabulary import BY_NAME, HORIZONS

Floats = npt.NDArray[np.float64]

AS_OF = date(2024, 6, 1)
LONG_AGO = AS_OF - timedelta(days=400)
N_SPLITS = 400
N_SIMULATED = 4_000
# METHODS.md, G: women's and men's mail against none. Visits and purchases in points, spend in dollars.
HILLSTROM = {
    ("womens", "returned"): (4.523, 0.323),
    ("womens", "clicked"): (0.311, 0.082),
    ("womens", "spend"): (0.424, 0.130),
    ("mens", "returned"): (7.659, 0.339),
    ("mens", "clicked"): (0.681, 0.092),
    ("mens", "spend"): (0.770, 0.145),
}
CALLED = {"returned": "visit", "clicked": "conversion", "spend": "spend"}
MOST_SECONDS = 60.0


@dataclass(frozen=True)
class Split:
    """Users of a log at a past day: active and money in the days after it, activity in those before."""

    log: str
    active: npt.NDArray[np.bool_]
    spend: Floats | None
    n_before: Floats


def experiment(columns: Mapping[str, object], *, n: int, experiment_id: str = "known") -> pl.DataFrame:
    """Entries with outcomes whose days are all over; what `columns` do not name is null."""
    whole = pl.Schema({**ENTRIES, **OUTCOMES})
    given = {
        "experiment_id": experiment_id,
        "assigned_on": LONG_AGO,
        "origin": "imported",
        "n_days_seen": 400,
        "n_active_days_before": 0,
        **columns,
    }
    users = pl.Series("user_id", np.arange(n)).cast(pl.String)
    made = [
        value.alias(name) if isinstance(value, pl.Series) else pl.lit(value).alias(name)
        for name, value in given.items()
    ]
    frame = pl.DataFrame({"user_id": users}).with_columns(made)
    absent = [pl.lit(None, dtype=kind).alias(name) for name, kind in whole.items() if name not in frame.columns]
    return frame.with_columns(absent).select(list(whole)).cast(whole)


def happened(flags: npt.ArrayLike) -> pl.Series:
    """On the first day, or never."""
    return pl.Series(np.where(np.asarray(flags), 0.0, np.nan), nan_to_null=True).cast(pl.Int64)


def read(entries: pl.DataFrame, *, decision_days: int = 14) -> pl.DataFrame:
    """The readouts of one sound experiment."""
    found = read_experiments(
        entries, FAULTS.to_frame(), rules=ReadoutRules(decision_days=decision_days, margin_share=1.0)
    )
    assert found.readouts.height, found.experiments["explanation"].to_list()
    return found.readouts.filter((pl.col("dimension") == "all") & (pl.col("horizon_days") == decision_days))


def known_experiments(data: Path) -> list[Verdict]:
    """The six effects of the e-mail test with their errors, and the day-7 retention of Cookie Cats."""
    log = pl.read_csv(data / "hillstrom" / "hillstrom.csv", infer_schema_length=None)
    arms = {"Mens E-Mail": "mens", "Womens E-Mail": "womens", "No E-Mail": "control"}
    spend = {f"spend_{days}": log["spend"].cast(pl.Float64) for days in HORIZONS}
    columns = {
        "arm": log["segment"].replace_strict(arms),
        "propensity": 1 / 3,
        "returned_after": happened(log["visit"] == 1),
        "clicked_after": happened(log["conversion"] == 1),  # any metric of yes and no reads alike
        **spend,
    }
    effects = read(experiment(columns, n=log.height))
    found = []
    for (arm, metric), (wanted, error) in HILLSTROM.items():
        row = effects.row(by_predicate=(pl.col("arm") == arm) & (pl.col("metric") == metric), named=True)
        scale = 1 if metric == "spend" else 100
        named = f"{arm} {CALLED[metric]}"
        found += [three_digits(f"{named}, effect", scale * row["difference"], wanted)]
        found += [three_digits(f"{named}, error", scale * row["error"], error)]
    cats = pl.read_csv(data / "cookie_cats" / "cookie_cats.csv")
    columns = {
        "arm": cats["version"].replace_strict({"gate_30": "control", "gate_40": "treat"}),
        "propensity": 0.5,
        "returned_after": happened(cats["retention_7"].cast(pl.String).str.to_lowercase() == "true"),
    }
    row = read(experiment(columns, n=cats.height)).row(by_predicate=pl.col("metric") == "returned", named=True)
    low, high = 100 * row["fixed_low"], 100 * row["fixed_high"]
    met = round(100 * row["difference"], 2) == -0.82
    reference = f"interval {low:.2f} to {high:.2f}, nightly {100 * row['low']:.2f} to {100 * row['high']:.2f}"
    return [*found, Verdict("Cookie Cats, day 7, points", 100 * row["difference"], -0.82, -0.82, reference, met)]


def three_digits(subject: str, figure: float, wanted: float) -> Verdict:
    """Met if the figure rounds to the one published."""
    return Verdict(subject, figure, wanted, wanted, "METHODS G", is_met=round(figure, 3) == wanted)


def read_splits(data: Path) -> Iterator[Split]:
    """Three logs cut where a horizon is left."""
    cd = pl.read_csv(
        data / "cdnow" / "CDNOW_master.txt", has_header=False, skip_rows=1, new_columns=["line"], separator="\t"
    )
    parts = pl.col("line").str.strip_chars().str.replace_all(r"\s+", " ").str.split(" ")
    rows = cd.select(
        parts.list.get(0).alias("user"),
        parts.list.get(1).str.to_date("%Y%m%d").alias("dt"),
        parts.list.get(3).cast(pl.Float64).alias("amount"),
    )
    yield cut("CDNOW", rows, at=date(1997, 9, 30), days=91)
    invoices = pl.read_parquet(data / "online_retail" / "online_retail.parquet")
    rows = invoices.filter(pl.col("CustomerID").is_not_null() & (pl.col("Quantity") > 0)).select(
        pl.col("CustomerID").cast(pl.String).alias("user"),
        pl.col("InvoiceDate").cast(pl.Date).alias("dt"),
        (pl.col("Quantity") * pl.col("UnitPrice")).cast(pl.Float64).alias("amount"),
    )
    yield cut("Online Retail", rows, at=date(2011, 9, 10), days=90)
    rows = pl.read_csv(data / "grocery_elog" / "groceryElog.csv", try_parse_dates=True).select(
        pl.col("cust").cast(pl.String).alias("user"), pl.col("date").alias("dt"), pl.lit(None).alias("amount")
    )
    yield cut("grocery", rows, at=date(2007, 9, 30), days=91)


def cut(log: str, rows: pl.DataFrame, *, at: date, days: int) -> Split:
    """The users seen by a day, what they did before it and in the days after it."""
    after = (pl.col("dt") > at) & (pl.col("dt") <= at + timedelta(days=days))
    before = (pl.col("dt") <= at) & (pl.col("dt") > at - timedelta(days=180))
    users = (
        rows.group_by("user")
        .agg(
            pl.col("dt").min().alias("first"),
            after.any().alias("active"),
            pl.col("amount").filter(after).sum().alias("spend"),
            pl.col("dt").filter(before).n_unique().alias("n_before"),
        )
        .filter(pl.col("first") <= at)
        .sort("user")
    )
    has_money = rows["amount"].null_count() < rows.height
    return Split(
        log,
        users["active"].to_numpy(),
        users["spend"].cast(pl.Float64).to_numpy() if has_money else None,
        users["n_before"].to_numpy().astype(np.float64),
    )


def false_positives(split: Split) -> Iterator[Verdict]:
    """Of 400 random halves of users to whom nothing was done: how many differ at one look, adjusted."""
    spend = {} if split.spend is None else {f"spend_{d}": pl.Series(split.spend) for d in HORIZONS}
    n = len(split.active)
    plain = experiment({"arm": "control", "returned_after": happened(split.active), **spend}, n=n)
    metrics = [BY_NAME["returned"], *([BY_NAME["spend"]] if spend else [])]
    hits, shrunk = {metric.name: 0 for metric in metrics}, {metric.name: 0.0 for metric in metrics}
    for seed in range(N_SPLITS):
        arm = np.where(np.random.default_rng(seed).random(n) < 0.5, "treat", "control")
        halves = plain.with_columns(pl.Series("arm", arm))
        moments = take_moments(
            halves, covariate=np.log1p(split.n_before), metrics=metrics, coded=coded_entries(halves, ())
        )
        for metric in metrics:
            sums = moments.of[metric.name][:, 0, 0], moments.base[:, 0, 0]
            both = [
                compare_arms(
                    sums[1][1],
                    sums[0][1],
                    sums[1][0],
                    sums[0][0],
                    is_binary=metric.kind == "after",
                    is_adjusted=is_adjusted,
                    n_amounts=None if metric.kind == "after" else (sums[0][1][0], sums[0][0][0]),
                )
                for is_adjusted in (True, False)
            ]
            hits[metric.name] += abs(both[0].difference) > NORMAL_975 * both[0].error
            shrunk[metric.name] += 1 - float(both[0].error / both[1].error) ** 2
    for metric in metrics:
        name, saved = metric.name, shrunk[metric.name] / N_SPLITS
        verdict = level_verdict(f"A/A {split.log}, {name}", hits[name] / N_SPLITS, low=0.025, high=0.075)
        yield Verdict(**{**vars(verdict), "reference": f"variance less {saved:.0%}"})


def twenty_looks() -> list[Verdict]:
    """False alarms and power over twenty looks at 20,000 an arm: the bound of the night, looked at now and then."""
    fractions = np.arange(1, 21) / 20
    bounds = {
        "O'Brien-Fleming, 20 looks": obrien_fleming(fractions, n_looks=20),
        "O'Brien-Fleming, every night": obrien_fleming(fractions),
        "confidence sequence": sequence_width(fractions),
        "repeated plain tests": np.full(20, NORMAL_975),
    }
    null, real = (looked_z(0.05, 0.05 + effect, seed=3) for effect in (0.0, 0.009))
    found = []
    for name, bound in bounds.items():
        rates = [float((np.abs(z) > bound).any(axis=1).mean()) for z in (null, real)]
        judged = name.startswith("O'Brien")
        found.append(level_verdict(f"{name}: false alarms", rates[0], **({"high": 0.055} if judged else {})))
        found.append(level_verdict(f"{name}: power at +.9", rates[1], **({"low": 0.95} if judged else {})))
    return found


def looked_z(control: float, treated: float, *, seed: int) -> Floats:
    """Simulated z by look, for N_SIMULATED experiments of 20,000 an arm."""
    rng = np.random.default_rng(seed)
    shape = (N_SIMULATED, 20)
    n = np.broadcast_to(np.arange(1, 21) * 1_000, shape)
    counts = [rng.binomial(1_000, share, shape).cumsum(axis=1) for share in (treated, control)]
    effects = counted_effect(counts[0], n, counts[1], n)
    return np.asarray(effects.difference / effects.error)


def counted_effect(k_t: npt.ArrayLike, n_t: npt.ArrayLike, k_c: npt.ArrayLike, n_c: npt.ArrayLike):  # type: ignore[no-untyped-def]
    """The readout of counts of yes."""
    sums = [counted(k, n) for k, n in ((k_t, n_t), (k_c, n_c))]
    return compare_arms(sums[0][0], sums[0][1], sums[1][0], sums[1][1], is_binary=True, is_adjusted=False)


def counted(k: npt.ArrayLike, n: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Base and outcome of a share without covariate."""
    k, n = np.asarray(k, dtype=np.float64), np.asarray(n, dtype=np.float64)
    nothing = np.zeros_like(n)
    base = {"n": n, "w": n, "ww": n}
    outcome = {"n": k, "wy": k, "wyy": k, "wwy": k, "wwyy": k}
    return (
        np.stack([base.get(name, nothing) for name in BASE], axis=-1),
        np.stack([outcome.get(name, nothing) for name in OUTCOME], axis=-1),
    )


def power_of_tool() -> Iterator[Verdict]:
    """Experiments of exactly the size that the tool asks for, read once."""
    rng = np.random.default_rng(5)
    for base, effect, control_share in ((0.05, 0.01, 0.5), (0.05, 0.01, 0.1), (0.02, 0.005, 0.1), (0.15, -0.02, 0.2)):
        n = sample_size(base, effect=effect, control_share=control_share)
        n_c = round(n * control_share)
        k_t = rng.binomial(n - n_c, base + effect, N_SIMULATED * 5)
        k_c = rng.binomial(n_c, base, N_SIMULATED * 5)
        effects = counted_effect(k_t, np.full_like(k_t, n - n_c), k_c, np.full_like(k_c, n_c))
        found = float((np.abs(effects.difference) > NORMAL_975 * effects.error).mean())
        subject = f"power at {n:,} users, {base:.0%} {100 * effect:+g} points, {control_share:.0%} held out"
        yield level_verdict(subject, found, low=0.78, high=0.82)


def coverage() -> Iterator[Verdict]:
    """How often the plain 95 % interval holds the true mean effect: of returns, of spend, with unequal chances."""
    for name in ("returned", "spend", "returned, unequal propensities"):
        metric = BY_NAME[name.split(",")[0]]
        hits, n_runs = 0, 1_500
        for seed in range(n_runs):
            entries, truth, weight, covariate = simulated(seed, is_spend=metric.name == "spend", unequal="," in name)
            moments = take_moments(
                entries, weight=weight, covariate=covariate, metrics=[metric], coded=coded_entries(entries, ())
            )
            amounts = moments.of[metric.name][1, 0, 3, 0], moments.of[metric.name][0, 0, 3, 0]
            effects = compare_arms(
                moments.base[1, 0, 3],
                moments.of[metric.name][1, 0, 3],
                moments.base[0, 0, 3],
                moments.of[metric.name][0, 0, 3],
                is_binary=metric.kind == "after",
                is_adjusted=True,
                n_amounts=None if metric.kind == "after" else amounts,
            )
            hits += abs(effects.difference - truth) <= NORMAL_975 * effects.error
        yield level_verdict(f"coverage, {name}", float(hits / n_runs), low=0.93, high=0.97)


def simulated(seed: int, *, is_spend: bool, unequal: bool) -> tuple[pl.DataFrame, float, Floats | None, Floats]:
    """Entries of 3,000 users, of whom contact helps some and harms others; the true mean effect, weights, forecast."""
    rng = np.random.default_rng(seed)
    n = 3_000
    score = rng.normal(size=n)
    forecast = 1 / (1 + np.exp(2 - score))
    lift = 0.06 + 0.05 * score
    chance = 1 / (1 + np.exp(-0.3 - 0.8 * score)) if unequal else np.full(n, 0.7)
    treated = rng.random(n) < chance
    p = np.clip(forecast + treated * lift, 0.001, 0.999)
    back = rng.random(n) < p
    bill = rng.lognormal(3, 0.8, n)
    columns: dict[str, object] = {"arm": pl.Series(np.where(treated, "treat", "control"))}
    truth = true_effect()
    if is_spend:
        columns |= {f"spend_{days}": pl.Series(np.where(back, bill, 0.0)) for days in HORIZONS}
        truth *= float(np.exp(3 + 0.8**2 / 2))
    columns["returned_after"] = happened(back)
    weight = np.where(treated, 1 / chance, 1 / (1 - chance)) if unequal else None
    return experiment(columns, n=n), truth, weight, forecast


@cache
def true_effect() -> float:
    """The mean effect on the chance to come back in the population of `simulated`, over the normal score."""
    score = np.linspace(-8, 8, 160_001)
    share = np.exp(-(score**2) / 2)
    base = 1 / (1 + np.exp(2 - score))
    gain = np.clip(base + 0.06 + 0.05 * score, 0.001, 0.999) - np.clip(base, 0.001, 0.999)
    return float((gain * share).sum() / share.sum())


def speed(n_experiments: int, n_users: int) -> tuple[str, list[Verdict]]:
    """Seconds and memory from the store of a night to all tables of the layer, stage by stage."""
    stages: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(AT_ONCE) as pool:
        project = made_up_store(Path(folder), n_experiments=n_experiments, n_users=n_users, as_of=AS_OF)
        watch = Stopwatch()
        night = OutcomeNight(project, AS_OF)
        night.facts  # noqa: B018 (what users did, read once for all experiments)
        add_lap(stages, "what users did", watch.lap())
        n_entries = n_figures = 0
        portions = night.portions()
        for at in range(0, len(portions), 2 * AT_ONCE):  # more than two, or one of them waits for the other
            assigned = list(pool.map(night.assigned, portions[at : at + 2 * AT_ONCE]))
            entries = list(pool.map(partial(count_entries, night), assigned))
            add_lap(stages, "entries and outcomes", watch.lap())
            parts = list(pool.map(partial(read_entries, night), assigned, entries))
            sizes = [part_size(part) for part in parts]
            add_lap(stages, "readout", watch.lap())
            n_entries, n_figures = n_entries + sum(n for n, _ in sizes), n_figures + sum(n for _, n in sizes)
    assert n_entries == n_experiments * n_users, n_entries
    head = (f"{n_experiments} × {n_users:,} users", "wall s", "CPU s", "peak MB")
    shown = table(
        head,
        [
            (name, f"{one['wall_s']:.1f}", f"{one['cpu_s']:.1f}", f"{one['peak_mb']:.0f}")
            for name, one in stages.items()
        ],
    )
    allowed = MOST_SECONDS * n_experiments * n_users / 100e6
    whole = sum(one["wall_s"] for one in stages.values())
    return f"{shown}\n{n_figures:,} figures", [
        level_verdict("readout of counted entries, wall s", stages["readout"]["wall_s"], high=allowed),
        level_verdict("from the store on, wall s", whole, high=allowed),
    ]


def add_lap(stages: dict[str, dict[str, float]], name: str, lap: Mapping[str, float]) -> None:
    """Seconds add up over the laps of a stage, peaks do not."""
    so_far = stages.get(name, dict.fromkeys(lap, 0.0))
    stages[name] = {
        what: max(so_far[what], spent) if "peak" in what else so_far[what] + spent for what, spent in lap.items()
    }


def part_size(part: Mapping[str, pl.DataFrame]) -> tuple[int, int]:
    """Entries and figures of a portion, which is then forgotten: the entries of all would not fit."""
    assert part["outcomes.experiments"]["faults"].null_count() == part["outcomes.experiments"].height
    figures = sum(frame.height for table, frame in part.items() if table != "outcomes.entries")
    return part["outcomes.entries"].height, figures


def main(arguments: Sequence[str] | None = None) -> int:
    """Print every bar; 1 if one is missed."""
    flags = argparse.ArgumentParser(prog="python -m benchmarks.readouts", description=__doc__)
    default = os.environ.get("WINBACK_REAL_DATA", REPOSITORY.parent / "shared" / "data")
    flags.add_argument("--real-data", type=Path, default=Path(default))
    flags.add_argument("--experiments", type=int, default=10, help="read for speed (default: %(default)s)")
    flags.add_argument(
        "--users", type=int, default=300_000, help="of each; the bar is 100 of 1000000 (default: %(default)s)"
    )
    flags.add_argument("--only", choices=("known", "aa", "simulated", "speed"), help="one part (default: all)")
    asked = flags.parse_args(arguments)
    if asked.only in (None, "known", "aa") and not asked.real_data.exists():
        print(f"NOT MEASURED: {asked.real_data} is not there; set WINBACK_REAL_DATA", file=sys.stderr)
        return 1
    found: list[Verdict] = []
    if asked.only in (None, "known"):
        found += known_experiments(asked.real_data)
    if asked.only in (None, "aa"):
        found += [verdict for split in read_splits(asked.real_data) for verdict in false_positives(split)]
    if asked.only in (None, "simulated"):
        found += [*twenty_looks(), *power_of_tool(), *coverage()]
    if asked.only in (None, "speed"):
        shown, verdicts = speed(asked.experiments, asked.users)
        print(shown, end="\n\n")
        found += verdicts
    return 0 if show_verdicts(found) else 1


if __name__ == "__main__":
    sys.exit(main())
