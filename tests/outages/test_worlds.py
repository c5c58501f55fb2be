"""Worlds with planted outages of other sizes than the demo's, and quiet ones; the facts come from the queries."""

from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from benchmarks.outage_logs import Log, opened
from benchmarks.outages import is_hit, real_false_nights, real_logs
from dagster_project.simulate import Outage, WorldSpec, simulate_world

PLANTED = (
    Outage(kind="events", start_day=150, end_day=154, platform="android"),
    Outage(kind="events", start_day=340, end_day=None, platform="ios", app_version="3.3.0"),
)
SPEC = WorldSpec(
    n_users=1500, seed=31, n_days=375, usual_gap_days=8.0, stuck_version_share=0.2, campaign_day=120, outages=PLANTED
)


def last_day(spec: WorldSpec) -> int:
    return spec.n_days - 1


def found(log: Log, spec: WorldSpec, day: int) -> list[tuple[str | None, ...]]:
    return [(o.platform, o.app_version, o.country) for o, _, _ in log.outages(spec.first_on + timedelta(days=day))]


def test_planted_outages_are_found_on_their_days_and_nothing_else_is() -> None:
    world = simulate_world(SPEC)
    with opened(world.tables["events"], world.tables["users"]) as log:
        seen = log.outages(SPEC.first_on + timedelta(days=last_day(SPEC)))

    for planted in PLANTED:
        start = SPEC.first_on + timedelta(days=planted.start_day)
        end = SPEC.first_on + timedelta(days=planted.end_day or SPEC.n_days)
        assert [is_hit(found, planted, start=start, end=end) for found in seen].count(True) == 1
    assert len(seen) == len(PLANTED)


def test_a_country_that_loses_its_events_is_found() -> None:
    spec = WorldSpec(n_users=1500, seed=5, n_days=200, usual_gap_days=8.0, campaign_day=120, outages=())
    world = simulate_world(spec)
    german = world.tables["users"].filter(pl.col("country") == "DE")["user_id"]
    first = spec.first_on + timedelta(days=180)
    lost = pl.col("user_id").is_in(german.implode()) & (pl.col("occurred_at").dt.date() >= first)
    with opened(world.tables["events"].filter(~lost), world.tables["users"]) as log:
        assert found(log, spec, last_day(spec)) == [(None, None, "DE")]


def test_quiet_nights_are_not_flagged() -> None:
    spec = WorldSpec(n_users=1000, seed=41, n_days=260, usual_gap_days=6.0, campaign_day=120, outages=())
    world = simulate_world(spec)
    with opened(world.tables["events"], world.tables["users"]) as log:
        nights = [found(log, spec, day) for day in range(40, spec.n_days, 40)]

    assert nights == [[]] * len(nights)


@pytest.mark.real_data
def test_christmas_and_a_fading_cohort_are_no_outages(real_data: Path) -> None:
    for name, rows in real_logs(real_data):
        looked, flagged = real_false_nights(rows, step_days=90)
        assert (name, flagged) == (name, 0)
        assert looked > 3
