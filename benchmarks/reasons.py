"""How often the named reason is right: worlds of other seeds and parameters, judged by the truth held apart from them.

`python -m benchmarks.reasons` draws the worlds that judge and prints the bars; `--fit` draws others and writes the map
from posterior to confidence, `dagster_project/reasons/confidence.toml`. No world is in both.
"""

import argparse
import sys
import tempfile
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.tables import table
from benchmarks.tasks import with_inputs
from dagster_project.defs.lifecycle import make_stages
from dagster_project.defs.outages import READS as OUTAGE_READS
from dagster_project.defs.outages import make_outages
from dagster_project.defs.reach import make_endpoints
from dagster_project.defs.reasons import facts_of
from dagster_project.project import Project
from dagster_project.reach.tables import ENDPOINTS
from dagster_project.reasons import REASONS, UNKNOWN
from dagster_project.reasons.confidence import FILE, WAYS, Knots, fit_knots
from dagster_project.reasons.evidence import load_evidence
from dagster_project.reasons.judge import Weighed, judge_reasons, weigh
from dagster_project.simulate import Outage, WorldSpec, simulate_world, write_world
from dagster_project.simulate.reasons import REASON_TRAITS

LOST_INTEREST = (
    "message_fatigue",
    "content_irrelevant",
    "value_decay",
    "goal_completed_or_seasonal",
    "competitor_or_life_change",
    "explicit_stop",
    "never_activated",
)
MARTS = ("reason_signals", "departure_messages", "departure_habits", "departure_traits")
N_USERS = 2500
BINS = 10


def world(seed: int, **parameters: object) -> WorldSpec:
    """A small world; without running outages, for those are judged elsewhere."""
    return WorldSpec(n_users=N_USERS, seed=seed, outages=(), **parameters)  # type: ignore[arg-type]


def shares(seed: int) -> dict[str, float]:
    """Shares of the reasons drawn anew: each between a third and three times the usual."""
    rng = np.random.default_rng(seed)
    return {name: traits.share * 3 ** rng.uniform(-1, 1) for name, traits in REASON_TRAITS.items()}


def drawn(seed: int) -> WorldSpec:
    """A world of which the seed draws nearly every parameter; those of odd seeds have other shares too."""
    rng = np.random.default_rng(seed)
    parameters: dict[str, object] = {
        "usual_gap_days": float(np.exp(rng.uniform(np.log(7), np.log(27)))),
        "routine_sends_per_month": float(np.exp(rng.uniform(np.log(0.4), np.log(3)))),
        "transient_failure_share": float(rng.uniform(0.005, 0.06)),
        "yearly_email_death_share": float(np.exp(rng.uniform(np.log(0.01), np.log(0.14)))),
        "evidence_share": float(rng.uniform(0.6, 0.95)),
        "leaver_share": float(rng.uniform(0.5, 0.85)),
        "stay_days": float(rng.uniform(60, 160)),
        "return_scale": float(np.exp(rng.uniform(-0.7, 0.7))),
        "relapse_days": float(rng.uniform(40, 90)),
    }
    return world(seed, **parameters, **({"reason_shares": shares(seed)} if seed % 2 else {}))


def noisy(seed: int) -> WorldSpec:
    """A world in which addresses die by chance two to four times as often as usual; odd seeds have other shares too."""
    rng = np.random.default_rng(seed)
    parameters: dict[str, object] = {
        "transient_failure_share": float(rng.uniform(0.03, 0.06)),
        "yearly_email_death_share": float(rng.uniform(0.07, 0.14)),
        "routine_sends_per_month": float(np.exp(rng.uniform(np.log(0.6), np.log(2)))),
    }
    return world(seed, **parameters, **({"reason_shares": shares(seed)} if seed % 2 else {}))


def other_shares(seed: int) -> WorldSpec:
    """A world with other shares of the reasons, and of those who leave."""
    rng = np.random.default_rng(seed)
    return world(seed, reason_shares=shares(seed), leaver_share=float(rng.uniform(0.5, 0.7)))


JUDGED: Mapping[str, WorldSpec] = {
    "as it comes": world(501),
    "other shares": world(502, reason_shares=shares(502)),
    "other shares again": world(503, reason_shares=shares(503), leaver_share=0.6),
    "little evidence": world(504, evidence_share=0.6),
    "rare visits, many messages": world(505, usual_gap_days=24.0, routine_sends_per_month=2.5),
    "frequent visits, few messages": world(506, usual_gap_days=8.0, routine_sends_per_month=0.5),
    "noisy delivery": world(507, transient_failure_share=0.05, yearly_email_death_share=0.1),
    "short stays, soon back": world(508, stay_days=60.0, return_scale=2.0, relapse_days=40.0),
    **{f"drawn by {seed}": drawn(seed) for seed in range(3001, 3005)},
}
FITTED: Mapping[str, WorldSpec] = {
    "plain": world(901),
    "shares": world(902, reason_shares=shares(902)),
    "shares again": world(903, reason_shares=shares(903), evidence_share=0.7),
    "gaps": world(904, usual_gap_days=11.0, routine_sends_per_month=1.5),
    "rare": world(905, usual_gap_days=22.0, reason_shares=shares(905)),
    "evidence": world(906, evidence_share=0.95, leaver_share=0.65),
    "noisy": world(911, transient_failure_share=0.05, yearly_email_death_share=0.1),
    **{f"drawn by {seed}": drawn(seed) for seed in (*range(1001, 1011), *range(2001, 2009))},
    **{f"noisy {seed}": noisy(seed) for seed in range(2101, 2107)},
    **{f"other shares {seed}": other_shares(seed) for seed in range(2201, 2209)},
}
# Looked at when rules were chosen, as the drawn ones of those above: the last has so many chance deaths that a rule of
# rarity alone hides dead delivery.
CHOSEN_ON: Mapping[str, WorldSpec] = {
    "noisier": world(951, transient_failure_share=0.06, yearly_email_death_share=0.12),
    "rarer": world(952, usual_gap_days=26.0, routine_sends_per_month=3.0),
    "frequent": world(953, usual_gap_days=7.0, routine_sends_per_month=0.4),
    "noisy shares": world(
        954,
        transient_failure_share=0.04,
        yearly_email_death_share=0.08,
        routine_sends_per_month=1.5,
        reason_shares=shares(954),
    ),
}
# Two running outages, of a version and of a platform: who is silenced by them has left for no reason.
SILENCED: Mapping[str, WorldSpec] = {
    "a version fell silent": WorldSpec(n_users=N_USERS, seed=601),
    "a platform fell silent": WorldSpec(
        n_users=N_USERS, seed=602, outages=(Outage(kind="events", start_day=470, end_day=None, platform="ios"),)
    ),
}


@dataclass(frozen=True)
class Judged:
    """The leavers of a world that the night calls churned: target and found reason, confidence, evidence."""

    name: str
    users: pl.DataFrame

    @property
    def evidenced(self) -> pl.DataFrame:
        """Those whose reason left its trace."""
        return self.users.filter("has_evidence")

    def f1(self, reason: str, users: pl.DataFrame | None = None) -> float:
        """2 hits ÷ (named + true)."""
        among = self.evidenced if users is None else users
        hits = among.filter((pl.col("reason") == reason) & (pl.col("target") == reason)).height
        both = int((among["reason"] == reason).sum()) + int((among["target"] == reason).sum())
        return 2 * hits / both if both else 1.0

    @property
    def macro_f1(self) -> float:
        """Mean F1 of the reasons for which anybody left."""
        return float(np.mean([self.f1(reason) for reason in sorted(set(self.evidenced["target"]))]))

    @property
    def dead_f1(self) -> float:
        """Of delivery_dead, among those who left for it or for want of interest."""
        return self.f1(
            "delivery_dead", self.evidenced.filter(pl.col("target").is_in(["delivery_dead", *LOST_INTEREST]))
        )

    @property
    def abstained(self) -> float:
        """Share named unknown among those whose reason cannot be known."""
        return float((self.users.filter(~pl.col("has_evidence"))["reason"] == UNKNOWN).mean() or 0.0)  # type: ignore[arg-type]

    @property
    def calibration_error(self) -> float:
        """Expected calibration error of the confidence, ten bins of equal width."""
        return expected_calibration_error(
            self.users["reason_confidence"].to_numpy(), (self.users["reason"] == self.users["target"]).to_numpy()
        )


def expected_calibration_error(confidence: np.ndarray, is_right: np.ndarray) -> float:
    """Mean distance of confidence and share of right over bins, each by its users. Source: Naeini et al. 2015."""
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = [abs(confidence[place == k].sum() - is_right[place == k].sum()) for k in range(BINS)]
    return float(sum(gaps) / max(confidence.size, 1))


def built(spec: WorldSpec, folder: Path) -> tuple[Project, date, pl.DataFrame]:
    """A world as files, and the product's own way from them to the facts of its last day; and the truth."""
    project = Project.load(write_world(simulate_world(spec), folder))
    as_of = spec.first_on + timedelta(days=spec.n_days - 1)
    for name in project.sources:
        project.take_in(name)
    facts = [name for name, model in project.models.items() if model.schema in ("staging", "intermediate")]
    for name in with_inputs(project.models, facts):
        if project.models[name].partition in ("day", "whole"):
            project.build(name)
    for mart in (*(f"marts.{name}" for name in MARTS), *OUTAGE_READS):
        project.at(mart, as_of=as_of)
    for state in ("intermediate.channel_states", "intermediate.failure_states"):
        project.build(state, as_of=as_of)
    project.at("marts.user_sightings", as_of=as_of)
    project.write(ENDPOINTS.table, make_endpoints(project, as_of), as_of=as_of)
    for name, made in make_outages(project, as_of).items():
        project.write(name, made, as_of=as_of)
    project.write("lifecycle.stages", make_stages(project, as_of), as_of=as_of)
    return project, as_of, pl.read_parquet(folder / "truth" / "users.parquet")


def targets(truth: pl.DataFrame) -> pl.DataFrame:
    """user_id, target, has_evidence of all who truly left: what left no trace can rightly only be called unknown."""
    knowable = pl.col("has_evidence") & (pl.col("true_reason") != UNKNOWN)
    return truth.filter("has_left").select(
        "user_id",
        pl.when(knowable).then("true_reason").otherwise(pl.lit(UNKNOWN)).alias("target"),
        knowable.alias("has_evidence"),
    )


def judged(name: str, spec: WorldSpec) -> Judged:
    """One world, from its files to the reasons."""
    with tempfile.TemporaryDirectory() as folder:
        project, as_of, truth = built(spec, Path(folder))
        found = judge_reasons(facts_of(project, as_of), as_of=as_of)
    return Judged(name, found.join(targets(truth), on="user_id", how="inner").sort("user_id"))


def silenced(name: str, spec: WorldSpec) -> tuple[str, ...]:
    """A row of the table of measurement gaps: silenced users, named so, rightly, and leavers named so."""
    with tempfile.TemporaryDirectory() as folder:
        project, as_of, truth = built(spec, Path(folder))
        found = judge_reasons(facts_of(project, as_of), as_of=as_of)
    named = truth.join(found.filter(pl.col("reason") == "measurement_gap"), on="user_id", how="inner")
    hidden = truth.filter("is_measurement_gap").height
    right = named.filter("is_measurement_gap").height
    f1 = 2 * right / max(hidden + named.height, 1)
    return name, str(hidden), str(named.height), str(right), str(named.filter("has_left").height), f"{f1:.3f}"


def reachable(name: str, spec: WorldSpec) -> tuple[str, ...]:
    """A row of the table of reachability: endpoints, share judged rightly, and the share that can be.

    Right: ok, capped and unknown for endpoints that a message reaches, the rest for the others. Of an endpoint that
    died or was shut in silence after its last message nothing can be known, and few die in a year: such are beyond any
    judge.
    """
    with tempfile.TemporaryDirectory() as folder:
        project, as_of, _ = built(spec, Path(folder))
        ledger = project.read(ENDPOINTS.table, as_of=as_of).select("user_id", "channel", "reach", "last_seen_on")
        truth = pl.read_parquet(Path(folder) / "truth" / "endpoints.parquet")
    known = truth.join(ledger, on=["user_id", "channel"], how="left")
    says = pl.col("reach").fill_null("unknown").is_in(["ok", "capped", "unknown"])
    wrong = known.filter(says != pl.col("is_reachable"))
    ended = pl.min_horizontal("token_died_on", "opted_out_on")
    unseen = wrong.filter(says & (pl.col("last_seen_on").is_null() | (pl.col("last_seen_on") < ended)))
    right, most = (1 - rows.height / known.height for rows in (wrong, unseen))
    return name, f"{known.height:,}", f"{right:.4f}", f"{most:.4f}"


def fitted(worlds: Mapping[str, WorldSpec]) -> Knots:
    """The map from posterior to confidence over all these worlds."""
    posterior, way, right = [], [], []
    for spec in worlds.values():
        with tempfile.TemporaryDirectory() as folder:
            project, as_of, truth = built(spec, Path(folder))
            weighed = weigh(facts_of(project, as_of), as_of=as_of, evidence=load_evidence())
        rows = _named(weighed).join(targets(truth), on="user_id", how="inner")
        posterior.append(rows["posterior"].to_numpy())
        way += rows["way"].to_list()
        right.append((rows["reason"] == rows["target"]).to_numpy())
    return fit_knots(np.concatenate(posterior), way, np.concatenate(right))


def _named(weighed: Weighed) -> pl.DataFrame:
    return weighed.departures.select("user_id").with_columns(
        pl.Series("reason", [REASONS[place] for place in weighed.reason]),
        pl.Series("way", weighed.way),
        pl.Series("posterior", weighed.chosen_posterior),
    )


def write_knots(knots: Knots, path: Path = FILE) -> None:
    """The file that ships, saying where it comes from."""
    lines = [f"{way} = [{', '.join(f'[{x}, {y}]' for x, y in knots[way])}]" for way in WAYS]
    seeds = textwrap.fill(
        ", ".join(str(spec.seed) for spec in FITTED.values()),
        initial_indent="# seeds ",
        subsequent_indent="# ",
        width=118,
    )
    head = (
        "# From a posterior to a confidence, by the way in which the reason was decided: monotone, linear between the\n"
        "# knots. Written by `python -m benchmarks.reasons --fit` from simulated worlds, whose truth is known, of the\n"
        f"{seeds}:\n# no real log says which reason was right. Judged on worlds of other seeds.\n"
    )
    path.write_text("\n".join([head + "[knots]", *lines, ""]), encoding="utf-8", newline="\n")


def report(worlds: Mapping[str, WorldSpec]) -> Iterator[str]:
    """The bars of every world, then the F1 of every reason over all of them."""
    made = [judged(name, spec) for name, spec in worlds.items()]
    names = ("world", "leavers", "macro-F1", "dead F1", "abstained", "calibration error")
    rows = [
        (
            one.name,
            str(one.users.height),
            *(f"{x:.3f}" for x in (one.macro_f1, one.dead_f1, one.abstained, one.calibration_error)),
        )
        for one in made
    ]
    every = Judged("all", pl.concat([one.users for one in made]))
    yield table(names, rows)
    of_reasons = [
        (
            reason,
            str(every.evidenced.filter(pl.col("target") == reason).height),
            str(every.users.filter(pl.col("reason") == reason).height),
            f"{every.f1(reason):.3f}",
        )
        for reason in sorted(set(every.evidenced["target"]))
    ]
    yield table(("reason", "left for it", "named", "F1 of the evidenced"), of_reasons)


def main(arguments: Sequence[str] | None = None) -> int:
    """Fit or judge."""
    flags = argparse.ArgumentParser(prog="python -m benchmarks.reasons", description=__doc__)
    flags.add_argument("--fit", action="store_true", help=f"write {FILE.name} instead of judging")
    flags.add_argument("--worlds", type=int, default=len(JUDGED), help="judge only the first so many")
    flags.add_argument("--chosen-on", action="store_true", help="print the worlds on which rules were chosen")
    flags.add_argument("--reach", action="store_true", help="judge only whether endpoints can be reached")
    flags.add_argument("--silenced", action="store_true", help="judge only the worlds with running outages")
    asked = flags.parse_args(arguments)
    if asked.fit:
        write_knots(fitted(FITTED))
        print(f"wrote {FILE}")
        return 0
    if asked.reach:
        worlds = list(JUDGED.items())[: asked.worlds]
        print(table(("world", "endpoints", "right", "knowable"), [reachable(name, spec) for name, spec in worlds]))
        return 0
    if asked.chosen_on:
        _print_judged(CHOSEN_ON)
        return 0
    if not asked.silenced:
        _print_judged(dict(list(JUDGED.items())[: asked.worlds]))
    names = ("world", "silenced", "named", "rightly", "left and named", "F1")
    print(table(names, [silenced(name, spec) for name, spec in SILENCED.items()]))
    return 0


def _print_judged(worlds: Mapping[str, WorldSpec]) -> None:
    for part in report(worlds):
        print(part, end="\n\n", flush=True)


if __name__ == "__main__":
    sys.exit(main())
