import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_project.intervals import wilson_interval


def test_the_wilson_interval_of_one_in_ten_is_the_published_one() -> None:
    low, high = wilson_interval(1, 10)
    assert (float(low), float(high)) == pytest.approx((0.01788, 0.40415), abs=1e-5)


def test_of_no_trial_nothing_is_known() -> None:
    low, high = wilson_interval([10, 0], [100, 0])
    assert low.tolist() == pytest.approx([0.05522914, 0.0])
    assert high.tolist() == pytest.approx([0.17436566, 1.0])


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_holds_the_share_and_stays_a_probability(hits_and_n: tuple[int, int]) -> None:
    n_hits, n = hits_and_n
    low, high = wilson_interval(n_hits, n)
    assert 0 <= low <= n_hits / n + 1e-12
    assert n_hits / n - 1e-12 <= high <= 1
