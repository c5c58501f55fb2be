from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_project.models.activity import FitSetup
from dagster_project.models.hazard import HazardModel, step_ends, with_follow_up
from dagster_project.models.survival import ReturnClock
from dagster_project.models.timing import OwnTiming, SharedTiming, return_curves, return_days

SETUP = FitSetup(seed=1, horizon_days=56)
FAST, SLOW = 1 / 30, 1 / 120


def planted(n: int, *, follow_up_days: int = 91, seed: int = 1) -> pl.DataFrame:
    """Two kinds of user with steady daily hazards of 1/30 and 1/120."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 2, n)
    wait = np.ceil(rng.exponential(1 / np.where(kind == 1, FAST, SLOW))).astype(int)
    return pl.DataFrame(
        {
            "user_id": [f"u{i:05d}" for i in range(n)],
            "cutoff": [date(2024, 1, 1)] * n,
            "silence_days": rng.integers(1, 60, n),
            "tenure_days": np.full(n, 100),
            "kind": kind,
            "is_active": wait <= 56,
            "next_active_in_days": pl.Series([int(w) if w <= follow_up_days else None for w in wait], dtype=pl.Int32),
            "follow_up_days": pl.Series([follow_up_days] * n, dtype=pl.Int32),
        }
    )


@pytest.fixture(scope="module")
def fitted() -> HazardModel:
    return HazardModel(SETUP).fit(planted(6000))


def test_the_planted_hazards_are_found(fitted: HazardModel) -> None:
    users = planted(2000, seed=2)
    probability = fitted.predict(users)
    for kind, pace in ((1, FAST), (0, SLOW)):
        assert probability[users["kind"].to_numpy() == kind].mean() == pytest.approx(1 - np.exp(-56 * pace), abs=0.03)


def test_the_steps_widen_meet_the_horizon_and_end_with_the_follow_up(fitted: HazardModel) -> None:
    assert fitted.ends_days == (14, 28, 56, 91)
    assert step_ends(with_follow_up(planted(99), horizon_days=91), horizon_days=91) == (14, 28, 56, 91)
    assert step_ends(with_follow_up(planted(99), horizon_days=30), horizon_days=30) == (14, 30)
    assert step_ends(with_follow_up(planted(99), horizon_days=14), horizon_days=14) == (14,)


def test_a_steady_hazard_grows_with_the_days(fitted: HazardModel) -> None:
    users = planted(2000, seed=2)
    fast = users["kind"].to_numpy() == 1
    mean = fitted.cumulative_hazard(users)[fast].mean(axis=0)
    np.testing.assert_allclose(mean, np.array([0, 14, 28, 56, 91]) * FAST, rtol=0.12)


def test_rows_that_nobody_watched_to_the_end_of_a_step_do_not_count_as_silent() -> None:
    short = planted(6000, follow_up_days=56).with_columns(follow_up_days=pl.lit(None, dtype=pl.Int32))
    model = HazardModel(SETUP).fit(short)
    assert model.ends_days == (14, 28, 56)
    assert model.predict(short).mean() == pytest.approx(short["is_active"].mean(), abs=0.01)


def test_the_order_of_rows_changes_nothing(fitted: HazardModel) -> None:
    shuffled = planted(6000).sample(fraction=1.0, shuffle=True, seed=5)
    users = planted(50, seed=2)
    again = HazardModel(SETUP).fit(shuffled.sort("cutoff", "user_id"))
    assert again.predict(users).tolist() == fitted.predict(users).tolist()


@given(p=st.lists(st.floats(1e-6, 1 - 1e-6), min_size=1, max_size=20), part=st.floats(0.05, 0.95))
def test_own_curves_meet_p_return_never_fall_and_reach_their_part_on_the_day_named(
    fitted: HazardModel, p: list[float], part: float
) -> None:
    users = planted(len(p), seed=3)
    timing = OwnTiming(fitted, users, horizon_days=56)
    scored = pl.DataFrame({"user_sk": range(len(p)), "user_id": users["user_id"], "p_return": p})
    curves = return_curves(timing, scored, days=(7, 14, 28, 56, 91, 182))
    wide = curves["p_returned"].to_numpy().reshape(len(p), 5)
    np.testing.assert_allclose(wide[:, 3], p, rtol=1e-9)
    assert (np.diff(wide, axis=1) >= 0).all()
    assert ((wide >= 0) & (wide <= 1)).all()
    days = return_days(timing, np.array(p), part=part)
    for i, day in enumerate(days):
        reached, before = (1 - (1 - p[i]) ** timing.share(int(d))[i] for d in (day, day - 1))
        assert reached >= part * p[i] * (1 - 1e-6)
        assert before <= part * p[i] * (1 + 1e-6)


def test_one_clock_and_own_steady_hazards_name_the_same_days() -> None:
    steady = ReturnClock("cox", pl.DataFrame(), np.arange(57) / 56, None)
    model = HazardModel(SETUP).fit(planted(50).with_columns(is_active=pl.lit(True)))
    p = np.array([0.01, 0.3, 0.9])
    own = OwnTiming(model, planted(3), horizon_days=56)
    shared = SharedTiming(steady, horizon_days=56)
    assert return_days(own, p, part=0.5).tolist() == return_days(shared, p, part=0.5).tolist()
