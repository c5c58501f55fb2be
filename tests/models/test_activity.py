import pickle
from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from dagster_project.models.activity import ActivityModel, FitSetup, LogisticModel, RecencyModel
from dagster_project.models.candidates import CANDIDATES

from .simulated import AS_OF, HORIZON_DAYS, snapshot, training_frame, true_probability, users_now

SETUP = FitSetup(seed=1, horizon_days=HORIZON_DAYS)
BUILDERS = [pytest.param(c.build, id=c.name) for c in CANDIDATES if c.name != "mbg_nbd"]  # it learns from no outcome
Build = Callable[[FitSetup], ActivityModel]


@pytest.mark.parametrize("build", BUILDERS)
def test_every_candidate_recovers_the_known_probabilities(build: Build) -> None:
    now = users_now(2000)
    predicted = build(SETUP).fit(training_frame(2000)).predict(now)
    truth = true_probability(now, interest_effect=0.0)
    assert np.abs(predicted - truth).mean() < 0.04
    assert predicted.mean() == pytest.approx(truth.mean(), abs=0.02)


@pytest.mark.parametrize("build", BUILDERS)
@pytest.mark.parametrize("is_active", [True, False])
def test_one_class_alone_gives_its_smoothed_rate(build: Build, is_active: bool) -> None:
    training = snapshot(9, cutoff=AS_OF).with_columns(
        is_active=pl.lit(is_active), next_active_in_days=pl.lit(5 if is_active else None, dtype=pl.Int32)
    )
    predicted = build(SETUP).fit(training).predict(users_now(3))
    assert predicted.tolist() == pytest.approx([0.95 if is_active else 0.05] * 3)


@pytest.mark.parametrize("build", BUILDERS)
def test_perfect_separation_stays_inside_zero_and_one(build: Build) -> None:
    is_active = pl.col("silence_days") < 20
    training = training_frame(300).with_columns(
        is_active=is_active, next_active_in_days=pl.when(is_active).then(pl.lit(9, dtype=pl.Int32))
    )
    predicted = build(SETUP).fit(training).predict(users_now(300))
    assert predicted.min() > 0
    assert predicted.max() < 1
    silence = users_now(300)["silence_days"].to_numpy()
    assert predicted[silence < 5].min() > max(0.6, predicted[silence > 100].max())


@pytest.mark.parametrize("build", BUILDERS)
def test_constant_and_unknown_columns_change_nothing(build: Build) -> None:
    def widened(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.with_columns(constant=pl.lit(3.0), unknown=pl.lit(None, dtype=pl.Float64))

    training, now = training_frame(300), users_now(50)
    plain = build(SETUP).fit(training).predict(now)
    assert plain.tolist() == build(SETUP).fit(widened(training)).predict(widened(now)).tolist()


@pytest.mark.parametrize("build", BUILDERS)
def test_users_who_cannot_be_told_apart_get_the_base_rate(build: Build) -> None:
    alike = pl.DataFrame(
        {
            "user_id": [f"u{i}" for i in range(400)],
            "cutoff": [AS_OF] * 400,
            "silence_days": [5] * 400,
            "tenure_days": [5] * 400,
            "n_active_days": [1] * 400,
            "is_lapsed": [False] * 400,
            "is_active": [True] * 100 + [False] * 300,
            "next_active_in_days": [20] * 100 + [None] * 300,
            "follow_up_days": [HORIZON_DAYS] * 400,
        }
    )
    predicted = build(SETUP).fit(alike).predict(alike.head(2))
    assert predicted.tolist() == pytest.approx([0.25, 0.25], abs=0.002)


@pytest.mark.parametrize("build", BUILDERS)
def test_an_unknown_value_where_training_had_none_still_gets_a_probability(build: Build) -> None:
    model = build(SETUP).fit(training_frame(300, interest_effect=2.0))
    blank = users_now(5).with_columns(interest=pl.lit(None, dtype=pl.Float64))
    assert np.isfinite(model.predict(blank)).all()
    assert model.predict(blank.clear()).shape == (0,)


def test_a_tail_that_turns_up_is_not_followed() -> None:
    silence = np.tile(np.array([1, 3, 10, 30, 100, 300]), 200)
    rate = np.select([silence < 2, silence < 4, silence < 40], [0.8, 0.5, 0.1], default=0.4)
    draws = np.random.default_rng(1).random(len(silence))
    model = RecencyModel().fit(pl.DataFrame({"silence_days": silence, "is_active": draws < rate}))
    predicted = model.predict(pl.DataFrame({"silence_days": [1, 3, 10, 30, 100, 300]}))
    assert (np.diff(predicted) < 0).all()


def test_a_bend_that_keeps_falling_is_followed() -> None:
    silence = np.tile(np.array([1, 3, 10, 30, 100, 300]), 400)
    logs = np.log1p(silence)
    truth = 1 / (1 + np.exp(-(2 - 0.15 * logs**2)))
    draws = np.random.default_rng(1).random(len(silence))
    model = RecencyModel().fit(pl.DataFrame({"silence_days": silence, "is_active": draws < truth}))
    predicted = model.predict(pl.DataFrame({"silence_days": silence[:6]}))
    np.testing.assert_allclose(predicted, truth[:6], atol=0.05)


def test_beyond_the_days_learned_the_logistic_curve_goes_no_further() -> None:
    model = LogisticModel().fit(training_frame(300))
    longest = training_frame(300)["tenure_days"].max()
    now = users_now(2).with_columns(silence_days=pl.lit(20), n_active_days=pl.lit(3), interest=pl.lit(0.0))
    at_the_edge, far_out = model.predict(now.with_columns(tenure_days=pl.Series([longest, 100_000])))
    assert at_the_edge == far_out


def test_a_fitted_candidate_can_be_stored() -> None:
    for candidate in CANDIDATES:
        model = candidate.build(SETUP).fit(training_frame(300))
        again = pickle.loads(pickle.dumps(model))  # noqa: S301
        assert again.predict(users_now(9)).tolist() == model.predict(users_now(9)).tolist()
