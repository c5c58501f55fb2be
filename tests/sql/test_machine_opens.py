"""Machine opens of a simulated world are found, and no human's is taken for one."""

import polars as pl
import pytest

from dagster_project.lake.duck import connect, frame
from dagster_project.lake.sql_model import load_models
from dagster_project.simulate import WorldSpec, simulate_world


@pytest.mark.parametrize("share", [0.0, 0.4])
def test_machine_opens_are_told_from_human_ones(tmp_path, share: float) -> None:
    world = simulate_world(WorldSpec(n_users=800, seed=21, machine_open_share=share))
    events = world.tables["message_events"].with_columns(
        pl.col("user_id").str.slice(1).cast(pl.Int64).alias("user_sk"), pl.col("occurred_at").dt.date().alias("dt")
    )
    with connect(spill=tmp_path) as con:
        con.execute("create schema staging")
        con.register("given", events.with_columns(row_hash=1))
        con.execute("create table staging.message_events as from given")
        steps = frame(con, load_models()["intermediate.message_steps"].query)
    counts = {name: steps.filter(pl.col("channel") == "email")[name].count() for name in steps.columns}

    # a mail program's opens come 1 to 3 seconds after the delivery, a human's a minute after the sending at the least
    assert counts["machine_opened_at"] / counts["delivered_at"] == pytest.approx(share, abs=0.06)
    assert steps.filter(pl.col("channel") != "email")["machine_opened_at"].count() == 0
    assert steps.filter(pl.col("opened_at") < pl.col("delivered_at") + pl.duration(seconds=40)).height == 0
