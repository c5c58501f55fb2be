import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_project.models.activity import Probabilities, RecencyModel
from dagster_project.models.calibration import (
    ScoredOutcomes,
    fit_shipped,
    intercept_shift,
    rehearse,
    return_intervals,
    shift_log_odds,
)
from dagster_project.models.cutoffs import split_out_of_time

from .simulated import training_frame, true_probability, users_now


def test_a_shift_of_log_odds_by_hand() -> None:
    assert shift_log_odds(np.array([0.5, 0.2]), by=np.log(4)).tolist() == pytest.approx([0.8, 0.5])


def test_the_intercept_shift_undoes_a_known_one() -> None:
    rng = np.random.default_rng(1)
    truth = rng.uniform(0.1, 0.9, 20_000)
    outcome = (rng.random(20_000) < truth).astype(np.float64)
    assert intercept_shift(outcome, shift_log_odds(truth, by=-0.7)) == pytest.approx(0.7, abs=0.05)


@pytest.mark.parametrize(("value", "sign"), [(1.0, 1), (0.0, -1)])
def test_outcomes_all_alike_shift_by_the_most_allowed_at_worst(value: float, sign: int) -> None:
    shift = intercept_shift(np.full(500, value), np.full(500, 0.5))
    assert shift == pytest.approx(2.0 * sign, abs=1e-6)


def test_the_shipped_model_is_calibrated_on_users_it_has_not_seen() -> None:
    shipped = fit_shipped(training_frame(2000), build=RecencyModel, max_rows=10_000, seed=1)
    now = users_now(2000)
    truth = true_probability(now, interest_effect=0.0)
    assert shipped.predict(now).mean() == pytest.approx(truth.mean(), abs=0.02)


def test_half_of_a_drift_of_the_newest_window_is_followed() -> None:
    class Stubborn:
        """Says one half whatever it is shown."""

        def fit(self, _training: pl.DataFrame) -> "Stubborn":
            return self

        def predict(self, features: pl.DataFrame) -> Probabilities:
            return np.full(features.height, 0.5)

    drifted = training_frame(999).with_columns(is_active=pl.int_range(pl.len()) % 5 > 0)
    shipped = fit_shipped(drifted, build=Stubborn, max_rows=10_000, seed=1)
    assert shipped.shift.lapsed == pytest.approx(np.log(4) / 2, abs=0.01)
    assert shipped.shift.others == shipped.shift.lapsed


def test_no_user_corrects_a_model_that_has_learned_that_user() -> None:
    class Memory:
        """Remembers whom it was shown and says who is new."""

        def fit(self, training: pl.DataFrame) -> "Memory":
            self.known = set(training["user_id"])
            return self

        def predict(self, features: pl.DataFrame) -> Probabilities:
            return np.array([0.9 if user in self.known else 0.1 for user in features["user_id"]])

    shipped = fit_shipped(training_frame(300), build=Memory, max_rows=10_000, seed=1)
    assert len(np.unique(shipped.calibration.probability)) == 1


def test_the_interval_is_wilsons_of_the_nearest_scores() -> None:
    seen = ScoredOutcomes(
        probability=np.repeat([0.1, 0.4], 400),
        outcome=np.concatenate([np.tile([1.0] + [0.0] * 9, 40), np.tile([1.0, 0.0], 200)]),
    )
    low, high = return_intervals(np.array([0.1, 0.45, 0.7]), seen=seen)
    assert low.tolist() == pytest.approx([0.06567045, 0.43136086, 0.43136086])
    assert high.tolist() == pytest.approx([0.14940581, 0.56863914, 0.7])


@given(
    p=st.lists(st.floats(0.001, 0.999), min_size=1, max_size=20),
    known=st.lists(st.tuples(st.floats(0.001, 0.999), st.booleans()), max_size=300),
)
def test_an_interval_holds_its_probability_within_zero_and_one(p: list[float], known: list[tuple[float, bool]]) -> None:
    seen = ScoredOutcomes(np.array([q for q, _ in known]), np.array([float(y) for _, y in known]))
    probability = np.array(p)
    low, high = return_intervals(probability, seen=seen)
    assert ((low >= 0) & (low <= probability) & (probability <= high) & (high <= 1)).all()


class _Half:
    """Says one half whatever it is shown."""

    def fit(self, _training: pl.DataFrame) -> "_Half":
        return self

    def predict(self, features: pl.DataFrame) -> Probabilities:
        return np.full(features.height, 0.5)


def test_the_lapsed_and_the_others_may_be_shifted_apart() -> None:
    rows = training_frame(900).with_columns(is_active=~pl.col("is_lapsed"))
    shipped = fit_shipped(rows, build=_Half, max_rows=10_000, seed=1, way="by_lapse")
    assert shipped.shift.lapsed < 0 < shipped.shift.others


@pytest.mark.parametrize(("is_steady", "way"), [(True, "all"), (False, "none")])
def test_a_shift_is_made_only_if_it_would_have_helped(is_steady: bool, way: str) -> None:
    rows = training_frame(800)
    newest = rows["cutoff"].max()
    often, seldom = pl.int_range(pl.len()) % 5 > 0, pl.int_range(pl.len()) % 5 == 0
    is_active = often if is_steady else pl.when(pl.col("cutoff") == newest).then(seldom).otherwise(often)
    rows = rows.with_columns(is_active=is_active)
    _, test = split_out_of_time(rows, horizon_days=28)
    rehearsal = rehearse(rows, test, np.full(test.height, 0.5), build=_Half, horizon_days=28, seed=1)
    assert rehearsal.was_possible
    assert rehearsal.way == way


def test_a_single_older_window_gives_no_rehearsal() -> None:
    rows = training_frame(300, n_cutoffs=3)
    _, test = split_out_of_time(rows, horizon_days=28)
    rehearsal = rehearse(rows, test, np.full(test.height, 0.4), build=_Half, horizon_days=28, seed=1)
    assert (rehearsal.way, rehearsal.was_possible) == ("none", False)
