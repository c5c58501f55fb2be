"""What has been taken in so far: one entry per delivered content of a file, kept as `ledger.json`.

A file whose content changed replaces its older version if it still holds at least half of that version's rows
(a growing or corrected file); otherwise it is a new delivery under an old name, and both count. A content that
is delivered under several names has one entry for each and counts once, until it is replaced under all of them.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from dagster_project.errors import LakeError
from dagster_project.lake.store import write_json

REPLACES_FROM_SHARE = 0.5


@dataclass(frozen=True)
class Delivery:
    """One content of one file under one reading of its source. `number` counts deliveries of all sources.

    `first_on` and `last_on` bound the days of the kept rows (ISO dates; null if none has a day).
    """

    source: str
    name: str
    sha256: str
    reading: str
    number: int
    size: int
    modified_ns: int
    n_rows: int
    first_on: str | None
    last_on: str | None
    is_replaced: bool = False

    @property
    def key(self) -> str:
        """Names the delivery's partitions."""
        return f"{self.source}-{self.sha256[:16]}-{self.reading[:8]}"


@dataclass(frozen=True)
class Ledger:
    """Every delivery in the order of its number."""

    deliveries: tuple[Delivery, ...] = ()

    def active(self, source: str, reading: str) -> tuple[Delivery, ...]:
        """The deliveries of a source that count today: read as the settings say, not replaced."""
        found = [d for d in self.deliveries if d.source == source and d.reading == reading and not d.is_replaced]
        return tuple({d.key: d for d in found}.values())

    def of_content(self, source: str, reading: str, sha256: str) -> Delivery | None:
        """The delivery of this content that counts today, under whatever name."""
        return next((d for d in self.active(source, reading) if d.sha256 == sha256), None)

    def by_name(self, source: str, reading: str, name: str) -> Delivery | None:
        """The newest delivery under a file's name."""
        found = [d for d in self.deliveries if (d.source, d.reading, d.name) == (source, reading, name)]
        return found[-1] if found else None

    def with_delivery(self, delivery: Delivery) -> "Ledger":
        """The ledger with one more entry."""
        return Ledger((*self.deliveries, delivery))

    def without(self, replaced: Iterable[Delivery]) -> "Ledger":
        """The ledger with those entries marked as replaced."""
        gone = {(d.name, d.number) for d in replaced}
        return Ledger(tuple(replace(d, is_replaced=True) if (d.name, d.number) in gone else d for d in self.deliveries))

    @property
    def next_number(self) -> int:
        """The number of the delivery to come."""
        return max((d.number for d in self.deliveries), default=0) + 1


def read_ledger(path: Path) -> Ledger:
    """The ledger of a lake, empty for a new one.

    Raises:
        LakeError: the file is broken.
    """
    if not path.exists():
        return Ledger()
    try:
        return Ledger(tuple(Delivery(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))))
    except (ValueError, TypeError) as error:
        raise LakeError(
            f"{path} is not a ledger", fix="delete the data folder's lake; it is rebuilt from the files"
        ) from error


def write_ledger(path: Path, ledger: Ledger) -> None:
    """Replace the ledger: the commit point of an ingestion."""
    write_json(path, [asdict(delivery) for delivery in ledger.deliveries])
