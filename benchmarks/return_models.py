"""`python -m benchmarks.return_models`: who comes back, on three public logs, beside the references in the same run.

Every log is cut at a past day. The night's own SQL and models see it up to that day; what they say is held against
what came in the horizon after it.
"""

import os
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from time import process_time

import numpy as np
import numpy.typing as npt
import polars as pl

from benchmarks.bars import Verdict, below_verdict, level_verdict, ranking_verdict, show_verdicts
from benchmarks.measure import REPOSITORY
from benchmarks.tables import table
from dagster_project.defs.models import (
    FEATURES,
    OUTCOMES,
    USERS,
    make_return_spells,
    make_training_snapshots,
    stages_at,
)
from dagster_project.defs.outages import READS as OUTAGE_FACTS
from dagster_project.defs.outages import make_outages
from dagster_project.models import metrics
from dagster_project.models.activity import BASELINE, CandidateError, FitSetup
from dagster_project.models.btyd import DAYS_PER_UNIT, Counts, active_day_counts, fit_btyd
from dagster_project.models.candidates import CANDIDATES
from dagster_project.models.evaluation import SILENCE_BUCKETS
from dagster_project.models.features import shared_features
from dagster_project.models.night import ModelSpec, fit_night
from dagster_project.models.snapshots import with_lapse
from dagster_project.project import Project

Floats = npt.NDArray[np.float64]
Figures = dict[str, dict[str, float]]

SHIPPED = "shipped"
REFERENCES = tuple(candidate.name for candidate in CANDIDATES if not candidate.members)
PUBLISHED_BG_NBD = {"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426}  # Fader, Hardie & Lee 2005, table 2


@dataclass(frozen=True)
class Bar:
    """What the shipped model must reach: `figure` of `population` within [low, high]."""

    population: str
    figure: str
    low: float = -float("inf")
    high: float = float("inf")


@dataclass(frozen=True)
class Cell:
    """A log, the night at which it is cut, the horizon, and the bars (protocols and levels: METHODS, issue 3).

    `wants_buckets`: the Brier score of every bucket of silence must be below recency's, and below that of the
    bucket's own rate, known only in hindsight.
    """

    example: str
    as_of: date
    horizon_days: int
    bars: tuple[Bar, ...]
    wants_buckets: bool = False


CELLS = (
    Cell(
        "cdnow",
        date(1997, 12, 31),
        91,
        (
            Bar("all", "auc", low=0.806),
            Bar("all", "log_loss", high=0.346),
            Bar("all", "ece", high=0.015),
            Bar("silent > 13 weeks", "auc", low=0.720),
            Bar("silent > 26 weeks", "auc", low=0.655),
        ),
        wants_buckets=True,
    ),
    Cell(
        "cdnow",
        date(1997, 9, 30),
        91,
        (
            Bar("all", "auc", low=0.776),
            Bar("all", "log_loss", high=0.382),
            Bar("all", "ece", high=0.015),
            Bar("silent > 13 weeks", "auc", low=0.671),
            Bar("silent > 13 weeks", "brier", high=0.0934),
        ),
    ),
    Cell(
        "online_retail",
        date(2011, 9, 10),
        90,
        (
            Bar("all", "auc", low=0.740),
            Bar("all", "log_loss", high=0.598),
            Bar("all", "observed_over_expected", low=0.85, high=1.15),
            Bar("silent > 13 weeks", "auc", low=0.612),
        ),
    ),
    Cell(
        "grocery",
        date(2006, 12, 30),
        91,
        (Bar("all", "auc", low=0.909), Bar("all", "log_loss", high=0.300)),
    ),
)
FIGURES = ("n", "base_rate", "auc", "log_loss", "brier", "ece", "observed_over_expected")


def main() -> int:
    """Run every cell and print its figures and bars. The exit code is 1 if a bar is missed or a log is absent."""
    real_data = Path(os.environ.get("WINBACK_REAL_DATA", REPOSITORY.parent / "shared" / "data"))
    if not real_data.is_dir():
        print(f"NOT MEASURED: {real_data} is not there; set WINBACK_REAL_DATA", file=sys.stderr)
        return 1
    wanted = set(sys.argv[1:])
    is_met = [show_verdicts(published_parameters(real_data))] if not wanted else []
    for cell in CELLS:
        if not wanted or cell.example in wanted:
            with tempfile.TemporaryDirectory() as folder:
                is_met.append(measure(cell, real_data=real_data, folder=Path(folder)))
    return 0 if all(is_met) else 1


def measure(cell: Cell, *, real_data: Path, folder: Path) -> bool:
    """Print one cell; whether all of its bars are met."""
    project = project_of(cell, real_data=real_data, folder=folder)
    stages = stages_at(project, cell.as_of, horizon_days=cell.horizon_days)
    now = with_lapse(project.at(FEATURES, as_of=cell.as_of), stages).sort("user_id")
    training = make_training_snapshots(project, cell.as_of)
    spells = make_return_spells(project, cell.as_of)
    closed_on = cell.as_of + timedelta(days=cell.horizon_days)
    came = project.compute(OUTCOMES, as_of=closed_on, window_days=cell.horizon_days)["user_sk"]
    outcome = now["user_sk"].is_in(came.implode()).cast(pl.Float64).to_numpy()
    watch = process_time()
    night = fit_night(training, now, stages, spells, spec=ModelSpec(as_of=cell.as_of, horizon_days=cell.horizon_days))
    seconds = process_time() - watch
    said = {SHIPPED: night.scores.drop_nulls("p_active")["p_active"].to_numpy()}
    said |= dict(candidates_said(training, now, horizon_days=cell.horizon_days))
    measured = {
        name: figures_of(now, outcome, probability, horizon_days=cell.horizon_days)
        for name, probability in said.items()
    }
    print(f"\n## {cell.example}, {cell.as_of}, {cell.horizon_days} days: {night.winner}, {seconds:.0f} CPU s\n")
    print(*night.notes, sep="\n")
    print(f"\n{table_of(measured)}\n")
    return show_verdicts(verdicts_of(cell, measured))


def project_of(cell: Cell, *, real_data: Path, folder: Path) -> Project:
    """The example's settings with the cell's horizon, its data under `folder`, its facts built."""
    text = (REPOSITORY / "data" / "examples" / f"{cell.example}.toml").read_text(encoding="utf-8")
    text = text.replace("../../../shared/data/", f"{real_data.resolve()}/")
    text = re.sub(r'^(data|reports) = ".*"$', r'\1 = "\1"', text, flags=re.MULTILINE)
    path = folder / f"{cell.example}.toml"
    path.write_text(f"horizon_days = {cell.horizon_days}\n{text}", encoding="utf-8")
    project = Project.load(path)
    for source in ("events", "users", "subscriptions", "message_events", "consents", "feedback", "links"):
        project.take_in(source)
    for name in facts_below(project, (USERS, FEATURES, OUTCOMES, *OUTAGE_FACTS)):
        project.build(name)
    for name in OUTAGE_FACTS:
        project.at(name, as_of=cell.as_of)
    for name, made in make_outages(project, cell.as_of).items():
        project.write(name, made, as_of=cell.as_of)
    return project


def facts_below(project: Project, tables: tuple[str, ...]) -> list[str]:
    """The tables that do not depend on the night, each after those that it reads."""
    found: list[str] = []
    for name in tables:
        model = project.models[name]
        reads = tuple(read for read in model.reads if read in project.models and read != name)
        own = [] if model.partition in ("as_of", "state") else [name]
        found += [each for each in [*facts_below(project, reads), *own] if each not in found]
    return found


def candidates_said(training: pl.DataFrame, now: pl.DataFrame, *, horizon_days: int) -> Iterator[tuple[str, Floats]]:
    """What each candidate, fitted on every closed window, says tonight; MBG/NBD learns from tonight's counts."""
    setup = FitSetup(seed=ModelSpec.seed, horizon_days=horizon_days)
    rows = shared_features(training, now).sort("cutoff", "user_id")
    for candidate in CANDIDATES:
        try:
            if candidate.name == "mbg_nbd":
                counts = active_day_counts(now)
                model = fit_btyd(counts, drops_at_first=True)
                yield candidate.name, model.p_active(counts, within=horizon_days / DAYS_PER_UNIT)
            else:
                yield candidate.name, candidate.build(setup).fit(rows).predict(now)
        except CandidateError as error:
            print(f"{candidate.name} left out: {error.problem}")


def figures_of(now: pl.DataFrame, outcome: Floats, probability: Floats, *, horizon_days: int) -> Figures:
    """population → figure → value; populations without a row are left out."""
    silence = now["silence_days"].to_numpy()
    populations: Mapping[str, npt.NDArray[np.bool_]] = {
        "all": silence >= 0,
        "lapsed": now["is_lapsed"].fill_null(False).to_numpy(),
        "silent > 13 weeks": silence > 91,
        "silent > 26 weeks": silence > 182,
        **{
            name: (silence >= low * horizon_days) & (silence < high * horizon_days)
            for name, low, high in SILENCE_BUCKETS
        },
    }
    return {name: figures(outcome[mask], probability[mask]) for name, mask in populations.items() if mask.any()}


def figures(outcome: Floats, probability: Floats) -> dict[str, float]:
    """FIGURES of one population."""
    unknown = float("nan")
    return {
        "n": float(len(outcome)),
        "base_rate": float(outcome.mean()),
        "auc": metrics.auc(outcome, probability) or unknown,
        "log_loss": float(metrics.log_losses(outcome, probability).mean()),
        "brier": float(((outcome - probability) ** 2).mean()),
        "ece": metrics.calibration_error(outcome, probability) or 0.0,
        "observed_over_expected": float(outcome.sum() / probability.sum()),
    }


def table_of(measured: Mapping[str, Figures]) -> str:
    """Every model and population, one line each."""
    rows = [
        (population, name, f"{values['n']:.0f}", *(f"{values[figure]:.4f}" for figure in FIGURES[1:]))
        for population in next(iter(measured.values()))
        for name, of_model in measured.items()
        for values in [of_model[population]]
    ]
    return table(("population", "model", *FIGURES), rows)


def verdicts_of(cell: Cell, measured: Mapping[str, Figures]) -> Iterator[Verdict]:
    """Every bar of the cell; that the lapsed are ranked no worse than by recency is a bar of all cells."""
    rivals = [name for name in REFERENCES if name in measured]
    for bar in cell.bars:
        subject, value = f"{bar.population}: {bar.figure}", measured[SHIPPED][bar.population][bar.figure]
        figures = {name: measured[name][bar.population][bar.figure] for name in rivals}
        if bar.figure == "auc":
            yield ranking_verdict(subject, value, low=bar.low, rivals=figures)
        else:
            figures = {} if bar.figure == "observed_over_expected" else figures
            yield level_verdict(subject, value, low=bar.low, high=bar.high, rivals=figures)
    lapsed = {name: of_model["lapsed"]["auc"] for name, of_model in measured.items()}
    yield ranking_verdict("lapsed: auc", lapsed[SHIPPED], rivals={BASELINE: lapsed[BASELINE]})
    if cell.wants_buckets:
        yield from bucket_verdicts(measured)


def bucket_verdicts(measured: Mapping[str, Figures]) -> Iterator[Verdict]:
    """Brier score by bucket of silence, against recency and against the bucket's own rate told to all of its users."""
    for name, _, _ in SILENCE_BUCKETS:
        if name in measured[SHIPPED]:
            ours, recency = measured[SHIPPED][name], measured[BASELINE][name]
            base = ours["base_rate"] * (1 - ours["base_rate"])
            yield below_verdict(f"{name}: brier", ours["brier"], rivals={"own rate": base, BASELINE: recency["brier"]})


def published_parameters(real_data: Path) -> Iterator[Verdict]:
    """BG/NBD of the 2,357-customer sample up to 1997-09-30: each parameter within half a hundredth of the paper's."""
    fitted = fit_btyd(cdnow_sample_counts(real_data), drops_at_first=False)
    for name, published in PUBLISHED_BG_NBD.items():
        yield level_verdict(
            f"BG/NBD {name}",
            getattr(fitted, name),
            low=0.995 * published,
            high=1.005 * published,
            rivals={"paper": published},
        )


def cdnow_sample_counts(real_data: Path, *, until: date = date(1997, 9, 30)) -> Counts:
    """Weeks from the first purchase day; several purchases on one day are one."""
    lines = (real_data / "cdnow" / "CDNOW_sample.txt").read_text(encoding="ascii").splitlines()
    pairs = [(fields[1], date.fromisoformat(fields[2])) for fields in (line.split() for line in lines) if fields]
    days = pl.DataFrame(pairs, schema=["user", "on"], orient="row").unique().filter(pl.col("on") <= until)
    users = days.group_by("user").agg(pl.len(), first=pl.col("on").min(), last=pl.col("on").max()).sort("user")
    since = users.select(
        (pl.col("len") - 1).cast(pl.Float64),
        ((pl.col("last") - pl.col("first")).dt.total_days() / DAYS_PER_UNIT).alias("last"),
        ((pl.lit(until) - pl.col("first")).dt.total_days() / DAYS_PER_UNIT).alias("observed"),
    )
    return Counts(*(since[name].to_numpy() for name in since.columns))


if __name__ == "__main__":
    sys.exit(main())
