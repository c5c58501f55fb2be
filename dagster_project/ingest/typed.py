"""The select that turns a raw file into typed canonical rows, each with its fate.

Fates: `kept`; `filtered` (the source's `where` is not true); `anonymous` (no user id); `quarantined` (a value
cannot be what its column says, with the reason); lines that are no rows at all are quarantined too.
"""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

import duckdb

from dagster_project.errors import SourceError
from dagster_project.ingest.expressions import Tolerant, tolerant
from dagster_project.ingest.raw import ROW_KEY, ROW_NUMBER, Raw
from dagster_project.lake.duck import file_list, literal, quoted
from dagster_project.settings.tables import FEEDBACK_KINDS, MESSAGE_EVENTS, CanonicalTable, ColumnType

SQL_TYPES: Mapping[ColumnType, str] = {
    "text": "varchar",
    "text_list": "varchar",
    "timestamp": "timestamp",
    "date": "date",
    "money": "decimal(18, 4)",
    "float": "double",
    "integer": "integer",
}
NOUNS: Mapping[ColumnType, str] = {
    "text": "text",
    "text_list": "text",
    "timestamp": "time",
    "date": "date",
    "money": "finite amount",
    "float": "finite number",
    "integer": "whole number",
}
ZONE_AFTER_CLOCK = r"\d{1,2}:\d{2}[\d:.]*\s*[A-Za-z+-]"  # Z, an offset or a zone's name
BLANKS = "concat(' ', chr(9), chr(10), chr(13), chr(160), chr(12288), chr(65279))"  # no-break, ideographic, BOM
EPOCH_HINT = "numbers are seconds since 1970 only where the expression says so: to_timestamp(cast(<column> as double))"
BLANK_TIME = "occurred_at is blank"
FORMAT_HINT = "other forms than 2024-03-31 12:30:00 need strptime(<column>, '<format>')"


@dataclass(frozen=True)
class Reading:
    """How the rows of one source are to be understood. Days are those of `business_zone`.

    `events`: event and the expression of its time, where a row holds a whole message; empty where it is one event.
    """

    table: CanonicalTable
    columns: Mapping[str, str]
    where: str | None
    source_zone: str
    business_zone: str
    earliest_on: date
    latest_on: date
    core_events: tuple[str, ...] | None
    events: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Mapped:
    """One column of the settings against one file: its expression, and the DuckDB type that it gives."""

    name: str
    type: ColumnType
    expression: Tolerant
    given: str


def create_typed(con: duckdb.DuckDBPyConnection, raw: Raw, *, reading: Reading, file_name: str) -> None:
    """Make the table `typed`: row_number, fate, reason, user_id, the canonical columns, attributes, dt, row_hash.

    Times are naive UTC; `dt` is the day of the table's time column in the business zone, or null; `row_hash`
    is equal for rows that are equal in every column of the file.

    Raises:
        SourceError: an expression names a column that the file lacks, or cannot be computed.
    """
    queries = []
    for form in forms_of(reading):
        mapped, wanted = mapped_columns(con, raw, reading=form, file_name=file_name)
        queries.append(typed_query(mapped, wanted=wanted, reading=form))
    query = unpivoted_query(queries, reading=reading) if reading.events else queries[0]
    try:
        con.execute(f"create table typed as {query}")
    except duckdb.Error as error:
        raise SourceError(
            f"sources.{reading.table.name}: {file_name} cannot be read to its end: {str(error).splitlines()[0]}",
            fix=f"deliver the file again if it is broken, else correct sources.{reading.table.name}.columns or where",
        ) from error
    con.execute("insert into typed by name select row_number, 'quarantined' as fate, reason from unreadable")


def forms_of(reading: Reading) -> list[Reading]:
    """The reading, or one for each event that a row of a whole message can hold."""
    if not reading.events:
        return [reading]
    return [
        replace(
            reading,
            columns={"occurred_at": time, **reading.columns, "event": literal(word)},
            events=((word, time),),
        )
        for word, time in reading.events
    ]


def unpivoted_query(queries: Sequence[str], *, reading: Reading) -> str:
    """One row per event of each message, from the rows of each event's own query.

    A row of the file without any time stays as one row: filtered or anonymous, else quarantined. The code is that
    of the failure. The hash is of the event, not of the file's row, so that a later export in which the message has
    got further repeats the events that were known.
    """
    forms = " union all ".join(f"select {n} as form, * from ({query})" for n, query in enumerate(queries))
    kept = [name for name in reading.table.columns if name != "code"]
    hashed = ", chr(31), ".join(f"coalesce(cast({quoted(name)} as varchar), '')" for name in (*kept, "code"))
    nothing = f"no event has a time: {', '.join(word for word, _ in reading.events)}"
    return f"""
        with forms as ({forms}), told as (
            select * replace (case when event in ('failed', 'bounced') then code end as code)
            from forms where occurred_at is not null or (fate = 'quarantined' and reason <> {literal(BLANK_TIME)})
        ), untold as (
            select * replace (case when fate = 'quarantined' then {literal(nothing)} end as reason)
            from forms where form = 0 and row_number not in (select row_number from told)
        )
        select * exclude (form) replace (md5_number_lower(concat({hashed})) as row_hash)
        from (select * from told union all select * from untold)
    """


def mapped_columns(
    con: duckdb.DuckDBPyConnection, raw: Raw, *, reading: Reading, file_name: str
) -> tuple[list[Mapped], Tolerant]:
    """Every column of the settings against one file, and the condition that rows must meet.

    Raises:
        SourceError: an expression names a column that the file lacks, or cannot be computed.
    """
    expressions = {**reading.columns, "where": reading.where or "true"}
    *mapped, wanted = [
        mapped_column(con, raw, name=name, expression=expression, reading=reading, file_name=file_name)
        for name, expression in expressions.items()
    ]
    return mapped, wanted.expression


def mapped_column(
    con: duckdb.DuckDBPyConnection, raw: Raw, *, name: str, expression: str, reading: Reading, file_name: str
) -> Mapped:
    """One expression, made tolerant and checked against the file's columns."""
    key = f"sources.{reading.table.name}.{key_of(name, reading)}"
    made = tolerant(expression, text_columns=raw.text_columns)
    folded = {column.casefold() for column in raw.columns}
    missing = [column for column in made.columns if column.casefold() not in folded]
    if missing:
        near = difflib.get_close_matches(missing[0], list(raw.columns), n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise SourceError(
            f"{key}: {file_name} has no column {missing[0]!r}; it has {', '.join(raw.columns)}",
            fix=f"{hint}correct the expression {expression!r}, or deliver a file with that column",
        )
    try:
        given = str(con.sql(f"describe select {made.sql} as x from raw limit 0").fetchall()[0][1])
    except duckdb.Error as error:
        raise SourceError(
            f"{key} = {expression!r} cannot be computed on {file_name}: {str(error).splitlines()[0]}",
            fix="correct the expression; in text files cast a column before using it as a date or a list",
        ) from error
    column = reading.table.columns.get(name)
    return Mapped(name=name, type=column.type if column else "text", expression=made, given=given)


def key_of(name: str, reading: Reading) -> str:
    """Where the settings hold an expression, below the source's section."""
    if name == "occurred_at" and reading.events:
        return f"events.{reading.events[0][0]}"
    return name if name == "where" else f"columns.{name}"


def typed_query(mapped: list[Mapped], *, wanted: Tolerant, reading: Reading) -> str:
    """Raw values, then typed values, then the verdict on each row."""
    given = {column.name: column for column in mapped}
    table = reading.table
    attributes = [column for column in mapped if column.name not in table.columns]
    raw_values = [f"{column.expression.sql} as {quoted('x_' + column.name)}" for column in mapped]
    bad_values = [f"{bad_text(column.expression)} as {quoted('b_' + column.name)}" for column in mapped]
    carried = [quoted(prefix + column.name) for column in mapped for prefix in ("x_", "b_")]
    values = [
        f"{typed_value(given[name], reading=reading)} as {quoted(name)}"
        if name in given
        else f"cast(null as {SQL_TYPES[column.type]}) as {quoted(name)}"
        for name, column in table.columns.items()
    ]
    if table.takes_attributes:
        pairs = ", ".join(f"{quoted(a.name)} := {quoted('x_' + a.name)}" for a in attributes)
        values.append(
            f"{f'cast(to_json(struct_pack({pairs})) as varchar)' if pairs else 'null::varchar'} as attributes"
        )
    time = quoted(table.time_column)
    reasons = [text for column in mapped if column.name in table.columns for text in reasons_of(column, reading)]
    return f"""
        with expressed as (
            select {ROW_NUMBER} as row_number, md5_number_lower({ROW_KEY}) as row_hash,
                {bad_text(wanted)} as b_where, coalesce(({wanted.sql}), false) as is_wanted,
                {", ".join([*raw_values, *bad_values])}
            from raw
        ), valued as (
            select row_number, row_hash, is_wanted or b_where is not null as is_wanted, b_where,
                {", ".join([*values, *carried])}
            from expressed
        ), judged as (
            select *, coalesce({", ".join([said("where", "b_where", noun="number or date"), *reasons])}) as verdict,
                case when {time} < timestamp '9999-12-31' then  -- the last that Python knows
                    cast(({time} at time zone 'UTC') at time zone {literal(reading.business_zone)} as date) end as dt
            from valued
        )
        select row_number,
            case when not is_wanted then 'filtered' when user_id is null and b_user_id is null then 'anonymous'
                when verdict is not null then 'quarantined' else 'kept' end as fate,
            case when fate = 'quarantined' then verdict end as reason,
            {", ".join(quoted(name) for name in table.columns)},
            {"attributes, " if table.takes_attributes else ""}dt, row_hash
        from judged
    """


def bad_text(expression: Tolerant) -> str:
    """The first text inside an expression that a conversion could not read, or null."""
    return expression.bad_text or "cast(null as varchar)"


def said(name: str, text: str, *, noun: str) -> str:
    """The reason that `text`, where it is not null, is not what the column wants."""
    quote = f"concat({literal(name + ': ')}, chr(34), left({text}, 80), chr(34), {literal(' is not a ' + noun)})"
    return f"case when {text} is not null then {quote} end"


def strange(name: str, value: str, *, given: str, words: Sequence[str]) -> str:
    """The reason that a value is none of the words that its column may hold, or null."""
    known = literal(f" is none of {', '.join(words)}")
    quote = f"concat({literal(name + ': ')}, chr(34), left(trim({given}, {BLANKS}), 80), chr(34), {known})"
    return f"case when not list_contains({file_list(words)}, {value}) then {quote} end"


def feedback_kind(value: str) -> str:
    """The kind of a piece of feedback whatever its case, its blanks and hyphens; another word for it becomes ours."""
    tidy = f"regexp_replace(lower({value}), '[^\\p{{L}}\\p{{N}}]+', '_', 'g')"
    cases = " ".join(
        f"when list_contains({file_list(others)}, {tidy}) then {literal(kind)}"
        for kind, others in FEEDBACK_KINDS.items()
    )
    return f"case {cases} else {tidy} end"


def hint(column: Mapped, given: str) -> str:
    """What to write for a time that is no time, as the end of a reason."""
    if column.type != "timestamp":
        return ""
    is_number = f"regexp_full_match(trim({given}), '[0-9]{{9,16}}([.][0-9]*)?')"
    return f" || case when {is_number} then {literal('; ' + EPOCH_HINT)} else {literal('; ' + FORMAT_HINT)} end"


def typed_value(column: Mapped, *, reading: Reading) -> str:
    """The canonical value of a column, null where the expression's value cannot be one."""
    value = quoted("x_" + column.name)
    if column.type in ("text", "text_list"):
        if column.given in ("DOUBLE", "FLOAT"):  # 17850.0 is the id 17850, and NaN stands for no id
            whole = f"case when {value} = trunc({value}) then cast(try_cast({value} as bigint) as varchar) end"
            return f"case when isfinite({value}) then coalesce({whole}, cast({value} as varchar)) end"
        text = f"nullif(trim(cast({value} as varchar), {BLANKS}), '')"
        is_kind = reading.table.name == "feedback" and column.name == "kind"
        return feedback_kind(text) if is_kind else text
    if column.type == "timestamp":
        time = utc_time(value, given=column.given, reading=reading)
        return f"case when isfinite({time}) then {time} end"
    if column.type == "date":
        return f"case when isfinite(try_cast({value} as date)) then try_cast({value} as date) end"
    if column.type == "float":
        return f"case when isfinite(try_cast({value} as double)) then try_cast({value} as double) end"
    return f"try_cast({value} as {SQL_TYPES[column.type]})"


def utc_time(value: str, *, given: str, reading: Reading) -> str:
    """A time as naive UTC: a zone in the value counts, else the source's; a bare date is a day of the business."""
    zone = reading.business_zone if given == "DATE" else reading.source_zone
    local = f"(try_cast({value} as timestamp) at time zone {literal(zone)}) at time zone 'UTC'"
    with_offset = f"try_cast({value} as timestamptz) at time zone 'UTC'"
    if given == "TIMESTAMP WITH TIME ZONE":
        return f"{value} at time zone 'UTC'"
    if given == "VARCHAR":
        return f"case when regexp_matches({value}, {literal(ZONE_AFTER_CLOCK)}) then {with_offset} else {local} end"
    return local


def reasons_of(column: Mapped, reading: Reading) -> list[str]:
    """SQL texts, each the reason why this column's value is bad, or null."""
    name, value, given, bad = (
        column.name,
        quoted(column.name),
        f"cast({quoted('x_' + column.name)} as varchar)",
        quoted("b_" + column.name),
    )
    noun = NOUNS[column.type]
    unread = f"case when {value} is null and nullif(trim({given}, {BLANKS}), '') is not null then {given} end"
    is_text = column.type in ("text", "text_list")
    reasons = [said(name, bad, noun="number or date" if is_text else noun)]
    if not is_text:
        reasons.append(f"{said(name, unread, noun=noun)}{hint(column, given)}")
    if name in reading.table.required and name != "user_id":
        reasons.append(f"case when {value} is null then {literal(name + ' is blank')} end")
    if name == reading.table.time_column:
        for sign, day in (("<", reading.earliest_on), (">", reading.latest_on)):
            limit = f"quality.{'earliest_on' if sign == '<' else 'latest_on'} {day}"
            reasons.append(
                f"case when cast({value} as date) {sign} date {literal(str(day))} "
                f"then concat({literal(name + ' ')}, cast({value} as date), ' is beyond {limit}') end"
            )
    if reading.table.name == "message_events" and name == "event":
        reasons.append(strange(name, f"lower({value})", given=value, words=MESSAGE_EVENTS))
    if reading.table.name == "feedback" and name == "kind":
        reasons.append(strange(name, value, given=given, words=tuple(FEEDBACK_KINDS)))
    if reading.table.name == "events" and name == "amount":
        counts = f"list_contains({file_list(reading.core_events)}, event_type)" if reading.core_events else "true"
        reasons.append(
            f"case when {value} < 0 and {counts} then concat('amount ', {value}, ' is negative on the core event ', "
            "event_type, '; give refunds an event_type of their own and leave it out of core_events') end"
        )
    return reasons
