"""Messages as outages see them: whose fault a failure is, on which channels, platforms and versions they were sent.

What one failed message says of one user lives in `reach`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from dagster_project.reach.failures import with_failures

PLACE = ("channel", "platform", "app_version")
# Versions with the most messages of their platform keep their names; the rest are put together as unknown.
MAX_VERSIONS = 60
# Whoever has moved, forbidden messages, not written for long or lets their mailbox overflow was not failed by it.
NOT_THE_PROVIDER = ("endpoint_moved", "permission_revoked", "user_side", "window")


@dataclass(frozen=True)
class Stratum:
    """A channel, a platform of it, or a version of the app there; `weight` is its share of the error rate."""

    channel: str
    platform: str | None
    app_version: str | None
    weight: float

    @property
    def holds(self) -> pl.Expr:
        """Whether a row with channel, platform and app_version is of the stratum."""
        named = [(name, getattr(self, name)) for name in PLACE if getattr(self, name) is not None]
        return pl.all_horizontal(*(pl.col(name) == value for name, value in named)).fill_null(value=False)

    def meets(self, other: "Stratum") -> bool:
        """Whether the two have places in common: one holds the other, or they are the same."""
        pairs = [(getattr(self, name), getattr(other, name)) for name in PLACE]
        return all(mine is None or its is None or mine == its for mine, its in pairs)


def with_faults(sends: pl.DataFrame) -> pl.DataFrame:
    """The rows of marts.send_outcomes with `is_dead` and `is_refused`, by the rules of `reach.failures`.

    Dead: failed for good because the endpoint is gone. Refused: failed for what may be the provider's fault or ours; so
    may be an address that is not known for the moment, which a broken directory says of everybody.
    """
    told = with_failures(sends.with_columns(event=pl.when("is_failed").then(pl.lit("failed"))))
    failed, why = pl.col("is_failed"), pl.col("failure_class")
    is_dead = (failed & (why == "endpoint_dead") & pl.col("is_permanent")).fill_null(value=False)
    may_be_ours = ~why.is_in(NOT_THE_PROVIDER).fill_null(value=False) & ~is_dead
    return told.with_columns(
        is_dead.alias("is_dead"), (failed & may_be_ours).fill_null(value=False).alias("is_refused")
    ).select(*sends.columns, "is_dead", "is_refused")


def with_common_versions(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows, versions with few messages put together as null, like those of `flows`."""
    key = ["platform", "app_version"]
    sizes = rows.drop_nulls("app_version").group_by(key).agg(pl.col("n_messages").sum())
    common = sizes.sort(["n_messages", *key], descending=True, nulls_last=True).head(MAX_VERSIONS)
    kept = common.select(*key, pl.lit(value=True).alias("is_common"))
    version = pl.when("is_common").then("app_version").alias("app_version")
    return rows.join(kept, on=key, how="left", nulls_equal=True).with_columns(version).drop("is_common")


def strata_of(rows: pl.DataFrame, *, counted: pl.Expr, at_least: float) -> Iterator[Stratum]:
    """Each channel, each of its platforms, each of their versions, where `counted` sums up to enough to be told at all.

    A third of the error rate goes to each of the three levels: many versions do not take from what can be seen of a
    channel (weighted Bonferroni; Genovese, Roeder and Wasserman 2006). Places in which nothing could be found, whatever
    its days, take nothing (Tarone 1990).
    """
    nowhere = dict.fromkeys(PLACE)
    for depth in (1, 2, 3):
        key = PLACE[:depth]
        sizes = rows.drop_nulls(key).group_by(key).agg(counted.sum().alias("size"))
        named = sizes.filter(pl.col("size") >= at_least).select(key).sort(key)
        for names in named.iter_rows():
            yield Stratum(**{**nowhere, **dict(zip(key, names, strict=True))}, weight=1 / (3 * named.height))
