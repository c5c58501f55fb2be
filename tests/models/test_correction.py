from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from dagster_project.models.correction import CAP, Evidence, fit_correction

NEWEST = date(2024, 5, 1)


def evidence(n: int, *, effect: float, growth: float = 1.0, seed: int = 1) -> Evidence:
    """Users at three cutoffs; the base is 2, what comes is Poisson of 2 × effect ** signal × growth per cutoff."""
    rng = np.random.default_rng(seed)
    frames, actuals = [], []
    for i in range(3):
        signal = rng.choice([-1.0, 1.0], n)
        actuals.append(rng.poisson(2.0 * effect**signal * growth**i).astype(float))
        frames.append(
            pl.DataFrame(
                {
                    "cutoff": [NEWEST - timedelta(days=28 * (2 - i))] * n,
                    "user_id": [f"u{j:05d}" for j in range(n)],
                    "signal": signal,
                    "noise": rng.normal(size=n),
                }
            )
        )
    rows = pl.concat(frames)
    return Evidence(rows, [np.full(rows.height, 2.0)], np.concatenate(actuals))


PAIR = pl.DataFrame({"signal": [-1.0, 1.0], "noise": [0.0, 0.0]})


def test_a_signal_that_the_base_misses_is_learnt() -> None:
    seen = evidence(1500, effect=1.6)
    factor = fit_correction(seen, horizon_days=28, seed=1).factor(seen.rows, seen.bases)
    for signal in (-1.0, 1.0):
        assert factor[(seen.rows["signal"] == signal).to_numpy()].mean() == pytest.approx(1.6**signal, rel=0.08)


def test_no_factor_passes_the_cap_however_strong_the_signal() -> None:
    seen = evidence(400, effect=9.0)
    factor = fit_correction(seen, horizon_days=28, seed=1).factor(seen.rows, seen.bases)
    assert factor.min() >= CAP[0]
    assert factor.max() == CAP[1]


def test_noise_does_not_ship() -> None:
    model = fit_correction(evidence(400, effect=1.0), horizon_days=28, seed=1)
    assert model.trees is None
    assert model.level == pytest.approx(1.0, abs=0.05)


def test_half_of_the_newest_growth_is_carried_on() -> None:
    seen = evidence(1500, effect=1.0, growth=1.3)
    model = fit_correction(seen, horizon_days=28, seed=1)
    pooled = (1 + 1.3 + 1.69) / 3
    drift = 1.69 / ((1 + 1.3) / 2)
    assert model.level == pytest.approx(pooled * drift**0.5, rel=0.05)


def test_without_an_honest_pair_of_cutoffs_only_the_level_is_mended() -> None:
    seen = evidence(400, effect=1.6)
    newest = seen.where((seen.rows["cutoff"] == NEWEST).to_numpy())
    model = fit_correction(newest, horizon_days=28, seed=1)
    assert model.trees is None
    assert model.level == pytest.approx(newest.actual.mean() / 2, rel=1e-9)


def test_nothing_seen_corrects_nothing() -> None:
    seen = evidence(10, effect=1.0)
    none = seen.where(np.zeros(30, dtype=bool))
    assert fit_correction(none, horizon_days=28, seed=1).factor(PAIR, [np.ones(2)]).tolist() == [1.0, 1.0]


def test_refunds_that_eat_everything_keep_the_factor_positive() -> None:
    seen = evidence(400, effect=1.0)
    refunded = Evidence(seen.rows, seen.bases, -seen.actual)
    assert fit_correction(refunded, horizon_days=28, seed=1).factor(PAIR, [np.ones(2)]).tolist() == [CAP[0]] * 2
