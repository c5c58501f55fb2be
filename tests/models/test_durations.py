import numpy as np
import polars as pl
import pytest

from dagster_project.models.activity import CandidateError, FitSetup
from dagster_project.models.durations import DurationModel

from .simulated import HORIZON_DAYS, training_frame, users_now

SETUP = FitSetup(seed=1, horizon_days=HORIZON_DAYS)
FITTERS = ("CoxPHFitter", "WeibullAFTFitter")


@pytest.mark.parametrize("fitter", FITTERS)
def test_a_longer_silence_means_a_smaller_chance(fitter: str) -> None:
    model = DurationModel(SETUP, fitter=fitter).fit(training_frame(500))
    now = users_now(300).sort("silence_days")
    probability = model.predict(now)
    assert probability[:50].mean() > probability[-50:].mean() + 0.3


@pytest.mark.parametrize("fitter", FITTERS)
def test_all_censored_gives_the_smoothed_rate(fitter: str) -> None:
    censored = training_frame(50).with_columns(
        is_active=pl.lit(False), next_active_in_days=pl.lit(None, dtype=pl.Int32)
    )
    model = DurationModel(SETUP, fitter=fitter).fit(censored)
    assert model.predict(users_now(2)).tolist() == pytest.approx([0.5 / 201] * 2)


@pytest.mark.parametrize("fitter", FITTERS)
def test_ties_on_one_day_are_no_obstacle(fitter: str) -> None:
    tied = training_frame(200).with_columns(next_active_in_days=pl.when("is_active").then(pl.lit(14, dtype=pl.Int32)))
    probability = DurationModel(SETUP, fitter=fitter).fit(tied).predict(users_now(50))
    assert np.isfinite(probability).all()


@pytest.mark.parametrize("days", [0, -3])
def test_a_duration_that_is_not_positive_is_named(days: int) -> None:
    wrong = training_frame(100).with_columns(next_active_in_days=pl.lit(days, dtype=pl.Int32))
    with pytest.raises(CandidateError, match="400 rows have their next core event on or before the cutoff"):
        DurationModel(SETUP, fitter="CoxPHFitter").fit(wrong)


def test_constant_and_unknown_covariates_are_left_out() -> None:
    widened = training_frame(200).with_columns(
        n_active_days_90d=pl.lit(2), mean_gap_days=pl.lit(None, dtype=pl.Float64)
    )
    plain = DurationModel(SETUP, fitter="CoxPHFitter").fit(training_frame(200)).predict(users_now(20))
    again = (
        DurationModel(SETUP, fitter="CoxPHFitter")
        .fit(widened)
        .predict(users_now(20).with_columns(n_active_days_90d=pl.lit(9), mean_gap_days=pl.lit(4.0)))
    )
    assert plain.tolist() == again.tolist()
