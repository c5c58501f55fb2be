"""The [sources.<table>] sections: where a user's files are and how their columns become canonical ones."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import PydanticCustomError

from dagster_project.settings.expressions import row_expression
from dagster_project.settings.faults import Fault, fault, refuse, suggest
from dagster_project.settings.frozen import FrozenMapping
from dagster_project.settings.kinds import RawStrings, Section, Strings, Zone
from dagster_project.settings.tables import CANONICAL, MESSAGE_EVENTS, UNPIVOTED, CanonicalTable

Format = Literal["csv", "parquet", "ndjson"]

WHITESPACE = "whitespace"

_FORMATS: Mapping[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
}
_COMPRESSIONS = frozenset({".gz", ".zst"})
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


def _one_or_many(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _delimiter(text: str) -> str:
    delimiter = "\t" if text == r"\t" else text
    if delimiter != WHITESPACE and (len(delimiter) != 1 or delimiter in '"\r\n'):
        raise fault("is not a delimiter", fix='write one character, "\\t" or "whitespace"')
    return delimiter


def _encoding(name: str) -> str:
    try:
        "".encode(name)
    except (LookupError, ValueError) as error:
        raise fault("is not a text encoding", fix='write a name like "utf-8", "latin-1" or "gb18030"') from error
    return name


def _suffix(path: str) -> str:
    name = PurePosixPath(path.lower())
    return PurePosixPath(name.stem).suffix if name.suffix in _COMPRESSIONS else name.suffix


class Source(Section):
    """One canonical table's files and the mapping of their columns."""

    table: SkipJsonSchema[str] = Field(exclude=True, description="Canonical table; set by the section's name.")
    path: Annotated[
        Strings,
        Field(min_length=1),
        BeforeValidator(_one_or_many),
        WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
    ] = Field(
        description="File or glob, or a list of them: local (relative to the settings file) or s3://, gs://,"
        " az://; .gz and .zst are read too.",
        examples=["data/raw/*.parquet"],
    )
    # before `columns`, whose checks depend on it
    events: Annotated[Mapping[str, str], AfterValidator(FrozenMapping), PlainSerializer(dict)] | None = Field(
        None,
        description="Of message_events with one row per message: event = SQL expression of its time. It stands for the"
        " columns event and occurred_at; a row gives one event for each time that it has.",
        examples=[{"sent": "sent_at", "opened": "opened_at"}],
    )
    columns: Annotated[Mapping[str, str], AfterValidator(FrozenMapping), PlainSerializer(dict)] = Field(
        description="Canonical column = SQL expression over one row of the file.",
        examples=[{"user_id": "CustomerID"}],
    )
    where: str | None = Field(
        None,
        description="SQL condition; rows for which it is not true are left out and counted.",
        examples=["CustomerID is not null"],
    )
    timezone: Zone | None = Field(
        None, description="IANA zone of timestamps that carry none; unset: the zone of the business."
    )
    format: Format | None = Field(
        None,
        description="Format of the files; unset: by suffix (.csv, .tsv, .parquet, .pq, .ndjson, .jsonl).",
    )
    delimiter: Annotated[str, AfterValidator(_delimiter)] | None = Field(
        None,
        description='Between the fields of a csv: one character, "\\t", or "whitespace" (runs of blanks);'
        " unset: whichever of , ; tab | its first line holds most of.",
        examples=[";"],
    )
    header: bool = Field(True, description="Whether the first line of a csv names its columns.")
    names: Strings | None = Field(
        None,
        description="Column names of a csv without header line, in order; needed when header = false.",
        examples=[["user_id", "day", "amount"]],
    )
    encoding: Annotated[str, AfterValidator(_encoding)] = Field(
        "utf-8", description="Text encoding of csv and ndjson files."
    )
    null_values: RawStrings = Field(("",), description="Texts in a csv that mean no value.")

    @field_validator("events", mode="before")
    @classmethod
    def _events_are_of_messages(cls, events: object, info: ValidationInfo) -> object:
        if not isinstance(events, Mapping) or "table" not in info.data:
            return events
        if info.data["table"] != "message_events":
            raise fault("has a meaning for sources.message_events only", fix="drop events")
        if not events:
            raise fault("is empty", fix='write e.g. events = { sent = "sent_at", opened = "opened_at" }')
        strange = [name for name in events if name not in MESSAGE_EVENTS]
        unknown = [Fault((name,), events[name], "unknown event", suggest(name, MESSAGE_EVENTS)) for name in strange]
        refuse([*unknown, *_malformed(events)])
        return {name: text.strip() for name, text in events.items()}

    @field_validator("columns", mode="before")
    @classmethod
    def _columns_fit_the_table(cls, columns: object, info: ValidationInfo) -> object:
        if not isinstance(columns, Mapping) or "table" not in info.data or "events" not in info.data:
            return columns
        table, is_wide = CANONICAL[info.data["table"]], info.data["events"] is not None
        refuse(
            (
                *_misnamed(columns, table),
                *_missing(columns, table, is_wide=is_wide),
                *_told_twice(columns, is_wide=is_wide),
                *_malformed(columns),
            )
        )
        return {name: text.strip() for name, text in columns.items()}

    @field_validator("where")
    @classmethod
    def _where_is_an_expression(cls, where: str | None) -> str | None:
        return where if where is None else row_expression(where)

    @model_validator(mode="after")
    def _reading_options_agree(self) -> "Source":
        refuse([*self._format_faults(), *self._csv_faults()])
        return self

    def _format_faults(self) -> Iterator[Fault]:
        if self.format is not None:
            return
        found = {_FORMATS.get(_suffix(path)) for path in self.path}
        fix = 'add format = "csv", "parquet" or "ndjson"'
        if None in found:
            silent = next(path for path in self.path if _suffix(path) not in _FORMATS)
            yield Fault(("path",), silent, "has a suffix that does not tell its format", fix)
        elif len(found) > 1:
            yield Fault(("path",), self.path, "mixes formats", "name files of one format only")

    def _csv_faults(self) -> Iterator[Fault]:
        if not self.header and self.names is None:
            fix = "add names = [...] with the columns of the file in order"
            yield Fault(("header",), False, "leaves the columns without names", fix)
        if self.header and self.names is not None:
            yield Fault(("names",), self.names, "goes only with header = false", "add header = false, or drop names")
        if (self.format or _FORMATS.get(_suffix(self.path[0]))) in ("parquet", "ndjson"):
            for key in sorted({"delimiter", "header", "names"} & self.model_fields_set):
                yield Fault((key,), getattr(self, key), "has a meaning for csv files only", f"drop {key}")

    @property
    def file_format(self) -> Format:
        """Format of the files, as set or by their suffix."""
        return self.format or _FORMATS[_suffix(self.path[0])]

    def located(self, root: Path) -> Iterator[str]:
        """Yield each path: local ones absolute (from `root` where relative), URIs as written."""
        for path in self.path:
            yield path if _URI.match(path) else str(root / Path(path).expanduser())


def _misnamed(columns: Mapping[str, object], table: CanonicalTable) -> Iterator[Fault]:
    for name, text in columns.items():
        if not table.accepts(name):
            fix = suggest(name, table.columns)
            if table.takes_attributes:
                fix += ", or an attribute of your own in small letters, digits and _ (not user_sk)"
            yield Fault((name,), text, f"unknown column of {table.name}", fix)


def _told_twice(columns: Mapping[str, object], *, is_wide: bool) -> Iterator[Fault]:
    for name in UNPIVOTED if is_wide else ():
        if name in columns:
            fix = f"drop it where each event has a column of its own in events, else drop events and keep {name}"
            yield Fault((name,), columns[name], "is told by events already", fix)


def _missing(columns: Mapping[str, object], table: CanonicalTable, *, is_wide: bool) -> Iterator[Fault]:
    for name in table.required:
        if name not in columns and not (is_wide and name in UNPIVOTED):
            fix = f'add {name} = "<SQL expression>" ({table.name} needs {", ".join(table.required)})'
            yield Fault((name,), None, "required column is missing", fix)


def _malformed(columns: Mapping[str, object]) -> Iterator[Fault]:
    for name, text in columns.items():
        if not isinstance(text, str):
            yield Fault((name,), text, "must be a text", f"put the SQL expression in quotes: {name} = '{text}'")
            continue
        try:
            row_expression(text)
        except PydanticCustomError as error:
            context = error.context or {}
            yield Fault((name,), text, context["problem"], context["fix"])


def _named(table: str) -> BeforeValidator:
    """Tell a source which table it is of, since the checks of its columns depend on that."""

    def name(section: object) -> object:
        if not isinstance(section, dict):
            return section
        if "table" in section:
            fix = "drop it: the section's name says the table"
            refuse([Fault(("table",), section["table"], "unknown key", fix)])
        return {"table": table, **section}

    return BeforeValidator(name)


class Sources(Section):
    """The canonical tables that the user has; only events must be there."""

    events: Annotated[Source, _named("events")] = Field(
        description="Activity of any kind: user_id, occurred_at, event_type and more."
    )
    users: Annotated[Source, _named("users")] | None = Field(None, description="Profiles of users.")
    subscriptions: Annotated[Source, _named("subscriptions")] | None = Field(
        None, description="Contracts with start and end."
    )
    message_events: Annotated[Source, _named("message_events")] | None = Field(
        None,
        description="What became of messages: sent, opened, bounced, unsubscribed and so on. That an open was by proxy"
        " rests on words in `code`.",
    )
    consents: Annotated[Source, _named("consents")] | None = Field(
        None, description="Permission per user and channel; the latest row wins."
    )
    feedback: Annotated[Source, _named("feedback")] | None = Field(
        None, description="Scores, tickets, refunds, complaints."
    )
    links: Annotated[Source, _named("links")] | None = Field(None, description="Friends, referrals, households.")
    assignments: Annotated[Source, _named("assignments")] | None = Field(
        None, description="Past randomised campaigns from elsewhere."
    )

    @property
    def tables(self) -> Mapping[str, Source]:
        """The configured sources by canonical table, in the order of `CANONICAL`."""
        found = {name: getattr(self, name) for name in CANONICAL}
        return FrozenMapping({name: source for name, source in found.items() if source is not None})
