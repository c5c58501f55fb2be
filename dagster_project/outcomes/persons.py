"""One entry per person: accounts that share a person are not independent of each other."""

import polars as pl

from dagster_project.outcomes.entries import KEY, SHARED
from dagster_project.outcomes.vocabulary import HORIZONS
from dagster_project.reach.fatigue import exact_sum

USERS = pl.Schema({"user_id": pl.String(), "account_sk": pl.Int64(), "user_sk": pl.Int64(), "is_known": pl.Boolean()})


def known_persons(keys: pl.DataFrame, users: pl.DataFrame) -> pl.DataFrame:
    """USERS: of every key ever given the account, the person (by the first of its accounts), and whether it is known.

    `keys`: user_sk, user_id. `users`: user_sk, person_key of those of whom the night sees an event or a profile; who
    was only assigned is in `keys` alone.
    """
    told = users.select("user_sk", pl.col("person_key").replace("", None), pl.lit(value=True).alias("is_known"))
    first = pl.col("user_sk").min().over("person_key")
    person = pl.when(pl.col("person_key").is_null()).then("user_sk").otherwise(first)
    return (
        keys.join(told, on="user_sk", how="left")
        .select(
            "user_id",
            pl.col("user_sk").alias("account_sk"),
            person.alias("user_sk"),
            pl.col("is_known").fill_null(value=False),
        )
        .cast(USERS)
    )


def shared_accounts(persons: pl.DataFrame) -> pl.DataFrame:
    """SHARED: the accounts, among USERS, of persons who have several."""
    several = persons.filter(pl.col("account_sk") != pl.col("user_sk"))["user_sk"].unique()
    return persons.filter(pl.col("user_sk").is_in(several.implode())).select(list(SHARED))


def one_per_person(entries: pl.DataFrame, persons: pl.DataFrame) -> pl.DataFrame:
    """The entries with `user_sk` of the person and `is_known`: of several accounts of one person the first to enter.

    Accounts of one person act alike, so counting each would make intervals too narrow. The person stands in the arm
    of the first account (by day, then by user_id, which knows of no arm); the costs are those of all of them. Whose
    accounts an import has in two arms is a matter of `Assignments.moved`.
    Sorted by experiment_id, user_id.
    """
    joined = entries.join(persons.drop("account_sk"), on="user_id", how="left", maintain_order="left").with_columns(
        pl.col("is_known").fill_null(value=False)
    )
    person = ["experiment_id", "user_sk"]
    owners = persons.filter(pl.col("account_sk") != pl.col("user_sk"))["user_sk"].unique()
    owned = joined.filter(pl.col("user_sk").is_in(owners.implode()))
    if owned.is_empty():
        return joined
    several = pl.col("user_sk").is_in(owners.implode()).fill_null(value=False) & (pl.len().over(person) > 1)
    accounts = owned.filter(pl.len().over(person) > 1)
    costs = [f"cost_{days}" for days in HORIZONS]
    summed = accounts.group_by(person).agg(
        pl.when(pl.col(name).is_not_null().any()).then(exact_sum(name)).alias(name) for name in costs
    )
    first = (
        accounts.sort("experiment_id", "assigned_on", "user_id")
        .unique(person, keep="first", maintain_order=True)
        .drop(costs)
        .join(summed, on=person, how="left", validate="1:1")
        .select(joined.columns)
    )
    return pl.concat([joined.filter(~several), first]).sort(KEY)
