"""The [export] section: how the night's files are written, and further files for the tools that send or advertise."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PlainSerializer, model_validator

from dagster_project.settings.faults import Fault, refuse, suggest
from dagster_project.settings.frozen import FrozenMapping
from dagster_project.settings.kinds import Name, Section, Strings
from dagster_project.settings.tables import CANONICAL

Delimiter = Literal[",", ";", "\t"]
IdsAsText = Literal["plain", "quote", "formula"]
Identifier = Literal["user_id", "email_sha256", "phone_sha256", "phone_digits_sha256"]
USER_ID: Literal["user_id"] = "user_id"
_EXECUTABLE = tuple("=+-@'＝＋－＠")


def _default_headers() -> Mapping[str, str]:
    return FrozenMapping({})


class Destination(Section):
    """One more file of the night, for one tool: some of the contacts, in the columns that the tool reads."""

    channels: Annotated[Strings, Field(min_length=1)] | None = Field(
        None, description="Only contacts on these channels; unset: on any.", examples=[["email"]]
    )
    strategies: Annotated[Strings, Field(min_length=1)] | None = Field(
        None, description="Only contacts with these strategies; unset: with any.", examples=[["seasonal_recall"]]
    )
    format: Literal["csv", "parquet"] = Field("csv", description="Format of the file; parquet holds the exact values.")
    identifier: Identifier = Field(
        USER_ID,
        description="What names a user: `user_id`, or a SHA-256 of the normalised e-mail, of the phone number with its"
        " + (Google) or of its digits alone (Meta). A user without one is left out and counted.",
    )
    columns: Annotated[Strings, Field(min_length=1)] | None = Field(
        None,
        description="Columns of cohorts.csv in the order to write them, the identifier among them; unset: all of"
        " cohorts.csv, or the hash alone.",
        examples=[["user_id", "send_at", "template_id"]],
    )
    rename: Annotated[Mapping[str, str], AfterValidator(FrozenMapping), PlainSerializer(dict)] = Field(
        default_factory=_default_headers,
        description="Column = its name in the file.",
        examples=[{"email_sha256": "Email"}],
    )
    delimiter: Delimiter = Field(",", description="Between the cells of a csv.")
    bom: bool = Field(False, description="Whether a csv begins with a UTF-8 byte order mark.")
    ids_as_text: IdsAsText = Field("plain", description="How user ids stand in a csv; see export.ids_as_text.")

    @property
    def is_hashed(self) -> bool:
        """Whether users are named by a hash of their address."""
        return self.identifier != USER_ID

    @property
    def chosen(self) -> tuple[str, ...]:
        """The columns to write, in order."""
        return self.columns or ((self.identifier,) if self.is_hashed else _contact_columns())

    @model_validator(mode="after")
    def _columns_can_be_written(self) -> "Destination":
        refuse([*self._unknown_columns(), *self._odd_headers(), *self._open_audience(), *self._csv_keys()])
        return self

    def _unknown_columns(self) -> Iterator[Fault]:
        known = [*(name for name in _contact_columns() if name != USER_ID), self.identifier]
        for name in self.columns or ():
            if name == USER_ID and self.is_hashed:
                fix = f'write "{self.identifier}" instead'
                yield Fault(("columns",), self.columns, "holds user_id beside the hash, which undoes the hash", fix)
            elif name not in known:
                yield Fault(("columns",), self.columns, f"holds {name}, no column of cohorts.csv", suggest(name, known))
        if self.columns and self.identifier not in self.columns:
            fix = f'add "{self.identifier}"'
            yield Fault(("columns",), self.columns, "does not hold the identifier: nobody would be named", fix)

    def _odd_headers(self) -> Iterator[Fault]:
        headers = [self.rename.get(name, name) for name in self.chosen]
        for name, header in self.rename.items():
            if name not in self.chosen:
                yield Fault(("rename", name), header, "is not among the columns", suggest(name, self.chosen))
            elif not header.isprintable() or not header.strip() or header.startswith(_EXECUTABLE):
                fix = "write a name that begins with a letter"
                yield Fault(("rename", name), header, "is not a name that every spreadsheet shows", fix)
            elif headers.count(header) > 1:
                yield Fault(("rename", name), header, "names two columns", "write another name")

    def _open_audience(self) -> Iterator[Fault]:
        if self.is_hashed and not (self.channels or self.strategies):
            fix = "add channels or strategies: those whose permission covers an ad platform"
            yield Fault(("identifier",), self.identifier, "would send everybody to an ad platform", fix)

    def _csv_keys(self) -> Iterator[Fault]:
        for key in sorted({"bom", "delimiter", "ids_as_text"} & self.model_fields_set):
            if self.format == "parquet":
                yield Fault((key,), getattr(self, key), "has a meaning for csv files only", f"drop {key}")


class Export(Section):
    """How the files of a night are written."""

    bom: bool = Field(
        False,
        description="Whether the CSV files of a night begin with a UTF-8 byte order mark, by which Excel knows UTF-8.",
    )
    delimiter: Delimiter = Field(
        ",", description="Between the cells of the CSV files of a night; Excel in much of Europe expects `;`."
    )
    ids_as_text: IdsAsText = Field(
        "plain",
        description="How user ids stand in the CSV files of a night: `plain`; `quote`, with one ' in front, so that no"
        ' spreadsheet takes them for numbers; `formula`, as ="00123", which Excel shows as 00123.',
    )
    email_attribute: Name | None = Field(
        None,
        description="Further column of sources.users with the e-mail address, for hashed identifiers; it never"
        " leaves the lake.",
        examples=["email"],
    )
    phone_attribute: Name | None = Field(
        None,
        description="Further column of sources.users with the phone number and its country code (+49 30 901820), for"
        " hashed identifiers; it never leaves the lake.",
        examples=["phone"],
    )
    destinations: Annotated[Mapping[Name, Destination], AfterValidator(FrozenMapping), PlainSerializer(dict)] = Field(
        default_factory=lambda: FrozenMapping({}),
        description="Further files, destinations/<name>.csv or .parquet, one section per tool.",
    )

    @property
    def address_attributes(self) -> tuple[str, ...]:
        """The attributes that hold addresses, which must stay inside the lake."""
        return tuple(name for name in (self.email_attribute, self.phone_attribute) if name is not None)

    def faults(
        self, *, channels: Iterable[str], profile_columns: Iterable[str], folder: Path | None
    ) -> Iterator[Fault]:
        """Yield what does not agree with the channels, with the columns of sources.users, or with the strategies.

        `folder`: that of the company's own strategies, if it has one.
        """
        yield from self._unmapped(set(profile_columns))
        for name, destination in self.destinations.items():
            where = ("destinations", name)
            for channel in destination.channels or ():
                if channel not in channels:
                    yield _unknown(where, "channels", destination.channels, channel, channels)
            for strategy in _unknown_strategies(destination.strategies or (), folder):
                yield _unknown(where, "strategies", destination.strategies, strategy, _strategies(folder))
            needed = "email_attribute" if destination.identifier.startswith("email") else "phone_attribute"
            if destination.is_hashed and getattr(self, needed) is None:
                fix = f"write export.{needed}: the column of sources.users that holds it"
                yield Fault((*where, "identifier"), destination.identifier, "needs an address to hash", fix)

    def _unmapped(self, profile_columns: set[str]) -> Iterator[Fault]:
        own = sorted(profile_columns - set(CANONICAL["users"].columns))
        for key in ("email_attribute", "phone_attribute"):
            name = getattr(self, key)
            if name is not None and name not in own:
                fix = suggest(name, own) if own else f'add {name} = "<SQL expression>" to sources.users.columns'
                yield Fault((key,), name, "is no further column of sources.users", fix)


def _unknown(where: tuple[str, ...], key: str, value: object, name: str, known: Iterable[str]) -> Fault:
    return Fault((*where, key), value, f"holds {name}, which is none of the {key}", suggest(name, known))


def _contact_columns() -> tuple[str, ...]:
    # Here, since only settings with destinations need the tables.
    from dagster_project.cohorts.tables import CONTACTS

    return tuple(CONTACTS.columns)


def _unknown_strategies(names: tuple[str, ...], folder: Path | None) -> list[str]:
    known = _strategies(folder) if names else ()
    return [name for name in names if name not in known]


def _strategies(folder: Path | None) -> tuple[str, ...]:
    from dagster_project.strategy.catalogue import CatalogueSource, strategy_ids

    return tuple(sorted(strategy_ids(CatalogueSource(folder=folder))))
