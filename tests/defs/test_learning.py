"""What earlier nights did moves what tonight believes: the loop of a night, from entries to decisions."""

from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from dagster_project.defs.strategy import make_decisions
from defs.worlds import NIGHT, Company


def _entries(like: pl.DataFrame, *, lift: float, n: int = 6000) -> pl.DataFrame:
    """Outcomes of a night sixty days ago: half of `n` users got whats_new by e-mail, the others were held out."""
    rng = np.random.default_rng(11)
    treated = np.arange(n) % 2 == 0
    p = 1 / (1 + np.exp(-(np.log(0.2 / 0.8) + lift * treated)))
    came = rng.random(n) < p
    made = pl.DataFrame(
        {
            "experiment_id": ["global_holdout"] * n,
            "user_id": [f"past{place:05d}" for place in range(n)],
            "arm": ["treat" if one else "control" for one in treated],
            "assigned_on": [NIGHT - timedelta(days=60)] * n,
            "propensity": [0.5] * n,
            "strategy_id": ["whats_new"] * n,
            "channel": ["email"] * n,
            "p_return": [0.2] * n,
            "is_randomised": [True] * n,
            "n_days_seen": [61] * n,
            "returned_after": [5 if one else None for one in came],
        }
    )
    return pl.concat([like.clear(), made], how="diagonal_relaxed").select(like.columns).cast(dict(like.schema))


@pytest.mark.parametrize(("lift", "is_stopped"), [(0.6, False), (-0.6, True)])
def test_outcomes_of_earlier_nights_become_beliefs_and_stop_what_harms(
    copied: Company, lift: float, is_stopped: bool
) -> None:
    project = copied.project
    entries = _entries(project.read("outcomes.entries", as_of=NIGHT), lift=lift)
    project.write("outcomes.entries", entries, as_of=NIGHT)

    made = make_decisions(project, NIGHT)

    told = made["strategy.beliefs"].row(
        by_predicate=(pl.col("strategy_id") == "whats_new") & (pl.col("channel") == "email"), named=True
    )
    assert told["evidence_grade"] == "randomised"
    assert abs(told["lift"] - lift) < 0.15
    stopped = made["strategy.hands"].filter(pl.col("hand") == "stopped by rule")
    assert stopped["strategy_id"].to_list() == (["whats_new"] if is_stopped else [])
    grades = dict(
        made["strategy.exported"]
        .filter(pl.col("strategy_id") == "whats_new")["evidence_grade"]
        .value_counts()
        .iter_rows()
    )
    assert set(grades) <= (set() if is_stopped else {"randomised"})
    if not is_stopped:
        assert grades
