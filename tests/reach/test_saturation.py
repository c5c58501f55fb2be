"""Curves of response against messages, on worlds whose peak is known."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from dagster_project.reach.saturation import (
    SATURATION_SCHEMA,
    SaturationChoices,
    costing_caps,
    fit_saturation,
    max_per_week,
)

CHOICES = SaturationChoices(window_days=7, horizon_days=30, n_resamples=100, seed=3)


def weeks_of(
    n: int, *, per_message: float, per_square: float, opt_out: float = 0.0, stage: str = "dormant", seed: int = 1
) -> pl.DataFrame:
    """`n` user-weeks whose log-odds of response are −2 + per_message · m + per_square · m²; two weeks per user."""
    rng = np.random.default_rng(seed)
    m = rng.integers(0, 9, n)
    p = 1 / (1 + np.exp(2.0 - per_message * m - per_square * m**2))
    return pl.DataFrame(
        {
            "user_id": [f"{stage}{row // 2:06d}" for row in range(n)],
            "stage": [stage] * n,
            "n_messages": m,
            "n_active_days_before": rng.integers(0, 6, n),
            "is_response": rng.random(n) < p,
            "n_opt_outs": (rng.random(n) < opt_out * m / 9).astype(float),
            "n_uninstalls": np.zeros(n),
        }
    )


def stage_row(table: pl.DataFrame, stage: str) -> dict[str, object]:
    return table.filter(pl.col("stage") == stage).row(0, named=True)


def test_a_known_peak_is_found() -> None:
    weeks = weeks_of(40_000, per_message=0.6, per_square=-0.075)  # best at four messages

    found = stage_row(fit_saturation(weeks, choices=CHOICES), "dormant")

    assert 3 <= found["best_messages"] <= 5
    assert found["best_low"] <= 4 <= found["best_high"]
    assert 2 <= found["max_per_week"] <= 5
    assert 4 <= found["starts_costing_at"] <= 7


def test_the_fitted_shares_are_those_of_the_world() -> None:
    weeks = weeks_of(40_000, per_message=0.6, per_square=-0.075)

    table = fit_saturation(weeks, choices=CHOICES).filter(pl.col("stage") == "dormant")

    at_four = 1 / (1 + np.exp(2.0 - 0.6 * 4 + 0.075 * 16))
    assert table["response_share"][4] == pytest.approx(at_four, abs=0.03)
    assert table["response_share"][0] == pytest.approx(1 / (1 + np.exp(2.0)), abs=0.03)
    assert (table["response_low"] <= table["response_share"]).all()
    assert (table["response_share"] <= table["response_high"]).all()


def test_without_an_effect_nothing_is_claimed() -> None:
    claims = 0
    for seed in range(5):
        weeks = weeks_of(6_000, per_message=0.0, per_square=0.0, seed=seed)
        table = fit_saturation(weeks, choices=CHOICES)
        claims += stage_row(table, "dormant")["max_per_week"] > 1
        assert "cannot tell" in stage_row(table, "dormant")["explanation"]
    assert claims == 0


def test_opt_outs_lower_what_one_more_is_worth() -> None:
    season = replace(CHOICES, horizon_days=90)
    calm = fit_saturation(weeks_of(20_000, per_message=0.2, per_square=0.0), choices=season)
    tired = fit_saturation(weeks_of(20_000, per_message=0.2, per_square=0.0, opt_out=0.9), choices=season)

    assert stage_row(tired, "dormant")["max_per_week"] < stage_row(calm, "dormant")["max_per_week"]
    assert tired["opt_out_share"][5] > 0.02
    assert calm["opt_out_share"].max() == 0.0


def test_a_thin_stage_follows_the_others_and_gets_the_smaller_dose() -> None:
    weeks = pl.concat(
        [
            weeks_of(20_000, per_message=0.6, per_square=-0.075),
            weeks_of(60, per_message=0.6, per_square=-0.075, stage="lost"),
        ]
    )

    table = fit_saturation(weeks, choices=CHOICES)

    thin = table.filter(pl.col("stage") == "lost")
    assert thin["max_per_week"].unique().to_list() == [1]
    assert thin["verdict"].drop_nulls().unique().to_list() == ["cannot tell"]
    assert thin["response_share"][4] > thin["response_share"][0]


def test_those_who_are_active_and_get_more_do_not_make_messages_look_good() -> None:
    """Activity before brings both messages and response; within equal activity messages do nothing."""
    rng = np.random.default_rng(5)
    n = 20_000
    before = rng.choice([0, 2, 8, 20], n)
    weeks = pl.DataFrame(
        {
            "user_id": [f"u{row:06d}" for row in range(n)],
            "stage": ["cooling"] * n,
            "n_messages": rng.poisson(0.5 + 0.2 * before),
            "n_active_days_before": before,
            "is_response": rng.random(n) < 0.1 + 0.03 * before,
            "n_opt_outs": np.zeros(n),
            "n_uninstalls": np.zeros(n),
        }
    )

    found = stage_row(fit_saturation(weeks, choices=CHOICES), "cooling")

    assert found["max_per_week"] == 1


def test_the_order_of_rows_changes_nothing() -> None:
    weeks = weeks_of(2_000, per_message=0.3, per_square=-0.03)

    forwards, backwards = (fit_saturation(frame, choices=CHOICES) for frame in (weeks, weeks.reverse()))

    assert forwards.equals(backwards)


def test_no_message_at_all_gives_no_row() -> None:
    nothing = weeks_of(10, per_message=0.0, per_square=0.0).clear()

    assert fit_saturation(nothing, choices=CHOICES).schema == SATURATION_SCHEMA
    assert fit_saturation(nothing, choices=CHOICES).is_empty()


def test_three_rows_are_too_few_to_say_anything() -> None:
    table = fit_saturation(weeks_of(3, per_message=1.0, per_square=0.0), choices=CHOICES)

    assert table["max_per_week"].unique().to_list() == [1]
    assert table["response_share"].is_between(0, 1).all()


def test_a_month_of_messages_is_turned_into_weeks() -> None:
    weeks = weeks_of(40_000, per_message=0.6, per_square=0.0)
    monthly = SaturationChoices(window_days=28, horizon_days=30, n_resamples=50)

    table = fit_saturation(weeks, choices=monthly)

    assert stage_row(table, "dormant")["max_per_week"] <= 2
    assert max_per_week(table).is_empty()
    assert max_per_week(fit_saturation(weeks, choices=CHOICES))["stage"].to_list() == ["all", "dormant"]


def test_only_a_curve_that_is_shown_to_cost_caps_and_a_thin_stage_has_the_cap_of_all() -> None:
    costly = weeks_of(40_000, per_message=0.6, per_square=-0.12)
    thin = weeks_of(40, per_message=0.0, per_square=0.0, stage="lost")
    saturation = fit_saturation(pl.concat([costly, thin]), choices=CHOICES)
    caps = {stage: most for stage, _, most in costing_caps(saturation).iter_rows()}
    own = stage_row(saturation, "dormant")["starts_costing_at"]
    of_all = stage_row(saturation, "all")["starts_costing_at"]
    assert isinstance(own, int)
    assert isinstance(of_all, int)
    assert caps == {"dormant": own - 1, "lost": of_all - 1}

    undecided = fit_saturation(weeks_of(400, per_message=0.0, per_square=0.0), choices=CHOICES)
    assert costing_caps(undecided).is_empty()
