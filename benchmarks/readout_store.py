"""A store of made-up experiments, as nights would have left it: ledger, users, days, stages. For seconds alone.

Ten experiments enter together, over ten nights: on each night a tenth of the users of each. Nothing but time and
memory can be read from what comes out.
"""

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from dagster_project.ingest.user_keys import USER_KEYS
from dagster_project.lake.store import Lake, Partition
from dagster_project.project import Project
from dagster_project.strategy.ledger import ASSIGNMENTS

TOGETHER = 10  # experiments that enter on the same nights
DAYS_OF_LOG = 500
SETTINGS = """\
[sources.events]
path = "events.csv"
columns = { user_id = "uid", occurred_at = "at", event_type = "kind" }
"""


def made_up_store(folder: Path, *, n_experiments: int, n_users: int, as_of: date) -> Project:
    """A project whose store holds the experiments, each of all the users, and what the users did."""
    (folder / "winback.toml").write_text(SETTINGS, encoding="utf-8")
    project = Project.load(folder / "winback.toml")
    rng = np.random.default_rng(1)
    ids = pl.int_range(1, n_users + 1, eager=True)
    users = pl.DataFrame({"user_sk": ids, "user_id": "u" + ids.cast(pl.String).str.zfill(8)})
    project.lake.write(USER_KEYS, users, key="000001", fingerprint="1")
    project.write("marts.users", users.with_columns(pl.lit(None, dtype=pl.String).alias("person_key")), as_of=as_of)
    project.write("lifecycle.parameters", pl.DataFrame({"horizon_days": [30]}), as_of=as_of)
    thresholds = pl.Series("churn_threshold_days", rng.uniform(20, 90, n_users))
    project.write("lifecycle.stages", users.select("user_sk", thresholds), as_of=as_of)
    _write_days(project.lake, rng, n_users=n_users, as_of=as_of)
    _write_ledger(project, rng, users["user_id"], n_experiments=n_experiments, as_of=as_of)
    return project


def _write_days(lake: Lake, rng: np.random.Generator, *, n_users: int, as_of: date) -> None:
    """Two active days in a hundred users' day, an answer to a message in one."""
    n_active, n_answers = int(n_users * 0.02), int(n_users * 0.01)
    made: dict[str, dict[str, Partition]] = {"intermediate.user_days": {}, "intermediate.response_days": {}}
    known: dict[str, Partition] = {}
    for back in range(DAYS_OF_LOG):
        day = as_of - timedelta(days=back)
        who = np.sort(rng.choice(n_users, n_active, replace=False)) + 1
        active = pl.DataFrame(
            {
                "user_sk": who,
                "dt": [day] * n_active,
                "n_core_events": rng.integers(1, 4, n_active),
                "amount": pl.Series(rng.lognormal(3, 1, n_active)).round(2).cast(pl.Decimal(38, 4)),
            }
        )
        who = np.sort(rng.choice(n_users, n_answers, replace=False)) + 1
        flags = {"is_opened": 0.8, "is_clicked": 0.2, "is_opted_out": 0.02, "is_complained": 0.005}
        flags |= {"is_app_removed": 0.02, "is_shared": 0.01}
        answers = pl.DataFrame(
            {
                "user_sk": who,
                "dt": [day] * n_answers,
                **{name: rng.random(n_answers) < share for name, share in flags.items()},
                "nps_sum": pl.Series(rng.integers(0, 11, n_answers)).cast(pl.Decimal(38, 4)),
                "nps_n": pl.Series(rng.integers(0, 2, n_answers)),
                "csat_sum": pl.Series([None] * n_answers, dtype=pl.Decimal(38, 4)),
                "csat_max": pl.Series([None] * n_answers, dtype=pl.Decimal(18, 4)),
                "csat_n": pl.Series([None] * n_answers, dtype=pl.Int64),
            }
        )
        for table, rows in zip(made, (active, answers), strict=True):
            lake.put(table, rows, key=day.isoformat())
            made[table][day.isoformat()] = Partition(rows.height, day.isoformat())
        known[day.isoformat()] = Partition(n_active, day.isoformat())
    for table, partitions in made.items():
        lake.commit(table, partitions)
    lake.commit("staging.events", known)  # of these the night asks for their days alone


def _write_ledger(
    project: Project, rng: np.random.Generator, user_ids: pl.Series, *, n_experiments: int, as_of: date
) -> None:
    size = -(-len(user_ids) // TOGETHER)
    night = as_of - timedelta(days=DAYS_OF_LOG - 100)
    for first in range(0, n_experiments, TOGETHER):
        names = range(first, min(first + TOGETHER, n_experiments))
        for turn in range(TOGETHER):
            parts = [
                _assigned(rng, user_ids.slice((name + turn) % TOGETHER * size, size), f"experiment_{name:03d}", night)
                for name in names
            ]
            project.write("strategy.assignments", pl.concat(parts).sort("user_id", "experiment_id"), as_of=night)
            night += timedelta(days=3)


def _assigned(rng: np.random.Generator, user_ids: pl.Series, experiment_id: str, night: date) -> pl.DataFrame:
    """Rows of the ledger: 12 strategies, 4 channels, 5 stages, 11 reasons, 3 tiers; a tenth held out."""
    n = len(user_ids)

    def drawn(prefix: str, count: int) -> pl.Series:
        return pl.Series([f"{prefix} {i}" for i in range(count)]).gather(rng.integers(0, count, n))

    treated = rng.random(n) < 0.9
    columns = {
        "user_id": user_ids,
        "experiment_id": pl.lit(experiment_id),
        "arm": pl.Series(np.where(treated, "treat", "control")),
        "propensity": pl.Series(np.where(treated, 0.9, 0.1)),
        "strategy_id": drawn("strategy", 12),
        "channel": drawn("channel", 4),
        "as_of": pl.lit(night),
        "step": pl.lit(1),
        "is_contacted": pl.Series(treated),
        "is_churned": pl.lit(value=True),
        "stage": drawn("stage", 5),
        "reason": drawn("reason", 11),
        "value_tier": drawn("tier", 3),
        "p_return": pl.Series(rng.beta(2, 20, n)),
        "value_if_returned": pl.Series(rng.lognormal(3, 0.5, n)),
        "expected_cost": pl.lit(0.05),
        "uplift": pl.lit(0.01),
    }
    absent = {name: pl.lit(None) for name in ASSIGNMENTS if name not in columns}
    return pl.select(**{**columns, **absent}).select(list(ASSIGNMENTS)).cast(ASSIGNMENTS)
