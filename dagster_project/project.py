"""A settings file and what it stands for: the lake, its sources, the builder of its tables.

The one place where settings turn into the plain values that the pure packages take.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import polars as pl

from dagster_project.compliance.packs import LawBook, load_packs
from dagster_project.compliance.zones import zone_names
from dagster_project.errors import DataQualityError, LakeError, SettingsError, WinbackError
from dagster_project.freshness import Freshness, freshness
from dagster_project.ingest.arrivals import LakeArrivals
from dagster_project.ingest.check import check_source
from dagster_project.ingest.raw import Layout
from dagster_project.ingest.take_in import QUARANTINE, QUARANTINE_SCHEMA, Source, TakenIn, take_in
from dagster_project.ingest.typed import Reading
from dagster_project.ingest.user_keys import view_user_keys
from dagster_project.lake.build import Builder, Built
from dagster_project.lake.duck import connect, frame
from dagster_project.lake.sql_model import SqlModel, load_models
from dagster_project.lake.store import Lake, fingerprint
from dagster_project.lifecycle import LifecycleChoices, StageRules, estimate_rules
from dagster_project.models.shipping import ModelSpec
from dagster_project.reach.caps import Cap
from dagster_project.reach.contact_points import GateRules
from dagster_project.settings import CANONICAL, Settings, load_settings
from dagster_project.settings.model import USUAL_SALT
from dagster_project.strategy.catalogue import Catalogue, CatalogueSource, strategy_ids, usable_catalogue
from dagster_project.strategy.catalogue_files import StrategyFault
from dagster_project.strategy.content import TemplateFault, closed_content, review_catalogue
from dagster_project.strategy.hands import Hands, is_waiting
from dagster_project.strategy.holdout import experiment_of
from dagster_project.strategy.ledger import ASSIGNMENTS
from dagster_project.strategy.priors import Beliefs, load_priors
from dagster_project.strategy.rules import ChannelRules, DecisionRules
from dagster_project.strategy.words import slots_with_data

DAY_TABLES = ("staging.events", "staging.message_events", "staging.feedback")
WHOLE_TABLES = ("staging.users", "staging.subscriptions", "staging.consents", "staging.links", "staging.assignments")
EARLIEST_NIGHT = date(1990, 1, 1)  # where the calendar begins for settings without first_as_of
NO_EVENT_TYPE = ("",)  # an empty list has no type that DuckDB could bind


@dataclass(frozen=True)
class Project:
    """Everything that a night needs to know of where it is and what it was told."""

    settings: Settings

    @staticmethod
    def load(path: Path) -> "Project":
        """The project of a settings file.

        Raises:
            SettingsError: the file is missing or says something impossible.
        """
        return Project(load_settings(path))

    @cached_property
    def lake(self) -> Lake:
        """The store."""
        return Lake(self.settings.data_dir / "lake")

    @property
    def kept_models(self) -> Path:
        """The folder of the models of past nights. Only this program may write to it: they are unpickled."""
        return self.settings.data_dir / "models"

    @property
    def first_night(self) -> date:
        """The first day that can be an `as_of`."""
        return self.settings.first_as_of or EARLIEST_NIGHT

    @cached_property
    def models(self) -> Mapping[str, SqlModel]:
        """The SQL models by table."""
        return load_models()

    @cached_property
    def sources(self) -> Mapping[str, Source]:
        """The sources that the settings name, by canonical table."""
        return {name: self._source(name) for name in self.settings.sources.tables}

    @property
    def arrivals(self) -> LakeArrivals:
        """What has been taken in until now."""
        return LakeArrivals(self.lake, self.sources)

    def connect(self) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
        """A connection to an empty database, with the settings' threads and memory."""
        return connect(
            spill=self.settings.data_dir / "tmp",
            threads=self.settings.engine.threads,
            memory_limit=self.settings.engine.memory_limit,
        )

    def take_in(self, table: str) -> TakenIn | None:
        """Read the new files of a source; None for a table that the settings do not name."""
        if table not in self.sources:
            return None
        return take_in(
            self.sources[table],
            lake=self.lake,
            connect=self.connect,
            landing=self.settings.data_dir / "landing",
            max_quarantine_share=self.settings.quality.max_quarantine_share,
        )

    def check_sources(self) -> dict[str, int]:
        """How many files each source has, all of them with the columns that the settings name.

        Raises:
            SourceError: a file is missing or does not fit.
        """
        landing = self.settings.data_dir / "landing"
        return {
            name: check_source(source, connect=self.connect, landing=landing) for name, source in self.sources.items()
        }

    def builder(self, **values: Any) -> Builder:
        """A builder that binds the settings' values and those given."""
        core = self.settings.core_events
        bound = {
            "core_events": list(core or NO_EVENT_TYPE),
            "counts_all": core is None,
            "timezone": self.settings.timezone,
            "zones": list(zone_names()),
            **values,
        }
        return Builder(self.lake, self.models, self.arrivals, bound, self.connect)

    def build(self, table: str, *, as_of: date | None = None) -> Built:
        """Bring one table in line with its inputs.

        Raises:
            DataQualityError: the night is before the first event.
        """
        if as_of is not None and as_of < (first := self.event_days()[0]):
            raise before_first_event(as_of, first)
        values: dict[str, Any] = {}
        if as_of is not None and "window_days" in self.models[table].params:
            values["window_days"] = self.rules(as_of).horizon_days
        return self.builder(**values).build(table, as_of=as_of)

    def seen(self, table: str, *, as_of: date) -> pl.DataFrame:
        """The rows of a table that a night may see."""
        with self.connect() as con:
            self.builder().view(con, table, through=as_of)
            return frame(con, f"from {table}")

    def ask(self, query: str, *, table: str, as_of: date, **frames: pl.DataFrame) -> pl.DataFrame:
        """What a query says of one table as the night may see it, and of `frames` by their names."""
        with self.connect() as con:
            self.builder().view(con, table, through=as_of)
            for name, rows in frames.items():
                con.register(name, rows)
            return frame(con, query)

    def read(self, table: str, *, as_of: date) -> pl.DataFrame:
        """A table that the night `as_of` has made."""
        return self.lake.read(table, key=as_of.isoformat())

    def scan(self, table: str, *, as_of: date) -> pl.LazyFrame:
        """A table that the night `as_of` has made, of which only what is asked for gets read."""
        return pl.scan_parquet(self.lake.path(table, as_of.isoformat()), glob=False)

    def write(self, table: str, made: pl.DataFrame, *, as_of: date) -> None:
        """Put a table of a night in place. Tables of functions are made anew in every run of their night."""
        self.lake.write(table, made, key=as_of.isoformat(), fingerprint="made by a function")

    def rules(self, as_of: date, *, horizon_days: int | None = None) -> StageRules:
        """The yardsticks of any day, from what was visible on it; with another day's horizon if given."""
        choices = LifecycleChoices(
            horizon_days=horizon_days or self.settings.horizon_days,
            calendar_days=self.settings.churn.calendar_days,
            max_return_share=self.settings.churn.max_return_share,
            primary=self.settings.churn.primary,
        )
        return estimate_rules(self.at("marts.users", as_of=as_of), as_of=as_of, choices=choices)

    def model_spec(self, as_of: date) -> ModelSpec:
        """What the settings tell a night's models."""
        return ModelSpec(
            as_of=as_of,
            horizon_days=self.rules(as_of).horizon_days,
            seed=self.settings.seed,
            max_training_rows=self.settings.models.max_training_rows,
            value_per_active_day=self.settings.value.value_per_active_day,
        )

    def at(self, table: str, *, as_of: date, **values: Any) -> pl.DataFrame:
        """A table of SQL as it was on any day, made first if need be, with what it reads."""
        self.builder(**values).build_with_inputs(table, as_of=as_of)
        return self.lake.read(table, key=as_of.isoformat())

    def compute(self, table: str, *, as_of: date, **values: Any) -> pl.DataFrame:
        """The rows that a model gives as of a day with other values than the night's, without keeping them."""
        return self.builder(**values).compute(table, as_of=as_of)

    def candidates(self, as_of: date) -> pl.DataFrame:
        """Every user of a night with stage, scores and, if churned, the reason."""
        stages = self.read("lifecycle.stages", as_of=as_of).drop("user_id")
        scores = self.read("models.scores", as_of=as_of).drop("user_id")
        contracts = self.read("models.contract_scores", as_of=as_of).select("user_sk", "p_churn")
        reasons = self.read("reasons.reasons", as_of=as_of).select("user_sk", "reason", "reason_confidence")
        users = self.read("marts.users", as_of=as_of)
        for more in (stages, scores, contracts, reasons):
            users = users.join(more, on="user_sk", how="left")
        return users.sort("user_id")

    @property
    def catalogue(self) -> Catalogue:
        """The strategies that a night may use: whole, with data for their words, and left on by the settings."""
        return self._usable[0]

    @property
    def strategy_faults(self) -> tuple[StrategyFault, ...]:
        """What of the catalogue sits out, and why."""
        return self._usable[1]

    @cached_property
    def _usable(self) -> tuple[Catalogue, tuple[StrategyFault, ...]]:
        chosen, source = self.settings.strategies, self.catalogue_source
        known = strategy_ids(source)
        for key, ids in chosen.named.items():
            if unknown := sorted(set(ids) - known):
                raise SettingsError(
                    f"strategies.{key}: no strategy is called {unknown[0]!r}",
                    fix=f"write ids of the catalogue: {', '.join(sorted(known))}",
                )
        catalogue, faults = usable_catalogue(source, available_slots=self._slots_with_data())
        left_on = tuple(s for s in catalogue.strategies if s.id not in chosen.disabled)
        return Catalogue(strategies=left_on), tuple(f for f in faults if f.strategy_id not in chosen.disabled)

    @property
    def catalogue_source(self) -> CatalogueSource:
        """Where the strategies come from."""
        chosen = self.settings.strategies
        return CatalogueSource(
            folder=self.settings.strategies_dir,
            industry=self.settings.compliance.industry,
            kept=frozenset(chosen.enabled),
            channels=frozenset(self.settings.channels),
        )

    def _slots_with_data(self) -> frozenset[str]:
        """The places in templates that some source can fill."""
        mapped = {table: tuple(one.columns) for table, one in self.settings.sources.tables.items()}
        given = {"compliance": ("postal_address",)} if self.settings.compliance.postal_address else {}
        return slots_with_data({**mapped, **given})

    def hands(self, as_of: date) -> Hands:
        """What people decided of strategies, as it stands on a night."""
        chosen = self.settings.strategies
        return Hands(
            pinned=tuple(one for one in chosen.pinned if one not in chosen.disabled),
            max_contacts=chosen.max_contacts,
            waiting=is_waiting(chosen.approval, chosen.approved_until, as_of=as_of),
            control_shares=chosen.control_shares,
            switched_off=chosen.disabled,
            sitting_out={fault.strategy_id: fault.sentence for fault in self.strategy_faults if fault.sits_out},
        )

    @cached_property
    def law_book(self) -> LawBook:
        """The packs of rules, and which of them binds whom.

        Raises:
            PackError: a pack is broken, or the settings name one that is not there.
        """
        chosen = self.settings.compliance
        folder = None if chosen.folder is None else self.settings.root / Path(chosen.folder).expanduser()
        return LawBook(load_packs(folder), chosen=chosen.pack, countries=chosen.countries)

    @cached_property
    def content_faults(self) -> tuple[TemplateFault, ...]:
        """The templates that must not be used, and why."""
        chosen = self.settings.compliance
        return review_catalogue(
            self.catalogue,
            laws=self.law_book.every_law(),
            industry=chosen.industry,
            postal_address=chosen.postal_address,
        )

    def gate_rules(self, as_of: date) -> GateRules:
        """What decides which channels a user may be reached on the day after `as_of`."""
        settings = self.settings
        caps = settings.caps
        return GateRules(
            book=self.law_book,
            channels=tuple(settings.channels),
            send_on=as_of + timedelta(days=1),
            ready_at=self.decision_rules().ready_at(as_of).astimezone(UTC).replace(tzinfo=None),
            categories=frozenset(word.lower() for word in settings.compliance.categories),
            caps=(
                Cap(rule_id="cap.day", max_messages=caps.max_touches_per_day, hours=24),
                Cap(rule_id="cap.week", max_messages=caps.max_touches_per_week, hours=168),
                *(
                    Cap(rule_id="cap.channel", max_messages=most, hours=168, channels=frozenset({name}))
                    for name, channel in settings.channels.items()
                    if (most := channel.max_touches_per_week) is not None
                ),
            ),
            exempt=frozenset(word.lower() for word in caps.exempt_categories),
        )

    def decision_rules(self) -> DecisionRules:
        """The limits of a night's decision."""
        settings = self.settings
        return DecisionRules(
            salt=settings.holdout.salt,
            channels={
                name: ChannelRules(
                    cost=channel.cost,
                    capacity=channel.capacity,
                    hourly_capacity=channel.hourly_capacity,
                    open_hour=channel.opens_at.hour + (channel.opens_at.minute > 0),
                    close_hour=channel.closes_at.hour,
                )
                for name, channel in settings.channels.items()
            },
            book=self.law_book,
            closed_content=closed_content(self.content_faults),
            beliefs=Beliefs(load_priors()),
            caution=settings.value.caution,
            harm_if_unknown=settings.value.harm_if_unknown,
            reach_worth_share=settings.value.reach_worth_share,
            margin_share=settings.value.margin_share,
            business_timezone=settings.timezone,
            control_share=settings.holdout.control_share,
            experiment_id=experiment_of(settings.holdout.salt, usual=USUAL_SALT),
            explore_share=settings.holdout.explore_share,
            budget_per_night=settings.budget.per_night,
            max_contacts=settings.budget.max_contacts,
            min_days_between=settings.caps.min_days_between,
            value_if_unknown=settings.value.value_per_active_day,
            equal_offers_for_all=settings.strategies.equal_offers,
            early_warning_share=settings.strategies.early_warning_share,
        )

    def ledger_rows(self, *, after: date, before: date) -> pl.DataFrame:
        """The ledger of the nights strictly between two days."""
        table = "strategy.assignments"
        nights = [key for key in self.lake.index(table) if after.isoformat() < key < before.isoformat()]
        frames = [self.lake.read(table, key=key) for key in nights]
        # A night of an older version lacks the columns that came later.
        return pl.concat([ASSIGNMENTS.to_frame(), *frames], how="diagonal").select(list(ASSIGNMENTS))

    def quarantine(self) -> pl.DataFrame:
        """The bad rows of the deliveries that count."""
        keys = [delivery.key for name in self.sources for delivery in self.arrivals.active(name)]
        frames = [self.lake.read(QUARANTINE, key=key) for key in keys]
        return pl.concat(frames) if frames else pl.DataFrame(schema=QUARANTINE_SCHEMA)

    def n_seen(self, table: str, *, as_of: date) -> int:
        """How many rows of a table a night may see."""
        with self.connect() as con:
            self.builder().view(con, table, through=as_of)
            return int(con.sql(f"select count(*) from {table}").fetchall()[0][0])

    def data_hash(self, as_of: date) -> str:
        """Changes exactly when a row changes that the night may see."""
        days = {table: self.builder().content(table, as_of=as_of) for table in DAY_TABLES}
        with self.connect() as con:
            view_user_keys(con, self.lake)
            rows = {table: self._row_hash(con, table, as_of) for table in WHOLE_TABLES}
        return fingerprint(days, rows)

    def _row_hash(self, con: duckdb.DuckDBPyConnection, table: str, as_of: date) -> list[object]:
        self.builder().view(con, table, through=as_of)
        hidden = [name for name in ("user_sk", "delivery") if name in self.models[table].columns]
        return list(
            con.sql(
                "select count(*), "
                "cast(sum(cast(md5_number_lower(cast(to_json(row) as varchar)) as hugeint)) as varchar) "
                f"from (select keys.user_id, staged.* exclude ({', '.join(hidden)}) from {table} as staged "
                "join known_keys as keys using (user_sk)) as row"
            ).fetchall()[0]
        )

    def night_to_run(self, as_of: date | None) -> date:
        """The night that was asked for, or the newest day with events that is over.

        Raises:
            DataQualityError: the day is not over yet, or the calendar of nights begins after it.
        """
        days = self._event_days_taken_in()
        newest = max((day for day in days if day <= self.yesterday()), default=self.yesterday())
        night = newest if as_of is None else as_of
        if days and night < min(days):
            raise before_first_event(night, min(days))
        if night > (yesterday := self.yesterday()):
            raise DataQualityError(f"{night} is not over in {self.settings.timezone}", fix=f"--as-of {yesterday}")
        if night < self.first_night:
            raise DataQualityError(
                f"{night} is before {self.first_night}, the first night of the calendar",
                fix=f"write first_as_of = {night} into the settings, or choose a later night",
            )
        return night

    def _event_days_taken_in(self) -> list[date]:
        """The days of the events, after reading what is new; none if that fails."""
        try:
            self.take_in("events")
        except WinbackError:
            return []  # the run meets the same error, and Dagster keeps the record of it
        return [date.fromisoformat(day) for day in self.arrivals.days("ingest.events") if day]

    def yesterday(self) -> date:
        """The last day that is over in the business zone. Only commands ask; a night is told its day."""
        return datetime.now(ZoneInfo(self.settings.timezone)).date() - timedelta(days=1)

    def newest_night(self) -> date:
        """The newest night that has made its lists.

        Raises:
            LakeError: none has.
        """
        nights = self.lake.index("cohorts.contacts")
        if not nights:
            raise LakeError("no night has been run yet", fix="winback run")
        return date.fromisoformat(max(nights))

    def event_days(self) -> tuple[date, date]:
        """The first and the last day with an event.

        Raises:
            DataQualityError: there is no event at all.
        """
        days = self._days_with_events()
        if not days:
            raise DataQualityError(
                "sources.events: no row of it is an event of a known user",
                fix="deliver a file with events, or correct sources.events (path, columns, where)",
            )
        return days[0], days[-1]

    def freshness(self, as_of: date) -> Freshness:
        """How near the events come to a night."""
        return freshness(self._days_with_events(), as_of=as_of)

    def _days_with_events(self) -> list[date]:
        index = self.lake.index("staging.events")
        return [date.fromisoformat(day) for day, part in index.items() if part.rows]

    def _source(self, name: str) -> Source:
        given = self.settings.sources.tables[name]
        return Source(
            name=name,
            patterns=self.settings.source_paths(name),
            root=self.settings.root,
            layout=Layout(
                format=given.file_format,
                delimiter=given.delimiter,
                header=given.header,
                names=given.names or (),
                encoding=given.encoding,
                null_values=given.null_values,
            ),
            reading=Reading(
                table=CANONICAL[name],
                columns=given.columns,
                where=given.where,
                source_zone=given.timezone or self.settings.timezone,
                business_zone=self.settings.timezone,
                earliest_on=self.settings.quality.earliest_on,
                latest_on=self.settings.quality.latest_on,
                core_events=self.settings.core_events,
                events=tuple((given.events or {}).items()),
            ),
        )


def before_first_event(as_of: date, first: date) -> DataQualityError:
    """A night of which nothing can be known."""
    return DataQualityError(
        f"as_of {as_of} is before the first event, which is of {first}", fix=f"choose a night from {first} on"
    )
