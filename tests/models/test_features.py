from datetime import date

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from dagster_project.models.features import (
    sample_rows,
    shared_features,
    stable_hash,
    to_matrix,
    usable_features,
)


def test_constant_null_and_outcome_columns_are_no_features() -> None:
    training = pl.DataFrame(
        {
            "user_sk": [1, 2],
            "user_id": ["a", "b"],
            "z": [1, 2],
            "constant": [5.0, 5.0],
            "nothing": pl.Series([None, None], dtype=pl.Float64),
            "half_known": [7.0, None],
            "not_finite": [float("inf"), float("nan")],
            "amount_next": [1.0, 2.0],
            "n_active_days_next": [1, 2],
            "is_active": [True, False],
        }
    )
    assert usable_features(training) == ("half_known", "z")


def test_the_matrix_has_the_columns_asked_for_and_nan_for_the_unknown() -> None:
    frame = pl.DataFrame({"b": [1, None], "a": [float("inf"), 2.5]})
    matrix = to_matrix(frame, ("a", "b"))
    assert matrix.dtype == np.float32
    np.testing.assert_array_equal(matrix, np.array([[np.nan, 1], [2.5, np.nan]], dtype=np.float32))


def test_money_as_decimal_is_a_feature() -> None:
    frame = pl.DataFrame({"amount_total": pl.Series(["1.50", "2.25"]).cast(pl.Decimal(12, 2))})
    assert to_matrix(frame, usable_features(frame)).tolist() == [[1.5], [2.25]]


def test_a_feature_unknown_tonight_is_not_learned_from() -> None:
    training = pl.DataFrame({"user_id": ["a"], "known": [1.0], "lost": [2.0], "absent": [3.0]})
    now = pl.DataFrame({"user_id": ["a"], "known": [1.0], "lost": pl.Series([None], dtype=pl.Float64)})
    assert shared_features(training, now).columns == ["user_id", "known"]


def test_hashes_are_pinned_so_that_samples_survive_an_upgrade() -> None:
    assert stable_hash(pl.Series(["a", "b"]), seed=1).tolist() == [15462742709960270297, 14387219660882091588]


@given(st.randoms(use_true_random=False))
def test_the_sample_does_not_depend_on_the_order_of_rows(random: object) -> None:
    rows = [(f"u{i}", date(2024, 1, 1 + i % 3)) for i in range(30)]
    shuffled = rows.copy()
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    first, second = (pl.DataFrame(r, schema=["user_id", "cutoff"], orient="row") for r in (rows, shuffled))
    drawn = sample_rows(first, max_rows=10, seed=4)
    assert drawn.height == 10
    assert drawn["cutoff"].n_unique() == 3  # drawn from all, not cut off the top
    assert drawn.equals(sample_rows(second, max_rows=10, seed=4))
    assert drawn.equals(drawn.sort("cutoff", "user_id"))


def test_a_frame_small_enough_is_kept_whole() -> None:
    rows = pl.DataFrame({"user_id": ["b", "a"], "cutoff": [date(2024, 1, 1)] * 2})
    assert sample_rows(rows, max_rows=2, seed=1)["user_id"].to_list() == ["a", "b"]
