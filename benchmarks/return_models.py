"""`python -m benchmarks.return_models`: who comes back, on three public logs, beside the references in the same run.

Every log is cut at a past day. The night's own SQL and models see it up to that day; what they say is held against
what came in the horizon after it.
"""

import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

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
from dagster_project.models import metrics
from dagster_project.models.activity import BASELINE, CandidateError, FitSetup
from dagster_project.models.btyd import DAYS_PER_UNIT, Counts, active_day_counts, fit_btyd
from dagster_project.models.candidates import CANDIDATES
from dagster_project.models.features import shared_features
from dagster_project.models.night import ModelSpec, fit_night
from dagster_project.models.snapshots import with_lapse
from dagster_project.project import Project

Floats = npt.NDArray[np.float64]
Figures = dict[str, dict[str, float]]

SHIPPED = "shipped"
REFERENCES = (BASELINE, "logistic", "cox", "mbg_nbd")
TIE = 0.005  # of AUC: gaps below it are no gaps
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
    """A log, the night at which it is cut, the horizon, and the bars (protocols and levels: METHODS, issue 3)."""

    example: str
    as_of: date
    horizon_days: int
    bars: tuple[Bar, ...]


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
    is_met = [published_parameters_are_found(real_data)] if not wanted else []
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
    measured = {name: figures_of(now, outcome, probability) for name, probability in said.items()}
    print(f"\n## {cell.example}, {cell.as_of}, {cell.horizon_days} days: {night.winner}, {seconds:.0f} CPU s\n")
    print(*night.notes, sep="\n")
    print(table_of(measured))
    return all([show_bar(bar, measured) for bar in cell.bars] + [show_lapsed(measured)])


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
    for name in facts_below(project, (USERS, FEATURES, OUTCOMES)):
        project.build(name)
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


def figures_of(now: pl.DataFrame, outcome: Floats, probability: Floats) -> Figures:
    """population → figure → value."""
    silence = now["silence_days"].to_numpy()
    populations: Mapping[str, npt.NDArray[np.bool_]] = {
        "all": silence >= 0,
        "lapsed": now["is_lapsed"].fill_null(False).to_numpy(),
        "silent > 13 weeks": silence > 91,
        "silent > 26 weeks": silence > 182,
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


def show_bar(bar: Bar, measured: Mapping[str, Figures]) -> bool:
    """Print whether the shipped model reaches a bar, and whether a reference of this run is better by more."""
    value = measured[SHIPPED][bar.population][bar.figure]
    slack = TIE if bar.figure == "auc" else 0.0
    is_met = bar.low - slack <= value <= bar.high
    wanted = f"≥ {bar.low:g}" if bar.high == float("inf") else f"≤ {bar.high:g}"
    wanted = wanted if bar.low == -float("inf") or bar.high == float("inf") else f"{bar.low:g} to {bar.high:g}"
    rivals = {name: measured[name][bar.population][bar.figure] for name in REFERENCES if name in measured}
    best: Callable[..., Any] = max if bar.figure == "auc" else min
    rival = best(rivals, key=lambda name: rivals[name])
    print(
        f"{'met   ' if is_met else 'MISSED'} {bar.population}: {bar.figure} {value:.4f}, wanted {wanted}; "
        f"best reference {rival} {rivals[rival]:.4f}"
    )
    return is_met


def show_lapsed(measured: Mapping[str, Figures]) -> bool:
    """Print whether the shipped model ranks the lapsed no worse than recency, ties apart."""
    ours, recency = (measured[name]["lapsed"]["auc"] for name in (SHIPPED, BASELINE))
    is_met = ours >= recency - TIE
    print(f"{'met   ' if is_met else 'MISSED'} lapsed: auc {ours:.4f}, recency alone {recency:.4f}")
    return is_met


def published_parameters_are_found(real_data: Path) -> bool:
    """Fit BG/NBD to the 2,357-customer sample up to 1997-09-30 and print its parameters beside the published ones."""
    fitted = fit_btyd(cdnow_sample_counts(real_data), drops_at_first=False)
    is_met = True
    for name, published in PUBLISHED_BG_NBD.items():
        found = getattr(fitted, name)
        is_near = abs(found / published - 1) <= 0.005
        is_met &= is_near
        print(f"{'met   ' if is_near else 'MISSED'} BG/NBD {name} {found:.4f}, published {published}")
    return is_met


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
