"""Looking every night: bounds as published, and false alarms as rare as promised."""

import numpy as np
import pytest

from dagster_project.intervals import NORMAL_975
from dagster_project.outcomes.corrections import benjamini_hochberg
from dagster_project.outcomes.looks import (
    OBRIEN_FLEMING,
    SEQUENCE,
    WAITING,
    looked_at,
    obrien_fleming,
    p_after_looks,
    sequence_width,
)


def test_five_looks_have_the_published_bounds() -> None:
    found = obrien_fleming([0.2, 0.4, 0.6, 0.8, 1.0], n_looks=5)

    # Jennison & Turnbull 2000, table 7.3, and every package since
    assert found == pytest.approx([4.877, 3.357, 2.680, 2.290, 2.031], abs=0.001)


def test_a_single_look_is_the_plain_test() -> None:
    assert float(obrien_fleming(1.0, n_looks=1)) == pytest.approx(NORMAL_975, abs=1e-4)


def test_early_looks_ask_for_more_and_the_earliest_for_all() -> None:
    bounds = obrien_fleming(np.arange(1, 101) / 100)

    assert np.isinf(bounds[0])
    assert (np.diff(bounds[np.isfinite(bounds)]) < 0).all()


def test_up_to_the_plan_one_method_holds_and_beyond_it_the_other() -> None:
    _, method = looked_at([0.001, 0.5, 1.0, 1.5])

    assert method.tolist() == [WAITING, OBRIEN_FLEMING, OBRIEN_FLEMING, SEQUENCE]


def test_looking_four_hundred_times_raises_no_more_false_alarms_than_promised() -> None:
    rng = np.random.default_rng(4)
    t = np.arange(1, 401) / 400
    z = rng.normal(0, np.sqrt(1 / 400), (4_000, 400)).cumsum(axis=1) / np.sqrt(t)

    assert (np.abs(z) > obrien_fleming(t)).any(axis=1).mean() < 0.06
    assert (np.abs(z) > sequence_width(t)).any(axis=1).mean() < 0.05
    assert (np.abs(z) > NORMAL_975).any(axis=1).mean() > 0.3


def test_p_is_below_5_percent_exactly_beyond_the_bound() -> None:
    bound = np.array([4.0, 2.1, np.inf])

    assert (p_after_looks(bound[:2] * 1.001, bound[:2]) < 0.05).all()
    assert (p_after_looks(bound[:2] * 0.999, bound[:2]) > 0.05).all()
    assert p_after_looks(5.0, bound[2]) == 1


def test_comparisons_are_corrected_as_published() -> None:
    # Benjamini & Hochberg 1995, section 4: of fifteen comparisons four are rejected at 5 %
    p = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344]
    p += [0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0]

    adjusted = benjamini_hochberg(p)

    assert (adjusted < 0.05).sum() == 4
    assert adjusted[3] == pytest.approx(0.0095 * 15 / 4)


def test_what_is_not_known_is_no_comparison() -> None:
    adjusted = benjamini_hochberg([0.04, np.nan])

    assert adjusted[0] == 0.04
    assert np.isnan(adjusted[1])
