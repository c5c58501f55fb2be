"""The map from posterior to confidence, and its fit."""

import numpy as np
import pytest

from dagster_project.reasons.confidence import WAYS, confidences, fit_knots, load_knots


def test_the_map_that_ships_rises_and_stays_between_nothing_and_certain() -> None:
    for way in WAYS:
        knots = np.asarray(load_knots()[way])
        assert np.all(np.diff(knots[:, 0]) >= 0) and np.all(np.diff(knots[:, 1]) >= 0)
        assert knots.min() >= 0 and knots.max() <= 1


def test_confidence_is_linear_between_knots_and_flat_beyond_them() -> None:
    knots = {way: [(0.2, 0.1), (0.6, 0.5)] for way in WAYS}

    found = confidences(np.asarray([0.0, 0.4, 0.9]), ["strong", "posterior", "unknown"], knots=knots)

    assert found.tolist() == pytest.approx([0.1, 0.3, 0.5])


def test_the_fit_finds_how_often_a_posterior_is_right() -> None:
    rng = np.random.default_rng(1)
    posterior = rng.random(20_000)
    is_right = rng.random(20_000) < posterior**2

    knots = fit_knots(posterior, ["strong"] * 20_000, is_right)

    for x, y in knots["strong"]:
        assert y == pytest.approx(x**2, abs=0.04)


def test_a_few_users_are_not_believed_much() -> None:
    knots = fit_knots(np.asarray([0.5, 0.5]), ["earlier", "earlier"], np.asarray([True, True]))

    assert knots["earlier"] == [(0.5, round(7 / 12, 4))]


def test_a_death_that_is_only_likely_is_believed_less_than_one_beyond_doubt() -> None:
    likely, sure = confidences(np.asarray([0.95, 0.95]), ["likely", "strong"], knots=load_knots())

    assert likely < 0.85 < sure
