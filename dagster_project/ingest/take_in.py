"""Taking the new files of one source into the lake: `ingest.<source>`, its row counts, its quarantine.

Cost follows the new files: a file is read once per content and per reading of its source. The ledger is
written last; a run that is killed before leaves nothing that a reader could see.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import duckdb
import polars as pl

from dagster_project.errors import DataQualityError
from dagster_project.ingest.files import FileStamp, InputFile, as_utf8, check_whole, content_hash, find_files, stamp
from dagster_project.ingest.ledger import REPLACES_FROM_SHARE, Delivery, Ledger, read_ledger, write_ledger
from dagster_project.ingest.raw import RAW_TEXT, ROW_NUMBER, Layout, open_raw
from dagster_project.ingest.repeats import forget_other_repeats, record_repeats
from dagster_project.ingest.typed import Reading, create_typed
from dagster_project.ingest.user_keys import add_user_keys
from dagster_project.lake.build import Connect
from dagster_project.lake.duck import file_list, frame, literal
from dagster_project.lake.lock import locked
from dagster_project.lake.store import Lake, Partition, aside_of, fingerprint
from dagster_project.settings.tables import FEEDBACK_KINDS, MESSAGE_EVENTS

LEDGER = "ledger.json"
ROW_COUNTS = "ingest.row_counts"
QUARANTINE = "staging.quarantine"
QUARANTINE_SCHEMA = pl.Schema(
    {
        "source_table": pl.String(),
        "source_file": pl.String(),
        "row_number": pl.Int64(),
        "reason": pl.String(),
        "raw_text": pl.String(),
        "dt": pl.Date(),
    }
)
READING_VERSION = 2  # raise when the meaning of a reading changes, so that every file is read anew


@dataclass(frozen=True)
class Source:
    """One section of the settings, in the terms of this package. `root` is the settings' folder."""

    name: str
    patterns: tuple[str, ...]
    root: Path
    layout: Layout
    reading: Reading

    @property
    def reading_id(self) -> str:
        """Changes exactly when the same file would give other rows."""
        apart = ("table", "columns", "events")
        reading = {key: value for key, value in vars(self.reading).items() if key not in apart}
        # what one table alone has stays out of the other tables' readings, whose files need not be read anew for it
        words: dict[str, list[object]] = {
            "message_events": [MESSAGE_EVENTS, self.reading.events],
            "feedback": [dict(FEEDBACK_KINDS)],
        }
        own = words.get(self.name, [])
        return fingerprint(READING_VERSION, asdict(self.layout), dict(self.reading.columns), reading, *own)[:16]


@dataclass(frozen=True)
class TakenIn:
    """What one run took in of a source: names of the files read, and rows by fate."""

    source: str
    n_files: int
    new_files: tuple[str, ...]
    n_rows: dict[str, int]


def ledger_path(lake: Lake) -> Path:
    """Where the lake keeps its ledger."""
    return lake.root / "ingest" / LEDGER


def take_in(source: Source, *, lake: Lake, connect: Connect, landing: Path, max_quarantine_share: float) -> TakenIn:
    """Read every file of the source whose content is new.

    Raises:
        SourceError: a file is missing, broken, or lacks a column that the settings name.
        DataQualityError: more than `max_quarantine_share` of the new rows are bad, or none has a user.
    """
    files = find_files(source.patterns, root=source.root, landing=landing, source=source.name)
    # all sources share one ledger and one list of users, and may be taken in by processes side by side
    with locked(lake.root / "ingest" / "lock"):
        before = read_ledger(ledger_path(lake))
        after, new = before, list[Delivery]()
        for file, mark in files_to_read(files, ledger=before, source=source):
            after, fresh = deliver(after, file, mark, source=source, lake=lake, connect=connect, landing=landing)
            new.extend(fresh)
        n_rows = rows_by_fate(lake, new)
        refuse_bad_share(n_rows, source=source, lake=lake, new=new, limit=max_quarantine_share)
        active = after.active(source.name, source.reading_id)
        has_ids = "event_id" in source.reading.columns and "event_id" in source.reading.table.columns
        if has_ids:
            record_repeats(
                source.name,
                active,
                before=before.active(source.name, source.reading_id),
                lake=lake,
                connect=connect,
            )
        if after != before:
            write_ledger(ledger_path(lake), after)
        if has_ids:
            forget_other_repeats(active, lake=lake)
    return TakenIn(source.name, len(files), tuple(delivery.name for delivery in new), n_rows)


def files_to_read(files: Sequence[InputFile], *, ledger: Ledger, source: Source) -> list[tuple[InputFile, FileStamp]]:
    """The files whose newest delivery is not of their size and time of change."""
    marked = [(file, stamp(file)) for file in files]
    newest = {d.name: d for d in ledger.deliveries if (d.source, d.reading) == (source.name, source.reading_id)}
    known = {(d.name, d.size, d.modified_ns) for d in newest.values()}
    return [(file, mark) for file, mark in marked if (file.name, mark.size, mark.modified_ns) not in known]


def deliver(
    ledger: Ledger,
    file: InputFile,
    mark: FileStamp,
    *,
    source: Source,
    lake: Lake,
    connect: Connect,
    landing: Path,
) -> tuple[Ledger, list[Delivery]]:
    """The ledger with what a file holds now, and the delivery if its content had to be read."""
    sha256 = content_hash(file, source=source.name)
    same = ledger.of_content(source.name, source.reading_id, sha256)
    older = ledger.by_name(source.name, source.reading_id, file.name)
    is_older_again = older is not None and older.sha256 != sha256 and not source.reading.table.is_event_like
    if same is not None and not is_older_again:
        again = replace(same, name=file.name, size=mark.size, modified_ns=mark.modified_ns)
        delivery, fresh = again, list[Delivery]()
    else:
        delivery = read_file(
            file,
            mark,
            sha256,
            source=source,
            number=ledger.next_number,
            lake=lake,
            connect=connect,
            landing=landing,
        )
        fresh = [delivery]
    if older is not None and (older.sha256 == sha256 or holds_most_of(delivery, older, lake=lake, connect=connect)):
        ledger = ledger.without([older])
    return ledger.with_delivery(delivery), fresh


def read_file(
    file: InputFile,
    mark: FileStamp,
    sha256: str,
    *,
    source: Source,
    number: int,
    lake: Lake,
    connect: Connect,
    landing: Path,
) -> Delivery:
    """Type one file and write its partitions; nothing is visible until the ledger names them."""
    check_whole(file, source=source.name)
    with connect() as con, as_text(file, source=source, landing=landing) as text:
        raw = open_raw(con, text, layout=source.layout, source=source.name)
        create_typed(con, raw, reading=source.reading, file_name=file.name)
        add_user_keys(con, lake)
        counts = count_rows(con, source=source)
        kept = counts.filter((pl.col("fate") == "kept") & pl.col("dt").is_not_null())
        delivery = Delivery(
            source=source.name,
            name=file.name,
            sha256=sha256,
            reading=source.reading_id,
            number=number,
            size=mark.size,
            modified_ns=mark.modified_ns,
            n_rows=int(counts["n_rows"].sum()),
            first_on=None if kept.is_empty() else str(kept["dt"].min()),
            last_on=None if kept.is_empty() else str(kept["dt"].max()),
        )
        write_rows(con, delivery, source=source, lake=lake)
        write_quarantine(con, delivery, lake=lake)
        lake.write(ROW_COUNTS, counts, key=delivery.key, fingerprint=delivery.key)
    return delivery


def as_text(file: InputFile, *, source: Source, landing: Path) -> AbstractContextManager[InputFile]:
    """The file as DuckDB can read it."""
    if source.layout.format == "parquet":
        return nullcontext(file)
    return as_utf8(file, encoding=source.layout.encoding, landing=landing, source=source.name)


def count_rows(con: duckdb.DuckDBPyConnection, *, source: Source) -> pl.DataFrame:
    """Rows, amounts and content by day and fate. `content` adds up the hashes of the rows."""
    amount = "sum(amount)" if "amount" in source.reading.table.columns else "null"
    return frame(
        con,
        f"select {literal(source.name)} as source_table, dt, fate, count(*) as n_rows, "
        f"cast({amount} as decimal(38, 4)) as amount, "
        "cast(coalesce(sum(cast(row_hash as hugeint)), 0) as varchar) as content "
        "from typed group by dt, fate order by dt nulls first, fate",
    )


def write_rows(con: duckdb.DuckDBPyConnection, delivery: Delivery, *, source: Source, lake: Lake) -> None:
    """The kept rows, by day and user, with the user's key in place of the id."""
    table = f"ingest.{source.name}"
    path = lake.path(table, delivery.key)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = aside_of(path)
    columns = [name for name in source.reading.table.columns if name != "user_id"]
    if source.reading.table.takes_attributes:
        columns.append("attributes")
    con.execute(
        f"copy (select keys.user_sk, {', '.join(f'typed.{name}' for name in columns)}, typed.dt, typed.row_hash, "
        f"{delivery.number} as delivery from typed join keys using (user_id) where fate = 'kept' "
        f"order by typed.dt nulls first, keys.user_sk, typed.row_hash, typed.row_number) "
        f"to {literal(str(aside))} (format parquet, compression zstd)"
    )
    aside.replace(path)
    kept = int(con.sql("select count(*) from typed where fate = 'kept'").fetchall()[0][0])
    lake.commit(table, {delivery.key: Partition(rows=kept, fingerprint=delivery.key)})


def write_quarantine(con: duckdb.DuckDBPyConnection, delivery: Delivery, *, lake: Lake) -> None:
    """The bad rows with their file, row number (the header line is row 1 of a text file), reason and text."""
    bad = frame(
        con,
        f"select {literal(delivery.source)} as source_table, {literal(delivery.name)} as source_file, "
        "typed.row_number, typed.reason, coalesce(unreadable.raw_text, raw.text) as raw_text, typed.dt "
        "from typed left join unreadable "
        "on unreadable.row_number = typed.row_number and unreadable.reason = typed.reason "
        f"left join (select {ROW_NUMBER} as row_number, {RAW_TEXT} as text from raw) as raw "
        "on raw.row_number = typed.row_number "
        "where fate = 'quarantined' order by typed.row_number, typed.reason",
    )
    lake.write(QUARANTINE, bad, key=delivery.key, fingerprint=delivery.key)


def holds_most_of(newer: Delivery, older: Delivery, *, lake: Lake, connect: Connect) -> bool:
    """Whether the newer content of a file still holds at least half of the rows of the older one."""
    table = f"ingest.{newer.source}"
    files = {name: file_list(lake.paths(table, [d.key])) for name, d in (("newer", newer), ("older", older))}
    with connect() as con, closing(con.cursor()) as cursor:
        found = cursor.execute(
            f"select count(*), count(*) filter (row_hash in (select row_hash from read_parquet({files['newer']}))) "
            f"from read_parquet({files['older']})"
        ).fetchall()
    n_older, n_still_there = found[0]
    return bool(n_still_there >= REPLACES_FROM_SHARE * n_older)


def rows_by_fate(lake: Lake, deliveries: Sequence[Delivery]) -> dict[str, int]:
    """How many rows of those deliveries met each fate."""
    fates = dict.fromkeys(("kept", "filtered", "anonymous", "quarantined"), 0)
    for delivery in deliveries:
        for fate, n_rows in lake.read(ROW_COUNTS, key=delivery.key).select("fate", "n_rows").iter_rows():
            fates[fate] += n_rows
    return fates


def refuse_bad_share(
    n_rows: dict[str, int], *, source: Source, lake: Lake, new: Sequence[Delivery], limit: float
) -> None:
    """Stop the night when too many of the new rows are bad, or none names a user."""
    wanted = sum(n_rows.values()) - n_rows["filtered"]
    if n_rows["anonymous"] and n_rows["anonymous"] == wanted:
        raise DataQualityError(
            f"sources.{source.name}: each of {wanted} rows has a blank user id",
            fix=f"correct sources.{source.name}.columns.user_id",
        )
    if not wanted or n_rows["quarantined"] <= limit * wanted:
        return
    bad = pl.concat([lake.read(QUARANTINE, key=delivery.key) for delivery in new])
    first = bad.row(0, named=True)
    raise DataQualityError(
        f"sources.{source.name}: {n_rows['quarantined']} of {wanted} rows are bad "
        f"({n_rows['quarantined'] / wanted:.1%}, allowed {limit:.1%}); the first is {first['source_file']} "
        f"row {first['row_number']}: {first['reason']}",
        fix=f"correct the file or the settings (see {lake.folder(QUARANTINE)}), or raise quality.max_quarantine_share",
    )
