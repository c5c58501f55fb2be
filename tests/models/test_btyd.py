import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_project.models.activity import CandidateError, FitSetup, RecencyModel
from dagster_project.models.btyd import Btyd, Counts, MbgNbdModel, PlainModel, active_day_counts, fit_btyd

from .simulated import training_frame, users_now

TRUTH = Btyd(r=0.8, alpha=6.0, a=1.2, b=3.0, drops_at_first=True)
WATCHED, WITHIN = 39.0, 13.0


def simulated(n: int, *, seed: int = 1) -> tuple[Counts, np.ndarray]:
    """Records of `n` users of the true process, and whether each came in the 13 weeks after."""
    rng = np.random.default_rng(seed)
    pace = rng.gamma(TRUTH.r, 1 / TRUTH.alpha, n)
    leaves = rng.beta(TRUTH.a, TRUTH.b, n)
    repeats, last, came = np.zeros(n), np.zeros(n), np.zeros(n, dtype=bool)
    for i in range(n):
        now, stays = 0.0, rng.random() >= leaves[i]
        while stays and now < WATCHED + WITHIN:
            now += rng.exponential(1 / pace[i])
            if now <= WATCHED:
                repeats[i], last[i] = repeats[i] + 1, now
            came[i] |= WATCHED < now <= WATCHED + WITHIN
            stays = rng.random() >= leaves[i]
    return Counts(repeats, last, np.full(n, WATCHED)), came


def test_the_fit_finds_the_pace_and_the_chances_of_a_known_process() -> None:
    counts, came = simulated(4000)
    fitted = fit_btyd(counts, drops_at_first=True)
    assert fitted.r / fitted.alpha == pytest.approx(TRUTH.r / TRUTH.alpha, rel=0.15)
    assert fitted.a / (fitted.a + fitted.b) == pytest.approx(TRUTH.a / (TRUTH.a + TRUTH.b), rel=0.25)
    probability = fitted.p_active(counts, within=WITHIN)
    assert probability.mean() == pytest.approx(came.mean(), abs=0.02)
    top = probability >= np.quantile(probability, 0.8)
    assert came[top].mean() == pytest.approx(probability[top].mean(), abs=0.05)


def test_a_longer_silence_and_fewer_events_mean_a_smaller_chance() -> None:
    counts = Counts(np.array([5.0, 5.0, 1.0]), np.array([38.0, 10.0, 38.0]), np.full(3, WATCHED))
    fresh, stale, rare = TRUTH.p_active(counts, within=WITHIN)
    assert fresh > rare
    assert fresh > stale


@given(
    repeats=st.integers(0, 500),
    last=st.floats(0, 1),
    weeks=st.floats(0, 500),
    within=st.floats(0.1, 100),
    drops_at_first=st.booleans(),
)
def test_a_chance_is_a_chance_and_grows_with_the_horizon(
    repeats: int, last: float, weeks: float, within: float, drops_at_first: bool
) -> None:
    model = Btyd(0.243, 4.414, 0.793, 2.426, drops_at_first)
    record = Counts(np.array([float(repeats)]), np.array([last * weeks if repeats else 0.0]), np.array([weeks]))
    soon, later = (model.p_active(record, within=t)[0] for t in (within, 2 * within))
    assert 0 < soon <= later + 1e-12 < 1 + 1e-12


def test_nobody_who_came_twice_is_named_as_the_reason() -> None:
    once = Counts(np.zeros(5), np.zeros(5), np.full(5, 10.0))
    with pytest.raises(CandidateError, match="nobody was active on a second day"):
        fit_btyd(once, drops_at_first=True)


def test_equal_users_and_the_order_of_users_change_nothing() -> None:
    counts, _ = simulated(300)
    order = np.random.default_rng(2).permutation(300)
    again = Counts(counts.repeats[order], counts.last[order], counts.observed[order])
    assert fit_btyd(again, drops_at_first=True) == fit_btyd(counts, drops_at_first=True)


def test_counts_are_in_weeks_and_stay_inside_the_tenure() -> None:
    users = pl.DataFrame({"n_active_days": [3, 1, 2], "tenure_days": [70, 14, 7], "silence_days": [14, 14, 21]})
    counts = active_day_counts(users)
    assert counts.repeats.tolist() == [2, 0, 1]
    assert counts.last.tolist() == [8, 0, 0]
    assert counts.observed.tolist() == [10, 2, 1]


def test_the_candidate_scores_tonights_users() -> None:
    model = MbgNbdModel(FitSetup(seed=1, horizon_days=28)).fit(training_frame(500))
    probability = model.predict(users_now(50))
    assert ((probability > 0) & (probability < 1)).all()


def test_the_plain_model_asks_silence_of_the_lapsed_and_counts_of_the_rest() -> None:
    training, now, setup = training_frame(300), users_now(50), FitSetup(seed=1, horizon_days=28)
    now = now.with_columns(is_lapsed=pl.when(pl.col("user_id") == "u00000").then(None).otherwise("is_lapsed"))
    lapsed = now["is_lapsed"].fill_null(False).to_numpy()
    told = PlainModel(setup).fit(training).predict(now)
    assert told[lapsed].tolist() == RecencyModel().fit(training).predict(now)[lapsed].tolist()
    assert told[~lapsed].tolist() == MbgNbdModel(setup).fit(training).predict(now)[~lapsed].tolist()


@pytest.mark.parametrize("without", [{"n_active_days": 1}, {"is_active": True}])
def test_without_a_second_day_or_a_second_outcome_the_plain_model_is_recency(without: dict[str, int | bool]) -> None:
    training = training_frame(200).with_columns(**{name: pl.lit(value) for name, value in without.items()})
    now, setup = users_now(20), FitSetup(seed=1, horizon_days=28)
    told = PlainModel(setup).fit(training).predict(now)
    assert told.tolist() == RecencyModel().fit(training).predict(now).tolist()
