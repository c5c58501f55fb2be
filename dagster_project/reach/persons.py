"""A person reads what any of their accounts gets."""

import polars as pl


def of_persons(rows: pl.DataFrame, users: pl.DataFrame) -> pl.DataFrame:
    """The rows (`user_sk` and more), those of one account of a person at each of their accounts; sorted by all columns.

    `users` has `user_sk`, and `person_key` equal for the accounts of one person (null or empty: an account alone).
    """
    named = users.filter(pl.col("person_key") != "").select("user_sk", "person_key")
    several = named.filter(pl.len().over("person_key") > 1)
    pairs = several.join(several, on="person_key", how="inner", suffix="_other").filter(
        pl.col("user_sk") != pl.col("user_sk_other")
    )
    others = rows.join(pairs.select("user_sk", "user_sk_other"), on="user_sk", how="inner")
    at_others = others.drop("user_sk").rename({"user_sk_other": "user_sk"}).select(rows.columns)
    return pl.concat([rows, at_others]).sort(rows.columns)
