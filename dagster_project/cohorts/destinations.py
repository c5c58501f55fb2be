"""One file per tool that sends or advertises: the contacts meant for it, in the columns and ids that it reads.

Who is contacted is decided before; a destination only narrows the list, and never adds anybody to it.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import polars as pl

from dagster_project.cohorts.addresses import HashedIdentifier, hashed_addresses
from dagster_project.cohorts.export import CsvForm, write_csv

FOLDER = "destinations"


@dataclass(frozen=True)
class Destination:
    """What one tool takes. None for `channels` or `strategies`: any. `hashed_as` None: users go by `user_id`.

    `columns` in order, `headers` their names in the file where they differ; `csv` None: Parquet.
    """

    name: str
    channels: tuple[str, ...] | None
    strategies: tuple[str, ...] | None
    hashed_as: HashedIdentifier | None
    columns: tuple[str, ...]
    headers: Mapping[str, str]
    csv: CsvForm | None

    @property
    def path(self) -> str:
        """Where the file lies in the night's folder."""
        return f"{FOLDER}/{self.name}.{'parquet' if self.csv is None else 'csv'}"


@dataclass(frozen=True)
class Counts:
    """What became of the contacts that a destination asked for; the parts add up to `n_chosen`.

    `n_shared_with_excluded`: the address is also that of a user who is held out or suppressed, so that writing it
    would reach them. `n_same_address`: a better ranked contact has the same address.
    """

    n_chosen: int
    n_written: int
    n_without_address: int = 0
    n_unreadable: int = 0
    n_shared_with_excluded: int = 0
    n_same_address: int = 0


def destination_rows(
    contacts: pl.DataFrame, *, destination: Destination, excluded: pl.Series, addresses: pl.DataFrame
) -> tuple[pl.DataFrame, Counts]:
    """The rows of a destination's file, best first, and how many fell out, and why.

    `contacts`: the columns of cohorts.csv. `excluded`: ids of everybody held out or suppressed; none of them is
    written, not even by an address shared with a contact. `addresses`: user_id, email, phone, of both.
    """
    chosen = contacts.filter(_is_meant_for(destination), ~pl.col("user_id").is_in(excluded.implode())).sort("rank")
    if destination.hashed_as is None:
        written, counts = chosen, Counts(n_chosen=chosen.height, n_written=chosen.height)
    else:
        hashes = hashed_addresses(addresses, identifier=destination.hashed_as)
        written, counts = _with_hashes(chosen, hashes, excluded=excluded, name=destination.hashed_as)
    return written.select(destination.columns), counts


def write_destinations(
    folder: Path,
    contacts: pl.DataFrame,
    *,
    destinations: tuple[Destination, ...],
    excluded: pl.Series,
    addresses: pl.DataFrame,
) -> dict[str, dict[str, int]]:
    """Writes each destination's file below `folder`; its counts by name (see `Counts`)."""
    found = {}
    for destination in destinations:
        rows, counts = destination_rows(contacts, destination=destination, excluded=excluded, addresses=addresses)
        path = folder / destination.path
        path.parent.mkdir(parents=True, exist_ok=True)
        if destination.csv is None:
            rows.rename(destination.headers).write_parquet(path, compression="zstd")
        else:
            write_csv(rows, path, form=destination.csv, headers=destination.headers)
        found[destination.name] = asdict(counts)
    return found


def _is_meant_for(destination: Destination) -> pl.Expr:
    is_meant = pl.lit(True)
    for column, wanted in (("channel", destination.channels), ("strategy_id", destination.strategies)):
        if wanted is not None:
            is_meant &= pl.col(column).is_in(wanted)
    return is_meant


def _with_hashes(
    chosen: pl.DataFrame, hashes: pl.DataFrame, *, excluded: pl.Series, name: str
) -> tuple[pl.DataFrame, Counts]:
    kept_out = hashes.filter(pl.col("user_id").is_in(excluded.implode()), pl.col(name).is_not_null())[name]
    known = chosen.join(hashes, on="user_id", how="left", validate="1:1").sort("rank")
    readable = known.filter(pl.col(name).is_not_null())
    free = readable.filter(~pl.col(name).is_in(kept_out.implode()))
    written = free.unique(name, keep="first", maintain_order=True)
    n_given = int(known["is_given"].fill_null(False).sum())
    counts = Counts(
        n_chosen=chosen.height,
        n_written=written.height,
        n_without_address=chosen.height - n_given,
        n_unreadable=n_given - readable.height,
        n_shared_with_excluded=readable.height - free.height,
        n_same_address=free.height - written.height,
    )
    return written, counts
