"""Event outages: what is found, where, and what is passed over."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from dagster_project.outages.flows import count_flows
from dagster_project.outages.recorders import find_recorder_outages
from outages.builders import Comes, day, flows

N_DAYS = 120


def found(rows: pl.DataFrame, *, as_of: date) -> list[tuple[str | None, str | None, str | None, date, date]]:
    grid = count_flows(rows, as_of=as_of)
    assert grid is not None
    return [
        (o.platform, o.app_version, o.country, grid.day(o.fall.start), grid.day(o.fall.end))
        for o in find_recorder_outages(grid)
    ]


def by_chance(chance: float, *, seed: int = 1) -> Comes:
    table = np.random.default_rng(seed).random((400, 400))
    return lambda user, day: bool(table[user, day] < chance)


def test_a_platform_without_events_for_some_days_is_an_outage_of_it() -> None:
    comes = by_chance(0.3)
    broken = flows(lambda u, d: comes(u, d) and not (u % 3 == 0 and 80 <= d < 86), n_days=N_DAYS, n_users=120)

    assert found(broken, as_of=day(N_DAYS - 1)) == [("ios", None, None, day(80), day(86))]


def test_an_outage_that_still_runs_ends_with_the_night() -> None:
    comes = by_chance(0.3)
    broken = flows(lambda u, d: comes(u, d) and not (u % 3 == 2 and d >= 115), n_days=N_DAYS, n_users=120)

    assert found(broken, as_of=day(N_DAYS - 1)) == [("web", None, None, day(115), day(N_DAYS))]


def test_a_country_without_events_is_an_outage_of_the_country() -> None:
    comes = by_chance(0.3)
    broken = flows(lambda u, d: comes(u, d) and not (u % 2 == 1 and 90 <= d < 94), n_days=N_DAYS, n_users=120)

    assert found(broken, as_of=day(N_DAYS - 1)) == [(None, None, "FR", day(90), day(94))]


def test_one_broken_version_is_told_and_not_its_platform() -> None:
    comes = by_chance(0.3)

    def version(user: int, _: int) -> str | None:
        return "2.0" if user % 4 else "1.0"

    broken = flows(
        lambda u, d: comes(u, d) and not (u % 3 == 0 and u % 4 > 0 and d >= 100),
        n_days=N_DAYS,
        n_users=160,
        version=version,
    )

    assert found(broken, as_of=day(N_DAYS - 1)) == [("ios", "2.0", None, day(100), day(N_DAYS))]


def test_a_version_that_users_leave_for_a_newer_one_is_no_outage() -> None:
    comes = by_chance(0.3)
    updated = flows(comes, n_days=N_DAYS, n_users=120, version=lambda u, d: "2.0" if d >= 60 + u % 15 else "1.0")

    assert found(updated, as_of=day(N_DAYS - 1)) == []


def test_days_without_any_event_at_all_are_an_outage_of_everything() -> None:
    comes = by_chance(0.3)
    broken = flows(lambda u, d: comes(u, d) and not 90 <= d < 92, n_days=N_DAYS, n_users=120)

    assert found(broken, as_of=day(N_DAYS - 1)) == [(None, None, None, day(90), day(92))]


def test_a_standstill_of_months_is_one_outage() -> None:
    comes = by_chance(0.3)
    broken = flows(lambda u, d: comes(u, d) and d < 70, n_days=N_DAYS, n_users=120)

    assert found(broken, as_of=day(N_DAYS - 1)) == [(None, None, None, day(70), day(N_DAYS))]


def test_a_fall_of_everybody_alike_is_no_outage() -> None:
    often, seldom = by_chance(0.4), by_chance(0.08)
    holiday = flows(lambda u, d: (seldom if 80 <= d < 90 else often)(u, d), n_days=N_DAYS, n_users=120)

    assert found(holiday, as_of=day(N_DAYS - 1)) == []


def test_a_shop_that_closes_on_sundays_may_close_over_easter() -> None:
    comes = by_chance(0.4)
    closed = flows(lambda u, d: comes(u, d) and d % 7 != 6 and not 88 <= d < 92, n_days=N_DAYS, n_users=120)

    assert found(closed, as_of=day(N_DAYS - 1)) == []


def test_a_platform_that_rests_at_weekends_is_no_outage() -> None:
    comes = by_chance(0.4)
    rests = flows(lambda u, d: comes(u, d) and not (u % 3 == 2 and d % 7 >= 5), n_days=N_DAYS, n_users=120)

    assert found(rests, as_of=day(N_DAYS - 1)) == []


@pytest.mark.parametrize("n_users", [1, 3, 8])
def test_a_handful_of_users_raises_no_flag(n_users: int) -> None:
    comes = by_chance(0.2)
    rows = flows(lambda u, d: comes(u, d) and d < 90, n_days=N_DAYS, n_users=n_users)

    assert found(rows, as_of=day(N_DAYS - 1)) == []


def test_what_comes_later_changes_nothing_for_a_night() -> None:
    comes = by_chance(0.3)
    broken = flows(lambda u, d: comes(u, d) and not (u % 3 == 0 and d >= 80), n_days=N_DAYS, n_users=120)
    as_of = day(90)
    seen = (
        broken.filter(pl.col("dt") <= as_of)
        .with_columns(pl.when(pl.col("next_on") <= as_of).then("next_on"))
        .group_by("dt", "platform", "app_version", "country", "previous_gap", "next_on")
        .agg(pl.col("n_users").sum())
    )

    assert found(seen, as_of=as_of) == [("ios", None, None, day(80), day(91))]


def test_nothing_is_found_in_nothing() -> None:
    assert count_flows(flows(lambda *_: False, n_days=1), as_of=day(0)) is None


def test_due_returns_are_those_that_came_in_a_log_of_one_place() -> None:
    comes = by_chance(0.3)
    grid = count_flows(flows(comes, n_days=N_DAYS), as_of=day(N_DAYS - 1))

    assert grid is not None
    assert grid.due.sum() == pytest.approx(grid.returns.sum())
    assert grid.first_on + timedelta(days=grid.n_days - 1) == day(N_DAYS - 1)


def test_a_broken_version_that_nearly_everybody_has_is_named_by_what_is_still_recorded() -> None:
    comes = by_chance(0.3)

    def version(user: int, day: int) -> str:
        return "1.0" if user % 12 == 0 else "2.0" if day >= 85 + user % 3 else "1.5"

    def is_lost(user: int, day: int) -> bool:
        return user % 3 == 0 and day >= 95 and version(user, day) == "2.0"

    broken = flows(lambda u, d: comes(u, d) and not is_lost(u, d), n_days=N_DAYS, n_users=240, version=version)

    assert found(broken, as_of=day(N_DAYS - 1)) == [("ios", "2.0", None, day(95), day(N_DAYS))]
