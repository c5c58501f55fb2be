from typing import Self

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagster_project.errors import WinbackError
from dagster_project.models.activity import LogisticModel
from dagster_project.models.explanations import EXPLANATION_SCHEMA, explain_scores, feature_groups, typical_values
from tests.models.simulated import training_frame, users_now


class KnownModel:
    """Log-odds = the sum of weight × value, an unknown value counting as `of_unknown`."""

    def __init__(self, of_unknown: float = 0.0, **weights: float) -> None:
        self.weights, self.of_unknown = weights, of_unknown
        self.n_predictions = 0

    def fit(self, training: pl.DataFrame) -> Self:  # noqa: ARG002  # the protocol asks for it
        return self

    def predict(self, features: pl.DataFrame) -> np.ndarray:
        self.n_predictions += features.height
        score = sum(features[name].fill_null(self.of_unknown).to_numpy() * w for name, w in self.weights.items())
        return 1 / (1 + np.exp(-np.asarray(score)))


def independent(n: int = 400, *, seed: int = 1) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    return pl.DataFrame({name: rng.normal(size=n).round(3) for name in "abcd"})


def test_of_a_linear_score_each_effect_is_weight_times_distance_from_typical() -> None:
    reference = pl.DataFrame({"a": [0.0, 1.0, 2.0], "b": [5, 5, 7], "c": [1.0, 1.0, 1.0], "d": [0.0, 0.0, 9.0]})
    users = pl.DataFrame({"user_id": ["u2", "u1"], "a": [3.0, 1.0], "b": [5, 1], "c": [1.5, 0.0], "d": [0.25, 0.0]})
    model = KnownModel(a=1.0, b=-0.5, c=2.0, d=-1.0)

    explained = explain_scores(model, users, reference, columns=("a", "b", "c", "d"))

    assert explained.drop("effect_log_odds").rows() == [
        ("u1", 1, "b", 1.0, 5.0),
        ("u1", 2, "c", 0.0, 1.0),
        ("u2", 1, "a", 3.0, 1.0),
        ("u2", 2, "c", 1.5, 1.0),
        ("u2", 3, "d", 0.25, 0.0),
    ]
    assert explained["effect_log_odds"].to_list() == pytest.approx([2.0, -2.0, 2.0, 1.0, -0.25])


def test_ties_are_broken_by_the_features_name() -> None:
    reference = pl.DataFrame({name: [0.0, 0.0, 0.0] for name in "dcba"})
    users = pl.DataFrame({"user_id": ["u"], **{name: [1.0] for name in "dcba"}})

    explained = explain_scores(KnownModel(a=1, b=-1, c=1, d=1), users, reference, columns=("d", "c", "b", "a"))

    assert explained["feature"].to_list() == ["a", "b", "c"]


def test_a_wholly_typical_user_has_no_reason() -> None:
    reference = pl.DataFrame({"a": [2.0, 2.0]})
    users = pl.DataFrame({"user_id": ["u"], "a": [2.0]})

    assert explain_scores(KnownModel(a=1.0), users, reference, columns=("a",)).is_empty()


def test_an_unknown_value_may_be_the_reason_and_unknown_may_be_typical() -> None:
    reference = pl.DataFrame({"a": [1.0, 2.0, 3.0], "b": [None, None, 4.0]})
    users = pl.DataFrame({"user_id": ["u"], "a": [None], "b": [4.0]}, schema_overrides={"a": pl.Float64})

    explained = explain_scores(KnownModel(of_unknown=-1, a=1, b=1), users, reference, columns=("a", "b"))

    assert explained.drop("effect_log_odds").rows() == [("u", 1, "b", 4.0, None), ("u", 2, "a", None, 2.0)]
    assert explained["effect_log_odds"].to_list() == pytest.approx([5.0, -3.0])


def test_near_duplicates_move_together_under_their_leaders_name() -> None:
    reference = independent().with_columns(twin=pl.col("a") ** 3, opposite=-pl.col("a"))
    users = pl.DataFrame(
        {"user_id": ["u"], "a": [2.0], "twin": [8.0], "opposite": [-2.0], "b": [0.0], "c": [0.0], "d": [0.0]}
    )
    columns = ("a", "b", "c", "d", "opposite", "twin")

    groups = feature_groups(reference, columns=columns)
    explained = explain_scores(KnownModel(twin=1.0), users, reference, columns=columns)

    assert [group.members for group in groups] == [("a", "opposite", "twin"), ("b",), ("c",), ("d",)]
    assert explained.select("feature", "value").rows() == [("a", 2.0)]


def test_columns_known_together_in_few_rows_are_no_duplicates() -> None:
    half = [float(i) for i in range(29)]
    reference = pl.DataFrame({"a": half + [None] * 29, "b": half + [None] * 29})

    assert [group.leader for group in feature_groups(reference, columns=("a", "b"))] == ["a", "b"]


def test_a_constant_column_is_nobodys_duplicate() -> None:
    reference = independent().with_columns(same=pl.lit(1.0), empty=pl.lit(None, dtype=pl.Float64))

    assert len(feature_groups(reference, columns=("a", "same", "empty"))) == 3


def test_the_typical_count_is_one_that_occurs_and_the_commoner_of_two() -> None:
    reference = pl.DataFrame({"n": [1, 2, 4, 8], "is_on": [0, 1, 1, 1], "odd": [float("inf"), None, None, 1.0]})

    assert typical_values(reference, columns=("n", "is_on", "odd")) == {"n": 2.0, "is_on": 1.0, "odd": None}


def test_it_costs_one_prediction_per_user_and_group_and_one_more() -> None:
    users = independent(50, seed=2).with_columns(user_id=pl.Series([f"u{i:02d}" for i in range(50)]))
    model = KnownModel(a=1.0)

    explain_scores(model, users, independent(), columns=("a", "b", "c", "d"))

    assert model.n_predictions == 50 * (4 + 1)


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(12)), st.permutations(range(60)))
def test_no_row_order_reaches_the_explanation(users_order: list[int], reference_order: list[int]) -> None:
    users = independent(12, seed=3).with_columns(user_id=pl.Series([f"u{i:02d}" for i in range(12)]))
    reference = independent(60, seed=4)
    model, columns = KnownModel(a=1.0, b=-2.0, c=0.5, d=0.1), ("a", "b", "c", "d")

    assert explain_scores(model, users[users_order], reference[reference_order], columns=columns).equals(
        explain_scores(model, users, reference, columns=columns)
    )


def test_of_a_fitted_model_the_feature_that_drives_the_truth_is_found() -> None:
    training = training_frame(600, interest_effect=2.0)
    users = users_now(300, interest_effect=2.0)
    keen = users.filter(pl.col("interest") > 2)

    explained = explain_scores(
        LogisticModel().fit(training), keen, training, columns=("silence_days", "n_active_days", "interest")
    )

    first = explained.filter(pl.col("position") == 1, pl.col("feature") == "interest")
    assert first.height >= 0.7 * keen.height
    assert (first["effect_log_odds"] > 0).all()


def test_nobody_to_explain_gives_an_empty_frame_of_the_same_columns() -> None:
    users = independent(1).with_columns(user_id=pl.lit("u")).clear()

    explained = explain_scores(KnownModel(a=1.0), users, independent(), columns=("a",))

    assert explained.schema == EXPLANATION_SCHEMA
    assert explained.is_empty()


def test_what_is_missing_is_named() -> None:
    users = pl.DataFrame({"user_id": ["u"], "a": [1.0]})
    with pytest.raises(WinbackError, match="reference frame to explain scores with lacks a"):
        explain_scores(KnownModel(a=1.0), users, independent().drop("a"), columns=("a",))
    with pytest.raises(WinbackError, match="no reference row"):
        explain_scores(KnownModel(a=1.0), users, independent().clear(), columns=("a",))
    with pytest.raises(WinbackError, match="user u stands in more than one row"):
        explain_scores(KnownModel(a=1.0), pl.concat([users, users]), independent(), columns=("a",))
