"""`python -m benchmarks.scale`: ten million made-up users scored by the night's own models in bounded memory.

Training learns from at most 300,000 rows. Scoring reads a file of users, scores it, lets it go, and reads the next.
"""

import argparse
import sys
import tempfile
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks.measure import Stopwatch, run_child
from benchmarks.tables import Section, table

AS_OF = date(2024, 6, 1)
N_CUTOFFS = 8
SEED = 20260101
USERS_PER_FILE = 250_000
USERS_TO_LEARN_FROM = 250_000  # of tonight's: Gamma-Gamma, MBG/NBD and the imitation learn from them
MOST_TRAINING_ROWS = 300_000
MOST_CPU_S = 100.0  # for p_active and value of ten million users
MOST_PEAK_GIB = 4.0
STAGES = ("read", "p_active", "value", "curves of the lapsed")


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and end with 1 if a bar is missed."""
    flags = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    flags.add_argument("--scored-users", type=int, default=10_000_000, help="(default: %(default)s)")
    flags.add_argument("--training-rows", type=int, default=MOST_TRAINING_ROWS, help="(default: %(default)s)")
    asked = flags.parse_args(arguments)
    section, is_met = measure_scale(asked.scored_users, n_training_rows=asked.training_rows)
    print(section.markdown)
    return 0 if is_met else 1


def measure_scale(n_users: int, *, n_training_rows: int = MOST_TRAINING_ROWS) -> tuple[Section, bool]:
    """The section, and whether both bars are met (that of the CPU in proportion to the users)."""
    with tempfile.TemporaryDirectory() as folder:
        run_child("write_users", folder=folder, n_users=n_users)
        done = run_child("score_base", folder=folder, n_users=n_users, n_training_rows=n_training_rows).answer
    spent, allowed_s = done["spent"], MOST_CPU_S * n_users / 10_000_000
    cpu_s = spent["p_active"]["cpu_s"] + spent["value"]["cpu_s"]
    peak_gib = done["peak_mb"] * 1e6 / 2**30
    bars = (
        (cpu_s <= allowed_s, f"p_active and value of {n_users:,} users: {cpu_s:.0f} CPU s, wanted ≤ {allowed_s:.0f}"),
        (peak_gib <= MOST_PEAK_GIB, f"peak while scoring: {peak_gib:.2f} GiB, wanted ≤ {MOST_PEAK_GIB:.0f}"),
        (
            done["n_training_rows"] <= MOST_TRAINING_ROWS,
            f"training: {done['n_training_rows']:,} rows, wanted ≤ {MOST_TRAINING_ROWS:,}",
        ),
    )
    said = "\n".join(f"- {'met' if is_met else 'MISSED'}: {wording}" for is_met, wording in bars)
    rows = [
        (stage, f"{cost['wall_s']:.1f}", f"{cost['cpu_s']:.1f}", f"{cost['peak_mb']:.0f}")
        for stage, cost in {"training": done["training"], "imitation": done["imitation"], **spent}.items()
    ]
    section = Section(
        title=f"{n_users:,} users scored",
        text="Made-up users: nothing but time and memory can be read from them. Shipped is "
        f"{done['winner']} for the lapsed ({done['n_lapsed']:,} of the users) and {done['winner_others']} for the "
        f"others. {done['note'] or 'Every user was scored by the model itself.'}",
        table=table(("stage", "wall s", "CPU s", "peak MB"), rows),
        said=said,
    )
    return section, all(is_met for is_met, _ in bars)


def write_users(folder: str, n_users: int) -> None:
    """Tonight's users as files."""
    from benchmarks.scale_users import write_user_files

    write_user_files(Path(folder), n_users=n_users, users_per_file=USERS_PER_FILE, seed=SEED)


def score_base(folder: str, n_users: int, n_training_rows: int) -> dict[str, Any]:
    """Train as a night does, then score every file; what each part took, and what shipped."""
    from benchmarks.scale_users import HORIZON_DAYS, past_snapshots
    from dagster_project.models.scoring import make_scorer
    from dagster_project.models.shipping import ModelSpec, learn

    training = past_snapshots(n_training_rows // N_CUTOFFS, as_of=AS_OF, n_cutoffs=N_CUTOFFS, seed=SEED)
    drawn = first_users(Path(folder), n_users=USERS_TO_LEARN_FROM)
    watch = Stopwatch()
    learned = learn(training, drawn, spec=ModelSpec(as_of=AS_OF, horizon_days=HORIZON_DAYS, seed=SEED))
    laps: dict[str, Any] = {"training": watch.lap(), "n_training_rows": training.height}
    scorer = make_scorer(learned.shipped, drawn, n_users=n_users, seed=SEED)
    laps["imitation"] = watch.lap()
    del training, drawn
    spent, n_lapsed = score_files(Path(folder), scorer=scorer, worth=learned.worth, hazard=learned.hazard)
    return laps | {
        "spent": spent,
        "peak_mb": max(cost["peak_mb"] for cost in spent.values()),
        "n_lapsed": n_lapsed,
        "winner": learned.winner,
        "winner_others": learned.winner_others,
        "note": scorer.note,
        "likeness": asdict(scorer.likeness) if scorer.likeness else None,
    }


def score_files(folder: Path, *, scorer: Any, worth: Any, hazard: Any) -> tuple[dict[str, dict[str, float]], int]:
    """What each stage took over all files, and how many of the users are lapsed. Scores are kept, curves let go."""
    import polars as pl

    from benchmarks.scale_users import read_users
    from dagster_project.models.scoring import score_users

    spent = {stage: {"wall_s": 0.0, "cpu_s": 0.0, "peak_mb": 0.0} for stage in STAGES}
    scores: list[pl.DataFrame] = []
    n_lapsed, watch = 0, Stopwatch()
    for users in read_users(folder):
        add(spent["read"], watch.lap())
        p_active = scorer.p_active(users)
        add(spent["p_active"], watch.lap())
        scores.append(score_users(users, p_active, worth=worth))
        add(spent["value"], watch.lap())
        n_lapsed += walk_curves(users, p_active, hazard=hazard)
        add(spent["curves of the lapsed"], watch.lap())
    assert pl.concat(scores)["p_active"].is_finite().all()
    return spent, n_lapsed


def walk_curves(users: Any, p_active: Any, *, hazard: Any) -> int:
    """The return curves of the lapsed of a file, by their own hazards where one ships; how many they are."""
    import polars as pl

    from benchmarks.scale_users import HORIZON_DAYS
    from dagster_project.models.shipping import CURVE_DAYS
    from dagster_project.models.timing import OwnTiming, return_curves

    scored = users.with_columns(pl.Series("p_return", p_active)).filter("is_lapsed")
    if hazard is not None:
        timing = OwnTiming(hazard, scored, horizon_days=HORIZON_DAYS)
        curves = return_curves(timing, scored, days=(*CURVE_DAYS, HORIZON_DAYS))
        assert curves["p_returned"].is_between(0, 1).all()
    return int(scored.height)


def first_users(folder: Path, *, n_users: int) -> Any:
    """The users of the first files: made-up ones are in no order."""
    import polars as pl

    from benchmarks.scale_users import read_users

    frames = []
    for users in read_users(folder):
        frames.append(users)
        if sum(frame.height for frame in frames) >= n_users:
            break
    return pl.concat(frames).head(n_users)


def add(total: dict[str, float], lap: dict[str, float]) -> None:
    """Add up seconds, and keep the highest peak."""
    total["wall_s"] += lap["wall_s"]
    total["cpu_s"] += lap["cpu_s"]
    total["peak_mb"] = max(total["peak_mb"], lap["peak_mb"])


if __name__ == "__main__":
    sys.exit(main())
