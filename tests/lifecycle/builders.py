"""marts.users rows from literal active days, written independently of the SQL that makes the real table."""

import math
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from itertools import pairwise

import polars as pl

START = date(2024, 1, 1)
LONG_GAP_DAYS = 7

USERS_SCHEMA = {
    "user_sk": pl.Int64,
    "user_id": pl.String,
    "known_on": pl.Date,
    "first_on": pl.Date,
    "second_on": pl.Date,
    "last_on": pl.Date,
    "n_active_days": pl.Int32,
    "n_gaps": pl.Int32,
    "gap_log_milli_sum": pl.Int64,
    "gap_log_milli_sq_sum": pl.Int64,
    "last_gap_days": pl.Int32,
    "long_gaps": pl.List(pl.Struct({"ended_on": pl.Date, "gap_days": pl.Int32, "n_active_days_before": pl.Int32})),
}


def day(offset: int) -> date:
    """The date `offset` days after the first day of all examples."""
    return START + timedelta(days=offset)


def users_active_on(activity: Mapping[str, Sequence[int]], *, until: int) -> pl.DataFrame:
    """One user per entry: the offsets of the user's active days, those after `until` unseen."""
    rows = [
        _user(user_sk, user_id, sorted({offset for offset in offsets if offset <= until}))
        for user_sk, (user_id, offsets) in enumerate(activity.items())
    ]
    return pl.DataFrame(rows, schema=USERS_SCHEMA).sort("user_id")


def users_with_gaps(gaps_of_users: Sequence[Sequence[int]]) -> pl.DataFrame:
    """One user per sequence of gaps, first active on day 0."""
    offsets = [[sum(gaps[:n]) for n in range(len(gaps) + 1)] for gaps in gaps_of_users]
    activity = {f"u{position:06}": days for position, days in enumerate(offsets)}
    return users_active_on(activity, until=max(days[-1] for days in offsets))


def _user(user_sk: int, user_id: str, days: list[int]) -> dict[str, object]:
    gaps = [later - earlier for earlier, later in pairwise(days)]
    logs = [round(1000 * math.log(gap)) for gap in gaps]
    return {
        "user_sk": user_sk,
        "user_id": user_id,
        "known_on": day(days[0]) if days else START,
        "first_on": day(days[0]) if days else None,
        "second_on": day(days[1]) if len(days) > 1 else None,
        "last_on": day(days[-1]) if days else None,
        "n_active_days": len(days),
        "n_gaps": len(gaps),
        "gap_log_milli_sum": sum(logs),
        "gap_log_milli_sq_sum": sum(log * log for log in logs),
        "last_gap_days": gaps[-1] if gaps else None,
        "long_gaps": [
            {"ended_on": day(days[position + 1]), "gap_days": gap, "n_active_days_before": position + 1}
            for position, gap in enumerate(gaps)
            if gap >= LONG_GAP_DAYS
        ],
    }
