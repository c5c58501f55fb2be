"""Experiments read back: the ledger of the nights before, and imported campaigns, against what users did since."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property, partial

import dagster as dg
import polars as pl

from dagster_project.defs.frame_tables import frame_assets
from dagster_project.ingest.user_keys import view_user_keys
from dagster_project.lake.duck import frame
from dagster_project.lifecycle.tables import PARAMETERS, STAGES
from dagster_project.outcomes.counting import OUTCOMES, count_outcomes
from dagster_project.outcomes.decided import DECIDED, decisions_of, with_decided_on
from dagster_project.outcomes.entries import (
    LEDGER,
    Assignments,
    assignment_rows,
    first_entries,
    set_aside,
)
from dagster_project.outcomes.facts import Facts, read_facts
from dagster_project.outcomes.faults import find_faults
from dagster_project.outcomes.imports import imported_query, imported_rows, with_control_named
from dagster_project.outcomes.measured import measured
from dagster_project.outcomes.persons import known_persons, one_per_person, shared_accounts
from dagster_project.outcomes.plans import USUAL_SHARE
from dagster_project.outcomes.power import strategy_power
from dagster_project.outcomes.readout import AT_ONCE, ReadoutRules, decision_horizon, read_experiments
from dagster_project.outcomes.second_life import second_lives
from dagster_project.outcomes.tables import (
    BALANCE,
    DECISIONS,
    ENTRIES,
    EXPERIMENTS,
    MONEY,
    POWER,
    READOUTS,
    SECOND_LIFE,
    TABLES,
)
from dagster_project.outcomes.verdicts import BROKEN
from dagster_project.outcomes.vocabulary import DAYS_BEFORE, EXPLORE
from dagster_project.project import Project
from dagster_project.reach.consents import WITHDRAWN
from dagster_project.reports.experiment_pages import OutcomeContent
from dagster_project.reports.markdown import page_markdown
from dagster_project.reports.outcomes import about_pages, pages
from dagster_project.strategy.ledger import ASSIGNMENTS

POWER_NIGHTS = 28
ROWS_TOGETHER = 1_000_000  # of assignments in a portion, unless one experiment has more
ASSIGNED = "strategy.assignments"
DAYS = ("intermediate.user_days", "intermediate.response_days")
THRESHOLD = pl.col("churn_threshold_days")


def make_outcomes(project: Project, as_of: date) -> Mapping[str, pl.DataFrame]:
    """Every experiment that the night knows of: entries, readouts, money, second lives, and what could be seen."""
    parts = list(night_parts(OutcomeNight(project, as_of)))
    return {doc.table: pl.concat([part[doc.table] for part in parts]) for doc in TABLES}


def night_parts(night: "OutcomeNight") -> Iterator[Mapping[str, pl.DataFrame]]:
    """The tables of the layer, a portion of the experiments each, in the order of their names: one part at least."""
    night.facts  # noqa: B018 (before the portions, which all need them, begin side by side)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield from pool.map(partial(read_portion, night), night.portions() or [[]])


def read_portion(night: "OutcomeNight", names: Sequence[str]) -> Mapping[str, pl.DataFrame]:
    """The tables of some experiments."""
    assigned = night.assigned(names)
    return read_entries(night, assigned, count_entries(night, assigned))


def count_entries(night: "OutcomeNight", assigned: Assignments) -> pl.DataFrame:
    """Who entered, one row per person and experiment, and what came of each."""
    return with_outcomes(night, one_per_person(first_entries(assigned), night.persons))


def read_entries(night: "OutcomeNight", assigned: Assignments, entries: pl.DataFrame) -> Mapping[str, pl.DataFrame]:
    """What the entries show: the tables of their experiments."""
    found = read_experiments(entries, find_faults(assigned, entries, as_of=night.as_of), rules=night.rules)
    broken = found.experiments.filter(pl.col("decision") == BROKEN)["experiment_id"].to_list()
    told = with_set_aside(found.experiments, set_aside(assigned))
    return {
        ENTRIES.table: entries.with_columns((~pl.col("experiment_id").is_in(broken)).alias("is_randomised")),
        EXPERIMENTS.table: with_decided_on(told, night.decided_before, as_of=night.as_of),
        DECISIONS.table: found.decisions,
        BALANCE.table: found.balance,
        READOUTS.table: found.readouts,
        MONEY.table: found.money,
        SECOND_LIFE.table: second_lives(entries, broken=broken),
        POWER.table: power_of_night(night, entries),
    }


def with_set_aside(experiments: pl.DataFrame, aside: pl.DataFrame) -> pl.DataFrame:
    """The experiments, whose explanations also count the users who are left out, and say why."""
    said = pl.format(" Users set aside, {}: {}.", "reason", "n_users")
    told = aside.rechunk().group_by("experiment_id", maintain_order=True).agg(said.str.join("").alias("said"))
    return (
        experiments.join(told, on="experiment_id", how="left")
        .with_columns(pl.concat_str("explanation", pl.col("said").fill_null("")).alias("explanation"))
        .select(experiments.columns)
        .sort("experiment_id")
    )


@dataclass(frozen=True)
class OutcomeNight:
    """What the readouts of one night read from the store, each once."""

    project: Project
    as_of: date

    @cached_property
    def horizon_days(self) -> int:
        """The night's own."""
        return int(self.project.read("lifecycle.parameters", as_of=self.as_of)["horizon_days"][0])

    @cached_property
    def rules(self) -> ReadoutRules:
        """What the night tells its readouts; horizons that an earlier night has named stay."""
        return ReadoutRules(
            decision_days=decision_horizon(self.horizon_days),
            margin_share=self.project.settings.value.margin_share,
            fixed_days=self._named_before(),
            measured=measured({name: one.events for name, one in self.project.settings.sources.tables.items()}),
            records_from=self.records_from,
        )

    @cached_property
    def records_from(self) -> date:
        """The first day with an event: of none before it is it known who was active."""
        return self.project.event_days()[0]

    @cached_property
    def holdout_experiment(self) -> str:
        """The name of the experiment of all."""
        return self.project.decision_rules().experiment_id

    @cached_property
    def _newest_before(self) -> tuple[date, pl.DataFrame] | None:
        """The newest night before this one that decided something, and what it said of each experiment.

        A backfilled night decided nothing: what it would have said is nobody's word.
        """
        kept = self.project.lake.index(EXPERIMENTS.table)
        nights = [key for key in self.ledger_nights if key in kept]
        if not nights:
            return None
        return date.fromisoformat(max(nights)), self.project.lake.read(EXPERIMENTS.table, key=max(nights))

    def _named_before(self) -> dict[str, int]:
        if self._newest_before is None:
            return {}
        return dict(self._newest_before[1].select("experiment_id", "decision_days").iter_rows())

    @cached_property
    def decided_before(self) -> pl.DataFrame:
        """DECIDED of the newest night before."""
        if self._newest_before is None:
            return DECIDED.to_frame()
        night, experiments = self._newest_before
        return decisions_of(experiments, night=night)

    @cached_property
    def persons(self) -> pl.DataFrame:
        """Everybody who was ever given a key, whether the night sees more of them or not."""
        with self.project.connect() as con:
            view_user_keys(con, self.project.lake)
            keys = frame(con, "select user_sk, user_id from known_keys")
        users = self.project.scan("marts.users", as_of=self.as_of).select("user_sk", "person_key").collect()
        return known_persons(keys, users)

    @cached_property
    def shared(self) -> pl.DataFrame:
        """The accounts of persons who have several."""
        return shared_accounts(self.persons)

    @cached_property
    def ledger_nights(self) -> list[str]:
        """The nights before this one that decided something."""
        return [key for key in self.project.lake.index(ASSIGNED) if key < self.as_of.isoformat()]

    @cached_property
    def _ledger(self) -> pl.LazyFrame:
        # A night of an older version lacks the columns that came later.
        scans = [pl.scan_parquet(self.project.lake.path(ASSIGNED, key), glob=False) for key in self.ledger_nights]
        return pl.concat([ASSIGNMENTS.to_frame().lazy(), *scans], how="diagonal").select(list(ASSIGNMENTS))

    @cached_property
    def _imported(self) -> pl.DataFrame | None:
        settings = self.project.settings
        source = settings.sources.tables.get("assignments")
        if source is None:
            return None
        query = imported_query(source_zone=source.timezone or settings.timezone, business_zone=settings.timezone)
        told = self.project.ask(query, table="staging.assignments", as_of=self.as_of)
        accounts = self.persons.select("user_id", pl.col("account_sk").alias("user_sk"))
        costs = {name: channel.cost for name, channel in settings.channels.items()}
        return imported_rows(told.join(accounts, on="user_sk", how="inner"), costs=costs)

    def portions(self) -> list[list[str]]:
        """The experiments by name, as many together as fit into memory with ease."""
        frames = [self._ledger] + ([] if self._imported is None else [self._imported.lazy()])
        counts = pl.concat([rows.select("experiment_id") for rows in frames]).group_by("experiment_id").len()
        made: list[list[str]] = []
        n_together = 0
        for name, n_rows in counts.sort("experiment_id").collect(engine="streaming").iter_rows():
            if not made or n_together + n_rows > ROWS_TOGETHER:
                made.append([])
                n_together = 0
            made[-1].append(name)
            n_together += n_rows
        return made

    def assigned(self, names: Sequence[str]) -> Assignments:
        """The rows of the ledger before the night and of imported campaigns in these experiments."""
        mine = pl.col("experiment_id").is_in(list(names))
        ledger = self._ledger.filter(mine).collect(engine="streaming")
        frames = [
            ledger.with_columns(
                (pl.col("as_of") + timedelta(days=1)).alias("assigned_on"), pl.lit(LEDGER).alias("origin")
            )
        ]
        if self._imported is not None:
            frames.append(self._imported.filter(mine))
        assigned = assignment_rows(*frames, records_from=self.records_from, shared=self.shared)
        return with_control_named(assigned)

    @cached_property
    def facts(self) -> Facts:
        """What those did who are in any experiment, read once for all of them."""
        frames = [self._ledger.select("user_id", pl.col("as_of").alias("on"))]
        if self._imported is not None:
            frames.append(self._imported.lazy().select("user_id", pl.col("assigned_on").alias("on")))
        entered = pl.concat(frames).group_by("user_id").agg(pl.col("on").min()).collect(engine="streaming")
        persons = self.persons.join(entered, on="user_id", how="semi").select("user_sk")
        since = entered.select(pl.col("on").min()).item() or self.as_of
        with self.project.connect() as con:
            for table in DAYS:
                self.project.builder().view(con, table, through=self.as_of)
            return read_facts(
                con,
                self.persons.join(persons, on="user_sk", how="semi"),
                since=since - timedelta(days=DAYS_BEFORE),
                as_of=self.as_of,
                withdrawals=withdrawals(self.project, self.as_of),
                referrals=referrals(self.project, self.as_of),
            )

    @cached_property
    def _thresholds_tonight(self) -> pl.DataFrame:
        return self.project.scan(STAGES.table, as_of=self.as_of).select("user_sk", THRESHOLD).collect()

    def thresholds(self, entries: pl.DataFrame) -> pl.Series:
        """The churn threshold of each entry as at entry; tonight's where no night has looked at the user then."""
        kept = self.project.lake.index(STAGES.table)
        days = entries.filter(pl.col("origin") == LEDGER)["assigned_on"].unique().sort()
        nights = [night for day in days if (night := day - timedelta(days=1)).isoformat() in kept]
        found = entries.select("user_sk", "assigned_on").join(
            self._thresholds_tonight, on="user_sk", how="left", maintain_order="left"
        )
        if not nights:
            return found["churn_threshold_days"]
        at_entry = [
            self.project.scan(STAGES.table, as_of=night).select(
                "user_sk", pl.lit(night + timedelta(days=1)).alias("assigned_on"), THRESHOLD.alias("noted")
            )
            for night in nights
        ]
        key = ["user_sk", "assigned_on"]
        noted = pl.concat(at_entry).join(found.lazy().select(key), on=key, how="semi").collect()
        return found.join(noted, on=key, how="left", maintain_order="left").select(
            pl.coalesce("noted", THRESHOLD).alias("churn_threshold_days")
        )["churn_threshold_days"]


def with_outcomes(night: OutcomeNight, entries: pl.DataFrame) -> pl.DataFrame:
    """The entries with what came of each by the night, sorted as they were."""
    if entries.is_empty():
        return entries.drop("user_sk", "is_known").hstack(OUTCOMES.to_frame().drop("user_sk", "assigned_on"))
    # Who has no key has done nothing that was taken in: a key of its own, below all others, finds nothing.
    keyed = entries.with_columns(pl.col("user_sk").fill_null(-1 - pl.int_range(pl.len())))
    starts = keyed.select("user_sk", "assigned_on", "is_known", night.thresholds(keyed))
    counted = count_outcomes(starts, night.facts, as_of=night.as_of)
    return entries.drop("user_sk", "is_known").hstack(counted.drop("user_sk", "assigned_on"))


def withdrawals(project: Project, as_of: date) -> pl.DataFrame | None:
    """user_sk, dt of consents withdrawn; None where consents are not kept."""
    if "consents" not in project.settings.sources.tables:
        return None
    said = pl.col("status").str.to_lowercase().is_in(WITHDRAWN)
    return project.seen("staging.consents", as_of=as_of).filter(said).select("user_sk", "dt")


def referrals(project: Project, as_of: date) -> pl.DataFrame | None:
    """user_sk, dt of users who brought another; None where links are not kept."""
    if "links" not in project.settings.sources.tables:
        return None
    dated = pl.col("dt").is_not_null() & pl.col("kind").str.to_lowercase().str.contains("referral")
    return project.seen("staging.links", as_of=as_of).filter(dated).select("user_sk", "dt")


def power_of_night(night: OutcomeNight, entries: pl.DataFrame) -> pl.DataFrame:
    """What each strategy's comparison with the global holdout could show, from the nights of late."""
    holdout = night.project.settings.holdout
    since = night.as_of - timedelta(days=POWER_NIGHTS)
    recent = entries.filter(
        (pl.col("experiment_id") == night.holdout_experiment)
        & (pl.col("arm") != EXPLORE)
        & (pl.col("assigned_on") > since)
    )
    return strategy_power(
        recent,
        n_nights=len([key for key in night.ledger_nights if since.isoformat() <= key]),
        control_share=holdout.control_share / (1 - holdout.explore_share),
        horizon_days=night.horizon_days,
        fallback_share=USUAL_SHARE,
    )


def experiment_facts(project: Project, as_of: date, made: Mapping[str, pl.DataFrame]) -> dict[str, object]:
    """A page per experiment, as the report has it, by the name of the experiment."""
    content = OutcomeContent(
        experiments=made[EXPERIMENTS.table],
        decisions=made[DECISIONS.table],
        balance=made[BALANCE.table],
        readouts=made[READOUTS.table],
        money=made[MONEY.table],
        second_life=made[SECOND_LIFE.table],
        power=made[POWER.table],
    )
    shown = pages(content, as_of=as_of, currency=project.settings.currency)
    left_out = about_pages(len(shown), content.experiments.height)
    told = {f"experiment {page.experiment_id}": dg.MetadataValue.md(page_markdown(page)) for page in shown}
    return told | ({"experiments without a page": left_out} if left_out else {})


@dg.definitions
def outcomes() -> dg.Definitions:
    """Every table of the layer."""
    made = frame_assets(
        TABLES,
        make_outcomes,
        reads=[
            *DAYS,
            "staging.assignments",
            "staging.consents",
            "staging.links",
            "marts.users",
            STAGES,
            PARAMETERS,
        ],
        facts_of_all={EXPERIMENTS.table: experiment_facts},
    )
    return dg.Definitions(assets=[made])
