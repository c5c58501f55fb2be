"""The shape of winback.toml: one frozen object, every value checked. Reading the file is `load`'s."""

from collections.abc import Mapping
from datetime import date, time
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PlainSerializer, model_validator
from pydantic.json_schema import SkipJsonSchema

from dagster_project.settings.export import Export
from dagster_project.settings.faults import Fault, refuse
from dagster_project.settings.frozen import FrozenMapping
from dagster_project.settings.kinds import (
    ClockRange,
    ClockTime,
    Currency,
    Day,
    Name,
    Section,
    Strings,
    Zone,
    clock_times,
)
from dagster_project.settings.sources import Sources
from dagster_project.settings.strategies import Strategies

USUAL_SALT = "winback"


class Paths(Section):
    """Folders that winback writes to. Relative ones start at the folder of the settings file."""

    data: str = Field("data", min_length=1, description="Folder of the store (lake and warehouse).")
    reports: str = Field("reports", min_length=1, description="Folder that gets one sub-folder per night.")


class Quality(Section):
    """When rows go to quarantine, and when too many of them stop the night."""

    max_quarantine_share: float = Field(
        0.05,
        ge=0,
        le=1,
        description="Share of a source's rows (0 to 1) that may be bad before the night stops.",
    )
    earliest_on: Day = Field(date(1970, 1, 1), description="First believable day; rows dated earlier go to quarantine.")
    latest_on: Day = Field(date(2100, 1, 1), description="Last believable day; rows dated later go to quarantine.")

    @model_validator(mode="after")
    def _days_are_in_order(self) -> "Quality":
        if self.earliest_on >= self.latest_on:
            problem = f"must be before quality.latest_on, which is {self.latest_on}"
            refuse([Fault(("earliest_on",), self.earliest_on, problem, "write an earlier date")])
        return self


class Churn(Section):
    """How churn is defined; every definition is computed, `primary` decides."""

    calendar_days: int = Field(
        90, ge=7, le=730, description="Days of silence after which the calendar definition says churned."
    )
    primary: Literal["cadence", "calendar", "data_driven"] = Field(
        "cadence",
        description="Definition that decides: `cadence` (a user's own rhythm), `calendar` (calendar_days),"
        " `data_driven` (fewest days after which few come back unaided).",
    )
    max_return_share: float = Field(
        0.10,
        gt=0,
        lt=1,
        description="Share (0 to 1) of users called churned who may come back unaided within the horizon,"
        " by which `data_driven` finds its days.",
    )


class Holdout(Section):
    """Who is left out, or tried at random, so that effects can be measured."""

    control_share: float = Field(
        0.10, ge=0, le=0.5, description="Share (0 to 0.5) of lapsed users never contacted, for comparison."
    )
    explore_share: float = Field(
        0.05, ge=0, le=0.5, description="Share (0 to 0.5) of lapsed users who get a strategy drawn at random."
    )
    salt: str = Field(
        USUAL_SALT,
        min_length=1,
        description="Text mixed into the hash that picks users; changing it redraws all, in a new experiment.",
    )

    @model_validator(mode="after")
    def _someone_is_left_to_treat(self) -> "Holdout":
        if self.control_share + self.explore_share >= 1:
            problem = f"leaves nobody to treat, since holdout.explore_share is {self.explore_share}"
            refuse([Fault(("control_share",), self.control_share, problem, "write shares that add up to < 1")])
        return self


class Budget(Section):
    """What one night may spend."""

    per_night: float | None = Field(
        None, gt=0, description="Money per night, in `currency`; unset: no limit.", examples=[250.0]
    )
    max_contacts: int | None = Field(
        None, ge=1, description="Contacts per night over all channels; unset: no limit.", examples=[5000]
    )


class Value(Section):
    """What activity is worth."""

    margin_share: float = Field(1.0, gt=0, le=1, description="Share (0 to 1) of revenue that is profit.")
    value_per_active_day: float = Field(
        1.0, ge=0, description="Profit of one active day, in `currency`, used when events carry no amounts."
    )
    caution: float = Field(
        0.4,
        ge=0.05,
        le=0.5,
        description="Quantile (0.05 to 0.5) of the believed uplift by which a contact must pay; 0.5 is no caution.",
    )
    harm_if_unknown: float = Field(
        0.003,
        ge=0,
        le=1,
        description="Chance (0 to 1) that one message ends in an opt-out, removal of the app or complaint, where past"
        " messages do not tell.",
    )
    reach_worth_share: float = Field(
        0.05,
        ge=0,
        le=1,
        description="What the way to a user is worth, as a share (0 to 1) of the profit of a return: a user who opted"
        " out can never be won back by a message.",
    )


class Channel(Section):
    """One way to contact users."""

    cost: float = Field(ge=0, description="Money per contact, in `currency`.", examples=[0.002])
    capacity: int | None = Field(None, ge=1, description="Contacts per night; unset: no limit.", examples=[20000])
    hourly_capacity: int | None = Field(
        None, ge=1, description="Messages in any clock hour; unset: no limit.", examples=[3000]
    )
    max_touches_per_week: int | None = Field(
        None,
        ge=0,
        le=100,
        description="Messages per user on this channel in any 7 days, all senders, beside those of [caps]; unset: no"
        " limit of its own.",
        examples=[1],
    )
    hours: ClockRange = Field("09:00-20:00", description="Hours of the user's local day in which to send, start-end.")

    @property
    def opens_at(self) -> time:
        """First moment of the user's local day at which to send."""
        return clock_times(self.hours)[0]

    @property
    def closes_at(self) -> time:
        """Moment of the user's local day from which not to send."""
        return clock_times(self.hours)[1]


class Caps(Section):
    """How much contact one user may get."""

    max_touches_per_day: int = Field(
        1, ge=0, le=100, description="Messages per user in any 24 hours, all channels and senders."
    )
    max_touches_per_week: int = Field(
        3, ge=0, le=100, description="Messages per user in any 7 days, all channels and senders."
    )
    exempt_categories: Strings = Field(
        ("transactional", "service"),
        description="Words in message_events.category for messages that no cap counts, such as receipts.",
    )
    min_days_between: int = Field(7, ge=0, le=365, description="Days between two win-back attempts at one user.")


class Compliance(Section):
    """Which law the rules follow. The packs are not legal advice."""

    pack: Name = Field(
        "default",
        description="Rule pack for everybody: `default`, `cn`, `eu`, `us` or one of your own; the pack of a user's"
        " country is added, and the stricter rule wins.",
    )
    countries: Annotated[Mapping[str, Name], AfterValidator(FrozenMapping), PlainSerializer(dict)] = Field(
        default_factory=lambda: FrozenMapping({}),
        description="ISO country code = pack, for countries that no pack names or that need another.",
        examples=[{"GB": "eu"}],
    )
    folder: str | None = Field(
        None, min_length=1, description="Folder of packs of your own (*.toml), relative to the settings file."
    )
    industry: Literal["commerce", "finance", "health", "education", "social"] = Field(
        "commerce", description="Industry whose strategies and words are used, and whose sensitive words none may hold."
    )
    postal_address: str | None = Field(
        None,
        min_length=1,
        pattern=r"\S",
        description="Postal address of the sender, shown in each message; unset: no e-mail to where law asks for one"
        " (United States).",
        examples=["Example Ltd, 1 Example Street, Springfield"],
    )
    categories: Strings = Field(
        (
            *("winback", "win_back", "marketing", "promotion", "promotions", "promotional", "offers", "all"),
            *("营销", "推广", "优惠"),
        ),
        description="Words in consents.categories that cover win-back messages; a user who named others only is"
        " left alone.",
    )


class Models(Section):
    """How much past the models learn from."""

    max_cutoffs: int = Field(8, ge=2, le=36, description="Past dates at most from which training snapshots are taken.")
    max_training_rows: int = Field(
        300_000, ge=1000, description="Rows at most that one model is fitted on; beyond them a seeded sample."
    )
    retrain_every_days: int | None = Field(
        None,
        ge=1,
        le=365,
        description="Days after which the models are trained anew, or sooner on drift; unset: the horizon.",
        examples=[7],
    )


class Schedule(Section):
    """When the night runs."""

    at: ClockTime = Field("02:00", description="Clock time of the nightly run, HH:MM, in `timezone`.")

    @property
    def clock(self) -> time:
        """The same as a time of day."""
        return time.fromisoformat(self.at)


class Engine(Section):
    """What the machine gives DuckDB."""

    threads: int | None = Field(None, ge=1, description="Threads; unset: one per core.", examples=[2])
    memory_limit: str | None = Field(
        None,
        pattern=r"^[1-9][0-9]*(\.[0-9]+)? ?([KMGT]i?B)$",
        description="Memory limit with its unit (KB, MB, GB, TB, KiB, MiB, GiB, TiB); unset: DuckDB's own.",
        examples=["2GB"],
    )


def _default_channels() -> Mapping[str, Channel]:
    return FrozenMapping({"email": Channel(cost=0.002)})


class Settings(Section):
    """Everything that winback.toml says. Equal settings compare equal and hash equally."""

    root: SkipJsonSchema[Path] = Field(exclude=True, description="Absolute folder of the settings file.")
    sources: Sources = Field(description="The user's own files, one section per canonical table.")
    horizon_days: int | None = Field(
        None,
        ge=1,
        le=365,
        description="Days ahead that predictions look; unset: twice the usual gap, within 14 to 90.",
        examples=[60],
    )
    core_events: Annotated[Strings, Field(min_length=1)] | None = Field(
        None, description="Event types that count as use; unset: all of them.", examples=[["purchase"]]
    )
    timezone: Zone = Field("UTC", description="IANA zone of the business; a day starts at its midnight.")
    notice: str | None = Field(
        None, min_length=1, description="Sentence shown on every page, such as that the data are simulated."
    )
    currency: Currency = Field("EUR", description="ISO 4217 code of every amount, cost and price.")
    first_as_of: Day | None = Field(
        None,
        description="First night of the calendar of partitions; unset: derived from the data.",
        examples=["2011-06-01"],
    )
    seed: int = Field(7, ge=0, le=2**32 - 1, description="Seed of every random choice.")
    paths: Paths = Paths()
    quality: Quality = Quality()
    churn: Churn = Churn()
    holdout: Holdout = Holdout()
    budget: Budget = Budget()
    value: Value = Value()
    channels: Annotated[
        Mapping[Name, Channel], Field(min_length=1), AfterValidator(FrozenMapping), PlainSerializer(dict)
    ] = Field(
        default_factory=_default_channels,
        description="The ways to contact users, one section per channel; absent: email at 0.002 a contact.",
    )
    caps: Caps = Caps()
    compliance: Compliance = Compliance()
    models: Models = Models()
    schedule: Schedule = Schedule()
    strategies: Strategies = Strategies()
    export: Export = Export()
    engine: Engine = Engine()

    @model_validator(mode="after")
    def _calendar_starts_on_a_believable_day(self) -> "Settings":
        first, (earliest, latest) = self.first_as_of, (self.quality.earliest_on, self.quality.latest_on)
        if first is not None and not earliest <= first <= latest:
            problem = f"is outside quality.earliest_on to quality.latest_on ({earliest} to {latest})"
            refuse([Fault(("first_as_of",), first, problem, "write a date within them")])
        return self

    @model_validator(mode="after")
    def _exports_fit_what_is_there(self) -> "Settings":
        users = self.sources.users
        found = self.export.faults(
            channels=list(self.channels),
            profile_columns=users.columns if users else (),
            folder=self.strategies_dir,
        )
        refuse([Fault(("export", *fault.where), fault.value, fault.problem, fault.fix) for fault in found])
        return self

    @property
    def data_dir(self) -> Path:
        """Absolute folder of the store."""
        return (self.root / Path(self.paths.data).expanduser()).resolve()

    @property
    def reports_dir(self) -> Path:
        """Absolute folder of the nightly reports."""
        return (self.root / Path(self.paths.reports).expanduser()).resolve()

    @property
    def strategies_dir(self) -> Path | None:
        """Absolute folder of the company's own strategies."""
        own = self.strategies.folder
        return None if own is None else (self.root / Path(own).expanduser()).resolve()

    def source_paths(self, table: str) -> tuple[str, ...]:
        """Paths or globs of a table's files: local ones absolute, URIs as written; empty if unset."""
        source = self.sources.tables.get(table)
        return () if source is None else tuple(source.located(self.root))
