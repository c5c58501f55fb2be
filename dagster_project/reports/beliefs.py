"""What the report says of the night's beliefs: what each strategy is thought to change, and for whom."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from dagster_project.models.uplift.history import POOLED
from dagster_project.reports import formatting as fmt
from dagster_project.reports.palette import words
from dagster_project.reports.tables import Column, Table


def about_beliefs(beliefs: pl.DataFrame) -> str:
    """How many strategies go by outcomes of their own, and that the others are opinions."""
    n = beliefs["strategy_id"].n_unique()
    own = beliefs.filter(pl.col("n_outcomes") > 0)["strategy_id"].n_unique()
    if not own:
        return (
            f"No strategy has outcomes of its own yet: what all {fmt.count(n)} are believed to change are opinions with"
            " their sources, moved a little by what other campaigns did."
        )
    measured = beliefs.filter(pl.col("evidence_grade") == "randomised")["strategy_id"].n_unique()
    return (
        f"Of {fmt.count(n)} strategies {fmt.count(own)} went by outcomes of their own; for {fmt.count(measured)} of "
        "them randomised outcomes, not opinion, now say the most."
    )


def targeting(verdicts: pl.DataFrame | None, choices: pl.DataFrame | None = None) -> list[str]:
    """Per treatment with a past that could be judged whether users are chosen by uplift, and why; any contact first.
    Then per experiment of several treatments whether each user should have another."""
    if verdicts is None:
        return []
    judged = verdicts.filter(pl.col("verdict") != "thin").sort("strategy_id")
    compared = choices.sort("experiment_id").rows(named=True) if choices is not None else []
    return [
        *(f"{_treatment(row['strategy_id'])}: {row['sentence']}" for row in judged.iter_rows(named=True)),
        *(f"{row['experiment_id']}: {row['sentence']}" for row in compared),
    ]


def learner_tables(learners: pl.DataFrame | None) -> list[Table]:
    """Per judged treatment its learners, the best order first, the judged one marked."""
    if learners is None:
        return []
    columns = (
        Column("learner", lambda row: row["wording"], False),
        Column("Qini", lambda row: _ends(row, "qini", ".3f"), True),
        Column("AUUC", lambda row: _ends(row, "auuc", ".1f"), True),
        Column("effect, best 10 %", lambda row: _ends(row, "uplift_at_10", ".3f"), True),
        Column("best 20 %", lambda row: _ends(row, "uplift_at_20", ".3f"), True),
        Column("best 30 %", lambda row: _ends(row, "uplift_at_30", ".3f"), True),
        Column("policy value beyond anybody", lambda row: _ends(row, "policy_gain", "+.1f"), True),
    )
    tables = []
    for part in learners.sort("strategy_id", "auuc", descending=[False, True]).partition_by("strategy_id"):
        rows = part.rows(named=True)
        tables.append(
            Table(
                caption=f"{_treatment(rows[0]['strategy_id'])}: how well learners order users they have not seen",
                columns=columns,
                rows=tuple(tuple(column.cell(row) for column in columns) for row in rows),
                marked=frozenset(place for place, row in enumerate(rows) if row["is_chosen"]),
            )
        )
    return tables


def _treatment(strategy_id: str) -> str:
    return "Any contact" if strategy_id == POOLED else words(strategy_id)


def _ends(row: Mapping[str, Any], name: str, form: str) -> str:
    value, low, high = (row[name], row[f"{name}_low"], row[f"{name}_high"])
    return "" if value is None else f"{value:{form}} ({low:{form}} to {high:{form}})"


def belief_rows(beliefs: pl.DataFrame) -> Table | None:
    """One row per strategy and channel with outcomes of its own, most outcomes first; likely harm is marked."""
    told = beliefs.filter(pl.col("n_outcomes") > 0).sort(
        "n_outcomes", "strategy_id", "channel", descending=[True, False, False]
    )
    if told.is_empty():
        return None
    columns = (
        Column("strategy", lambda row: words(row["strategy_id"]), False),
        Column("channel", lambda row: row["channel"], False),
        Column("lift before", lambda row: f"{row['lift_before']:+.2f}", True),
        Column("lift now", lambda row: f"{row['lift']:+.2f} ± {row['lift_sd']:.2f}", True),
        Column("chance of harm", lambda row: fmt.percent(row["harm_probability"]), True),
        Column("outcomes", lambda row: fmt.count(row["n_outcomes"]), True),
        Column("nights to stop harm", lambda row: fmt.count(row["nights_to_stop"]), True),
        Column("rests on", lambda row: row["evidence_grade"], False),
    )
    rows = list(told.iter_rows(named=True))
    return Table(
        caption="What strategies are believed to change, in log-odds of a return",
        columns=columns,
        rows=tuple(tuple(column.cell(row) for column in columns) for row in rows),
        marked=frozenset(place for place, row in enumerate(rows) if row["harm_probability"] > 0.5),
    )
