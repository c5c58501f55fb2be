"""Tokens that died in mass, told from those that die one by one."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import polars as pl

from dagster_project.outages.purges import Purge, find_purge, spans_of
from dagster_project.outages.sends import with_faults
from outages.sends import FIRST, N_DAYS, Rows, failed, on, outcomes, sent


def spans(rows: Iterable[dict[str, Any]]) -> pl.DataFrame:
    def position(column: str) -> pl.Expr:
        return (pl.col(column) - pl.lit(FIRST)).dt.total_days()

    sends = with_faults(outcomes(rows))
    return spans_of(sends.with_columns(position("dt").alias("day"), position("alive_on").alias("alive_day")))


def purge(rows: Iterable[dict[str, Any]], *, alpha: float = 0.001) -> Purge | None:
    return find_purge(spans(rows), n_days=N_DAYS, alpha=alpha)


def every_day(n: int = 40) -> Rows:
    return [row for day in range(N_DAYS) for row in sent(day, n)]


def deaths(days: Iterable[int], n: int = 1, **more: Any) -> Rows:
    return [row for day in days for row in failed(day, n, "UNREGISTERED", **more)]


def test_tokens_that_die_between_two_messages_around_one_day_were_purged() -> None:
    found = purge([*every_day(), *deaths(range(10, N_DAYS, 5), hour=8), *deaths(range(80, 87), 12)])

    assert found is not None
    assert (found.fall.start, found.fall.end, found.fall.observed) == (80, 81, 86)


def test_deaths_that_go_on_day_by_day_are_no_purge() -> None:
    assert purge([*every_day(), *deaths(range(10, N_DAYS), 2)]) is None


def test_a_campaign_after_a_long_pause_finds_more_dead_tokens_and_is_no_purge() -> None:
    campaigns = [row for day in (70, 90) for row in [*sent(day, 400, after=60), *deaths([day], 90, after=60)]]

    assert purge([*every_day(), *deaths(range(10, N_DAYS)), *campaigns]) is None


def test_a_token_that_is_tried_again_has_died_once() -> None:
    tried = deaths([50], 3)
    again = [{**row, "dt": on(57), "alive_on": tried[0]["alive_on"]} for row in tried]

    made = spans([*tried, *again])

    assert made.select("alive_day", "day", "n_messages").rows() == [(43, 50, 3)]


def test_fewer_deaths_are_a_purge_if_the_users_are_still_there() -> None:
    removed = [*every_day(), *deaths(range(10, N_DAYS, 2), hour=8)]
    same_days = range(80, 87)

    assert purge([*removed, *deaths(same_days, 2)]) is None
    found = purge([*removed, *deaths(same_days, 2, seen_again=4)])
    assert found is not None
    assert found.fall.start == 80


def test_drawn_deaths_by_chance_are_rarely_taken_for_a_purge() -> None:
    rng = np.random.default_rng(5)
    flagged = 0
    for _ in range(40):
        drawn = [
            row for day in range(N_DAYS) for row in deaths([day], int(rng.poisson(0.4)), after=int(rng.integers(3, 40)))
        ]
        flagged += purge([*every_day(20), *drawn], alpha=0.05) is not None

    assert flagged <= 2
