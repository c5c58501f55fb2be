import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_project.errors import WinbackError
from dagster_project.models.drift import (
    DriftSpec,
    drift_report,
    feature_profile,
    moved_features,
    observed_over_expected,
    population_stability,
)

SPEC = DriftSpec(n_resamples=60)


def window(n: int = 4000, *, seed: int = 1) -> tuple[pl.DataFrame, np.ndarray]:
    """Rows whose activity follows the probabilities handed back."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    truth = 1 / (1 + np.exp(1.0 - 1.5 * x))
    return pl.DataFrame({"x": x, "is_active": rng.random(n) < truth}), truth


def log_odds_shifted(probability: np.ndarray, *, by: float = 0.0, times: float = 1.0) -> np.ndarray:
    return 1 / (1 + np.exp(-(np.log(probability / (1 - probability)) * times + by)))


def profile_of(rows: pl.DataFrame) -> pl.DataFrame:
    return feature_profile(rows, columns=("x",))


def row_of(rows: tuple[Mapping[str, Any], ...], feature: str) -> Mapping[str, Any]:
    return next(row for row in rows if row["feature"] == feature)


def test_a_champion_as_good_as_the_challenger_is_ok() -> None:
    rows, truth = window()

    report = drift_report(rows, champion=truth, challenger=truth, profile=profile_of(rows), spec=SPEC)

    assert report.verdict == "ok"
    assert not report.has_drifted
    assert report.figures["log_loss_gap"] == 0
    assert report.reason.startswith("The model in service holds: log-loss 0.")


def test_a_champion_that_ranks_worse_warns_although_its_total_is_right() -> None:
    rows, truth = window()
    stale = np.full(len(truth), rows["is_active"].mean())

    report = drift_report(rows, champion=stale, challenger=truth, profile=profile_of(rows), spec=SPEC)

    assert report.verdict == "warn"
    assert "a freshly fitted model has a log-loss of" in report.reason
    assert "as many users were active" not in report.reason
    assert report.figures["observed_over_expected"] == pytest.approx(1.0)
    assert float(report.figures["log_loss_gap_low"] or 0) > 0


def test_a_champion_that_expects_too_few_warns_by_observed_over_expected() -> None:
    rows, truth = window()
    shy = log_odds_shifted(truth, by=-0.6)

    report = drift_report(rows, champion=shy, challenger=shy, profile=profile_of(rows), spec=SPEC)

    assert report.verdict == "warn"
    assert report.reason.startswith("On the newest closed window 1.")
    assert "times as many users were active as expected" in report.reason


def test_a_sure_but_small_loss_is_no_alarm() -> None:
    rows, truth = window(40_000)
    slightly_off = log_odds_shifted(truth, times=0.9)

    report = drift_report(rows, champion=slightly_off, challenger=truth, profile=profile_of(rows), spec=SPEC)

    assert 0 < float(report.figures["relative_gap"] or 0) < 0.02
    assert float(report.figures["log_loss_gap_low"] or 0) > 0
    assert report.verdict == "ok"


def test_shifted_features_alone_never_alarm() -> None:
    rows, truth = window()
    elsewhere = profile_of(rows.with_columns(pl.col("x") - 5))

    report = drift_report(rows, champion=truth, challenger=truth, profile=elsewhere, spec=SPEC)

    assert report.verdict == "ok"
    assert report.features[0]["shift_sd"] == pytest.approx(5, abs=0.1)
    assert report.features[0]["psi"] > 2


def test_a_warning_names_what_moved_most_first() -> None:
    rows, truth = window()
    then = rows.with_columns(y=pl.lit(0.0), z=pl.col("x") * 2).with_columns(x=pl.col("x") - 1)
    now = rows.with_columns(y=pl.lit(3.0), z=pl.col("x") * 2)

    report = drift_report(
        now,
        champion=log_odds_shifted(truth, by=1.0),
        challenger=truth,
        profile=feature_profile(then, columns=("x", "y", "z")),
        spec=SPEC,
    )

    assert [row["feature"] for row in report.features] == ["y", "x", "z"]
    assert "Moved most: y from 0 to 3 on average; x from -1" in report.reason
    assert "(+1.00 standard deviations)" in report.reason


@pytest.mark.parametrize(("n", "active"), [(150, 75), (1000, 19), (1000, 981)])
def test_too_few_users_or_too_few_of_a_kind_are_not_judged(n: int, active: int) -> None:
    rows = pl.DataFrame({"x": np.arange(n) / n, "is_active": np.arange(n) < active})

    report = drift_report(
        rows, champion=np.full(n, 0.9), challenger=np.full(n, 0.1), profile=profile_of(rows), spec=SPEC
    )

    assert report.verdict == "unjudged"
    assert f"has {n} users, {active} of them active" in report.reason


def test_the_report_is_ready_for_json_and_the_same_twice() -> None:
    rows, truth = window()
    rows = rows.with_columns(empty=pl.lit(None, dtype=pl.Float64), odd=pl.lit(float("inf")))
    profile = feature_profile(rows, columns=("x", "empty", "odd"))

    def text() -> str:
        report = drift_report(rows, champion=truth, challenger=truth, profile=profile, spec=SPEC)
        return json.dumps([report.verdict, report.reason, dict(report.figures), report.features], allow_nan=False)

    assert text() == text()


def test_a_profile_survives_json() -> None:
    profile = profile_of(window()[0])
    again = pl.DataFrame(json.loads(json.dumps(profile.to_dicts())), schema=profile.schema)

    assert again.equals(profile)


def test_observed_over_expected_counts_active_users_against_the_sum_of_chances() -> None:
    figures = observed_over_expected(np.array([1.0, 0.0, 1.0, 0.0]), np.array([0.1, 0.1, 0.1, 0.1]))

    assert figures["observed_over_expected"] == pytest.approx(5.0)
    assert (
        1 < float(figures["observed_over_expected_low"] or 0) < 5 < float(figures["observed_over_expected_high"] or 0)
    )


def test_unknown_shares_are_told_and_a_feature_that_became_unknown_comes_first() -> None:
    then = pl.DataFrame({"a": [1.0, 2.0, 3.0, None], "b": [1.0, 2.0, 3.0, 4.0]})
    now = pl.DataFrame({"a": [None] * 4, "b": [2.0, 3.0, 4.0, 5.0]}, schema_overrides={"a": pl.Float64})

    rows = moved_features(now, profile=feature_profile(then, columns=("a", "b")))

    assert [row["feature"] for row in rows] == ["a", "b"]
    assert (row_of(rows, "a")["unknown_share_then"], row_of(rows, "a")["unknown_share_now"]) == (0.25, 1.0)
    assert row_of(rows, "a")["psi"] is None
    assert row_of(rows, "b")["shift_sd"] == pytest.approx(1 / np.std([1, 2, 3, 4]), abs=1e-6)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=60), st.lists(st.integers(0, 9), min_size=1, max_size=60))
def test_the_index_is_zero_for_the_same_rows_and_never_below(then: list[int], now: list[int]) -> None:
    profile = feature_profile(pl.DataFrame({"x": then}), columns=("x",))

    assert row_of(moved_features(pl.DataFrame({"x": then}), profile=profile), "x")["psi"] == 0
    assert row_of(moved_features(pl.DataFrame({"x": now}), profile=profile), "x")["psi"] >= 0


def test_the_index_of_two_known_shares() -> None:
    assert population_stability([0.5, 0.5], [0.25, 0.75]) == pytest.approx(0.25 * np.log(2) + 0.25 * np.log(1.5))


def test_probabilities_of_other_rows_are_refused() -> None:
    rows, truth = window(10)
    with pytest.raises(WinbackError, match="10 and 9 probabilities were given for 10 rows"):
        drift_report(rows, champion=truth, challenger=truth[1:], profile=profile_of(rows), spec=replace(SPEC, seed=2))
