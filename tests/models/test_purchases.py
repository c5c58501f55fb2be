import numpy as np
import polars as pl
import pytest

from dagster_project.models.btyd import Btyd, active_day_counts
from dagster_project.models.purchases import days_if_active, expected_days, fit_purchases, p_alive

TRUTH = Btyd(r=0.9, alpha=6.0, a=0.6, b=2.5, drops_at_first=True)  # α in weeks


def log_of(n: int, *, seed: int, watched_days: int = 280, ahead_days: int = 70) -> tuple[pl.DataFrame, np.ndarray]:
    """Users of a world that TRUTH describes, and the active days each had in the days ahead."""
    rng = np.random.default_rng(seed)
    pace, chance = rng.gamma(TRUTH.r, 1 / (TRUTH.alpha * 7), n), rng.beta(TRUTH.a, TRUTH.b, n)
    rows, ahead = [], np.zeros(n)
    for i in range(n):
        day, last, repeats = 0.0, 0.0, 0
        while rng.random() >= chance[i]:
            day += rng.exponential(1 / pace[i])
            if day > watched_days + ahead_days:
                break
            if day <= watched_days:
                last, repeats = day, repeats + 1
            else:
                ahead[i] += 1
        rows.append((f"u{i:06d}", repeats + 1, watched_days, watched_days - last))
    columns = ["user_id", "n_active_days", "tenure_days", "silence_days"]
    return pl.DataFrame(rows, schema=columns, orient="row"), ahead


def test_the_forecast_of_a_world_that_it_describes_is_right_in_total_and_by_group() -> None:
    users, ahead = log_of(6000, seed=1)
    expected = expected_days(fit_purchases(users), users, horizon_days=70)
    assert expected.sum() == pytest.approx(ahead.sum(), rel=0.08)
    for low, high in ((1, 2), (2, 4), (4, 99)):
        group = ((users["n_active_days"] >= low) & (users["n_active_days"] < high)).to_numpy()
        assert expected[group].mean() == pytest.approx(ahead[group].mean(), rel=0.2)


def test_given_activity_the_days_are_those_of_the_active() -> None:
    users, ahead = log_of(6000, seed=2)
    given = days_if_active(TRUTH, users, horizon_days=70)
    assert given[ahead > 0].mean() == pytest.approx(ahead[ahead > 0].mean(), rel=0.08)
    assert given.min() >= 1
    assert given.max() <= 70


def test_parameters_of_a_known_world_come_back_in_size_and_order() -> None:
    found = fit_purchases(log_of(6000, seed=3)[0])
    assert 0.7 < found.r < 1.2
    assert 4.0 < found.alpha < 9.0
    assert found.a < found.b
    assert found.a / (found.a + found.b) == pytest.approx(TRUTH.a / (TRUTH.a + TRUTH.b), abs=0.05)


def test_the_quantiles_stand_for_the_whole_beta_distribution() -> None:
    users = pl.DataFrame(
        {
            "user_id": ["a", "b", "c"],
            "n_active_days": [1, 5, 400],
            "tenure_days": [10, 200, 800],
            "silence_days": [10, 3, 1],
        }
    )
    rng = np.random.default_rng(0)
    counts = active_day_counts(users)
    expected = expected_days(TRUTH, users, horizon_days=70)
    for i in range(3):
        x, observed = counts.repeats[i], counts.observed[i]
        pace = rng.gamma(TRUTH.r + x, 1 / (TRUTH.alpha + observed), 200_000)
        chance = np.maximum(rng.beta(TRUTH.a, TRUTH.b + x + 1, 200_000), 1e-12)
        drawn = (-np.expm1(-pace * chance * 10) / chance).mean() * p_alive(TRUTH, counts)[i]
        assert expected[i] == pytest.approx(drawn, rel=0.02)


def test_longer_silence_means_fewer_days() -> None:
    users = pl.DataFrame(
        {
            "user_id": list("abcd"),
            "n_active_days": [6] * 4,
            "tenure_days": [300] * 4,
            "silence_days": [1, 50, 120, 250],
        }
    )
    expected = expected_days(TRUTH, users, horizon_days=70)
    assert (np.diff(expected) < 0).all()


def test_a_log_of_first_visits_only_expects_next_to_nothing() -> None:
    users = pl.DataFrame({"user_id": ["a"], "n_active_days": [1], "tenure_days": [90], "silence_days": [90]})
    model = fit_purchases(users)
    assert 0 <= expected_days(model, users, horizon_days=30)[0] < 1
    assert days_if_active(model, users, horizon_days=30)[0] >= 1


def test_the_order_of_users_does_not_matter() -> None:
    users, _ = log_of(500, seed=4)
    assert fit_purchases(users) == fit_purchases(users.reverse())
