"""Hours of the week: planted peaks are found, thin data is lent everybody's, and the clock has no end."""

from datetime import date
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagster_project.strategy.hours import (
    WEEK_HOURS,
    HourModel,
    Smoothing,
    WeekCounts,
    day_hours,
    fit_hours,
    sending_weights,
    shrunken_hours,
    week_counts,
    week_kernel,
    weighted_hours,
)

NO_SENDS = pl.DataFrame(schema={"sent_hour": pl.Int64, "n_sent": pl.Int64})
EVENING = np.exp(-0.5 * ((np.arange(24) - 19) / 3) ** 2)
POPULATION = np.tile(EVENING / EVENING.sum() / 7, 7)
TUESDAY = date(2024, 6, 11)


def hours(*rows: tuple[str, int, int, int | None, int]) -> pl.DataFrame:
    """user_id, hour_of_week, n_hours, sent_hour, n_late_hours."""
    names = ["user_id", "hour_of_week", "n_hours", "sent_hour", "n_late_hours"]
    schema = {name: pl.String if name == "user_id" else pl.Int64 for name in names}
    users = pl.col("user_id").rank("dense").cast(pl.Int64).alias("user_sk")
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(users, timezone=pl.lit("Europe/Berlin"))


def own(*cells: int, n: int = 1) -> np.ndarray:
    counts = np.zeros((1, WEEK_HOURS))
    counts[0, list(cells)] = n
    return counts


def test_who_has_no_hours_gets_everybodys() -> None:
    chances = HourModel(POPULATION).probabilities(np.zeros((1, WEEK_HOURS)))

    assert chances[0] == pytest.approx(POPULATION)


def test_many_hours_at_one_time_of_the_week_are_believed_and_one_is_not() -> None:
    model = HourModel(POPULATION, Smoothing(bandwidth_hours=1.5, pooled_share=0.8, strength_hours=32))
    tuesday_at_seven = 24 + 7

    many = model.probabilities(own(tuesday_at_seven, n=400))[0]
    one = model.probabilities(own(tuesday_at_seven))[0]

    assert many.argmax() == tuesday_at_seven
    assert one.argmax() % 24 == 19


def test_sunday_at_23_and_monday_at_0_are_neighbours() -> None:
    kernel = week_kernel(np.full(WEEK_HOURS, 1 / WEEK_HOURS), Smoothing(1.0, 0.0, 1))

    assert kernel[167, 0] == pytest.approx(kernel[100, 101])
    assert kernel[0, 167] == kernel[167, 0] > kernel[0, 166]


def test_hours_pooled_over_the_days_reach_round_midnight_too() -> None:
    kernel = week_kernel(np.full(WEEK_HOURS, 1 / WEEK_HOURS), Smoothing(1.0, 1.0, 1))
    from_monday_at_23 = kernel[23].reshape(7, 24)

    assert from_monday_at_23[:, 0] == pytest.approx(from_monday_at_23[:, 22])
    assert from_monday_at_23[:, 23] == pytest.approx(from_monday_at_23[0, 23])


def test_pooled_hours_fall_on_the_days_on_which_everybody_comes_at_that_hour() -> None:
    weekdays_only = np.tile(EVENING, 7) * np.repeat([1, 1, 1, 1, 1, 0.001, 0.001], 24)
    kernel = week_kernel(weekdays_only / weekdays_only.sum(), Smoothing(0, 1.0, 1))

    assert kernel[19].reshape(7, 24)[:, 19] == pytest.approx([0.2] * 5 + [0.0] * 2, abs=1e-3)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 167), st.floats(0.01, 500)), max_size=40),
    st.sampled_from([0.0, 0.75, 4.0]),
    st.sampled_from([0.0, 0.5, 1.0]),
    st.sampled_from([1.0, 64.0]),
)
def test_chances_are_chances(
    entries: list[tuple[int, int, float]], bandwidth: float, pooled: float, strength: float
) -> None:
    row, cell, weight = (np.array([entry[i] for entry in entries]) for i in range(3))
    counts = WeekCounts(5, row.astype(np.int64), cell.astype(np.int64), weight.astype(np.float64)).dense()

    chances = HourModel(shrunken_hours(counts.sum(axis=0)), Smoothing(bandwidth, pooled, strength)).probabilities(
        counts
    )

    assert chances.sum(axis=1) == pytest.approx(np.ones(5))
    assert (chances > 0).all()


def test_a_clock_turned_turns_the_answer() -> None:
    rng = np.random.default_rng(3)
    counts = rng.poisson(0.05, (20, WEEK_HOURS)).astype(np.float64)
    smoothing = Smoothing(1.5, 0.0, 16)

    straight = HourModel(POPULATION, smoothing).probabilities(counts)
    turned = HourModel(np.roll(POPULATION, 24), smoothing).probabilities(np.roll(counts, 24, axis=1))

    assert turned == pytest.approx(np.roll(straight, 24, axis=1))


def planted(n_users: int, *, own_share: float, seed: int) -> tuple[pl.DataFrame, np.ndarray]:
    """Users with an hour of the day of their own, at which they come in `own_share` of their hours."""
    rng = np.random.default_rng(seed)
    peak = rng.integers(0, 24, n_users)
    row = np.repeat(np.arange(n_users), 12)
    is_own = rng.random(row.size) < own_share
    near = np.round(peak[row] + rng.normal(0, 1, row.size)).astype(np.int64) % 24
    hour = np.where(is_own, near, rng.choice(24, row.size, p=EVENING / EVENING.sum()))
    cell = 24 * rng.integers(0, 7, row.size) + hour
    log = pl.DataFrame(
        {"user_id": [f"u{i:05d}" for i in row], "hour_of_week": cell, "is_late": rng.random(row.size) < 0.3}
    )
    counted = log.group_by("user_id", "hour_of_week").agg(n_hours=pl.len(), n_late_hours=pl.col("is_late").sum())
    return counted.with_columns(sent_hour=pl.lit(None, dtype=pl.Int64)), peak


def test_the_split_in_time_believes_users_who_have_hours_of_their_own() -> None:
    log, peak = planted(400, own_share=0.8, seed=1)
    weighted = weighted_hours(log, NO_SENDS)

    model = fit_hours(log, NO_SENDS)
    best = model.probabilities(week_counts(weighted, "both").dense()).reshape(-1, 7, 24).sum(axis=1).argmax(axis=1)
    missed = np.abs((best - peak + 12) % 24 - 12)

    assert model.is_fitted
    assert model.smoothing.strength_hours <= 8
    assert model.smoothing.pooled_share == 1.0
    assert 0 < model.smoothing.bandwidth_hours <= 2.5
    assert (missed <= 1).mean() > 0.85


def test_the_split_in_time_leaves_users_to_everybody_who_have_none() -> None:
    log, _ = planted(400, own_share=0.0, seed=2)

    assert fit_hours(log, NO_SENDS).smoothing.strength_hours >= 128


def test_too_few_late_hours_choose_no_smoothing() -> None:
    model = fit_hours(hours(("a", 19, 5, None, 2)), NO_SENDS)

    assert (model.is_fitted, model.smoothing) == (False, Smoothing())
    assert model.population.argmax() == 19


def test_a_log_without_any_hour_is_flat() -> None:
    assert fit_hours(hours(), NO_SENDS).population == pytest.approx(np.full(WEEK_HOURS, 1 / WEEK_HOURS))


def test_even_sending_needs_no_correction_and_none_is_made_without_messages() -> None:
    even = pl.DataFrame({"sent_hour": range(24), "n_sent": [1000] * 24})

    assert sending_weights(even) == pytest.approx(np.ones(24))
    assert sending_weights(NO_SENDS) == pytest.approx(np.ones(24))


def test_hours_after_our_own_habit_weigh_little_and_rare_ones_no_more_than_five() -> None:
    weights = sending_weights(pl.DataFrame({"sent_hour": [9, 20], "n_sent": [9_976, 0]}))

    assert weights[9] == pytest.approx(10_000 / 24 / 9_977)
    assert weights[20] == 5.0


def test_the_peak_that_our_messages_made_is_not_the_users() -> None:
    rows = [(f"u{i:03d}", 24 * (i % 7) + 9, 6, 9, 2) for i in range(100)]
    rows += [(f"u{i:03d}", 24 * (i % 7) + 18, 4, None, 1) for i in range(100)]
    log, sends = hours(*rows), pl.DataFrame({"sent_hour": [9], "n_sent": [5000]})

    raw = fit_hours(log, NO_SENDS).population.reshape(7, 24).sum(axis=0).argmax()
    corrected = fit_hours(log, sends).population.reshape(7, 24).sum(axis=0).argmax()

    assert (raw, corrected) == (9, 18)


def test_the_table_tells_the_best_hour_and_how_the_day_is_spread() -> None:
    log = hours(("b", 31, 300, None, 0), ("b", 31, 100, 9, 0), ("a", 0, 1, None, 0))
    model = HourModel(POPULATION, Smoothing(0.75, 0.0, 32))

    made = day_hours(log, NO_SENDS, model=model, weekday=TUESDAY.weekday())

    b: dict[str, Any] = made.row(1, named=True)
    assert made["user_id"].to_list() == ["a", "b"]
    assert (b["user_sk"], b["timezone"], b["n_hours"], b["best_hour_of_week"]) == (2, "Europe/Berlin", 400, 31)
    assert np.argmax(b["hour_shares"]) == 7
    assert sum(b["hour_shares"]) == pytest.approx(1, abs=1e-5)
    assert np.argmax(made["hour_shares"][0]) == 19


def test_users_in_many_groups_get_what_one_group_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    log, _ = planted(30, own_share=0.8, seed=4)
    log = log.with_columns(user_sk=pl.col("user_id").rank("dense").cast(pl.Int64), timezone=pl.lit("UTC"))
    model = HourModel(POPULATION)
    whole = day_hours(log, NO_SENDS, model=model, weekday=0)

    monkeypatch.setattr("dagster_project.strategy.hours.CHUNK_USERS", 7)

    assert day_hours(log, NO_SENDS, model=model, weekday=0).equals(whole)


def test_the_order_of_rows_changes_nothing() -> None:
    log, _ = planted(50, own_share=0.5, seed=5)
    log = log.with_columns(user_sk=pl.col("user_id").rank("dense").cast(pl.Int64), timezone=pl.lit("UTC"))
    shuffled = log.sample(fraction=1, shuffle=True, seed=1)

    one, other = (fit_hours(rows, NO_SENDS) for rows in (log, shuffled))

    assert one.smoothing == other.smoothing
    assert np.array_equal(one.population, other.population)
    assert day_hours(log, NO_SENDS, model=one, weekday=3).equals(day_hours(shuffled, NO_SENDS, model=one, weekday=3))
