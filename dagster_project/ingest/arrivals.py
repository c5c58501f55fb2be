"""What has been taken in, as the SQL models of staging read it: `ingest.<source>`, by day."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from dagster_project.ingest.ledger import Delivery, read_ledger
from dagster_project.ingest.repeats import REPEATS, repeats_key
from dagster_project.ingest.take_in import ROW_COUNTS, Source, ledger_path
from dagster_project.ingest.typed import SQL_TYPES
from dagster_project.ingest.user_keys import USER_KEYS
from dagster_project.lake.duck import file_list, literal
from dagster_project.lake.store import Lake, fingerprint
from dagster_project.settings.tables import CANONICAL


@dataclass(frozen=True)
class LakeArrivals:
    """The arrivals of a lake under today's sources. Made anew after each ingestion."""

    lake: Lake
    sources: Mapping[str, Source]

    def days(self, table: str) -> Mapping[str, str]:
        """The content of each day by its ISO date; rows without a day stand under ''."""
        if table == REPEATS:
            return self._repeat_days
        if table == USER_KEYS:
            return {"": str(len(self.lake.index(USER_KEYS)))}
        return self._days(table.removeprefix("ingest."))

    def n_rows(self, table: str) -> Mapping[str, int]:
        """How many rows each day has, by its ISO date; nothing of the tables that are not a source's."""
        if table in (REPEATS, USER_KEYS):
            return {}
        kept = self.row_counts(table.removeprefix("ingest.")).filter(
            pl.col("fate") == "kept", pl.col("dt").is_not_null()
        )
        return {str(day): n for day, n in kept.group_by("dt").agg(pl.col("n_rows").sum()).sort("dt").iter_rows()}

    def relation(self, table: str, days: Sequence[str] | None) -> str:
        """A select of the rows of those days (None: of all), with every canonical column and `dt`."""
        if table in (REPEATS, USER_KEYS):
            paths = self.lake.paths(table, [self._repeats_key] if table == REPEATS else None)
            columns = EMPTY[table]
        else:
            source = table.removeprefix("ingest.")
            paths = self.lake.paths(table, [d.key for d in self.active(source) if overlaps(d, days)])
            columns = empty_columns(source)
        if not paths or (days is not None and not days):
            return f"select {columns} where false"
        seen = f" where dt in ({', '.join(f'date {literal(day)}' for day in days)})" if days is not None else ""
        rows = f"select * from read_parquet({file_list(paths)}, union_by_name = true){seen}"
        # A delivery taken in before a canonical column was added lacks it: it is null there, not an error.
        return rows if table in EMPTY else f"select {columns} where false union all by name {rows}"

    def active(self, source: str) -> tuple[Delivery, ...]:
        """The deliveries of a source that count; none for a source that the settings do not name."""
        known = self.sources.get(source)
        return read_ledger(ledger_path(self.lake)).active(source, known.reading_id) if known else ()

    def row_counts(self, source: str) -> pl.DataFrame:
        """Rows and amounts by delivery, day and fate: source_table, dt, fate, n_rows, amount, content, delivery."""
        active = self.active(source)
        known = self.lake.index(ROW_COUNTS)
        counts = [
            pl.read_parquet(self.lake.path(ROW_COUNTS, d.key), glob=False).with_columns(
                pl.lit(d.number, dtype=pl.Int32).alias("delivery")
            )
            for d in active
            if d.key in known
        ]
        return pl.concat(counts) if counts else pl.DataFrame(schema=COUNT_SCHEMA)

    def _days(self, source: str) -> Mapping[str, str]:
        kept = self.row_counts(source).filter(pl.col("fate") == "kept")
        rows: dict[str, int] = defaultdict(int)
        content: dict[str, int] = defaultdict(int)
        for day, n_rows, hashes in kept.select("dt", "n_rows", "content").iter_rows():
            key = day.isoformat() if day else ""
            rows[key] += n_rows
            content[key] += int(hashes)
        reading = self.sources[source].reading_id if source in self.sources else ""
        return {key: f"{reading}:{rows[key]}:{content[key]}" for key in sorted(rows)}

    @cached_property
    def _repeat_days(self) -> Mapping[str, str]:
        key = self._repeats_key
        if key not in self.lake.index(REPEATS):
            return {}
        found = self.lake.read(REPEATS, key=key).group_by("dt", maintain_order=True).agg("event_id")
        return {str(day): fingerprint(ids) for day, ids in found.iter_rows()}

    @property
    def _repeats_key(self) -> str:
        return repeats_key(self.active("events"))


COUNT_SCHEMA = pl.Schema(
    {
        "source_table": pl.String(),
        "dt": pl.Date(),
        "fate": pl.String(),
        "n_rows": pl.Int64(),
        "amount": pl.Decimal(38, 4),
        "content": pl.String(),
        "delivery": pl.Int32(),
    }
)
EMPTY = {
    REPEATS: "null::varchar as event_id, null::date as dt",
    USER_KEYS: "null::bigint as user_sk, null::varchar as user_id",
}


def overlaps(delivery: Delivery, days: Sequence[str] | None) -> bool:
    """Whether a delivery can hold rows of those days."""
    if days is None:
        return True
    if not days or delivery.first_on is None or delivery.last_on is None:
        return False
    return delivery.first_on <= max(days) and min(days) <= delivery.last_on


def empty_columns(source: str) -> str:
    """The typed columns of a source table, for a table without rows."""
    table = CANONICAL[source]
    typed = [f"null::{SQL_TYPES[column.type]} as {name}" for name, column in table.columns.items() if name != "user_id"]
    extra = ["null::varchar as attributes"] if table.takes_attributes else []
    last = ["null::date as dt", "null::ubigint as row_hash", "null::integer as delivery"]
    return ", ".join(["null::bigint as user_sk", *typed, *extra, *last])
