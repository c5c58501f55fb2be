"""One input file as a DuckDB relation `raw` of its own columns, and the lines of it that are no rows."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import duckdb

from dagster_project.errors import SourceError
from dagster_project.ingest.files import InputFile, blank_lines, first_line
from dagster_project.lake.duck import file_list, literal, quoted

Format = Literal["csv", "parquet", "ndjson"]
WHITESPACE = "whitespace"
DELIMITERS = (",", ";", "\t", "|")
NO_DELIMITER = "\x01"  # read_csv wants one; a control character that no text line holds keeps lines whole
ROW_NUMBER = "__row_number"
RAW_TEXT = "__raw_text"
ROW_KEY = "__row_key"  # equal exactly for rows that are equal in every column of the file


@dataclass(frozen=True)
class Layout:
    """How a text file is laid out. `delimiter` None: found from its first line; "whitespace": any run of it."""

    format: Format
    delimiter: str | None
    header: bool
    names: tuple[str, ...]
    encoding: str
    null_values: tuple[str, ...]


@dataclass(frozen=True)
class Raw:
    """The relation `raw`: the file's columns, their DuckDB types, and the lines that could not be read."""

    columns: dict[str, str]
    n_unreadable: int

    @property
    def text_columns(self) -> frozenset[str]:
        """The columns that hold text."""
        return frozenset(name for name, type_ in self.columns.items() if type_ == "VARCHAR")


def open_raw(con: duckdb.DuckDBPyConnection, file: InputFile, *, layout: Layout, source: str) -> Raw:
    """Make `raw` (the file's columns and the three of this module) and `unreadable` (row_number, reason, raw_text).

    Raises:
        SourceError: the file is not of its format, its columns have no name, or a quote is never closed.
    """
    con.execute("create table unreadable (row_number bigint, reason varchar, raw_text varchar)")
    try:
        if layout.format == "parquet":
            columns = open_parquet(con, file)
        elif layout.format == "ndjson":
            columns = open_ndjson(con, file)
        elif layout.delimiter == WHITESPACE:
            columns = open_whitespace(con, file, layout=layout, source=source)
        else:
            columns = open_csv(con, file, layout=layout, source=source)
    except duckdb.Error as error:
        raise SourceError(
            f"sources.{source}: {file.name} cannot be read as {layout.format}: {str(error).splitlines()[0]}",
            fix=f"deliver the file again, or correct sources.{source}.format, delimiter, header or encoding",
        ) from error
    return Raw(columns=columns, n_unreadable=int(con.sql("select count(*) from unreadable").fetchall()[0][0]))


def open_parquet(con: duckdb.DuckDBPyConnection, file: InputFile) -> dict[str, str]:
    """A view over the file: nothing is read before the expressions are."""
    scan = f"read_parquet({literal(str(file.path))}, file_row_number = true)"
    described = con.sql(f"describe select * exclude (file_row_number) from {scan}").fetchall()
    columns = {name: type_ for name, type_, *_ in described}
    text = f"to_json(struct_pack({', '.join(f'{quoted(name)} := {quoted(name)}' for name in columns)}))"
    key = ", ".join(f"coalesce(cast({quoted(name)} as varchar), chr(30))" for name in columns)
    con.execute(
        f"create view raw as select * exclude (file_row_number), file_row_number + 1 as {ROW_NUMBER}, "
        f"cast({text} as varchar) as {RAW_TEXT}, concat_ws(chr(31), {key}) as {ROW_KEY} from {scan}"
    )
    return columns


def open_csv(con: duckdb.DuckDBPyConnection, file: InputFile, *, layout: Layout, source: str) -> dict[str, str]:
    """All columns as text, in the order of the file; a line with another number of columns is unreadable."""
    delimiter, names = header_of(file, layout=layout, source=source)
    types = "{" + ", ".join(f"{literal(name)}: 'VARCHAR'" for name in names) + "}"
    con.execute(
        f"create table lines as select * from read_csv({literal(str(file.path))}, columns = {types}, "
        f"auto_detect = false, header = {str(layout.header).lower()}, delim = {literal(delimiter)}, quote = '\"', "
        f"escape = '\"', {unpacking(file)}, nullstr = {file_list(layout.null_values)}, store_rejects = true)"
    )
    refuse_open_quote(con, file=file, source=source)
    keep_rejects(con)
    text = ", ".join(f"coalesce({quoted(name)}, '')" for name in names)
    key = ", ".join(f"coalesce({quoted(name)}, chr(30))" for name in names)
    number_rows(con, "lines", first=2 if layout.header else 1, blank=blank_lines(file))
    con.execute(
        f"create view raw as select *, concat_ws({literal(delimiter)}, {text}) as {RAW_TEXT}, "
        f"concat_ws(chr(31), {key}) as {ROW_KEY} from numbered_lines"
    )
    return dict.fromkeys(names, "VARCHAR")


def open_ndjson(con: duckdb.DuckDBPyConnection, file: InputFile) -> dict[str, str]:
    """Every top-level key of any line as a text column, and `json`, the whole line.

    Keys that differ in case only are one column, as names are in SQL.
    """
    read_lines(con, file)
    con.execute(
        "insert into unreadable select line_number, 'line: not a JSON object', line from lines where not is_object"
    )
    keys = con.sql("select distinct unnest(json_keys(line)) as key from lines where is_object order by key").fetchall()
    spelled: dict[str, list[str]] = {}
    for (key,) in keys:
        if key and key.casefold() != "json":
            spelled.setdefault(key.casefold(), []).append(key)
    names = [spellings[0] for spellings in spelled.values()]
    picked = [
        f"coalesce({', '.join(f'json_extract_string(line, {literal(pointer(key))})' for key in spellings)}) "
        f"as {quoted(spellings[0])}"
        for spellings in spelled.values()
    ]
    con.execute(
        f"create view raw as select {', '.join([*picked, 'line as json'])}, line_number as {ROW_NUMBER}, "
        f"line as {RAW_TEXT}, line as {ROW_KEY} from lines where is_object"
    )
    return dict.fromkeys([*names, "json"], "VARCHAR")


def open_whitespace(con: duckdb.DuckDBPyConnection, file: InputFile, *, layout: Layout, source: str) -> dict[str, str]:
    """Columns that runs of blanks separate; a line with another number of them is unreadable."""
    _, names = header_of(file, layout=layout, source=source)
    read_lines(con, file)
    first = 2 if layout.header else 1
    parts = "regexp_split_to_array(trim(line), '\\s+')"
    is_row = f"line_number >= {first} and len({parts}) = {len(names)}"
    con.execute(
        f"insert into unreadable select line_number, concat('line: {len(names)} columns expected, ', len({parts}), "
        f"' found'), line from lines where line_number >= {first} and len({parts}) <> {len(names)}"
    )
    nulls = file_list(layout.null_values)
    picked = [
        f"case when list_contains({nulls}, {parts}[{n}]) then null else {parts}[{n}] end as {quoted(name)}"
        for n, name in enumerate(names, start=1)
    ]
    con.execute(
        f"create view raw as select {', '.join(picked)}, line_number as {ROW_NUMBER}, line as {RAW_TEXT}, "
        f"array_to_string({parts}, chr(31)) as {ROW_KEY} from lines where {is_row}"
    )
    return dict.fromkeys(names, "VARCHAR")


def read_lines(con: duckdb.DuckDBPyConnection, file: InputFile) -> None:
    """The lines of a text file that are not blank, numbered, as the table `lines`."""
    con.execute(
        f"create table text_lines as select * from read_csv({literal(str(file.path))}, "
        "columns = {'line': 'VARCHAR'}, "
        f"auto_detect = false, header = false, delim = {literal(NO_DELIMITER)}, quote = '', escape = '', "
        f"{unpacking(file)}, store_rejects = true)"
    )
    keep_rejects(con)
    number_rows(con, "text_lines", first=1)
    con.execute(
        f"create table lines as select line, {ROW_NUMBER} as line_number, "
        # a case, since `and` computes both sides and json_type raises on text that is no JSON
        "coalesce(case when json_valid(line) then json_type(line) = 'OBJECT' end, false) as is_object "
        "from numbered_text_lines where trim(line) <> ''"
    )


def unpacking(file: InputFile) -> str:
    """How read_csv gets at the text: by suffix, since the content was found whole."""
    return f"compression = {literal(file.compression or 'none')}, encoding = 'utf-8'"


def keep_rejects(con: duckdb.DuckDBPyConnection) -> None:
    """Move the lines that read_csv could not read to `unreadable`, one row per line."""
    con.execute(
        "insert into unreadable select line, concat('line: ', min(error_message)), min(csv_line) "
        "from reject_errors group by line"
    )


def number_rows(con: duckdb.DuckDBPyConnection, table: str, *, first: int, blank: Sequence[int] = ()) -> None:
    """Make the view `numbered_<table>` with each row's number in the file, of which the first good one is `first`.

    Unreadable lines count, and so do the `blank` ones that gave no row: the number is the one that an editor
    shows, unless values before it hold line breaks within quotes, which do not count.
    """
    con.execute(f"alter table {table} rename to {table}_read")
    # not rowid: a file may have a column of that name
    con.execute(
        f"create table {table} as select *, row_number() over () + {first - 1} as {ROW_NUMBER} from {table}_read"
    )
    con.execute(
        "create table no_rows_before as select row_number - rank as n_good, max(rank) as n_lines from "
        "(select row_number, row_number() over (order by row_number) as rank from "
        "(select row_number from unreadable union select unnest($blank::bigint[]))) group by all",
        {"blank": list(blank)},
    )
    con.execute(
        f"create view numbered_{table} as select {table}.* replace "
        f"({ROW_NUMBER} + coalesce(n_lines, 0) as {ROW_NUMBER}) "
        f"from {table} asof left join no_rows_before on {ROW_NUMBER} > n_good"
    )


def refuse_open_quote(con: duckdb.DuckDBPyConnection, *, file: InputFile, source: str) -> None:
    """A quote that is never closed swallows every line after it: too much to lose as one bad row."""
    found = con.sql(
        "select line, len(string_split(rtrim(csv_line, concat(chr(10), chr(13))), chr(10))) - 1 from reject_errors "
        "where error_type = 'UNQUOTED VALUE' order by 2 desc, 1 limit 1"
    ).fetchall()
    if found and found[0][1] > 0:
        raise SourceError(
            f"sources.{source}: {file.name} line {found[0][0]}: a quote is opened and never closed; "
            f"{found[0][1]} lines after it cannot be read",
            fix="close or remove the quote in that line and deliver the file again",
        )


def header_of(file: InputFile, *, layout: Layout, source: str) -> tuple[str, list[str]]:
    """The delimiter and the column names of a csv file, by its first line alone.

    Raises:
        SourceError: the line is no text, or its names cannot be used.
    """
    head = first_line(file, source=source)
    delimiter = layout.delimiter or likeliest_delimiter(head)
    fields = head.split() if delimiter == WHITESPACE else next(csv.reader([head], delimiter=delimiter), [])
    return delimiter, column_names(fields, file=file, layout=layout, source=source)


def likeliest_delimiter(head: str) -> str:
    """The delimiter that makes most columns of the first line; a comma in a file of one column."""
    return max(DELIMITERS, key=lambda delimiter: len(next(csv.reader([head], delimiter=delimiter), [])))


def column_names(head: Sequence[str], *, file: InputFile, layout: Layout, source: str) -> list[str]:
    """The file's column names: of its first line, or of the settings where it has no header."""
    names = [name.strip() for name in head] if layout.header else list(layout.names)
    if not layout.header and len(names) != len(head):
        raise SourceError(
            f"sources.{source}: {file.name} has {len(head)} columns, sources.{source}.names gives {len(names)}",
            fix=f"let sources.{source}.names name each column of the file in order",
        )
    blank = [n for n, name in enumerate(names, start=1) if not name] if names else [1]
    folded = [name.casefold() for name in names]  # SQL knows no difference between ID and id
    twice = sorted({name for name in names if folded.count(name.casefold()) > 1})
    if blank or twice:
        raise SourceError(
            f"sources.{source}: the header of {file.name} has columns without a name {blank} or names twice {twice}",
            fix=f"correct the header, or set sources.{source}.header = false and give sources.{source}.names",
        )
    return names


def pointer(name: str) -> str:
    """The JSON path of a top-level key."""
    return '$."' + name.replace('"', '\\"') + '"'
