"""Which past days models learn from, and which of them may judge which.

The purge rule: the outcome window of cutoff c is (c, c + H], so at cutoff t only cutoffs up to t - H
have a known outcome. Whatever is judged at t may learn from those and from nothing later.
"""

from datetime import date, timedelta
from typing import cast

import polars as pl

from dagster_project.errors import WinbackError

FULL_HISTORY_DAYS = 28  # four weeks: every weekday seen four times before the first feature is computed
SHORTEST_STEP_DAYS = 7


def training_cutoffs(*, as_of: date, first_on: date, horizon_days: int, max_cutoffs: int) -> list[date]:
    """Cutoffs to learn from, newest first; the newest is `as_of` - H, the last whose window is closed.

    Steps are half a horizon (a week at least), so that the second step back already is an honest
    training cutoff for the newest. `max_cutoffs` under 3 therefore leaves nothing to evaluate with.
    A cutoff wants max(H, 28) days of log before it. Where that leaves no honest pair, half a horizon
    (a week at least) is accepted; where even the newest lacks that, the answer is empty.
    """
    newest = as_of - timedelta(days=horizon_days)
    step = max(SHORTEST_STEP_DAYS, -(-horizon_days // 2))
    steps_back = [newest - timedelta(days=step * i) for i in range(max_cutoffs)]
    wanted = max(horizon_days, FULL_HISTORY_DAYS)
    with_history = _reaching_back(steps_back, first_on=first_on, history_days=wanted)
    if honest_cutoffs(with_history, at=newest, horizon_days=horizon_days):
        return with_history
    return _reaching_back(steps_back, first_on=first_on, history_days=step)


def honest_cutoffs(cutoffs: list[date], *, at: date, horizon_days: int) -> list[date]:
    """The cutoffs whose outcome window had closed by `at`: what a model judged at `at` may learn from."""
    return [cutoff for cutoff in cutoffs if cutoff <= at - timedelta(days=horizon_days)]


def split_out_of_time(training: pl.DataFrame, *, horizon_days: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(rows to learn from, rows of the newest cutoff to be judged on), the purge between them left out.

    The rows to learn from know nothing later than the newest cutoff: longer follow-ups end there.
    """
    if training.is_empty():
        return training, training
    newest = newest_cutoff(training)
    learn_until = newest - timedelta(days=horizon_days)
    learn = training.filter(pl.col("cutoff") <= learn_until)
    return known_by(learn, day=newest), training.filter(pl.col("cutoff") == newest)


def known_by(training: pl.DataFrame, *, day: date) -> pl.DataFrame:
    """The rows with follow-ups that end on `day` at the latest; an event after it has not been seen."""
    if "follow_up_days" not in training.columns:
        return training
    watched = (pl.lit(day) - pl.col("cutoff")).dt.total_days().cast(pl.Int32)
    return training.with_columns(
        pl.min_horizontal("follow_up_days", watched).alias("follow_up_days"),
        pl.when(pl.col("next_active_in_days") <= watched).then("next_active_in_days").alias("next_active_in_days"),
    )


def newest_cutoff(training: pl.DataFrame) -> date:
    """The last cutoff of a training frame that is not empty."""
    return cast(date, training["cutoff"].max())


def require_closed_windows(training: pl.DataFrame, *, as_of: date, horizon_days: int) -> None:
    """Refuse a training frame that holds outcomes not known at `as_of`.

    Raises WinbackError: a cutoff lies after `as_of` - H, so its window reaches beyond `as_of`.
    """
    if training.is_empty():
        return
    newest, last_closed = newest_cutoff(training), as_of - timedelta(days=horizon_days)
    if newest > last_closed:
        raise WinbackError(
            f"training cutoff {newest} has a window of {horizon_days} days that is still open at {as_of}",
            fix=f"train on cutoffs up to {last_closed} (see models.cutoffs.training_cutoffs)",
        )


def _reaching_back(cutoffs: list[date], *, first_on: date, history_days: int) -> list[date]:
    return [cutoff for cutoff in cutoffs if cutoff - first_on >= timedelta(days=history_days)]
