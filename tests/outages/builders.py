"""Small logs in which everybody comes every day, or as told, as marts.return_flows has them."""

from collections.abc import Callable
from datetime import date, timedelta

import polars as pl

FIRST = date(2024, 1, 1)  # a Monday
Comes = Callable[[int, int], bool]
PLACES = ("ios", "android", "web")


def flows(
    comes: Comes, *, n_days: int, n_users: int = 60, version: Callable[[int, int], str | None] = lambda *_: None
) -> pl.DataFrame:
    """Users 0, 1, 2, ... on ios, android, web in turn, in DE and FR in turn, active where `comes(user, day)`."""
    rows = []
    for user in range(n_users):
        days = [day for day in range(n_days) if comes(user, day)]
        for position, day in enumerate(days):
            following = days[position + 1] if position + 1 < len(days) else None
            rows.append(
                {
                    "dt": FIRST + timedelta(days=day),
                    "platform": PLACES[user % 3],
                    "app_version": version(user, day),
                    "country": ("DE", "FR")[user % 2],
                    "previous_gap": 0 if position == 0 else 7,
                    "next_on": None if following is None else FIRST + timedelta(days=following),
                }
            )
    schema = {
        "dt": pl.Date,
        "platform": pl.String,
        "app_version": pl.String,
        "country": pl.String,
        "previous_gap": pl.Int32,
        "next_on": pl.Date,
    }
    frame = pl.DataFrame(rows, schema=schema)
    return frame.group_by(pl.all(), maintain_order=True).len("n_users").cast({"n_users": pl.Int64})


def day(position: int) -> date:
    return FIRST + timedelta(days=position)
