"""What the report says of the night's beliefs: what each strategy is thought to change, and for whom."""

import polars as pl

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


def targeting(verdicts: pl.DataFrame | None) -> list[str]:
    """Per treatment with a past that could be judged whether users are chosen by uplift, and why; any contact first."""
    if verdicts is None:
        return []
    judged = verdicts.filter(pl.col("verdict") != "thin").sort("strategy_id")
    return judged["sentence"].to_list()


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
