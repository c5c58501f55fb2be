"""Logs in which outages are looked for: a database that shows each night what it may see, and drawn worlds."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import numpy as np
import polars as pl

from dagster_project.lake.duck import connect, frame
from dagster_project.lake.sql_model import load_models
from dagster_project.outages.deliveries import DeliveryOutage, find_delivery_outages
from dagster_project.outages.flows import Grid, count_flows
from dagster_project.outages.night import SEND_DAYS
from dagster_project.outages.recorders import Outage, find_recorder_outages
from dagster_project.simulate import Outage as Planted
from dagster_project.simulate import WorldSpec

CORE = ["app_open", "view", "purchase"]


@dataclass(frozen=True)
class Log:
    """A log in a database: nights can be looked at one after the other."""

    con: duckdb.DuckDBPyConnection

    def grid(self, as_of: date) -> Grid | None:
        """The returns that a night may see."""
        query = load_models()["marts.return_flows"].query.replace("intermediate.platform_days", "seen_days")
        self.con.execute(f"create or replace view seen_days as from days where dt <= date '{as_of}'")
        return count_flows(frame(self.con, query, {"as_of": as_of}), as_of=as_of)

    def outages(self, as_of: date) -> list[tuple[Outage, date, date]]:
        """What the night finds, with first day and day after the last."""
        grid = self.grid(as_of)
        found = find_recorder_outages(grid) if grid else []
        return [(outage, grid.day(outage.fall.start), grid.day(outage.fall.end)) for outage in found] if grid else []

    def deliveries(self, as_of: date) -> list[DeliveryOutage]:
        """What the night finds wrong with messages."""
        self.con.execute(f"create or replace view intermediate.message_steps as from steps where dt <= date '{as_of}'")
        self.con.execute(f"create or replace view intermediate.platform_days as from days where dt <= date '{as_of}'")
        sends, hourly = (
            frame(self.con, load_models()[table].query, {"as_of": as_of})
            for table in ("marts.send_outcomes", "marts.hourly_sends")
        )
        return find_delivery_outages(sends, hourly, first_on=first_seen(as_of), as_of=as_of)


def first_seen(as_of: date) -> date:
    """The first day of the messages that a night looks at."""
    return as_of - timedelta(days=SEND_DAYS - 1)


@contextmanager
def opened(events: pl.DataFrame, users: pl.DataFrame, messages: pl.DataFrame | None = None) -> Iterator[Log]:
    """A log of canonical events (user_id, occurred_at, event_type, platform, app_version) and users (country)."""
    with TemporaryDirectory() as folder, connect(spill=Path(folder), threads=2) as con:
        keys = events.select("user_id").unique().sort("user_id").with_row_index("user_sk")
        staged = events.join(keys, on="user_id").select(
            pl.col("user_sk").cast(pl.Int64),
            "occurred_at",
            _business_day(),
            "event_type",
            "platform",
            "app_version",
            pl.int_range(pl.len()).cast(pl.String).alias("row_hash"),
        )
        known = keys.join(users, on="user_id", how="left").select(
            pl.col("user_sk").cast(pl.Int64), "user_id", "country"
        )
        con.execute("create schema staging; create schema marts")
        con.register("staged", staged)
        con.register("known", known)
        con.execute("create table staging.events as from staged")
        con.execute("create table marts.users as from known")
        query = load_models()["intermediate.platform_days"].query
        days = frame(con, query, {"core_events": CORE, "counts_all": False})
        con.register("made", days)
        con.execute("create table days as from made order by dt, user_sk")
        if messages is not None:
            sent = messages.join(keys, on="user_id").with_columns(
                pl.col("user_sk").cast(pl.Int64), _business_day(), pl.int_range(pl.len()).alias("row_hash")
            )
            con.register("sent", sent)
            con.execute("create schema intermediate; create table staging.message_events as from sent")
            made = frame(con, load_models()["intermediate.message_steps"].query)
            con.register("steps_made", made)
            con.execute("create table steps as from steps_made")
        yield Log(con)


def _business_day() -> pl.Expr:
    """The day in the zone of the simulated company, as ingestion dates it."""
    at = pl.col("occurred_at").dt.replace_time_zone("UTC").dt.convert_time_zone(WorldSpec().business_timezone)
    return at.dt.date().alias("dt")


def drawn_spec(seed: int, *, outages: tuple[Planted, ...], n_users: int) -> WorldSpec:
    """A world whose rhythm, season and size come from the seed."""
    rng = np.random.default_rng(seed)
    return WorldSpec(
        n_users=n_users,
        seed=seed,
        first_on=date(2023, 1, 1) + timedelta(days=int(rng.integers(0, 365))),
        n_days=420,
        usual_gap_days=float(rng.uniform(5, 25)),
        gap_log_sd_between=float(rng.uniform(0.4, 1.0)),
        seasonal_amplitude=float(rng.uniform(0, 0.5)),
        stay_days=float(rng.uniform(60, 250)),
        leaver_share=float(rng.uniform(0.4, 0.9)),
        stuck_version_share=float(rng.uniform(0.04, 0.2)),
        outages=outages,
        campaign_day=200,
    )


def place(*names: str | None) -> str:
    """Platform, version and country in one word."""
    return "/".join(name for name in names if name) or "everywhere"
