"""Days that are a reason to write by themselves: a birthday, the day of signing up, a holiday of the user's country."""

from datetime import date, timedelta

import polars as pl

from dagster_project.compliance.zones import country_code
from dagster_project.strategy.holidays import holidays_of, load_holidays

BIRTHDAY, ANNIVERSARY = "birthday", "signup_anniversary"
PERSONAL = (BIRTHDAY, ANNIVERSARY)
SCHEMA = pl.Schema({"user_sk": pl.Int64(), "occasion": pl.String()})


def known_occasions() -> frozenset[str]:
    """The name of every occasion that a trigger may ask for."""
    return frozenset([*PERSONAL, *(holiday.id for holiday in load_holidays())])


def occasions_near(users: pl.DataFrame, *, on: date, days_ahead: int) -> pl.DataFrame:
    """`user_sk`, `occasion`: one row per user and occasion that falls on `on` or on one of the `days_ahead` after it.

    `users`: `user_sk`, and of `birth_on`, `signed_up_on` (dates) and `country` those that are known; a column that is
    absent, and a null, gives none. Sorted by user_sk, occasion. The day itself is no birthday and no anniversary: a
    year must have passed. Whoever was born on 29 February is greeted on 1 March where the year has none.
    """
    days = [on + timedelta(days=ahead) for ahead in range(days_ahead + 1)]
    found = [
        SCHEMA.to_frame(),
        _yearly(users, "birth_on", BIRTHDAY, days),
        _yearly(users, "signed_up_on", ANNIVERSARY, days),
        _holidays(users, days),
    ]
    return pl.concat(found).unique().sort("user_sk", "occasion")


def with_occasions(candidates: pl.DataFrame, *, on: date, days_ahead: int) -> pl.DataFrame:
    """`candidates` with the list column `occasions`, null where none is near; rows and their order stay."""
    near = occasions_near(candidates, on=on, days_ahead=days_ahead)
    lists = near.group_by("user_sk").agg(pl.col("occasion").sort().alias("occasions"))
    return candidates.join(lists, on="user_sk", how="left", maintain_order="left")


def _yearly(users: pl.DataFrame, column: str, occasion: str, days: list[date]) -> pl.DataFrame:
    if column not in users.columns:
        return SCHEMA.to_frame()
    day = pl.col(column)
    key = day.dt.month().cast(pl.Int32) * 100 + day.dt.day()
    returns = [key.is_in(_keys(one)) & (day.dt.year() < one.year) for one in days]
    return _named(users.filter(pl.any_horizontal(returns)), pl.lit(occasion))


def _keys(day: date) -> list[int]:
    """Month and day, as one number, of the dates whose anniversary it is."""
    keys = [day.month * 100 + day.day]
    is_leap = (date(day.year, 3, 1) - timedelta(days=1)).day == 29
    return [*keys, 229] if (day.month, day.day) == (3, 1) and not is_leap else keys


def _holidays(users: pl.DataFrame, days: list[date]) -> pl.DataFrame:
    pairs = sorted({pair for day in days for pair in holidays_of(day.year).get(day, ())})
    if "country" not in users.columns or not pairs:
        return SCHEMA.to_frame()
    kept = pl.DataFrame(pairs, schema={"code": pl.String, "occasion": pl.String}, orient="row")
    written = users.select("country").unique().drop_nulls()["country"].to_list()
    codes = pl.DataFrame(
        [(name, country_code(name)) for name in written],
        schema={"country": pl.String, "code": pl.String},
        orient="row",
    )
    celebrated = codes.join(kept, on="code", how="inner").drop("code")
    return _named(users.join(celebrated, on="country", how="inner"), pl.col("occasion"))


def _named(rows: pl.DataFrame, occasion: pl.Expr) -> pl.DataFrame:
    return rows.select(pl.col("user_sk").cast(pl.Int64), occasion.alias("occasion"))
