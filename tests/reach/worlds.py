"""Simulated worlds as the tables that the ledger of endpoints reads, made by the product's own queries."""

from functools import cache

import duckdb
import polars as pl

from dagster_project.lake.duck import frame
from dagster_project.lake.sql_model import load_models
from dagster_project.simulate import WorldSpec, simulate_world
from dagster_project.simulate.world import World

STATES, FAILURES = "intermediate.channel_states", "intermediate.failure_states"


@cache
def world_of(seed: int, **changes: object) -> World:
    """A world of 1,500 users."""
    return simulate_world(WorldSpec(**{"n_users": 1500, "seed": seed, **changes}))


def users_of(world: World) -> pl.DataFrame:
    """user_sk, user_id."""
    return world.tables["users"].select("user_id").sort("user_id").with_row_index("user_sk").cast({"user_sk": pl.Int64})


def keyed(world: World, table: str) -> pl.DataFrame:
    """A table with the users' keys."""
    return world.tables[table].join(users_of(world), on="user_id", how="inner", maintain_order="left")


def channel_facts(world: World) -> dict[str, pl.DataFrame]:
    """The folded states of the world's last night."""
    models = load_models()
    events = keyed(world, "message_events").with_columns(pl.col("occurred_at").dt.date().alias("dt"), row_hash=1)
    with duckdb.connect() as con:
        con.execute("create schema staging; create schema intermediate")
        con.register("given", events)
        con.execute("create table staging.message_events as from given")
        con.execute(f"create table intermediate.message_steps as {models['intermediate.message_steps'].query}")
        for table in (STATES, FAILURES):
            con.execute(f"create table {table}_before ({models[table].start})")
        return {table: frame(con, models[table].query) for table in (STATES, FAILURES)}


def sightings_of(world: World) -> pl.DataFrame:
    """user_sk, last_seen_on."""
    return keyed(world, "events").group_by("user_sk").agg(pl.col("occurred_at").max().dt.date().alias("last_seen_on"))
