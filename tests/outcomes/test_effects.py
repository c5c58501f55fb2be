"""Differences from sums: the same as from the users themselves, and right where a truth is known."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagster_project.outcomes.coding import coded_entries
from dagster_project.outcomes.effects import Effects, compare_arms
from dagster_project.outcomes.moments import BASE, OUTCOME, take_moments
from dagster_project.outcomes.vocabulary import BY_NAME, HORIZONS
from outcomes.builders import entries


def effect_of(
    frame: pl.DataFrame, *, metric: str, horizon: int, weight: object = None, covariate: object = None
) -> Effects:
    moments = take_moments(
        frame,
        weight=weight,
        covariate=covariate,
        metrics=[BY_NAME[metric]],
        coded=coded_entries(frame, ()),
    )
    place = HORIZONS.index(horizon)
    base = moments.own_base.get(metric, moments.base)
    return compare_arms(
        base[1, 0, place],
        moments.of[metric][1, 0, place],
        base[0, 0, place],
        moments.of[metric][0, 0, place],
        is_binary=BY_NAME[metric].kind == "after",
        is_adjusted=covariate is not None,
    )


def by_regression(y: np.ndarray, treated: np.ndarray, x: np.ndarray, w: np.ndarray) -> tuple[float, float]:
    """Lin's estimate and robust error from the users, arm by arm, with numpy's own least squares."""
    centre = np.average(
        [np.average(x[t], weights=w[t]) for t in (treated, ~treated)], weights=[treated.sum(), (~treated).sum()]
    )
    means, variances, slopes = [], [], []
    for t in (treated, ~treated):
        design = np.column_stack([np.ones(t.sum()), x[t]])
        root = np.sqrt(w[t])
        a, b = np.linalg.lstsq(design * root[:, None], y[t] * root, rcond=None)[0]
        residual, n = y[t] - a - b * x[t], t.sum()
        mean_x = np.average(x[t], weights=w[t])
        sxx = np.average((x[t] - mean_x) ** 2, weights=w[t])
        of_mean = (w[t] ** 2 * residual**2).sum() / w[t].sum() ** 2 * n / (n - 2)
        means.append(a + b * centre)
        variances.append(of_mean * (1 + (centre - mean_x) ** 2 / sxx))
        slopes.append(b)
    square = np.average(
        [np.average(x[t] ** 2, weights=w[t]) for t in (treated, ~treated)], weights=[treated.sum(), (~treated).sum()]
    )
    variance = sum(variances) + (slopes[0] - slopes[1]) ** 2 * (square - centre**2) / len(y)
    return means[0] - means[1], float(np.sqrt(variance))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), is_weighted=st.booleans())
def test_sums_say_what_a_regression_on_the_users_says(seed: int, is_weighted: bool) -> None:
    rng = np.random.default_rng(seed)
    n = 200
    treated = np.arange(n) % 3 > 0
    x = rng.normal(5, 2, n)
    y = rng.exponential(3, n) + x * treated
    w = rng.uniform(0.5, 2, n) if is_weighted else np.ones(n)
    arm = np.where(treated, "treat", "control")
    frame = entries(n, arm=arm, **{f"spend_{days}": y for days in HORIZONS})

    found = effect_of(frame, metric="spend", horizon=14, covariate=x, weight=w if is_weighted else None)

    difference, error = by_regression(y, treated, x, w)
    assert float(found.difference) == pytest.approx(difference, rel=1e-6)
    assert float(found.error) == pytest.approx(error, rel=1e-6)


def test_each_horizon_counts_what_came_before_it_among_those_whose_days_are_over() -> None:
    frame = entries(
        6,
        arm=["treat"] * 3 + ["control"] * 3,
        returned_after=[0, 13, None, 6, 7, 179],
        n_days_seen=[200, 14, 14, 200, 200, 200],
    )
    moments = take_moments(frame, metrics=[BY_NAME["returned"]], coded=coded_entries(frame, ()))

    counted = moments.of["returned"][:, 0, :, 0]
    assert moments.base[1, 0, :, 0].tolist() == [3, 3, 3, 1, 1, 1]
    assert counted[1].tolist() == [1, 1, 2, 1, 1, 1]
    assert counted[0].tolist() == [0, 1, 2, 2, 2, 3]


def test_slices_are_what_the_entries_say_and_add_up_to_all() -> None:
    frame = entries(
        4, arm=["treat", "treat", "control", "control"], channel=["email", "push", "email", None], returned_after=0
    )
    moments = take_moments(frame, metrics=[BY_NAME["returned"]], coded=coded_entries(frame, ("channel",)))

    n = dict(zip(moments.slices["value"], moments.base[:, :, 0, 0].T.tolist(), strict=True))
    assert n == {"all": [2, 2], "email": [1, 1], "not noted": [1, 0], "push": [0, 1]}


def test_satisfaction_is_compared_among_those_who_told() -> None:
    told = [0.9, 0.7, None, 0.4, None, 0.6]
    frame = entries(6, arm=["treat"] * 3 + ["control"] * 3, **{f"satisfaction_{days}": told for days in HORIZONS})

    found = effect_of(frame, metric="satisfaction", horizon=28)

    assert (float(found.n_treated), float(found.n_control)) == (2, 2)
    assert float(found.difference) == pytest.approx(0.8 - 0.5)


def test_a_share_of_none_still_has_an_error() -> None:
    frame = entries(40, arm=["treat", "control"] * 20)

    found = effect_of(frame, metric="returned", horizon=7)

    assert float(found.difference) == 0
    assert float(found.error) == pytest.approx(np.sqrt(2 * (1 / 22) * (21 / 22) / 22))


def test_an_arm_of_one_user_tells_nothing() -> None:
    frame = entries(3, arm=["treat", "control", "control"], returned_after=0)

    assert np.isnan(effect_of(frame, metric="returned", horizon=7).difference)


def test_a_forecast_takes_variance_away_and_leaves_the_effect() -> None:
    rng = np.random.default_rng(1)
    n = 4_000
    x = rng.normal(size=n)
    treated = rng.random(n) < 0.5
    spend = 10 + 5 * x + 2 * treated + rng.normal(size=n)
    frame = entries(n, arm=np.where(treated, "treat", "control"), **{f"spend_{d}": spend for d in HORIZONS})

    plain = effect_of(frame, metric="spend", horizon=60)
    adjusted = effect_of(frame, metric="spend", horizon=60, covariate=x)

    assert float(adjusted.error) < 0.25 * float(plain.error)
    assert abs(float(adjusted.difference) - 2) < 4 * float(adjusted.error)


def test_inverse_propensities_mend_what_unequal_chances_bias() -> None:
    rng = np.random.default_rng(2)
    n = 20_000
    keen = rng.random(n) < 0.5
    chance = np.where(keen, 0.8, 0.2)
    treated = rng.random(n) < chance
    back = rng.random(n) < np.where(keen, 0.4, 0.1) + 0.05 * treated
    frame = entries(n, arm=np.where(treated, "treat", "control"), returned_after=[0 if b else None for b in back])

    plain = effect_of(frame, metric="returned", horizon=28)
    weighted = effect_of(frame, metric="returned", horizon=28, weight=np.where(treated, 1 / chance, 1 / (1 - chance)))

    assert float(plain.difference) > 0.15
    assert abs(float(weighted.difference) - 0.05) < 4 * float(weighted.error)


def spent_at_random(rng: np.random.Generator, n: int, *, share: float, spread: float) -> tuple[np.ndarray, np.ndarray]:
    """BASE and OUTCOME of so many users, of whom a share pays a bill with a long tail."""
    bills = rng.lognormal(3, spread, rng.binomial(n, share))
    y, yy = bills.sum(), (bills**2).sum()
    base, outcome = {"n": n, "w": n, "ww": n}, {"n": len(bills), "wy": y, "wyy": yy, "wwy": y, "wwyy": yy}
    return tuple(
        np.array([named.get(name, 0.0) for name in names]) for named, names in ((base, BASE), (outcome, OUTCOME))
    )


@pytest.mark.parametrize(
    ("n", "share", "spread"), [(500, 0.1, 1.0), (2_000, 0.1, 1.0), (2_000, 0.1, 1.5), (10_000, 0.05, 1.5)]
)
def test_nine_to_one_the_interval_of_spend_holds_the_truth_as_often_as_it_says(
    n: int, share: float, spread: float
) -> None:
    rng = np.random.default_rng(4)
    drawn = [
        [spent_at_random(rng, users, share=share, spread=spread) for _ in range(1_000)]
        for users in (n * 9 // 10, n // 10)
    ]
    (base_t, treated), (base_c, control) = [[np.stack(sums) for sums in zip(*arm, strict=True)] for arm in drawn]
    amounts = treated[:, 0], control[:, 0]

    found = compare_arms(base_t, treated, base_c, control, is_binary=False, is_adjusted=False, n_amounts=amounts)

    known = np.isfinite(found.error)
    assert known.tolist() == (control[:, 0] >= 5).tolist()
    holds = np.abs(found.difference) <= 1.96 * found.error
    assert holds[known].mean() >= 0.93  # of those with a bill in either arm .92 and .88 to .91 before


def test_even_arms_lend_each_other_nothing() -> None:
    rng = np.random.default_rng(5)
    base, few = spent_at_random(rng, 1_000, share=0.02, spread=1.5)
    _, many = spent_at_random(rng, 1_000, share=0.2, spread=1.5)

    plain = compare_arms(base, many, base, few, is_binary=False, is_adjusted=False)
    lent = compare_arms(base, many, base, few, is_binary=False, is_adjusted=False, n_amounts=(many[0], few[0]))

    assert float(lent.error) == float(plain.error)
